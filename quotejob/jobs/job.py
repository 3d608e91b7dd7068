"""A job and its statuses: the words, the allowed moves, the frozen values.

The statuses (words and meanings as in AsyncApexJob)::

    Holding -> Queued -> Preparing -> Processing -> Completed | Failed | Aborted
    Failed, Aborted -> Holding, on resume

Only MOVES says which moves are allowed. :mod:`quotejob.jobs.moves` makes each move atomically and once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

MAX_NAME_LENGTH = 80  # characters of the name of a job or a schedule


class BuiltIn(StrEnum):
    """The names of the built-in job types. :mod:`quotejob.jobtypes.registry` has all job types."""

    BATCH_QUOTE = "BatchQuote"
    SAMPLE_DATA_CREATE = "SampleDataCreate"
    SAMPLE_DATA_DELETE = "SampleDataDelete"


class Status(StrEnum):
    """The status of a job, in the words of AsyncApexJob.Status."""

    HOLDING = "Holding"  # in the flex queue
    QUEUED = "Queued"  # has a slot, waits for a worker
    PREPARING = "Preparing"  # the plan is made: which records match
    PROCESSING = "Processing"  # pages are priced and written
    COMPLETED = "Completed"  # done; may hold record errors
    FAILED = "Failed"  # could not be finished; extendedStatus says why
    ABORTED = "Aborted"  # stopped on request; what was written stays


ENDED = frozenset({Status.COMPLETED, Status.FAILED, Status.ABORTED})
ALIVE = (Status.HOLDING, Status.QUEUED, Status.PREPARING, Status.PROCESSING)
RESUMABLE = (Status.FAILED, Status.ABORTED)
# The statuses that a job may come from, by the status it goes to. Only promote() makes a job Queued. submit() makes it
# Holding, and so does resume() from the statuses in RESUMABLE.
MOVES: dict[Status, tuple[Status, ...]] = {
    Status.PREPARING: (Status.QUEUED,),
    Status.PROCESSING: (Status.PREPARING,),
    Status.COMPLETED: (Status.PROCESSING,),
    Status.FAILED: ALIVE,
    Status.ABORTED: ALIVE,
}


class DependsOnOutcome(StrEnum):
    """How the parents of a job must end, so that it can run."""

    COMPLETED = "Completed"  # if a parent ends otherwise, the job is Aborted
    FINISHED = "Finished"  # any end


class CommitBy(StrEnum):
    """How a Quote job writes."""

    GRAPH = "graph"  # composite graphs: fast, and each Quote comes whole
    BULK = "bulk"  # jobs of Bulk API 2.0: few calls
    AUTO = "auto"  # one of these, decided when the job is planned


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a job waits for: another job's end, a time, or (neither of these) a worker."""

    message: str
    job_id: str | None = None
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Guess:
    """The first estimate for a job. It is compared later with the real time."""

    made: datetime
    meant: datetime


class Job(msgspec.Struct, frozen=True):
    """A job in its current state. An *item* is a page, as in AsyncApexJob. *Records* are Opportunities.

    It is a msgspec struct because lists read thousands: one is made of its hash in a tenth of a dataclass's time.
    """

    job_id: str
    job_type: str  # a BuiltIn, or the name of a job type from another version or a plug-in
    status: Status
    org_id: str
    created_date: datetime
    created_by_id: str
    created_by_name: str | None = None
    name: str | None = None  # for people: of the caller, or that of its schedule
    position: int | None = None  # while Holding, in the flex queue; read with the job, not stored in its hash
    extended_status: str | None = None
    started_date: datetime | None = None
    completed_date: datetime | None = None
    soql_where_clause: str | None = None
    number_of_opportunities: int | None = None
    parameters: tuple[tuple[str, str], ...] = ()  # of a user's own job: names and texts, as they were sent
    depends_on: tuple[str, ...] = ()
    depends_on_outcome: DependsOnOutcome | None = None
    not_before: datetime | None = None
    waiting_for: tuple[Waiting, ...] = ()  # while Holding
    schedule_id: str | None = None
    guaranteed: bool = False  # comes from a guaranteed schedule, so it goes first
    retry_of: str | None = None  # the job whose failed records this one has
    first_job_id: str | None = None  # of a retry: the job that its chain of retries began with
    dry_run: bool = False  # it writes nothing
    code_version: str | None = None  # of the users' code that decided its pages; several, with commas: a deployment
    after_dry_run: str | None = None  # the dry run whose plan it writes, and nothing else
    as_of: datetime | None = None  # of a job after a dry run: when that was submitted, which is "now" for its code
    keep_api_calls: int | None = None  # of the org's day, for others
    commit_by: CommitBy | None = None  # from the plan on never AUTO; None: as the setting says
    waited: bool = False  # for its org or its calls, while it ran: its time tells nothing of other jobs
    authorization: str | None = None  # AppLink authorization: gives the session of a job without a caller
    total_job_items: int = 0
    job_items_processed: int = 0
    number_of_errors: int = 0  # pages with at least one failed record
    total: int = 0
    succeeded: int = 0
    skipped: int = 0
    failed: int = 0
    planned: int = 0  # of a dry run: records that would have been written
    quotes_created: int = 0
    api_calls: int = 0
    forecast_calls: int | None = None  # what was forecast of it, if somebody asked before it was submitted
    forecast_seconds: float | None = None
    callback_url: str | None = None  # where in its org its end is told; see quotejob.notices
    trace: str | None = None  # its place in the trace of the request that submitted it; see quotejob.tracing
    ends: int = 0  # how often it has ended, if somebody is told
    waves: int | None = None  # None before the plan
    waves_begun: int = 0  # whose pages may run while the other records are still being read
    resumed_date: datetime | None = None  # when it was last resumed and continued
    resumed_items: int = 0  # items that were processed at that time
    start_guess: Guess | None = None
    end_guess: Guess | None = None
    estimated_start: datetime | None = None  # both estimates are computed on request: see quotejob.forecast
    estimated_end: datetime | None = None
    format: int = 1  # the format that it needs: see quotejob.formats

    @property
    def ended(self) -> bool:
        """True if the job has ended."""
        return self.status in ENDED

    @property
    def decided(self) -> int:
        """The number of records with a result."""
        return self.succeeded + self.skipped + self.failed + self.planned

    @property
    def key_id(self) -> str:
        """The job's id in the keys of what it writes. A retry has the id of the first job of its chain.

        So the org does not take a second record with the key, whichever job of the chain wrote the first.
        """
        return self.first_job_id or self.job_id
