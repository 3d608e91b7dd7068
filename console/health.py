"""Health: what is broken, and what to type."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from flask import Response, render_template

from console.pages import blueprint, page, part, person, services, session
from quotejob.asking import proof
from quotejob.errors import QuotejobError
from quotejob.store import keys
from quotejob.store.intake import concerns
from tasks import workers

ANSWER_WITHIN = 1.0  # seconds
KEPT_FOR = 5.0  # seconds


@dataclass(frozen=True)
class Check:
    """One thing that is looked at."""

    name: str
    good: bool
    said: str
    do: str = ""  # a command or a hint


class _Workers:
    """Whether a worker answers, asked at most every 5 seconds by each web process. Safe for threads."""

    def __init__(self) -> None:
        self._lock, self._asked, self._answer = threading.Lock(), float("-inf"), False

    def answer(self) -> bool:
        """Return the last answer, or a new one."""
        with self._lock:
            if time.monotonic() - self._asked >= KEPT_FOR:
                self._answer, self._asked = workers.is_worker_running(ANSWER_WITHIN), time.monotonic()
            return self._answer


_workers = _Workers()


@blueprint.get("/health")
def health() -> Response:
    """Show what works and what does not."""
    return page("health.html", **_health())


@part("/health", tag=lambda: str(int(time.time() // KEPT_FOR)))
def health_checks() -> str:
    """Show the same again."""
    return render_template("parts/health.html", **_health())


def _health() -> dict[str, Any]:
    said = concerns(services().client)
    running = _workers.answer()
    checks = [
        Check(
            "Workers",
            running,
            "A worker answers." if running else "No worker answers. Nothing is lost: jobs go on when one is back.",
            "" if running else "celery -A tasks worker --without-gossip --without-mingle",
        ),
        Check("Redis", not said, "; ".join(said) or "It answers, and keeps what is accepted."),
        _org(),
    ]
    client, org_id = services().client, session().org_id
    waiting = {
        "Jobs in the flex queue": client.zcard(keys.jobs_of(org_id, "holding")),
        "Jobs with a slot": client.scard(keys.jobs_of(org_id, "active")),
        "Schedules": client.zcard(keys.jobs_of(org_id, "schedules")),
    }
    return {"checks": checks, "waiting": waiting}


def _org() -> Check:
    context = person()
    try:
        proof.prove(context, services())
    except QuotejobError as error:
        return Check("Org", False, error.message, "Sign in again, or look at the org.")
    return Check("Org", True, f"{context.org_domain_url} accepts your session.")
