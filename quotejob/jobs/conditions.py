"""The conditions of a job: other jobs that must end first, and a time. The job runs when all conditions hold.

The script ``store/lua/jobs/queue.lua`` checks the conditions, in the same step as each change that they depend on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from quotejob import clock
from quotejob.errors import InvalidRequest, JobConflict
from quotejob.jobs.job import DependsOnOutcome, Job, Waiting
from quotejob.store import keys

MOST_PARENTS = 20
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Conditions:
    """The jobs (of the same org) that must end first, how they must end, and the earliest time to run.

    Raises InvalidRequest for conditions that no job can wait for.
    """

    depends_on: tuple[str, ...] = ()
    outcome: DependsOnOutcome = DependsOnOutcome.COMPLETED
    not_before: datetime | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "depends_on", tuple(dict.fromkeys(self.depends_on)))
        if len(self.depends_on) > MOST_PARENTS:
            raise InvalidRequest.field("dependsOn", f"should be at most {MOST_PARENTS} job ids")
        if strangers := [parent for parent in self.depends_on if not keys.is_id(parent)]:
            raise unknown_jobs(strangers)
        if self.not_before is not None:
            if self.not_before.utcoffset() is None:
                raise InvalidRequest.field("notBefore", "should have a time zone, such as 2026-01-31T22:00:00+01:00")
            if not _EARLIEST <= self.not_before < _LATEST:
                raise InvalidRequest.field("notBefore", "should be a time in the years 2000 to 2999")

    def stored(self) -> dict[str, Any]:
        """Return the fields of the job's hash. notBefore is in ms, rounded up, so that it is never too early."""
        found: dict[str, Any] = {}
        if self.depends_on:
            found |= {"dependsOn": ",".join(self.depends_on), "dependsOnOutcome": self.outcome}
        if self.not_before is not None:
            found["notBefore"] = -(-clock.us(self.not_before) // 1000)
        return found

    def seconds_to_wait(self, now: datetime) -> int:
        """Return the seconds until the job's time: it waits at least so long."""
        return 0 if self.not_before is None else max(0, math.ceil((self.not_before - now).total_seconds()))


UNCONDITIONAL = Conditions()


def waiting(job: Job, statuses: Iterable[tuple[str, str]], now: datetime) -> tuple[Waiting, ...]:
    """Return what a Holding job still waits for. ``statuses`` are the ids and statuses of the jobs it waits for."""
    wanted = "to be Completed" if job.depends_on_outcome is DependsOnOutcome.COMPLETED else "to end"
    found = [
        Waiting(f"Waits for job {parent}, which is {status}, {wanted}", job_id=parent) for parent, status in statuses
    ]
    if job.not_before is not None and job.not_before > now:
        moment = job.not_before.astimezone(UTC)
        found.append(Waiting(f"Does not run before {moment:%Y-%m-%d %H:%M:%S} UTC", not_before=moment))
    return tuple(found)


def unknown_jobs(ids: Iterable[str]) -> InvalidRequest:
    """Return the error for conditions on jobs that do not exist or belong to another org. It is the same for both."""
    listed = ", ".join(one[:40] for one in ids)
    return InvalidRequest.field("dependsOn", f"there is no such job in this org: {listed}")


def vain(parent: str, status: str) -> JobConflict:
    """Return the error for the resume of a job whose condition can no longer hold."""
    stands = f"is {status}; resume that one first" if status else "is no longer kept; submit a new job instead"
    return JobConflict(f"This job depends on job {parent}, which {stands}")
