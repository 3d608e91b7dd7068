"""How values are kept in Redis: hashes as dataclasses, documents as compressed JSON."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import orjson
import zstandard


def squeeze(document: Any) -> bytes:
    """JSON, compressed."""
    return zstandard.compress(orjson.dumps(document))


def unsqueeze(stored: bytes) -> Any:
    """What squeeze took."""
    return orjson.loads(zstandard.decompress(stored))


def read(kind: type, readers: Mapping[str, Callable[[str], Any]], stored: Mapping[str, str]) -> dict[str, Any]:
    """What a hash has of the fields of a dataclass; what a newer version left there beside them is passed over.

    Names in Redis are those of the API, in Python those of Python. A value without a reader is a text.
    """
    known = _names(kind)
    return {snake(name): readers.get(name, str)(raw) for name, raw in stored.items() if snake(name) in known}


def decoded(stored: Mapping[bytes, bytes] | Mapping[str, bytes]) -> dict[str, str]:
    """Return what Redis answers as text."""
    return {name.decode() if isinstance(name, bytes) else name: value.decode() for name, value in stored.items()}


@cache
def snake(name: str) -> str:
    """``createdById`` as ``created_by_id``."""
    return re.sub("[A-Z]", lambda found: "_" + found[0].lower(), name)


@cache
def _names(kind: type) -> frozenset[str]:
    return frozenset(field.name for field in dataclasses.fields(kind))
