"""When jobs will start and end, as far as it can be said: values in, values out, no Redis.

A job that has done some of its pages goes on at its own pace, tempered by that of earlier runs while it has done few;
one that has done none takes what earlier runs took. The flex queue is played through: slots fall free when their jobs
are estimated to end, and go to the jobs that may go, in their order. Where nothing can be said, nothing is.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from statistics import median

from quotejob.jobs.job import Job, Status

PRIOR = 5  # the pages a job has to have done for its own pace to count as much as that of earlier runs
LONGEST = 366 * 24 * 3600.0  # seconds; of what would take longer nothing is said
NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that was Completed in one go."""

    records: int
    seconds: float  # from startedDate to completedDate
    schedule_id: str | None = None


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of an org."""

    most: int
    reserved: int = 0  # left free for guaranteed schedules whose time has not come
    first: Collection[str] = ()  # Holding jobs that go before all others, into a reserved slot too


@dataclass(frozen=True, slots=True)
class Estimate:
    """When a job will start (None: it has, or nothing can be said) and end (None: nothing can be said)."""

    start: datetime | None = None
    end: datetime | None = None


class Pace:
    """What earlier runs say: so many seconds, and so many more for each record. Medians, so that odd runs do not count.

    The line is that of Theil and Sen: its slope is the median of the slopes between any two runs.
    """

    def __init__(self, runs: Sequence[PastRun]) -> None:
        self._usual = median(run.seconds for run in runs) if runs else None
        slopes = [
            (two.seconds - one.seconds) / (two.records - one.records)
            for one, two in combinations(runs, 2)
            if two.records != one.records
        ]
        rates = [run.seconds / run.records for run in runs if run.records]
        self._fixed, self._each = 0.0, 0.0
        if slopes:
            self._each = max(0.0, median(slopes))
            self._fixed = median(run.seconds - self._each * run.records for run in runs)
        if (not slopes or self._fixed < 0) and rates:
            self._fixed, self._each = 0.0, median(rates)
        elif not slopes:
            self._fixed = self._usual or 0.0

    def seconds(self, records: int | None) -> float | None:
        """What a run of so many records takes (None: nobody knows how many); None when there were no runs."""
        if self._usual is None or records is None:
            return self._usual
        return self._fixed + self._each * records


class Paces:
    """The paces of an org's jobs, by what ran before."""

    def __init__(self, history: Mapping[str, Sequence[PastRun]]) -> None:
        self._history = history
        self._known: dict[tuple[str, str | None], Pace] = {}

    def seconds(self, job: Job) -> float | None:
        """What the whole job takes, by runs of its type: of the same schedule (or of none), or else of any."""
        key = (job.job_type, job.schedule_id)
        if key not in self._known:
            runs = self._history.get(job.job_type, ())
            self._known[key] = Pace([run for run in runs if run.schedule_id == job.schedule_id] or runs)
        return self._known[key].seconds(job.number_of_opportunities if job.waves is None else job.total)

    def left(self, job: Job, now: datetime) -> float | None:
        """The seconds that a job which has a slot, or would be given one now, takes from now on; None: who knows."""
        if job.status is not Status.HOLDING and job.extended_status is not None:
            return None  # it waits for the org to have calls again
        share = 1.0
        if job.waves is not None:
            share = _pages_left(job) / job.total_job_items if job.total_job_items else 0.0
        whole = self.seconds(job)
        usual = None if whole is None else whole * share
        begun = job.resumed_date or job.started_date
        if share <= 0 and job.status is Status.PROCESSING:
            found: float | None = 0.0
        elif begun is None or job.status in (Status.HOLDING, Status.QUEUED):
            found = usual
        else:
            found = _left(job, max(0.0, (now - begun).total_seconds()), usual)
        return None if found is None or found > LONGEST else found

    def end(self, job: Job, now: datetime) -> datetime | None:
        """When a job that has a slot will end; never in the past."""
        seconds = self.left(job, now)
        return None if seconds is None else now + timedelta(seconds=seconds)


def estimate(
    jobs: Iterable[Job], slots: Slots, history: Mapping[str, Sequence[PastRun]], now: datetime
) -> dict[str, Estimate]:
    """An estimate for each of an org's open jobs; those Holding in the order of the flex queue, with ``waiting_for``.

    A parent that is none of these jobs never comes, as far as can be said. No time is in the past.
    """
    paces, queue, ends = Paces(history), [], {}
    found: dict[str, Estimate] = {}
    for job in jobs:
        if job.status is Status.HOLDING:
            queue.append(job)
        elif not job.ended:
            end = paces.end(job, now)
            found[job.job_id] = Estimate(now if job.status is Status.QUEUED else None, end)
            ends[job.job_id] = end or NEVER
    return found | _played(queue, ends, slots, paces, now)


def _pages_left(job: Job) -> int:
    return max(0, job.total_job_items - job.job_items_processed)


def _left(job: Job, elapsed: float, usual: float | None) -> float | None:
    """Of a job that has run for so many seconds, and takes ``usual`` for what it had not done when it began to."""
    done = job.job_items_processed - job.resumed_items
    if done > 0:
        own = elapsed * _pages_left(job) / done
        return own if usual is None else (own * done + usual * PRIOR) / (done + PRIOR)
    if usual is None:
        return None
    return abs(usual - elapsed)  # one that is late takes as long again as it is late


def _played(
    queue: Sequence[Job], ends: Mapping[str, datetime], slots: Slots, paces: Paces, now: datetime
) -> dict[str, Estimate]:
    """The flex queue played through as store/lua/jobs/promote.lua does it; ``ends``: of the jobs that have a slot."""
    places = {job.job_id: (job.job_id not in slots.first, place) for place, job in enumerate(queue)}
    by_place = {places[job.job_id]: job for job in queue}
    lacking = {job.job_id: {one.job_id for one in job.waiting_for if one.job_id is not None} for job in queue}
    times = {job.job_id: max([now, *(one.not_before for one in job.waiting_for if one.not_before)]) for job in queue}
    children: dict[str, list[str]] = {}
    for job_id, parents in lacking.items():
        for parent in parents:
            children.setdefault(parent, []).append(job_id)
    coming: list[tuple[datetime, tuple[bool, int]]] = []  # who may go, from when on
    ready: list[tuple[bool, int]] = []
    held = [*ends.values()]
    found: dict[str, Estimate] = {}

    def ended(parent: str, end: datetime) -> None:
        for child in children.get(parent, ()):
            lacking[child].discard(parent)
            times[child] = max(times[child], end)
            if not lacking[child] and times[child] < NEVER:
                heapq.heappush(coming, (times[child], places[child]))

    heapq.heapify(held)
    for job in queue:
        if not lacking[job.job_id]:
            heapq.heappush(coming, (times[job.job_id], places[job.job_id]))
    for parent, end in ends.items():
        ended(parent, end)
    moment = now
    while moment < NEVER:
        while held and held[0] <= moment:
            heapq.heappop(held)
        while coming and coming[0][0] <= moment:
            heapq.heappush(ready, heapq.heappop(coming)[1])
        if ready and len(held) < slots.most - (slots.reserved if ready[0][0] else 0):
            job = by_place[heapq.heappop(ready)]
            seconds = paces.left(job, moment)
            end = NEVER if seconds is None else moment + timedelta(seconds=seconds)
            found[job.job_id] = Estimate(moment, None if end == NEVER else end)
            heapq.heappush(held, end)
            ended(job.job_id, end)
        else:
            moment = min([NEVER, *held[:1], *(time for time, _ in coming[:1])])
    return {job.job_id: found.get(job.job_id, Estimate()) for job in queue}
