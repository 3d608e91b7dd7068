"""What users' jobs know of their run."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from quotejob.usercode.rows import Row
from quotejob.usercode.writes import Insert, Update, Upsert, Value

MAX_GROUPS = 1_000  # of all totals of a job
OTHERS = "(others)"  # the group of what comes after these
MAX_DIGITS = 100  # of a tally, before the point and after it
EXACT = decimal.Context(prec=3 * MAX_DIGITS, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)  # for any number of these
FINISH = "finish"  # in place of a record's id: what ``finish`` yields belongs to no record
R = TypeVar("R", bound=Row)
Ask = Callable[[type[Row], str], Sequence[Row]]  # a class of rows and a clause -> the rows


def _no_queries(row: type[Row], where: str) -> Sequence[Row]:  # noqa: ARG001 (the form of Ask)
    raise RuntimeError("this job declares no queries: set queries_a_page, at least to 1")


class QueryRefused(Exception):
    """A query of the job's code gave nothing. The message says why."""


def limited(ask: Ask, most: int) -> Ask:
    """Return the same, for so many calls."""
    if not most:
        return _no_queries
    left = iter(range(most))

    def asked(row: type[Row], where: str) -> Sequence[Row]:
        if next(left, None) is None:
            raise QueryRefused(f"queries_a_page allows {most} for a page: ask for all its records at once, or raise it")
        return ask(row, where)

    return asked


@dataclass(frozen=True)
class Context:
    """What a job knows of its run. It is the same for a page, however often the page is tried."""

    job_id: str
    now: datetime  # when the job was submitted, aware UTC
    parameters: Mapping[str, Any] = field(default_factory=dict)  # as the schema loaded them
    where: str = ""  # the submitter's clause
    dry_run: bool = False
    ask: Ask = field(default=_no_queries, repr=False, compare=False)

    @property
    def today(self) -> date:
        """The day on which the job was submitted, in UTC."""
        return self.now.date()

    def key(self, record: Row, purpose: str = "") -> str:
        """Return an idempotency key for calls to other systems: the same for every try of this record in this job."""
        return f"{self.job_id}:{record.Id}:{purpose}".rstrip(":")

    def query(self, row: type[R], where: str) -> Sequence[R]:
        """Return the rows that match a clause, in the order of their ids, at most 2,000. Only ``execute`` may ask.

        The job type's ``queries_a_page`` says how often it may for a page. Raises QueryRefused.
        """
        return self.ask(row, where)  # type: ignore[return-value]  # rows of the class that was asked for


@dataclass(frozen=True)
class Finish:
    """What ``finish`` reads: the counts of records, and the totals over those that succeeded."""

    context: Context
    succeeded: int
    skipped: int
    failed: int
    totals: Mapping[tuple[str, str], Decimal]

    def total(self, name: str) -> Decimal:
        """Return a total over all its groups."""
        with decimal.localcontext(EXACT):
            return sum((amount for (total, _), amount in self.totals.items() if total == name), Decimal(0))

    def by(self, name: str) -> dict[str, Decimal]:
        """Return a total by group."""
        return {by: amount for (total, by), amount in self.totals.items() if total == name}

    def insert(self, sobject: str, /, *, key: str | None = None, **values: Value) -> Insert:
        """Make a new record, once."""
        return Insert(FINISH, sobject, values, key)

    def update(self, sobject: str, record_id: str, /, **values: Value) -> Update:
        """Set fields of a record."""
        return Update(FINISH, sobject, record_id, values)

    def upsert(self, sobject: str, by: str, value: str, /, **values: Value) -> Upsert:
        """Make or update the record whose unique external id field ``by`` has this value."""
        return Upsert(FINISH, sobject, by, value, values)
