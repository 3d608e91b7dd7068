"""The scheduler in simulated time: the real stores, one clock, and jobs that only take time.

At one moment jobs end first, then schedules fire, then ready jobs take free slots. Jobs that take no time end at once.
This repeats until nothing is left to do at that moment.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from quotejob.jobs.job import ENDED, Status
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import keys
from quotejob.store.client import RedisClient
from quotejob.testing.clock import Clock

UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fate:
    """How long a job runs once it has a slot, and how it ends. Raises ValueError for impossible values."""

    lasting: timedelta | None = timedelta(0)  # None: until it is aborted
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
class _NextTimes:
    """The next times that Redis knows."""

    fire: datetime | None  # the next fire time of a schedule
    alarm: datetime | None  # the next time that a job waits for
    fired: bool  # a schedule has fired, and its job is not submitted yet


class Simulation:
    """Runs the jobs of all orgs in one Redis by the given clock.

    In: the clock, and what each job does. Out: the runs. Call ``changed`` after any change, other than the passing of
    time, that may make a job ready.
    """

    def __init__(self, client: RedisClient, settings: Settings, clock: Clock) -> None:
        self.clock = clock
        services = Services(settings, client, clock)
        self.jobs, self.flex_queue, self.schedules = services.jobs, services.flexqueue, services.schedules
        self.firing, self.dispatcher = services.firing, services.dispatcher
        self.ran: list[Ran] = []  # in the order in which they started
        self._redis = client
        self._fates: dict[str, Fate] = {}  # of jobs and of schedules
        self._running: dict[str, int] = {}  # job id -> its index in ran
        self._ends: list[tuple[datetime, int]] = []  # a heap: when, index in ran
        self._changed: dict[str, None] = {}  # orgs whose queue is to be checked
        self._known: _NextTimes | None = None  # None: read it again

    def decide(self, whose: str, fate: Fate) -> None:
        """Set the fate of a job, or of a schedule's jobs, from now on. ``whose``: its id. The default is Fate()."""
        self._fates[whose] = fate

    def changed(self, org_id: str) -> None:
        """Check the org's queue in the next step."""
        self._changed[org_id] = self._known = None

    def abort(self, job_id: str) -> None:
        """Abort a job now. Raises JobConflict when it has ended."""
        job = self.jobs.abort(job_id)
        self._note_end(job_id, self.clock.now, Status.ABORTED)
        self.changed(job.org_id)

    def next_event(self) -> datetime | None:
        """Return when something happens next: now or later. None: never."""
        self._known = self._known or self._read_next_times()
        first_end = self._ends[0][0] if self._ends else None
        times = [self._known.fire, self._known.alarm, first_end, self.clock.now if self._changed else None]
        found = [time for time in times if time is not None]
        return max(min(found), self.clock.now) if found else None

    def step(self) -> list[str]:
        """Do all that is due now. Returns the ids of the orgs whose queues were checked, once for each check."""
        looked_at: list[str] = []
        while True:
            next_times, self._known = self._known or self._read_next_times(), None
            self._end_jobs()
            if ticking := next_times.fired or (next_times.fire is not None and next_times.fire <= self.clock.now):
                self._changed.update(dict.fromkeys(self.firing.tick(self.clock.now)))
            if next_times.alarm is not None and next_times.alarm <= self.clock.now:
                self._changed.update(dict.fromkeys(self.jobs.waking()))
            orgs, self._changed = list(self._changed), {}
            for org_id in orgs:
                self._start(self.dispatcher.promote(org_id, self.clock.now))
            looked_at += orgs
            if not orgs or not (ticking or (self._ends and self._ends[0][0] <= self.clock.now)):
                return looked_at

    def run(self, until: datetime) -> list[Ran]:
        """Let time pass until ``until``, event by event. Returns the runs that started or ended, by start."""
        first, running = len(self.ran), list(self._running.values())
        while (moment := self.next_event()) is not None and moment <= until:
            self.clock.move_to(moment)
            self.step()
        self.clock.move_to(until)
        ended = [self.ran[place] for place in running if self.ran[place].ended is not None]
        return ended + self.ran[first:]

    def look_at(self, org_ids: Iterable[str]) -> None:
        """Read what was changed in these orgs' jobs and schedules without this object."""
        running = {job_id: self.ran[place].org_id for job_id, place in self._running.items()}
        for job in self.jobs.get_many([job_id for job_id, org_id in running.items() if org_id in set(org_ids)]):
            if job.status is not Status.PROCESSING:
                self._note_end(job.job_id, job.completed_date or self.clock.now, job.status)
        self._changed.update(dict.fromkeys(org_ids))

    # -- inside --------------------------------------------------------------------------------------------------------

    def _read_next_times(self) -> _NextTimes:
        pipe = self._redis.pipeline(transaction=False)
        pipe.zrange(keys.DUE, 0, 0, withscores=True)
        pipe.zrange(keys.ALARMS, 0, 0, withscores=True)
        pipe.zcard(keys.FIRED)
        due, alarms, fired = pipe.execute()
        return _NextTimes(_moment(due), _moment(alarms), bool(fired))

    def _end_jobs(self) -> None:
        while self._ends and self._ends[0][0] <= self.clock.now:
            place = heapq.heappop(self._ends)[1]
            run = self.ran[place]
            if self._running.get(run.job_id) != place:
                continue  # it has ended before
            fate = self._fate(run)
            if self.jobs.move(run.job_id, fate.ends, None, **({"extendedStatus": fate.reason} if fate.reason else {})):
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
    return UNIX_EPOCH + timedelta(milliseconds=scored[0][1]) if scored else None
