"""Event payloads in Avro's binary encoding (Avro specification, "Binary Encoding"): what schemas.py needs of it.

A date, and a date with time, is the number of milliseconds since 1970.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

import orjson

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EMPTY: dict[str, Any] = {"string": "", "boolean": False, "double": 0.0, "int": 0, "long": 0}
_LONGEST_NUMBER = 10  # bytes


def encode(schema: str, payload: Mapping[str, Any]) -> bytes:
    """Return the payload, whose values are those of JSON, in the schema (JSON text) of its object."""
    parts: list[bytes] = []
    for field in orjson.loads(schema)["fields"]:
        value = payload.get(field["name"])
        kind = field["type"]
        if isinstance(kind, list):
            parts.append(_long(0 if value is None else 1))
            kind = None if value is None else kind[1]
        if kind is not None:
            parts.append(_value(kind, _EMPTY[kind] if value is None else value))
    return b"".join(parts)


def _value(kind: str, value: Any) -> bytes:
    if kind == "boolean":
        return b"\1" if value else b"\0"
    if kind == "double":
        return struct.pack("<d", value)
    if kind == "string":
        text = str(value).encode()
        return _long(len(text)) + text
    return _long(_milliseconds(value) if isinstance(value, str) else int(value))


def _milliseconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)


def _long(number: int) -> bytes:
    rest = (number << 1) ^ (number >> 63)
    written = bytearray()
    while rest > 0x7F:
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    written.append(rest)
    return bytes(written)


def decode(schema: str, data: bytes) -> dict[str, Any]:
    """Return the values of a payload as JSON has them. Raise ValueError when it is not in this schema."""
    reader = _Reader(data)
    payload: dict[str, Any] = {}
    for field in orjson.loads(schema)["fields"]:
        kind = field["type"]
        if isinstance(kind, list):
            kind = kind[reader.branch()]
        value: Any = None if kind == "null" else reader.value(kind)
        payload[field["name"]] = _time(field["doc"], value) if kind == "long" else value
    if reader.rest:
        raise ValueError(f"the payload has {reader.rest} bytes more than its schema")
    return payload


def _time(doc: str, value: int) -> str:
    try:
        moment = _EPOCH + timedelta(milliseconds=value)
    except OverflowError:
        raise ValueError(f"{value} milliseconds since 1970 is not a date") from None
    if doc == "Data:Date":
        return moment.date().isoformat()
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def rest(self) -> int:
        return len(self._data) - self._at

    def value(self, kind: str) -> Any:
        if kind == "boolean":
            return self._take(1) != b"\0"
        if kind == "double":
            return self._double()
        if kind == "string":
            return self._take(self._long()).decode()
        return self._long()

    def _double(self) -> float:
        (number,) = struct.unpack("<d", self._take(8))
        if not isfinite(number):
            raise ValueError(f"{number} is not a number that a field can hold")
        return float(number)

    def branch(self) -> int:
        if (number := self._long()) not in (0, 1):
            raise ValueError(f"the payload has branch {number} of a union of two")
        return number

    def _take(self, size: int) -> bytes:
        if not 0 <= size <= self.rest:
            raise ValueError("the payload ends too early")
        self._at += size
        return self._data[self._at - size : self._at]

    def _long(self) -> int:
        number = 0
        for place in range(_LONGEST_NUMBER):
            (byte,) = self._take(1)
            number |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
        raise ValueError("the payload has a number of more than ten bytes")
