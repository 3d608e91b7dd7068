"""Is the process up, and could it serve? For the platform's probes, the mesh and people."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from flask import Blueprint, Response, jsonify

from api import caller as access
from api import errors, workers
from quotejob.errors import StoreUnavailable

blueprint = Blueprint("health", __name__)

ANSWER_WITHIN = 1.0  # seconds a worker has for its pong
BELIEVED_FOR = 5.0  # seconds the last look at the workers is believed


@blueprint.get("/health")
@blueprint.get("/healthcheck", endpoint="healthcheck")  # the AppLink mesh's default route
def health() -> Response:
    """The process is up; asks nobody else."""
    return jsonify({"status": "ok"})


@blueprint.get("/ready")
def ready() -> Response:
    """200 when Redis and at least one Celery worker answer, else 503 with what is missing."""
    try:
        access.services().jobs.ping()
    except StoreUnavailable as away:
        return _not_ready("redis", away.message)
    if not a_worker.answer():
        return _not_ready("worker", f"No Celery worker answered within {ANSWER_WITHIN:g} s; start one")
    return jsonify({"status": "ready", "redis": "ok", "worker": "ok"})


class Probe:
    """A question that is put at most once in a few seconds, however often and by however many it is asked."""

    def __init__(self, ask: Callable[[], bool], believed_for: float) -> None:
        self._ask, self._believed_for = ask, believed_for
        self._lock = threading.Lock()
        self._asked, self._answer = float("-inf"), False

    def answer(self) -> bool:
        """The last answer, or a new one when that is too old."""
        with self._lock:
            if time.monotonic() - self._asked >= self._believed_for:
                self._answer = self._ask()
                self._asked = time.monotonic()
            return self._answer


def _not_ready(part: str, message: str) -> Response:
    return errors.answer(503, "NOT_READY", message, [{"field": part, "message": message}])


a_worker = Probe(lambda: workers.answer(ANSWER_WITHIN), BELIEVED_FOR)
