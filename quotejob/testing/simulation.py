"""The scheduler in simulated time: the real stores, one clock, and jobs that only take time.

What happens at one moment happens in this order: jobs end, schedules fire, and then free slots go to the jobs that may
go; those that take no time end at once, and so on until the moment has nothing left.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import redis

from quotejob.jobs.job import ENDED, Status
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys
from quotejob.testing.clock import Clock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a job once it has a slot. ValueError for what cannot be."""

    lasting: timedelta | None = timedelta(0)  # None: until somebody aborts it
    ends: Status = Status.COMPLETED  # or FAILED, ABORTED
    reason: str | None = None  # its extendedStatus

    def __post_init__(self) -> None:
        if self.lasting is not None and self.lasting < timedelta(0):
            raise ValueError("lasting should not be less than nothing")
        if self.ends not in ENDED:
            raise ValueError(f"ends should be {', '.join(sorted(ENDED))}, not {self.ends}")


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of a job."""

    job_id: str
    org_id: str
    schedule_id: str | None
    started: datetime
    ended: datetime | None = None  # None: it still runs
    status: Status = Status.PROCESSING


@dataclass(frozen=True, slots=True)
class _Coming:
    """What Redis knows of the times to come."""

    fire: datetime | None  # of schedules
    alarm: datetime | None  # that a job waits for
    fired: bool  # something has, and is not submitted yet


class Simulation:
    """Lets the jobs of all orgs in one Redis run by the clock given.

    Whoever changes something that may let a job go, other than through time, says so with ``changed``.
    """

    def __init__(self, client: redis.Redis, settings: Settings, clock: Clock) -> None:
        self.clock = clock
        made = Services(settings, client, clock)
        self.jobs, self.flex_queue, self.schedules = made.jobs, made.flexqueue, made.schedules
        self.firing, self.dispatcher = made.firing, made.dispatcher
        self.ran: list[Ran] = []  # in the order in which they started
        self._redis = client
        self._fates: dict[str, Fate] = {}  # of jobs and of schedules
        self._running: dict[str, int] = {}  # job -> its place in ran
        self._ends: list[tuple[datetime, int]] = []  # a heap: when, place in ran
        self._changed: dict[str, None] = {}  # orgs whose queue is to be looked at
        self._known: _Coming | None = None  # as long as nobody may have changed it

    def decide(self, whose: str, fate: Fate) -> None:
        """Say what becomes of a job, or of the jobs of a schedule, that start from now on; without it: Fate()."""
        self._fates[whose] = fate

    def changed(self, org_id: str) -> None:
        """Have the org's queue looked at when time goes on next."""
        self._changed[org_id] = self._known = None

    def abort(self, job_id: str) -> None:
        """Abort a job now. JobConflict when it had ended before."""
        job = self.jobs.abort(job_id)
        self._note_end(job_id, self.clock.now, Status.ABORTED)
        self.changed(job.org_id)

    def next_event(self) -> datetime | None:
        """When something is to happen next, now at the earliest; None: nothing ever will."""
        self._known = self._known or self._coming()
        first_end = self._ends[0][0] if self._ends else None
        times = [self._known.fire, self._known.alarm, first_end, self.clock.now if self._changed else None]
        found = [time for time in times if time is not None]
        return max(min(found), self.clock.now) if found else None

    def step(self) -> list[str]:
        """Let happen what is to happen now; the orgs whose queues were looked at, each as often as it was."""
        looked_at: list[str] = []
        while True:
            coming, self._known = self._known or self._coming(), None
            self._end_jobs()
            if ticking := coming.fired or (coming.fire is not None and coming.fire <= self.clock.now):
                self._changed.update(dict.fromkeys(self.firing.tick(self.clock.now)))
            if coming.alarm is not None and coming.alarm <= self.clock.now:
                self._changed.update(dict.fromkeys(self.jobs.waking()))
            orgs, self._changed = list(self._changed), {}
            for org_id in orgs:
                self._start(self.dispatcher.promote(org_id, self.clock.now))
            looked_at += orgs
            if not orgs or not (ticking or (self._ends and self._ends[0][0] <= self.clock.now)):
                return looked_at

    def run(self, until: datetime) -> list[Ran]:
        """Let time go on, event by event, to ``until``; what started or ended, in the order in which it started."""
        first, running = len(self.ran), list(self._running.values())
        while (moment := self.next_event()) is not None and moment <= until:
            self.clock.move_to(moment)
            self.step()
        self.clock.move_to(until)
        ended = [self.ran[place] for place in running if self.ran[place].ended is not None]
        return ended + self.ran[first:]

    def look_at(self, org_ids: Iterable[str]) -> None:
        """Take notice of whatever was done to these orgs' jobs and schedules past this object."""
        running = {job_id: self.ran[place].org_id for job_id, place in self._running.items()}
        for job in self.jobs.get_many([job_id for job_id, org_id in running.items() if org_id in set(org_ids)]):
            if job.status is not Status.PROCESSING:
                self._note_end(job.job_id, job.completed_date or self.clock.now, job.status)
        self._changed.update(dict.fromkeys(org_ids))

    # -- inside --------------------------------------------------------------------------------------------------------

    def _coming(self) -> _Coming:
        with store.translated():
            pipe = self._redis.pipeline(transaction=False)
            pipe.zrange(keys.DUE, 0, 0, withscores=True)
            pipe.zrange(keys.ALARMS, 0, 0, withscores=True)
            pipe.zcard(keys.FIRED)
            due, alarms, fired = cast(tuple[Any, Any, int], pipe.execute())
        return _Coming(_moment(due), _moment(alarms), bool(fired))

    def _end_jobs(self) -> None:
        while self._ends and self._ends[0][0] <= self.clock.now:
            place = heapq.heappop(self._ends)[1]
            run = self.ran[place]
            if self._running.get(run.job_id) != place:
                continue  # somebody has ended it before
            fate = self._fate(run)
            if self.jobs.move(run.job_id, fate.ends, **({"extendedStatus": fate.reason} if fate.reason else {})):
                self._note_end(run.job_id, self.clock.now, fate.ends)
            else:
                job = self.jobs.get(run.job_id)
                self._note_end(run.job_id, job.completed_date or self.clock.now, job.status)
            self.changed(run.org_id)

    def _start(self, job_ids: list[str]) -> None:
        for job in self.jobs.get_many(job_ids):
            self.jobs.move(job.job_id, Status.PREPARING)
            self.jobs.move(job.job_id, Status.PROCESSING)
            run = Ran(job.job_id, job.org_id, job.schedule_id, self.clock.now)
            self._running[job.job_id] = len(self.ran)
            lasting = self._fate(run).lasting
            if lasting is not None:
                heapq.heappush(self._ends, (self.clock.now + lasting, len(self.ran)))
            self.ran.append(run)

    def _note_end(self, job_id: str, at: datetime, status: Status) -> None:
        place = self._running.pop(job_id, None)
        if place is not None:
            self.ran[place] = replace(self.ran[place], ended=at, status=status)

    def _fate(self, run: Ran) -> Fate:
        return self._fates.get(run.job_id) or self._fates.get(run.schedule_id or "") or Fate()


def _moment(scored: list[tuple[bytes, float]]) -> datetime | None:
    return EPOCH + timedelta(milliseconds=scored[0][1]) if scored else None
