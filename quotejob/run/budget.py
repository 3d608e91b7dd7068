"""The budget of an org's daily API calls: so many are kept for others, the rest is shared by the jobs that run.

Before a unit of work begins, it draws the calls that it will probably send. If they are not there, the job waits: the
unit goes back with a pause, and nothing is sent to the org. Every answer of an org says how many calls are used. While
all jobs wait, one of them asks, again and again, with pauses that grow to five minutes.

The rules are in ``store/lua/run/draw.lua``. Jobs that keep nothing draw nothing, and cost nothing here. If the org
refuses their calls, they wait too: see :mod:`tasks.steps`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

from quotejob.errors import CallsKept
from quotejob.jobs.job import CommitBy, Job
from quotejob.run.context import Run
from quotejob.settings import Settings
from quotejob.store import keys, scripts
from quotejob.store.client import RedisClient

NEED = {"plan": 3, "page": 1, "batch": 1, "finish": 1}  # calls of a unit, by its first word, usually
NEED_BY_BULK = 12  # of a batch that is written by Bulk: two jobs, and some looks at them
FIRST_CLAIM = 10  # calls that a job claims while it is not known how many records it has
RECORDS_A_BATCH = 100  # of a job that nobody has forecast
RESERVED_FOR = 600.0  # seconds that a reservation holds, if its step has died
FIRST_QUESTION, LONGEST_QUESTION = 5.0, 300.0  # seconds between two questions of jobs that wait


class Budget:
    """The budgets of all orgs. Every method may raise StoreUnavailable."""

    def __init__(self, client: RedisClient, settings: Settings) -> None:
        self._redis = client
        self._settings = settings

    @contextmanager
    def spending(self, run: Run, unit: str) -> Iterator[None]:
        """Let the block send the calls of a unit. Raises CallsKept if the job has to wait for them."""
        kind = unit.partition(" ")[0]
        if kind not in NEED or not self._keeps(run.job):
            yield
            return
        by_bulk = kind == "batch" and run.job.commit_by is CommitBy.BULK
        self._draw(run, unit, NEED_BY_BULK if by_bulk else NEED[kind])
        before = run.calls
        try:
            yield
        finally:
            self._settle(run, unit, run.calls - before)

    def _keeps(self, job: Job) -> bool:
        kept = self._settings.keep_calls
        return bool(job.keep_api_calls or kept.number or kept.percent)

    def _draw(self, run: Run, unit: str, need: int) -> None:
        """Reserve the calls of a unit. Raises CallsKept."""
        answer, *numbers = self._ask(run.job, unit, need)
        if answer == b"ask":
            before = run.calls
            run.org.daily_api_calls()
            self._settle(run, "question", run.calls - before)
            answer, *numbers = self._ask(run.job, unit, need)
        if answer != b"go":
            used, limit, kept, jobs = numbers
            raise CallsKept(_sentence(run.job, used, limit, kept, jobs))

    def _ask(self, job: Job, unit: str, need: int) -> Any:
        kept = self._settings.keep_calls
        return scripts.run(
            self._redis,
            "run/draw",
            **_keys(job.org_id),
            active=keys.jobs_of(job.org_id, "active"),
            id=job.job_id,
            unit=unit,
            need=need,
            claim=max(need, claim(job)),
            number=max(kept.number, job.keep_api_calls or 0),
            percent=float(kept.percent),
            length=int(RESERVED_FOR * 1000),
            first=int(FIRST_QUESTION * 1000),
            longest=int(LONGEST_QUESTION * 1000),
        )

    def _settle(self, run: Run, unit: str, calls: int) -> None:
        used, limit = (run.org.usage if run.calls else None) or (None, None)
        job = run.job
        scripts.run(
            self._redis,
            "run/settle",
            **_keys(job.org_id),
            id=job.job_id,
            unit=unit,
            calls=calls,
            used=used,
            limit=limit,
        )


def claim(job: Job) -> int:
    """Return about how many calls a job still needs: by its forecast if there is one, else by its size."""
    if job.forecast_calls is not None:
        whole = job.forecast_calls
    elif job.waves is None:
        return FIRST_CLAIM
    else:
        by_bulk = job.commit_by is CommitBy.BULK
        write = NEED_BY_BULK * job.waves if by_bulk else ceil(job.total / RECORDS_A_BATCH)
        write = 0 if job.dry_run else write
        whole = ceil(job.total / 2_000) + 2 + job.total_job_items + write
    return max(1, whole - job.api_calls)


def _keys(org_id: str) -> dict[str, str]:
    return {"budget": keys.jobs_of(org_id, "budget"), "usage": keys.jobs_of(org_id, "usage")}


def _sentence(job: Job, used: int, limit: int, kept: int, jobs: int) -> str:
    shared = f", and {jobs} jobs share the rest" if jobs > 1 else ""
    return (
        f"Waiting: {used:,} of the org's {limit:,} daily API calls are used, {kept:,} are kept for others{shared}. The "
        f"job needs about {claim(job):,} more; it goes on by itself when calls return"
    )
