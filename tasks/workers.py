"""The workers, as the web process sees them: it sends one small message, and asks if a worker runs."""

from __future__ import annotations

import redis
import structlog
from kombu.exceptions import OperationalError

from tasks.flow import dispatch

log = structlog.get_logger("tasks")

_AWAY = (OperationalError, redis.RedisError, OSError)  # kombu wraps most of what the broker's client raises


def dispatch_org(org_id: str) -> None:
    """Send the message that starts the next jobs of an org.

    The job is stored already. If the message is lost, the sweep finds the job, so a fault here is only logged.
    """
    try:
        dispatch.delay(org_id=org_id)
    except _AWAY as fault:
        log.warning("The workers could not be told; the sweep will find the job", kind=type(fault).__name__)


def is_worker_running(within: float) -> bool:
    """Return whether at least one worker answers a ping within this many seconds."""
    try:
        return bool(dispatch.app.control.inspect(timeout=within, limit=1).ping())
    except _AWAY as fault:
        log.warning("The workers could not be asked", kind=type(fault).__name__)
        return False
