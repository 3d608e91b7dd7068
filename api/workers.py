"""The Celery workers, as the door sees them: told one small thing, and asked whether they are there."""

from __future__ import annotations

import redis
import structlog
from kombu.exceptions import OperationalError

from tasks.flow import dispatch

log = structlog.get_logger("api")

_AWAY = (OperationalError, redis.RedisError, OSError)  # kombu wraps most of what the broker's client raises


def tell(org_id: str) -> None:
    """Let a worker look into the org's flex queue.

    The job is stored already: should the message be lost, the sweep finds it, so the caller's answer stays yes.
    """
    try:
        dispatch.delay(org_id=org_id)
    except _AWAY as fault:
        log.warning("The workers could not be told; the sweep will find the job", kind=type(fault).__name__)


def answer(within: float) -> bool:
    """Whether a worker answers a ping within so many seconds; the first answer is enough."""
    try:
        return bool(dispatch.app.control.inspect(timeout=within, limit=1).ping())
    except _AWAY as fault:
        log.warning("The workers could not be asked", kind=type(fault).__name__)
        return False
