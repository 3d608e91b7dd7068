"""A schedule: the words, the frozen value, its fire times. :mod:`quotejob.schedules.store` keeps them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property

from quotejob import clock
from quotejob.jobs.job import JobType
from quotejob.schedules.cron import Cron

PREVIEW = 5  # fire times shown ahead
_IDS = uuid.UUID("8a0c1e8e-2a55-5d0b-9f0f-2f6d1c9a7e11")  # the name space of scheduled jobs' ids


class State(StrEnum):
    """Where a schedule stands; CronTrigger.State has the same words."""

    WAITING = "WAITING"  # for its next fire time
    EXECUTING = "EXECUTING"  # its last job has not ended; otherwise as WAITING
    PAUSED = "PAUSED"
    COMPLETE = "COMPLETE"  # there is no further fire time
    ERROR = "ERROR"  # its authorization gives no session; extendedStatus says why
    DELETED = "DELETED"


class Misfire(StrEnum):
    """What becomes of fire times that passed while nothing ran."""

    RUN_ONCE = "runOnce"  # all of them together are made good by one run
    SKIP = "skip"


class Overlap(StrEnum):
    """What becomes of a fire time at which the schedule's job before has not ended."""

    SKIP = "skip"
    QUEUE = "queue"  # another job all the same


@dataclass(frozen=True)
class Schedule:
    """A schedule as it stands. Names are CronTrigger's and CronJobDetail's where those have them."""

    schedule_id: str
    org_id: str
    name: str
    cron_expression: str
    time_zone: str
    authorization: str  # developer name of the AppLink authorization its jobs work with
    created_date: datetime
    created_by_id: str
    job_type: str = JobType.BATCH_QUOTE
    soql_where_clause: str | None = None
    number_of_opportunities: int | None = None
    misfire: Misfire = Misfire.RUN_ONCE
    overlap: Overlap = Overlap.SKIP
    guaranteed: bool = False
    start_time: datetime | None = None
    end_time: datetime | None = None
    state: State = State.WAITING
    extended_status: str | None = None  # why the last fire time was skipped, or what is wrong
    next_fire_time: datetime | None = None
    previous_fire_time: datetime | None = None
    times_triggered: int = 0
    times_skipped: int = 0
    last_job_id: str | None = None

    @cached_property
    def cron(self) -> Cron:
        """When it fires, its start and end time left aside."""
        return Cron.parse(self.cron_expression, self.time_zone)

    def fires_after(self, moment: datetime) -> datetime | None:
        """The first fire time later than the moment, between start and end time."""
        if self.start_time is not None:
            moment = max(moment, self.start_time - timedelta(microseconds=1))
        found = self.cron.next(moment)
        return None if found is None or (self.end_time is not None and found > self.end_time) else found

    def fires(self, after: datetime) -> Iterator[datetime]:
        """Every fire time later than the moment."""
        while (found := self.fires_after(after)) is not None:
            yield found
            after = found

    @property
    def next_fire_times(self) -> list[datetime]:
        """The next fire times, from the coming one on; [] for one that is not going to fire."""
        found = [] if self.next_fire_time is None else [self.next_fire_time]
        while found and len(found) < PREVIEW and (later := self.fires_after(found[-1])) is not None:
            found.append(later)
        return found

    def job_id(self, fire_time: datetime) -> str:
        """The id of the job of a fire time: always the same."""
        return str(uuid.uuid5(_IDS, f"{self.schedule_id} {clock.ms(fire_time)}"))
