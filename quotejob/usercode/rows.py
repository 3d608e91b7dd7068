"""Records as users' code reads them: typed rows. The query follows from the class.

::

    class Contract(Row, frozen=True, kw_only=True):
        EndDate: date
        country: str | None = path("Account.BillingCountry")
        lines: tuple[ContractLine, ...] = children("Lines__r")

A record takes three steps: ``select_list`` says what to read, ``flat`` takes an org's record to values in the order of
the columns, ``decode`` makes the row of them. The values hold nothing but what JSON has, so they go to other processes.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from quotejob.errors import OrgRefused, QuotejobError
from quotejob.pricing.fields import PATH, Source
from quotejob.usercode.writes import Delete, Insert, Skip, Tally, Update, Upsert, Value

PLAIN = (str, int, bool, Decimal, date, datetime, time)  # the types of fields; `| None`, Literal and Enum too
Describe = Callable[[str], Mapping[str, Any]]  # the name of an object -> the org's describe of it
R = TypeVar("R", bound="Row")
_learning = threading.RLock()  # msgspec learns a type with its first value; two threads at once end the process


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One record as read from the org. A subclass names the object and the fields.

    The class's name is the object's, unless ``sobject`` says another. An attribute is a field of that name, or of the
    path that ``path`` gives. A tuple of rows is a child relationship. Numbers are Decimal or int, times are aware UTC.
    A field that may be empty has ``| None`` in its type.
    """

    sobject: ClassVar[str] = ""
    Id: str

    def update(self, **values: Value) -> Update:
        """Set fields of this record."""
        return Update(self.Id, object_of(type(self)), self.Id, values)

    def delete(self) -> Delete:
        """Move this record to the recycle bin."""
        return Delete(self.Id, object_of(type(self)), self.Id)

    def insert(self, sobject: str, /, *, key: str | None = None, **values: Value) -> Insert:
        """Make a new record because of this one, once. ``key``: unique for longer than this job lives."""
        return Insert(self.Id, sobject, values, key)

    def upsert(self, sobject: str, by: str, value: str, /, **values: Value) -> Upsert:
        """Make or update the record whose unique external id field ``by`` has this value."""
        return Upsert(self.Id, sobject, by, value, values)

    def update_other(self, sobject: str, record_id: str, /, **values: Value) -> Update:
        """Set fields of another record because of this one."""
        return Update(self.Id, sobject, record_id, values)

    def skip(self, reason: str) -> Skip:
        """Leave this record alone. The results say why."""
        return Skip(self.Id, reason)

    def tally(self, name: str, amount: Decimal | int = 1, *, by: str = "") -> Tally:
        """Add to a total that ``finish`` reads. Counts once, and only if this record's writes succeeded."""
        return Tally(self.Id, name, Decimal(amount), by)


class Key(Row, frozen=True, kw_only=True):
    """A piece of work without a record in the org: what ``start`` gives by :class:`~quotejob.usercode.jobtype.Keys`."""


class Column(msgspec.Struct, frozen=True, array_like=True):
    """What is read for one attribute of a row."""

    name: str  # of a field, a path through parents, or a child relationship
    rows: tuple[Column, ...] | None = None  # of the child relationship


class BadRecord(QuotejobError):
    """The org has a value that the row's type does not allow. Only this record fails."""

    code = "BAD_RECORD"


def path(name: str, *, default: Any = msgspec.NODEFAULT) -> Any:
    """Return an attribute for a field reached through parents: ``path("Account.BillingCountry")``.

    ``default`` is for rows that tests make. What is read from an org has every value.
    """
    return msgspec.field(name=name, default=default)


def children(relationship: str) -> Any:
    """Return an attribute for a child relationship: its rows come with the record, all of them."""
    return msgspec.field(name=relationship, default=())


def object_of(row: type[Row]) -> str:
    """Return the name of the object that a class of rows reads."""
    return row.sobject or row.__name__


@cache
def columns(row: type[Row]) -> tuple[Column, ...]:
    """Return what is read for a class of rows. Raises TypeError for a class that no record can become."""
    with _learning:
        found = tuple(_column(row, field) for field in msgspec.structs.fields(row))
    names = [column.name.lower() for column in found]
    for name in names:
        if names.count(name) > 1:
            raise TypeError(f"{row.__name__}: two attributes read {name}; an org refuses a field that is named twice")
    return found


def select_list(of: Sequence[Column], *, order: str = "Id") -> str:
    """Return the SELECT list of these columns. The rows of child relationships come in this order."""
    parts = (
        column.name
        if column.rows is None
        else f"(SELECT {select_list(column.rows)} FROM {column.name} ORDER BY {order})"
        for column in of
    )
    return ", ".join(parts)


def flat(of: Sequence[Column], record: Mapping[str, Any]) -> list[Any]:
    """Return the values of an org's record in the order of the columns. Those of children are lists of such lists."""
    return [
        _value(column, record)
        if column.rows is None
        else [flat(column.rows, child) for child in _value(column, record) or ()]
        for column in of
    ]


def decode(row: type[R], values: Sequence[Any]) -> R:
    """Return the row with these values, in the order of its columns. Raises BadRecord if a type does not allow one."""
    try:
        return msgspec.convert(_named(row, values), row)
    except msgspec.ValidationError as refused:
        raise BadRecord(_explained(row, str(refused))) from refused


def values(row: Row) -> list[Any]:
    """Return the values of a row in the order of its columns. decode makes an equal row of them."""
    found = (getattr(row, field.name) for field in msgspec.structs.fields(type(row)))
    return [[values(child) for child in each] if isinstance(each, tuple) else each for each in found]


