"""Health checks: is the process up, and can it do its work? For the platform's probes, the mesh and people."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog
from flask import Blueprint, Response, jsonify

from api import caller, errors
from quotejob.errors import StoreUnavailable
from quotejob.version import VERSION
from tasks import workers

log = structlog.get_logger("api")
blueprint = Blueprint("health", __name__)

ANSWER_WITHIN = 1.0  # seconds a worker has to answer a ping
KEPT_FOR = 5.0  # seconds the last answer is kept


@blueprint.get("/health")
@blueprint.get("/healthcheck", endpoint="healthcheck")  # the AppLink mesh's default route
def health() -> Response:
    """Answer 200 and the version while the process is up. Asks no other process."""
    return jsonify({"status": "ok", "version": VERSION})


@blueprint.get("/ready")
def ready() -> Response:
    """Answer 200 if Redis and at least one Celery worker answer, else 503 with what is missing."""
    try:
        caller.services().jobs.ping()
    except StoreUnavailable as away:
        return _not_ready("redis", away.message)
    if not worker_check.answer():
        return _not_ready(
            "worker", f"No Celery worker answered within {ANSWER_WITHIN:g} s; start one with: celery -A tasks worker"
        )
    return jsonify({"status": "ready", "redis": "ok", "worker": "ok"})


class CachedCheck:
    """A check whose answer is kept for some seconds, so that many requests make one check. Safe for threads."""

    def __init__(self, ask: Callable[[], bool], kept_for: float) -> None:
        self._ask, self._kept_for = ask, kept_for
        self._lock = threading.Lock()
        self._asked, self._answer = float("-inf"), False

    def answer(self) -> bool:
        """Return the last answer, or a new one if the last is too old."""
        with self._lock:
            if time.monotonic() - self._asked >= self._kept_for:
                self._answer = self._ask()
                self._asked = time.monotonic()
            return self._answer


def _not_ready(part: str, message: str) -> Response:
    log.warning(f"Not ready: {message}")
    return errors.answer(503, "NOT_READY", message, [{"field": part, "message": message}], retry_after=int(KEPT_FOR))


worker_check = CachedCheck(lambda: workers.is_worker_running(ANSWER_WITHIN), KEPT_FOR)
