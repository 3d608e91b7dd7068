"""A job's life and what is known of it: the words, the allowed moves, the frozen values.

The life (the platform's words and meanings, as AsyncApexJob)::

    Holding -> Queued -> Preparing -> Processing -> Completed | Failed | Aborted
    Failed, Aborted -> Holding, on resume

MOVES is the one place that knows which moves are allowed; :mod:`quotejob.jobs.store` makes each atomically and once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class JobType(StrEnum):
    """What a job does: the names of the built-in job types. :mod:`quotejob.jobtypes.registry` has all there are."""

    BATCH_QUOTE = "BatchQuote"
    SAMPLE_DATA_CREATE = "SampleDataCreate"
    SAMPLE_DATA_DELETE = "SampleDataDelete"


class Status(StrEnum):
    """Where a job stands; AsyncApexJob.Status has the same words."""

    HOLDING = "Holding"  # in the flex queue
    QUEUED = "Queued"  # has a slot, waits for a worker
    PREPARING = "Preparing"  # the org is asked which records match
    PROCESSING = "Processing"  # pages are priced and written
    COMPLETED = "Completed"  # done; may hold record errors
    FAILED = "Failed"  # could not be finished; extendedStatus says why
    ABORTED = "Aborted"  # stopped on request; what was written stays


ENDED = frozenset({Status.COMPLETED, Status.FAILED, Status.ABORTED})
ALIVE = (Status.HOLDING, Status.QUEUED, Status.PREPARING, Status.PROCESSING)
RESUMABLE = (Status.FAILED, Status.ABORTED)
# Which states a job may come from, by the state it goes to. Queued is reached by promote() alone, Holding by submit()
# and, from the states in RESUMABLE, by resume().
MOVES: dict[Status, tuple[Status, ...]] = {
    Status.PREPARING: (Status.QUEUED,),
    Status.PROCESSING: (Status.PREPARING,),
    Status.COMPLETED: (Status.PROCESSING,),
    Status.FAILED: ALIVE,
    Status.ABORTED: ALIVE,
}


class DependsOnOutcome(StrEnum):
    """How the jobs that a job depends on have to end for it to run."""

    COMPLETED = "Completed"  # with another end of one of them it is Aborted
    FINISHED = "Finished"  # any end will do


@dataclass(frozen=True, slots=True)
class Waiting:
    """One condition that does not hold yet: another job's end, or a time."""

    message: str
    job_id: str | None = None
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Guess:
    """What was estimated of a job when that could first be said; compared in the end with what came true."""

    made: datetime
    meant: datetime


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands. An *item* is a page, as in AsyncApexJob; *records* are Opportunities."""

    job_id: str
    job_type: str  # a JobType, or the name of a type that another version or a plug-in has
    status: Status
    org_id: str
    created_date: datetime
    created_by_id: str
    extended_status: str | None = None
    started_date: datetime | None = None
    completed_date: datetime | None = None
    soql_where_clause: str | None = None
    number_of_opportunities: int | None = None
    depends_on: tuple[str, ...] = ()
    depends_on_outcome: DependsOnOutcome | None = None
    not_before: datetime | None = None
    waiting_for: tuple[Waiting, ...] = ()  # while Holding
    schedule_id: str | None = None
    guaranteed: bool = False  # of a guaranteed schedule: it goes first
    authorization: str | None = None  # of AppLink: gives the session of a job without a caller
    total_job_items: int = 0
    job_items_processed: int = 0
    number_of_errors: int = 0  # pages with at least one failed record
    total: int = 0
    succeeded: int = 0
    skipped: int = 0
    failed: int = 0
    quotes_created: int = 0
    api_calls: int = 0
    waves: int | None = None  # known once planned
    resumed_date: datetime | None = None  # when it last went on after a Failed or Aborted end
    resumed_items: int = 0  # the items that were processed then
    start_guess: Guess | None = None
    end_guess: Guess | None = None
    estimated_start: datetime | None = None  # these two are worked out where somebody asks: see quotejob.forecast
    estimated_end: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether the job's life is over."""
        return self.status in ENDED
