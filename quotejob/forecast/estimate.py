"""Estimates when jobs will start and end. Pure functions: values in, values out, no Redis.

A job that has done some of its pages is estimated by its own pace. While it has done few pages, the pace of earlier
runs counts too. A job that has done no page is estimated by earlier runs alone. For the flex queue the future is played
through: a slot is free when its job is estimated to end, and goes to the next job that is ready. What cannot be
estimated is None.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from statistics import median

from quotejob.jobs.job import Job, Status

PRIOR_PAGES = 5  # after so many pages a job's own pace counts as much as that of earlier runs
MAX_ESTIMATE_SECONDS = 366 * 24 * 3600.0  # a longer run gets no estimate
NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that was Completed without a resume."""

    records: int
    seconds: float  # from startedDate to completedDate
    schedule_id: str | None = None


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of an org."""

    total: int
    reserved: int = 0  # kept free for guaranteed schedules that have not fired
    priority_job_ids: Collection[str] = ()  # Holding jobs that go before all others, and into reserved slots


@dataclass(frozen=True, slots=True)
class Estimate:
    """When a job will start and end. A start of None: it has started, or unknown. An end of None: unknown."""

    start: datetime | None = None
    end: datetime | None = None


class Pace:
    """How long a run takes: fixed seconds, and seconds for each record.

    In: earlier runs. Out: seconds for a number of records. All figures are medians, so unusual runs do not count. The
    line is the Theil-Sen estimator: its slope is the median of the slopes between any two runs.
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
        """Return the seconds that a run of so many records takes (None: unknown number). None: there were no runs."""
        if self._usual is None or records is None:
            return self._usual
        return self._fixed + self._each * records


class Paces:
    """The paces of an org's jobs.

    In: the org's earlier runs by job type. Out: seconds, or the time at which a job will end.
    """

    def __init__(self, history: Mapping[str, Sequence[PastRun]]) -> None:
        self._history = history
        self._known: dict[tuple[str, str | None], Pace] = {}

    def seconds(self, job: Job) -> float | None:
        """Return the seconds that the whole job takes; None: unknown.

        Counts runs of the same job type and schedule (or of no schedule). Without any, all runs of the job type count.
        """
        key = (job.job_type, job.schedule_id)
        if key not in self._known:
            runs = self._history.get(job.job_type, ())
            self._known[key] = Pace([run for run in runs if run.schedule_id == job.schedule_id] or runs)
        return self._known[key].seconds(job.number_of_opportunities if job.waves is None else job.total)

    def seconds_left(self, job: Job, now: datetime) -> float | None:
        """Return the seconds from now until the job ends; None: unknown. A Holding job counts as if it started now."""
        if job.status is not Status.HOLDING and job.extended_status is not None:
            return None  # it waits until the org has API calls again
        share = 1.0
        if job.waves is not None:
            share = _pages_left(job) / job.total_job_items if job.total_job_items else 0.0
        whole = self.seconds(job)
        usual = None if whole is None else whole * share
        begun = job.resumed_date or job.started_date
        if share <= 0 and job.status is Status.PROCESSING:
            left: float | None = 0.0
        elif begun is None or job.status in (Status.HOLDING, Status.QUEUED):
            left = usual
        else:
            left = _seconds_left_at_pace(job, max(0.0, (now - begun).total_seconds()), usual)
        return None if left is None or left > MAX_ESTIMATE_SECONDS else left

    def end(self, job: Job, now: datetime) -> datetime | None:
        """Return when a job that has a slot will end: now or later. None: unknown."""
        seconds = self.seconds_left(job, now)
        return None if seconds is None else now + timedelta(seconds=seconds)


def estimate(
    jobs: Iterable[Job], slots: Slots, history: Mapping[str, Sequence[PastRun]], now: datetime
) -> dict[str, Estimate]:
    """Return an estimate for each of an org's open jobs, by job id. No time in it is in the past.

    ``jobs``: the org's open jobs; those Holding in the order of the flex queue, with ``waiting_for``. A job that
    depends on a job outside this list has no estimated start.
    """
    paces, queue, ends = Paces(history), [], {}
    estimates: dict[str, Estimate] = {}
    for job in jobs:
        if job.status is Status.HOLDING:
            queue.append(job)
        elif not job.ended:
            end = paces.end(job, now)
            estimates[job.job_id] = Estimate(now if job.status is Status.QUEUED else None, end)
            ends[job.job_id] = end or NEVER
    return estimates | _Play(queue, ends, slots, paces, now).run()


