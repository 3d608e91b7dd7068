"""Receipts: the counts, keys and errors that a page or a batch reports. They have no payload."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

MAX_DEATHS = 3  # clear deaths of worker processes that worked on nothing else; then the page or batch is given up


class Outcome(StrEnum):
    """What happened to one record."""

    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    FAILED = "failed"
    PLANNED = "planned"  # in a dry run: it would have been written


class PlannedQuote(msgspec.Struct, frozen=True, array_like=True):
    """The Quote that a dry run would have written. Money is text: exact, and JSON has no Decimal."""

    name: str
    lines: int
    list_total: str
    net_total: str
    currency: str | None = None  # None: the org has only one
    region: str | None = None
    discounts: list[tuple[str, int, str, str]] = []


class Planned(msgspec.Struct, frozen=True, array_like=True):
    """What a dry run would have written for a record."""

    fingerprint: str  # of all that would be written
    writes: list[tuple[str, str, int]]  # operation, object, number of records
    quote: PlannedQuote | None = None  # of a Quote job


class ExplainedLine(msgspec.Struct, frozen=True, array_like=True):
    """How a line of a Quote got its price. Money is text: exact, and JSON has no Decimal."""

    line_id: str  # of the OpportunityLineItem
    list_unit_price: str
    unit_price: str
    discount: str | None  # its own Discount, in percent
    reasons: tuple[str, ...]


class Explanation(msgspec.Struct, frozen=True, array_like=True):
    """How the lines of a Quote got their prices."""

    lines: tuple[ExplainedLine, ...]
    code_version: str | None = None  # of the users' code; None: the rules alone


class Result(msgspec.Struct, frozen=True, array_like=True):
    """What happened to one record (an Opportunity). ``record_id`` is its key. It is stored as a list of its fields."""

    record_id: str
    outcome: Outcome
    quote_id: str | None = None
    code: str | None = None  # the org's errorCode, or ours
    message: str | None = None
    record_name: str | None = None  # for people; only of a record that did not succeed
    planned: Planned | None = None  # in a dry run
    other_id: str | None = None  # what a user's own job wrote for it: the first record
    explanation: Explanation | None = None  # put in when somebody asks; not stored with the result

    @property
    def written_id(self) -> str | None:
        """The id of what was written for the record: a Quote, or the first record of a user's own job."""
        return self.quote_id or self.other_id


def lost(record_id: str, record_name: str | None = None) -> Result:
    """Return the result of a record whose page or batch has ended its worker too often."""
    reason = (
        f"Working on it alone ended its worker process at least {MAX_DEATHS} times; see the worker's log, then retry it"
    )
    return Result(record_id, Outcome.FAILED, code="WORKER_LOST", message=reason, record_name=record_name)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a page or a batch reports: the results and the counts, no payload."""

    unit: str  # "12": page 12; "0.3": wave 0, batch 3; "0.3.0": the part written before the job ended
    results: tuple[Result, ...] = ()  # of the records that this unit decided
    to_write: int = 0  # page: quotes that are priced and not yet written
    pages: dict[int, tuple[int, int]] | None = None  # batch: page -> (quotes decided, failed ones of these)
    api_calls: int = 0
    explained: bytes = b""  # page: the reasons of its prices, as quotejob.run.results.explained packs them
    code_version: str | None = None  # page: that of the users' code which decided it
    totals: tuple[tuple[str, str, str], ...] = ()  # name, group, amount: of the records that succeeded here
