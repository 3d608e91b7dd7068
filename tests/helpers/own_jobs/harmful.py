"""Job types that do harm, for the processes that they run in."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from marshmallow import Schema, fields

from quotejob import Context, Finish, JobType, Key, Keys, Retry, Row, Write, Yielded, inserts, updates

HIDDEN = ("REDIS_URL", "QUOTEJOB_SECRET_KEY", "OTHER_NAME_OF_THE_URL")


class Account(Row, frozen=True, kw_only=True):
    Name: str
    Site: str
    NumberOfEmployees: int | None


class Harmful(JobType[Account]):
    """Does to its own process what the Site of each Account says."""

    writes = (updates("Account", "Rating"), inserts("Opportunity", key="QuoteJobKey__c"))
    seconds_a_record = 1.5
    megabytes = 150

    def execute(self, records: Sequence[Account], context: Context) -> Iterator[Yielded]:
        for account in records:
            harm(account.Site)
            yield account.update(Rating="Hot")
            yield account.tally("employees", Decimal(account.NumberOfEmployees or 0))

    def finish(self, finish: Finish) -> Iterator[Write]:
        name = f"{finish.succeeded} with {finish.total('employees')}, {finish.failed} failed"
        yield finish.insert("Opportunity", Name=name, StageName="New", CloseDate=finish.context.today)


def harm(kind: str) -> None:
    """Do it."""
    if kind == "exit":
        os._exit(3)
    if kind == "sys.exit":
        sys.exit("enough")
    if kind == "crash":
        ctypes.string_at(0)
    if kind == "raise":
        raise ValueError("no such site")
    held = []
    while kind in ("loop", "leak"):
        if kind == "leak":
            held.append(bytearray(1 << 20))


class Telling(JobType[Account]):
    """Tells which process it runs in, and what of quotejob's it sees there."""

    writes = (inserts("Opportunity", key="QuoteJobKey__c"),)

    def start(self, context: Context) -> str:
        return context.where if told().endswith(" sees nothing") else f"Name = '{told()}'"

    def execute(self, records: Sequence[Account], context: Context) -> Iterator[Yielded]:
        for account in records:
            yield account.skip(told())

    def finish(self, finish: Finish) -> Iterator[Write]:
        yield finish.insert("Opportunity", Name=told(), StageName="New", CloseDate=finish.context.today)


def told() -> str:
    """Return the process, and the names of what should be hidden."""
    seen = [name for name, value in os.environ.items() if name in HIDDEN or "redis://" in value]
    return f"{os.getpid()} sees {seen or 'nothing'}"


class Pieces(JobType[Key]):
    """Work without records."""

    def start(self, context: Context) -> Keys:
        return Keys(f"piece {n}" for n in range(3))

    def execute(self, records: Sequence[Key], context: Context) -> Iterator[Yielded]:
        return (each.skip(f"done {each.Id}") for each in records)


class WrongKeys(Pieces):
    def start(self, context: Context) -> Keys:
        return Keys([1])  # type: ignore[list-item]


class EndsAtStart(Pieces):
    def start(self, context: Context) -> Keys:
        os._exit(4)


class EndsAtFinish(Pieces):
    def finish(self, finish: Finish) -> Iterator[Write]:
        os._exit(5)


class Named(Schema):
    method = fields.String(load_default="none")


class Away(Pieces):
    """What it needs is away, in the method that it is told."""

    parameters = Named

    def start(self, context: Context) -> Keys:
        return self._ready("start", context) or super().start(context)

    def execute(self, records: Sequence[Key], context: Context) -> Iterator[Yielded]:
        return self._ready("execute", context) or super().execute(records, context)

    def finish(self, finish: Finish) -> Iterator[Write]:
        return self._ready("finish", finish.context) or iter(())

    def _ready(self, method: str, context: Context) -> Any:
        if method == context.parameters["method"]:
            raise Retry("the database is away", after=240)
