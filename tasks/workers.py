"""The Celery workers, as the web process sees them: a small message to them, and whether one runs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import cache

import redis
import structlog
from kombu.exceptions import OperationalError

from quotejob.errors import StoreUnavailable
from quotejob.jobs.job import Job
from quotejob.jobs.workers import NO_WORKER
from quotejob.services import Services
from quotejob.store.reasons import AWAY, reason
from tasks.broker import keep_connections
from tasks.flow import dispatch

log = structlog.get_logger("tasks")
# kombu wraps most of what the broker's client raises.
_AWAY = (OperationalError, redis.RedisError, OSError, StoreUnavailable)


def dispatch_org(services: Services, org_id: str) -> None:
    """Send the message that starts the next jobs of an org.

    The job is stored already. If the message is lost, the sweep finds the job, so a fault here is only logged.
    """
    _warn_if_none(services)
    try:
        _keep_one_connection()
        dispatch.delay(org_id=org_id)
    except _AWAY as fault:
        log.warning(f"The workers could not be told; the sweep will find the job. {_why(fault)}")


def with_outlook(services: Services, org_id: str, jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs of an org with their estimates; they have none while no worker runs, and say so."""
    return services.workers.with_lack(services.forecast.with_estimates(org_id, jobs))


def _warn_if_none(services: Services) -> None:
    with contextlib.suppress(StoreUnavailable):  # the job is stored: its caller gets the id
        if not services.workers.are_there():
            log.warning(NO_WORKER.message)


def dispatch_ready(services: Services, org_id: str) -> None:
    """Send that message if a job of the org is ready while a slot is free. Otherwise what changes that will send it."""
    try:
        if not services.flexqueue.may_go(org_id, services.settings.active_jobs):
            return
    except StoreUnavailable:
        log.warning("The flex queue could not be read; the workers are told anyway")
    dispatch_org(services, org_id)


def is_worker_running(within: float) -> bool:
    """Return whether at least one worker answers a ping within this many seconds."""
    _keep_one_connection()
    try:
        # A connection of its own: one that waits for answers must not keep others from sending.
        with dispatch.app.connection_for_write() as connection:
            return bool(dispatch.app.control.inspect(timeout=within, limit=1, connection=connection).ping())
    except _AWAY as fault:
        log.warning(f"The workers could not be asked. {_why(fault)}")
        return False


def _why(fault: Exception) -> str:
    """Return why the broker does not serve. Kombu wraps the broker's own error, and its class tells little."""
    return reason(fault.__cause__ or fault) or reason(fault) or AWAY


@cache
def _keep_one_connection() -> None:
    """Let the threads of this process send their messages in turn over one connection.

    A ping makes Celery's pool of connections too, so this has to come before the first one.
    """
    keep_connections(dispatch.app, 1)


def served_queues(within: float) -> dict[str, list[str]]:
    """Return the queues of each worker that answers within this many seconds, by its name."""
    _keep_one_connection()
    try:
        with dispatch.app.connection_for_write() as connection:
            found = dispatch.app.control.inspect(timeout=within, connection=connection).active_queues() or {}
    except _AWAY as fault:
        log.warning(f"The workers could not be asked. {_why(fault)}")
        return {}
    return {worker: [queue["name"] for queue in queues] for worker, queues in found.items()}
