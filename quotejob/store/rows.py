"""The form of values in Redis: hashes for dataclasses, compressed JSON for documents."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import orjson
import zstandard


def squeeze(document: Any) -> bytes:
    """Return the document as compressed JSON."""
    return zstandard.compress(orjson.dumps(document))


def unsqueeze(stored: bytes) -> Any:
    """Return the document that squeeze compressed."""
    return orjson.loads(zstandard.decompress(stored))


def read(kind: type, readers: Mapping[str, Callable[[str], Any]], stored: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a dataclass that a hash has. Fields of a newer version are ignored.

    Names in Redis are camelCase as in the API, names in Python are snake_case. A value without a reader stays a text.
    """
    known = _names(kind)
    return {snake(name): readers.get(name, str)(raw) for name, raw in stored.items() if snake(name) in known}


def decoded(stored: Mapping[bytes, bytes] | Mapping[str, bytes]) -> dict[str, str]:
    """Return the answer of Redis as text."""
    return {name.decode() if isinstance(name, bytes) else name: value.decode() for name, value in stored.items()}


@cache
def snake(name: str) -> str:
    """Return a name in snake case: ``created_by_id`` for ``createdById``."""
    return re.sub("[A-Z]", lambda found: "_" + found[0].lower(), name)


@cache
def _names(kind: type) -> frozenset[str]:
    return frozenset(field.name for field in dataclasses.fields(kind))
