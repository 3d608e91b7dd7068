"""What goes between a worker and the child that runs a user's own job: texts and numbers, as msgpack."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from quotejob.usercode.decisions import Decision
from quotejob.usercode.rows import Column
from quotejob.usercode.trouble import Broken

Tallies = list[tuple[str, str, str]]  # name, group, amount


class Known(msgspec.Struct, frozen=True):
    """What the job's code may know of its run. The child makes a Context of it."""

    job_id: str
    now: datetime
    parameters: list[tuple[str, str]]  # as they were submitted
    where: str
    dry_run: bool


class Sums(msgspec.Struct, frozen=True):
    """What ``finish`` reads."""

    succeeded: int
    skipped: int
    failed: int
    totals: Tallies


class Ask(msgspec.Struct, frozen=True):
    """One call."""

    method: Literal["start", "execute", "finish"]
    known: Known
    records: list[tuple[str, list[Any]]] = []  # execute: ids, and the values in the order of the row's columns
    sums: Sums | None = None  # finish


class Question(msgspec.Struct, frozen=True):
    """A query of the job's code: which columns of which object, with which clause."""

    sobject: str
    columns: tuple[Column, ...]
    where: str


class Found(msgspec.Struct, frozen=True):
    """The answer: the values of each row, or why there are none."""

    rows: list[list[Any]] = []
    refused: str | None = None


class Reply(msgspec.Struct, frozen=True):
    """What came of a call. One of the four is set."""

    broken: Broken | None = None
    where: str | None = None  # start: the clause
    keys: list[str] | None = None  # start: Keys
    decided: list[Decision] | None = None  # execute: one for each record, in their order; finish: one
