"""A schedule as a value: its fields, its states and its fire times. :mod:`quotejob.schedules.store` keeps it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from itertools import islice

from quotejob import clock, formats
from quotejob.errors import InvalidRequest
from quotejob.jobs.job import BuiltIn, CommitBy
from quotejob.schedules.cron import Cron

PREVIEW_FIRE_TIMES = 5  # how many of the next fire times a schedule shows
_IDS = uuid.UUID("8a0c1e8e-2a55-5d0b-9f0f-2f6d1c9a7e11")  # the UUID namespace of the ids of scheduled jobs


class State(StrEnum):
    """The states of a schedule; those of CronTrigger.State."""

    WAITING = "WAITING"  # it waits for its next fire time
    EXECUTING = "EXECUTING"  # as WAITING, and its last job has not ended
    PAUSED = "PAUSED"
    COMPLETE = "COMPLETE"  # it has no further fire time
    ERROR = "ERROR"  # its authorization gives no session; extendedStatus says why
    DELETED = "DELETED"


class Misfire(StrEnum):
    """What happens when one or more fire times were missed by more than a minute."""

    RUN_ONCE = "runOnce"  # run once for all of them
    SKIP = "skip"  # do not run


class Overlap(StrEnum):
    """What happens at a fire time when the schedule's job before has not ended."""

    SKIP = "skip"  # do not run
    QUEUE = "queue"  # submit another job


@dataclass(frozen=True)
class Schedule:
    """A schedule. Fields have the names of CronTrigger and CronJobDetail where these have such a field."""

    schedule_id: str
    org_id: str
    name: str
    cron_expression: str
    time_zone: str
    authorization: str  # developer name of the AppLink authorization that its jobs use
    created_date: datetime
    created_by_id: str
    created_by_name: str | None = None
    job_type: str = BuiltIn.BATCH_QUOTE
    soql_where_clause: str | None = None
    number_of_opportunities: int | None = None
    parameters: tuple[tuple[str, str], ...] = ()  # of a user's own job type: names and texts, as they were sent
    commit_by: CommitBy | None = None  # of a BatchQuote; None: as the setting says
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
    format: int = 1  # the format that it needs: see quotejob.formats

    def check(self) -> None:
        """Raise NewerVersion if only a newer version understands this schedule."""
        formats.check(f"Schedule {self.schedule_id}", self.format)

    @cached_property
    def cron(self) -> Cron:
        """When it fires, without regard to its start and end time."""
        return Cron.parse(self.cron_expression, self.time_zone)

    @property
    def is_known(self) -> bool:
        """Whether this machine can tell its fire times. It may lack a time zone that another one had."""
        try:
            return bool(self.cron)
        except InvalidRequest:
            return False

    def fires_after(self, moment: datetime) -> datetime | None:
        """Return the first fire time later than ``moment``, between start and end time. None: there is none."""
        if self.start_time is not None:
            moment = max(moment, self.start_time - timedelta(microseconds=1))
        found = self.cron.next(moment)
        return None if found is None or (self.end_time is not None and found > self.end_time) else found

    def fires(self, after: datetime) -> Iterator[datetime]:
        """Yield every fire time later than ``after``, in order."""
        while (found := self.fires_after(after)) is not None:
            yield found
            after = found

    @property
    def next_fire_times(self) -> list[datetime]:
        """The next fire times, in order: only the first, if the others are not known. [] if it will not fire."""
        found = [] if self.next_fire_time is None else [self.next_fire_time]
        if found and self.is_known:
            found += islice(self.fires(found[0]), PREVIEW_FIRE_TIMES - 1)
        return found

    def job_id(self, fire_time: datetime) -> str:
        """Return the id of the job of a fire time. It is always the same for the same fire time."""
        return str(uuid.uuid5(_IDS, f"{self.schedule_id} {clock.ms(fire_time)}"))