def read(row: type[R], record: Mapping[str, Any]) -> R:
    """Return an org's record as a row. Raises BadRecord if the row's type does not allow a value of it."""
    return decode(row, flat(columns(row), record))


def missing(sobject: str, of: Sequence[Column], describe: Describe) -> list[str]:
    """Return the names of all columns that the org does not have, or does not show to the user.

    ``describe`` gives the org's describe of an object, and raises OrgRefused for one that it does not have. It is
    called once for each object.
    """
    return [f"{sobject}.{name}" for name in _missing(sobject, of, cache(_careful(describe)))]


# -- the columns of a class --------------------------------------------------------------------------------------------


def _column(row: type[Row], field: Any) -> Column:
    name = field.encode_name
    if not PATH.fullmatch(name):
        raise TypeError(f"{row.__name__}.{field.name}: {name!r} is neither a field nor a path such as Account.Name")
    child = child_of(field.type)
    if child is not None:
        return Column(name, columns(child))
    for kind in kinds_of(field.type):
        if kind not in PLAIN and not (isinstance(kind, type) and issubclass(kind, Enum)):
            expected = "Decimal, not float" if kind is float else "str, int, bool, Decimal, date, datetime or time"
            word = getattr(kind, "__name__", str(kind))
            raise TypeError(f"{row.__name__}.{field.name}: the type {word} cannot be read; use {expected}")
    return Column(name)


def child_of(kind: Any) -> type[Row] | None:
    """Return the class of the rows of a child relationship. None: the attribute is a field."""
    arguments = get_args(kind)
    if get_origin(kind) is tuple and len(arguments) == 2 and arguments[1] is ...:
        child = arguments[0]
        return child if isinstance(child, type) and issubclass(child, Row) else None
    return None


def kinds_of(kind: Any) -> Iterator[Any]:
    """Yield the types of a union without None. A Literal counts as the types of its words."""
    if get_origin(kind) in (Union, UnionType):
        yield from (one for part in get_args(kind) if part is not type(None) for one in kinds_of(part))
    elif get_origin(kind) is Literal:
        yield from {type(word) for word in get_args(kind)}
    else:
        yield kind


# -- from an org's record to a row -------------------------------------------------------------------------------------


@cache
def _source(name: str) -> Source:
    return Source(name)


def _value(column: Column, record: Mapping[str, Any]) -> Any:
    """Return the value of a column: the org's own spelling of a name may differ in upper and lower case."""
    return record[column.name] if column.name in record else _source(column.name).of(record)


@cache
def _plan(row: type[Row]) -> tuple[tuple[str, type[Row] | None, bool], ...]:
    """Return for each column its name, the class of its rows, and whether it is a whole number."""
    columns(row)
    with _learning, contextlib.suppress(msgspec.ValidationError):
        msgspec.convert({}, row)
    fields = msgspec.structs.fields(row)
    return tuple((field.encode_name, child_of(field.type), int in set(kinds_of(field.type))) for field in fields)


def _named(row: type[Row], values: Sequence[Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for (name, child, whole), value in zip(_plan(row), values, strict=True):
        if child is not None:
            made[name] = [_named(child, each) for each in value or ()]
        else:
            made[name] = _whole(value) if whole else value
    return made


def _whole(value: Any) -> Any:
    """Return a number without a fraction as int: an org writes 5 as 5.0."""
    if not isinstance(value, str | Decimal):
        return value
    try:
        number = Decimal(value)
    except InvalidOperation:
        return value
    return int(number) if number.is_finite() and number == number.to_integral_value() else value


def _explained(row: type[Row], said: str) -> str:
    reason, _, place = said.partition(" - at `$")
    name = f"{object_of(row)}{place.rstrip('`')}"
    if reason.endswith("got `null`"):
        return f"{name} is empty in the org: write `| None` in its type if that may be so"
    return f"{name}: {reason[:1].lower()}{reason[1:]}"


# -- what the org lacks ------------------------------------------------------------------------------------------------


class _Described(msgspec.Struct, frozen=True):
    """The parts of a describe that names are looked up in. Keys are lower case."""

    fields: frozenset[str]
    parents: Mapping[str, tuple[str, ...]]  # relationship -> the objects that it may lead to
    children: Mapping[str, str]  # relationship -> the object


def _careful(describe: Describe) -> Callable[[str], _Described]:
    def described(sobject: str) -> _Described:
        try:
            said = describe(sobject)
        except OrgRefused as refused:
            if refused.code != "NOT_FOUND":
                raise
            return _Described(frozenset(), {}, {})
        return _Described(
            frozenset(field["name"].lower() for field in said["fields"]),
            {
                field["relationshipName"].lower(): tuple(field["referenceTo"])
                for field in said["fields"]
                if field.get("relationshipName")
            },
            {
                child["relationshipName"].lower(): child["childSObject"]
                for child in said.get("childRelationships", ())
                if child.get("relationshipName")
            },
        )

    return described


def _missing(sobject: str, of: Sequence[Column], described: Callable[[str], _Described]) -> Iterator[str]:
    for column in of:
        if column.rows is None:
            if not _is_there(sobject, column.name.lower().split("."), described):
                yield column.name
            continue
        child = described(sobject).children.get(column.name.lower())
        if child is None:
            yield column.name
        else:
            yield from (f"{column.name}.{name}" for name in _missing(child, column.rows, described))


def _is_there(sobject: str, names: Sequence[str], described: Callable[[str], _Described]) -> bool:
    if len(names) == 1:
        return names[0] in described(sobject).fields
    parents = described(sobject).parents.get(names[0], ())
    return any(_is_there(parent, names[1:], described) for parent in parents)
