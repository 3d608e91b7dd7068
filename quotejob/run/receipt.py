"""What a page or a batch reports: counts, keys and errors, and no payload."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MAX_DEATHS = 3  # times a page or a batch may end its worker process before it is given up


class Outcome(StrEnum):
    """What came of one record."""

    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one record (an Opportunity); ``record_id`` is its key."""

    record_id: str
    outcome: Outcome
    quote_id: str | None = None
    code: str | None = None  # the org's errorCode, or ours
    message: str | None = None


def lost(record_id: str) -> Result:
    """What is said of a record whose page or batch has ended its worker again and again."""
    reason = (
        f"Working on it ended its worker process {MAX_DEATHS} times; see the worker's log, then run a new job for it"
    )
    return Result(record_id, Outcome.FAILED, code="WORKER_LOST", message=reason)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a page or a batch reports: who did what, no payload."""

    unit: str  # "12": page 12; "0.3": wave 0, batch 3; "0.3.0": what was written of it before the job ended
    results: tuple[Result, ...] = ()  # the records decided here
    to_write: int = 0  # page: quotes priced and waiting to be written
    pages: dict[int, tuple[int, int]] | None = None  # batch: page -> (quotes dealt with, of these failed)
    api_calls: int = 0
