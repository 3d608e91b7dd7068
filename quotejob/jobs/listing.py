"""The filter, the order and the cursor of a list of jobs, for listJobs and getJobSummary."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from quotejob import clock
from quotejob.errors import InvalidRequest
from quotejob.jobs.job import BuiltIn, Job, Status

# The place of a job in an order: whether it has a value, the value, when the job was created (us), its id.
ListPosition = tuple[bool, int, int, str]
_STATUSES = list(Status)
_JOB_TYPES: list[str] = list(BuiltIn)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """A filter for jobs. An empty field filters nothing. Times are aware; ``from`` is inclusive, ``to`` is exclusive.

    Raises InvalidRequest if a span ends before it begins.
    """

    statuses: frozenset[Status] = frozenset()
    job_types: frozenset[str] = frozenset()
    created_from: datetime | None = None
    created_to: datetime | None = None
    completed_from: datetime | None = None
    completed_to: datetime | None = None
    schedule_id: str | None = None
    parent_id: str | None = None  # a job that it depends on
    extended_status: str | None = None  # a text in extendedStatus; case does not matter
    name: str | None = None  # a text in the name; case does not matter
    has_errors: bool | None = None  # whether a record failed

    def __post_init__(self) -> None:
        for name in ("created", "completed"):
            start, end = getattr(self, f"{name}_from"), getattr(self, f"{name}_to")
            if start is not None and end is not None and start > end:
                raise InvalidRequest.field(f"{name}From", f"should not be later than {name}To")

    def takes(self, job: Job) -> bool:
        """Return whether the job passes the filter."""
        return (
            (not self.statuses or job.status in self.statuses)
            and (not self.job_types or job.job_type in self.job_types)
            and _within(job.created_date, self.created_from, self.created_to)
            and _within(job.completed_date, self.completed_from, self.completed_to)
            and self.schedule_id in (None, job.schedule_id)
            and (self.parent_id is None or self.parent_id in job.depends_on)
            and self.has_errors in (None, job.failed > 0)
            and _contains(job.extended_status, self.extended_status)
            and _contains(job.name, self.name)
        )

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a job's hash that takes() reads, in addition to ALWAYS."""
        asked = {
            "completedDate": self.completed_from or self.completed_to,
            "scheduleId": self.schedule_id,
            "dependsOn": self.parent_id,
            "extendedStatus": self.extended_status,
            "name": self.name,
            "failed": self.has_errors,
        }
        return tuple(name for name, value in asked.items() if value is not None)


EVERY_JOB = JobFilter()


class Sort(StrEnum):
    """The value that a list is sorted by. Jobs without this value come last in both orders."""

    CREATED = "createdDate"
    STARTED = "startedDate"
    COMPLETED = "completedDate"
    STATUS = "status"  # in the order in which a job has them
    JOB_TYPE = "jobType"


class Order(StrEnum):
    """The direction of the order: descending (for times, the latest first) or ascending."""

    DESCENDING = "desc"
    ASCENDING = "asc"


@dataclass(frozen=True, slots=True)
class Sorting:
    """A total order of jobs: by ``sort``, then by creation time, then by id."""

    sort: Sort = Sort.CREATED
    order: Order = Order.DESCENDING

    @property
    def descending(self) -> bool:
        """True if the largest value comes first."""
        return self.order is Order.DESCENDING

    def place(self, job: Job) -> ListPosition:
        """Return the place of a job in this order. A job without a value is at the end."""
        value = self._value(job)
        return (value is not None) == self.descending, value or 0, clock.us(job.created_date), job.job_id

    def comes_after(self, place: ListPosition, other: ListPosition | None) -> bool:
        """Return whether ``place`` comes after ``other`` in this order. None for ``other`` is the start of the list."""
        return other is None or (place < other if self.descending else place > other)

    def top(self, count: int, places: Iterable[ListPosition]) -> list[ListPosition]:
        """Return the first ``count`` places, in order. Holds at most ``count`` places in memory."""
        return heapq.nlargest(count, places) if self.descending else heapq.nsmallest(count, places)

    def cursor(self, place: ListPosition) -> str:
        """Return the cursor for a place, a text for callers."""
        side, value, created, job_id = place
        return f"{self._mark}{int(side)}:{value}:{created}:{job_id}"

    def read(self, cursor: str | None) -> ListPosition | None:
        """Return the place of a cursor. Raises InvalidRequest if the cursor does not belong to this order."""
        if cursor is None:
            return None
        found = re.fullmatch(r"([0-9][ad])([01]):([0-9]{1,20}):([0-9]{1,20}):([0-9a-f-]{36})", cursor)
        if found is None:
            raise InvalidRequest.field("cursor", "is not a cursor of this API; send nextCursor of the answer before")
        mark, side, value, created, job_id = found.groups()
        if mark != self._mark:
            raise InvalidRequest.field("cursor", "is for another sort or order; leave it out to get the first jobs")
        return side == "1", int(value), int(created), job_id

    @property
    def _mark(self) -> str:
        return f"{list(Sort).index(self.sort)}{self.order[0]}"

    def _value(self, job: Job) -> int | None:
        match self.sort:
            case Sort.STATUS:
                return _STATUSES.index(job.status)
            case Sort.JOB_TYPE:
                return _JOB_TYPES.index(job.job_type) if job.job_type in _JOB_TYPES else len(_JOB_TYPES)
            case Sort.CREATED:
                return clock.us(job.created_date)
            case Sort.STARTED:
                return None if job.started_date is None else clock.us(job.started_date)
            case Sort.COMPLETED:
                return None if job.completed_date is None else clock.us(job.completed_date)


NEWEST_FIRST = Sorting()


def _within(moment: datetime | None, start: datetime | None, end: datetime | None) -> bool:
    if start is None and end is None:
        return True
    return moment is not None and (start is None or moment >= start) and (end is None or moment < end)


def _contains(text: str | None, part: str | None) -> bool:
    return part is None or part.casefold() in (text or "").casefold()


def span(wanted: JobFilter) -> tuple[Any, Any]:
    """Return the lowest and highest score, in the org's list of jobs, of the creation times that are wanted."""
    low = "-inf" if wanted.created_from is None else clock.us(wanted.created_from)
    return low, "+inf" if wanted.created_to is None else clock.us(wanted.created_to)
