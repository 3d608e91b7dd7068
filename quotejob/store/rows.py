"""The form of values in Redis: hashes for dataclasses and structs, compressed JSON for documents."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec
import orjson
import structlog
import zstandard

from quotejob import formats
from quotejob.errors import NewerVersion

T = TypeVar("T")
Row = dict[bytes, bytes]  # a hash, or some of its fields
Reader = Callable[[str], Any]

log = structlog.get_logger()
_known: set[Any] = set()  # the types that msgspec has learned
_learning = threading.Lock()


def squeeze(document: Any) -> bytes:
    """Return the document as compressed JSON."""
    return zstandard.compress(orjson.dumps(document))


def unsqueeze(stored: bytes, kind: type[T]) -> T:
    """Return the document that squeeze compressed, as a value of this type."""
    text = zstandard.decompress(stored)
    return _first_alone(kind, lambda: msgspec.json.decode(text, type=kind))


def read(kind: type[T], row: Row, readers: Mapping[str, Reader], **known: Any) -> T:
    """Return the dataclass or struct that a hash holds. ``known``: fields that are not in the hash, such as the id.

    Names in Redis are camelCase as in the API, names in Python are snake_case. The type of a field says how its text is
    read: a whole number, an ISO time, a word of an enum, "1" for True. ``readers`` are for fields of another form.
    Fields of a newer version are ignored, missing ones have their default. Raises ValueError if a text does not fit,
    NewerVersion if that is so because the row needs a newer format.
    """
    fields = dict(known)
    try:
        for name, raw in row.items():
            field, text = snake(name.decode()), raw.decode()
            fields[field] = readers[field](text) if field in readers else text
        return _first_alone(kind, lambda: msgspec.convert(fields, kind, strict=False))
    except ValueError:
        formats.check(f"{kind.__name__} {next(iter(known.values()))}", int(row.get(b"format", 1)))
        raise


def _first_alone(kind: Any, make: Callable[[], T]) -> T:
    """Return what ``make`` makes, which is a value of this type. The first one of a type is made while no other is.

    With the first one msgspec learns the type. Two threads that do so at once end the process (SIGSEGV).
    """
    if kind in _known:
        return make()
    with _learning:
        made = make()
    _known.add(kind)
    return made


def readable(read_one: Callable[[str, Row], T], found: Iterable[tuple[str, Row]]) -> Iterator[T]:
    """Yield what ``read_one`` makes of each id and its row, without empty rows.

    A row that cannot be read is logged and left out, so that the others can be read. Another version wrote it.
    """
    for row_id, row in found:
        if row:
            try:
                yield read_one(row_id, row)
            except (ValueError, NewerVersion) as error:
                log.warning(f"This version cannot read what Redis has of {row_id}: {error}")


@cache
def snake(name: str) -> str:
    """Return a name in snake case: ``created_by_id`` for ``createdById``."""
    return re.sub("[A-Z]", lambda found: "_" + found[0].lower(), name)
