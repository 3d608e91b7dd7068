"""What a job may write, as values: nothing is sent here. The methods of a row make them, so each knows its record.

An :class:`Insert` used as a value of another write stands for the id that the org will give it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from typing import TypeAlias

Value: TypeAlias = "str | int | bool | Decimal | date | datetime | Insert | None"


def plain(value: object) -> object:
    """Return a value as it is: of a member of an Enum, which ``str`` may give by its name, its own value."""
    return value.value if isinstance(value, Enum) else value


class Verb(StrEnum):
    """The kinds of writes."""

    INSERT = "insert"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, eq=False)
class Insert:
    """A new record. ``source`` is the id of the record that it is made for.

    ``key``: a value of the key field that is unique for longer than this job lives.
    """

    source: str
    sobject: str
    values: Mapping[str, Value]
    key: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """New values of fields of a record that there is."""

    source: str
    sobject: str
    record_id: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True, eq=False)
class Upsert:
    """The record whose unique external id field ``by`` has this value, with these values: a new one if need be."""

    source: str
    sobject: str
    by: str
    value: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True, eq=False)
class Delete:
    """A record that goes to the recycle bin."""

    source: str
    sobject: str
    record_id: str


@dataclass(frozen=True, slots=True)
class Skip:
    """A record that stays as it is, and the reason for the job's results."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tally:
    """An amount to add to a total, of the group ``by``. It counts once, and only if its record succeeded."""

    source: str
    name: str
    amount: Decimal
    by: str = ""


Write: TypeAlias = Insert | Update | Upsert | Delete
Yielded: TypeAlias = Write | Skip | Tally
WRITES = (Insert, Update, Upsert, Delete)


@dataclass(frozen=True, slots=True)
class May:
    """A write that a job may make. The plan of each job checks it against the org, before a record is read.

    ``fields``: the only fields that it sets; none named: any. ``key``: for an insert the unique external id field that
    takes our key; for an upsert the one that the record is found by.
    """

    verb: Verb
    sobject: str
    fields: tuple[str, ...] = ()
    key: str | None = None


def inserts(sobject: str, *fields: str, key: str | None = None) -> May:
    """Declare new records of this object. ``key``: a unique external id field, which a repeated insert runs into."""
    return May(Verb.INSERT, sobject, fields, key)


def updates(sobject: str, *fields: str) -> May:
    """Declare updates of this object, of these fields only."""
    return May(Verb.UPDATE, sobject, fields)


def upserts(sobject: str, by: str, *fields: str) -> May:
    """Declare upserts of this object by a unique external id field. Name all fields that they set."""
    return May(Verb.UPSERT, sobject, fields, by)


def deletes(sobject: str) -> May:
    """Declare deletes of this object. Deletes come last, in the order in which ``writes`` has their objects."""
    return May(Verb.DELETE, sobject)