def _pages_done(job: Job) -> float:
    """Return how many pages the job has done; records of pages that are not done count as parts of a page.

    What a resumed job had done of such pages before is not known, so there only whole pages count.
    """
    if job.resumed_date is not None or not job.total:
        return job.job_items_processed
    return max(job.job_items_processed, job.total_job_items * min(1.0, job.decided / job.total))


def _pages_left(job: Job) -> float:
    return max(0.0, job.total_job_items - _pages_done(job))


def _seconds_left_at_pace(job: Job, elapsed: float, usual: float | None) -> float | None:
    """Return the seconds left of a job that has run for ``elapsed`` seconds.

    ``usual``: what earlier runs took for the pages that this job had not done when it began.
    """
    done = _pages_done(job) - job.resumed_items
    if done >= 1:  # less says nothing: a record that cannot be priced is decided at once
        own = elapsed * _pages_left(job) / done
        return own if usual is None else (own * done + usual * PRIOR_PAGES) / (done + PRIOR_PAGES)
    if usual is None:
        return None
    return abs(usual - elapsed)  # a job that is late is taken to need as long again as it is late


_Rank = tuple[bool, int]  # False for a job that goes first; then its position


class _Play:
    """Plays the flex queue through, as store/lua/jobs/promote.lua gives slots away.

    ``ends``: when the jobs that have a slot will end.
    """

    def __init__(
        self, queue: Sequence[Job], ends: Mapping[str, datetime], slots: Slots, paces: Paces, now: datetime
    ) -> None:
        self._slots, self._paces, self._now = slots, paces, now
        self._ranks: dict[str, _Rank] = {
            job.job_id: (job.job_id not in slots.priority_job_ids, position) for position, job in enumerate(queue)
        }
        self._jobs = {self._ranks[job.job_id]: job for job in queue}
        self._parents = {
            job.job_id: {wait.job_id for wait in job.waiting_for if wait.job_id is not None} for job in queue
        }
        self._ready_at = {
            job.job_id: max([now, *(wait.not_before for wait in job.waiting_for if wait.not_before)]) for job in queue
        }
        self._children: dict[str, list[str]] = {}
        for job_id, parents in self._parents.items():
            for parent in parents:
                self._children.setdefault(parent, []).append(job_id)
        self._upcoming: list[tuple[datetime, _Rank]] = []  # a heap: when a job will be ready
        self._ready: list[_Rank] = []  # a heap
        self._taken = [*ends.values()]  # a heap: when each taken slot will be free
        heapq.heapify(self._taken)
        for job in queue:
            if not self._parents[job.job_id]:
                heapq.heappush(self._upcoming, (self._ready_at[job.job_id], self._ranks[job.job_id]))
        for parent, end in ends.items():
            self._end(parent, end)

    def run(self) -> dict[str, Estimate]:
        """Return an estimate for each job of the queue."""
        estimates = {job.job_id: Estimate() for job in self._jobs.values()}
        moment = self._now
        while moment < NEVER:
            self._advance(moment)
            if self._slot_is_free():
                job = self._jobs[heapq.heappop(self._ready)]
                estimates[job.job_id] = self._start(job, moment)
            else:
                moment = min([NEVER, *self._taken[:1], *(time for time, _ in self._upcoming[:1])])
        return estimates

    def _advance(self, moment: datetime) -> None:
        """Free the slots of jobs that have ended by this moment, and note which jobs are ready."""
        while self._taken and self._taken[0] <= moment:
            heapq.heappop(self._taken)
        while self._upcoming and self._upcoming[0][0] <= moment:
            heapq.heappush(self._ready, heapq.heappop(self._upcoming)[1])

    def _slot_is_free(self) -> bool:
        """Return whether the next ready job, if there is one, may have a slot."""
        if not self._ready:
            return False
        goes_first = not self._ready[0][0]
        return len(self._taken) < self._slots.total - (0 if goes_first else self._slots.reserved)

    def _start(self, job: Job, moment: datetime) -> Estimate:
        seconds = self._paces.seconds_left(job, moment)
        end = NEVER if seconds is None else moment + timedelta(seconds=seconds)
        heapq.heappush(self._taken, end)
        self._end(job.job_id, end)
        return Estimate(moment, None if end == NEVER else end)

    def _end(self, parent: str, end: datetime) -> None:
        """Note when a job will end; a child that waits for no other job will be ready then."""
        for child in self._children.get(parent, ()):
            self._parents[child].discard(parent)
            self._ready_at[child] = max(self._ready_at[child], end)
            if not self._parents[child] and self._ready_at[child] < NEVER:
                heapq.heappush(self._upcoming, (self._ready_at[child], self._ranks[child]))
