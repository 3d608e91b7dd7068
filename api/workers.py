"""The Celery workers, as the API sees them: it sends one small message, and asks if a worker runs."""

from __future__ import annotations

from functools import cache

import redis
import structlog
from kombu.exceptions import OperationalError

from quotejob.errors import StoreUnavailable
from quotejob.services import Services
from tasks.broker import keep_connections
from tasks.flow import dispatch

log = structlog.get_logger("api")
# kombu wraps most of what the broker's client raises.
_AWAY = (OperationalError, redis.RedisError, OSError)


def dispatch_org(org_id: str) -> None:
    """Send the message that starts the next jobs of an org.

    The job is stored already. If the message is lost, the sweep finds the job, so a fault here is only logged.
    """
    try:
        _keep_one_connection()
        dispatch.delay(org_id=org_id)
    except _AWAY as fault:
        log.warning("The workers could not be told; the sweep will find the job", kind=type(fault).__name__)


def dispatch_ready(services: Services, org_id: str) -> None:
    """Send that message if a job of the org is ready while a slot is free. Otherwise what changes that will send it."""
    try:
        if not services.flexqueue.may_go(org_id, services.settings.active_jobs):
            return
    except StoreUnavailable:
        log.warning("The flex queue could not be read; the workers are told anyway")
    dispatch_org(org_id)


def is_worker_running(within: float) -> bool:
    """Return whether at least one worker answers a ping within this many seconds."""
    try:
        # A connection of its own: one that waits for answers must not keep others from sending.
        with dispatch.app.connection_for_write() as connection:
            return bool(dispatch.app.control.inspect(timeout=within, limit=1, connection=connection).ping())
    except _AWAY as fault:
        log.warning("The workers could not be asked", kind=type(fault).__name__)
        return False


@cache
def _keep_one_connection() -> None:
    """Let the threads of this process send their messages in turn over one connection."""
    keep_connections(dispatch.app, 1)
