"""A made-up record of any class of rows: for the first try of users' code, before there is a job."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from quotejob.usercode.rows import Row, child_of, kinds_of

R = TypeVar("R", bound=Row)
_EXAMPLES: dict[type, Any] = {
    str: "example",
    int: 1,
    bool: False,
    Decimal: Decimal(1),
    date: date(2030, 1, 31),
    datetime: datetime(2030, 1, 31, tzinfo=UTC),
    time: time(tzinfo=UTC),
}


def made_up(row: type[R], record_id: str = "000000000000000AAA") -> R:
    """Return a record with a value for every attribute, and one row in each child relationship."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(row):
        child = child_of(field.type)
        values[field.name] = _value(field.type) if child is None else (made_up(child),)
    return row(**values | {"Id": record_id})


def _value(kind: Any) -> Any:
    for part in get_args(kind) or (kind,):
        if get_origin(part) is Literal:
            return get_args(part)[0]
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    first = next(iter(kinds_of(kind)))
    return next(iter(first)) if issubclass(first, Enum) else _EXAMPLES[first]
