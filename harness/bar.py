"""The progress of one job: a live bar on a terminal, otherwise a line every two seconds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from harness.api import Json

WIDE = 100  # columns of a terminal from which on a bar has all its texts
SAY_SECONDS = 2.0  # between two lines, where there is no terminal


@contextlib.contextmanager
def bar(console: Console, what: str) -> Iterator[Callable[[Json], None]]:
    """Yield the function that shows one state of the job. ``what``: what its records are called."""
    pace, said = Pace(what), time.monotonic()
    texts = ("status", "pages", "records", "left") if console.width >= WIDE else ("status", "records", "left")
    columns = [TextColumn(f"{{task.fields[{name}]}}") for name in texts]
    with Progress(
        SpinnerColumn(), columns[0], BarColumn(24 if console.width >= WIDE else 10), *columns[1:],
        console=console, disable=not console.is_terminal,
    ) as progress:  # fmt: skip
        task = progress.add_task(what, total=None, status="Holding", pages="", records="", left="")

        def update(job: Json) -> None:
            nonlocal said
            now = time.monotonic()
            fields: dict[str, Any] = pace.fields(job, now)
            share = pace.share(job, now)
            progress.update(task, completed=share or 0.0, total=None if share is None else 1.0, **fields)
            if not console.is_terminal and (now - said >= SAY_SECONDS or job["completedDate"]):
                said = now
                words = ", ".join(fields[name] for name in ("pages", "records", "left") if fields[name])
                console.print(f"  {job['status']}: {words}" if words else f"  {job['status']}")

        yield update


class Pace:
    """How far a job is, and how long it still takes.

    The time counts from the plan on, because only then is it known how many records there are. How long it still takes
    is the job's own estimate. That is made anew when something was done; in between the seconds count down.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._planned: float | None = None  # when the plan was first seen
        self._share = 0.0
        self._finished = -1
        self._end: float | None = None  # when it will probably end

    def fields(self, job: Json, now: float) -> dict[str, str]:
        """Return the texts of one state of the job. ``now``: seconds of any clock."""
        if not job["totalJobItems"]:
            return {"status": job["status"], "pages": "", "records": "", "left": ""}
        self._planned = now if self._planned is None else self._planned
        finished, spent, left = done(job), now - self._planned, self._left(job, now)
        rate = f", {finished / spent:,.0f}/s" if spent and finished / spent >= 1 else ""
        return {
            "status": job["status"],
            "pages": f"pages {job['jobItemsProcessed']:,}/{job['totalJobItems']:,}",
            "records": f"{self._what} {finished:,}/{job['records']['total']:,}{rate}",
            "left": "" if job["completedDate"] else f"{spent:.0f} s so far" if left is None else f"{left:.0f} s left",
        }

    def share(self, job: Json, now: float) -> float | None:
        """Return the part of the job that is done, from 0 to 1. None: nothing is known yet. It never becomes less."""
        if job["completedDate"]:
            return 1.0
        left = self._left(job, now)
        if self._planned is None or (left is None and not done(job)):
            return None
        spent = now - self._planned
        by_time = spent / (spent + left) if left else 0.0
        self._share = max(self._share, by_time, done(job) / job["records"]["total"])
        return self._share

    def _left(self, job: Json, now: float) -> float | None:
        """Return how long the job still takes. None: unknown."""
        left, finished = seconds_left(job), done(job)
        if left is None:
            return None
        if self._end is None or finished != self._finished or self._end <= now:
            self._end, self._finished = now + left, finished
        self._end = min(self._end, now + left)
        return self._end - now


def done(job: Json) -> int:
    """Return the number of records that have a result."""
    records = job["records"]
    return int(records["succeeded"] + records["skipped"] + records["failed"])


def seconds_left(job: Json) -> float | None:
    """Return how long the job still takes by its own estimate. None: it has ended, or there is no estimate."""
    if job["completedDate"] or job["estimatedEnd"] is None:
        return None
    return max(0.0, (datetime.fromisoformat(job["estimatedEnd"]) - datetime.now(UTC)).total_seconds())
