"""Health: what is broken, and what to do. quotejob.diagnosis judges, as for `bin/quotejob doctor`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Response, render_template

from console.pages import blueprint, page, part, person, services, session
from quotejob.asking import proof
from quotejob.diagnosis import Check, Subject, of_org, of_store
from quotejob.errors import QuotejobError
from quotejob.store import keys
from tasks import workers

ANSWER_WITHIN = 1.0  # seconds that a worker has
STORE_KEPT_FOR, ORG_KEPT_FOR = 5, 60  # seconds; a look at the org costs API calls
MOST_KEPT = 1_000


class _Kept:
    """The last looks of this web process, by what was looked at. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks: dict[str, tuple[float, list[Check]]] = {}

    def look(self, name: str, seconds: float, new: Callable[[], list[Check]]) -> list[Check]:
        """Return the last look, or a new one if that is older."""
        with self._lock:
            seen = self._looks.get(name)
        if seen is None or time.monotonic() - seen[0] >= seconds:
            seen = time.monotonic(), new()
            with self._lock:
                if len(self._looks) >= MOST_KEPT:
                    self._looks.clear()
                self._looks[name] = seen
        return seen[1]


_kept = _Kept()


@blueprint.get("/health")
def health() -> Response:
    """Show what works and what does not."""
    return page("health.html", **_health())


@part("/health", tag=lambda: str(int(time.time() // STORE_KEPT_FOR)))
def health_checks() -> str:
    """Show the same again."""
    return render_template("parts/health.html", **_health())


def _health() -> dict[str, Any]:
    client, org_id = services().client, session().org_id
    checks = [*_kept.look(f"store {org_id}", STORE_KEPT_FOR, _store), *_kept.look(f"org {org_id}", ORG_KEPT_FOR, _org)]
    waiting = {
        "Jobs in the flex queue": client.zcard(keys.jobs_of(org_id, "holding")),
        "Jobs with a slot": client.scard(keys.jobs_of(org_id, "active")),
        "Schedules": client.zcard(keys.jobs_of(org_id, "schedules")),
    }
    return {"checks": checks, "waiting": waiting, "flower": services().settings.flower_url}


def _store() -> list[Check]:
    return list(of_store(services(), session().org_id, partial(workers.served_queues, ANSWER_WITHIN)))


def _org() -> list[Check]:
    try:
        context = proof.prove(person(), services())
        return of_org(services(), proof.org_of(context), context.org_id)
    except QuotejobError as error:
        return [Check(Subject.ORG, False, f"{error.message}. Sign in again, or look at the org")]
