"""Queries of Bulk API 1.0: their results as CSV, JSON or XML, and their chunks by primary key.

Source: Bulk API guide, "Use Bulk Query" and "PK Chunking".
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Protocol

import orjson

from localorg.bulk.query import Reading, readable
from localorg.bulk_one.job import Batch, Chunking, refuse
from localorg.bulk_one.wire import element
from localorg.http.answers import written
from localorg.http.bulk_one import NAMESPACE
from localorg.ids import ahead, distance, normalise
from localorg.numbers import Double, whole
from localorg.org import Org

LONGEST_STATEMENT = 100_000  # characters of SOQL
_CHUNK, _LARGEST_CHUNK = 100_000, 250_000
NO_RECORDS = "Records not found for this query"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"

Record = Mapping[str, Any]


class QueryRun:
    """The run of one query batch; it is used in the database thread."""

    def __init__(self, org: Org, batch: Batch, result_id: str) -> None:
        """Begin a result; raise OrgError for a statement that cannot be a Bulk query."""
        assert batch.statement is not None
        order = batch.job.order
        deleted = order.name == "queryAll"
        self._reading = Reading(org, batch.statement, version=batch.job.version, deleted=deleted)
        self._batch = batch
        self._file = batch.result(result_id).open("w", encoding="utf-8", newline="")
        self._form = _FORMS[order.content_type](self._reading, self._file.write)

    def step(self) -> int:
        """Read and write the next records; return their number, 0 at the end. Raise OrgError."""
        records = self._reading.step()
        self._form.add(records)
        self._batch.processed += len(records)
        return len(records)

    def close(self) -> None:
        """Complete and close the result."""
        self._form.end(self._batch.processed)
        self._file.close()


Write = Callable[[str], Any]


class _Form(Protocol):
    """A way to write records."""

    def add(self, records: list[Record]) -> None:
        """Write some records."""

    def end(self, count: int) -> None:
        """Complete a result that has so many records."""


class _Csv:
    def __init__(self, reading: Reading, write: Write) -> None:
        self._write = write
        self._columns = reading.columns
        self._rows: Any = None  # made with the first record

    def add(self, records: list[Record]) -> None:
        if records and self._rows is None:
            self._rows = csv.writer(_Into(self._write), quoting=csv.QUOTE_ALL, lineterminator="\n")
            self._rows.writerow([column.header for column in self._columns])
        for record in records:
            self._rows.writerow([column.get(record) for column in self._columns])

    def end(self, count: int) -> None:
        if not count:
            self._write(NO_RECORDS)


class _Into:
    """A file that writes into a function."""

    def __init__(self, write: Write) -> None:
        self.write = write


class _Json:
    def __init__(self, reading: Reading, write: Write) -> None:
        del reading
        self._write = write
        self._before = "["

    def add(self, records: list[Record]) -> None:
        for record in records:
            self._write(self._before + orjson.dumps(record, default=written).decode())
            self._before = ","

    def end(self, count: int) -> None:
        self._write("]" if count else "[]")


class _Xml:
    def __init__(self, reading: Reading, write: Write) -> None:
        del reading
        self._write = write
        write(f'<?xml version="1.0" encoding="UTF-8"?><queryResult xmlns="{NAMESPACE}" xmlns:xsi="{_XSI}">')

    def add(self, records: list[Record]) -> None:
        for record in records:
            self._write("".join(_xml_record("records", record)))

    def end(self, count: int) -> None:
        del count
        self._write("</queryResult>")


_FORMS: dict[str, Callable[[Reading, Write], _Form]] = {"CSV": _Csv, "JSON": _Json, "XML": _Xml}


def _xml_record(name: str, record: Record) -> Iterator[str]:
    """Yield a record as XML. Its id is there once, and once more if it was selected: so the guide says."""
    kind = record["attributes"]["type"]
    yield f'<{name} xsi:type="sObject">{element("type", kind)}'
    yield element("Id", record["Id"]) if record.get("Id") else '<Id xsi:nil="true"/>'
    for key, value in record.items():
        if key == "attributes":
            continue
        if isinstance(value, dict):
            yield from _xml_record(key, value)
        else:
            yield f'<{key} xsi:nil="true"/>' if value is None else element(key, _plain(value))
    yield f"</{name}>"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, Double) else str(value)


# --- chunks -------------------------------------------------------------------------------------------------------


def chunking(header: str | None) -> Chunking | None:
    """Read the header Sforce-Enable-PKChunking; None when it is not there, or false. Raise OrgError 400."""
    text = (header or "").strip().rstrip(";")
    if text.lower() in ("", "false"):
        return None
    if text.lower() == "true":
        return Chunking(_CHUNK, None)
    given = dict(_setting(part) for part in text.split(";") if part.strip())
    return Chunking(given.get("chunksize", _CHUNK), given.get("startrow"))


def _setting(part: str) -> tuple[str, Any]:
    """Read one setting of the header; raise OrgError 400."""
    name, _, value = (each.strip() for each in part.partition("="))
    match name.lower():
        case "chunksize" if 0 < (whole(value) or 0) <= _LARGEST_CHUNK:
            return "chunksize", whole(value)
        case "startrow" if record_id := normalise(value):
            return "startrow", record_id
        case "chunksize":
            reason = f"chunkSize is from 1 to {_LARGEST_CHUNK}"
        case "startrow":
            reason = f"startRow {value[:40]} is not an id"
        case "parent":
            reason = "the local org has no sharing and history objects, so no parent"
        case _:
            reason = f"{name[:40]} is not known"
    raise refuse("InvalidJob", f"Sforce-Enable-PKChunking: {reason}")


def chunks(org: Org, batch: Batch, given: Chunking) -> list[str]:
    """Return the statements into which a query is split; none when it cannot be split. Raise OrgError if it is wrong.

    A query with ORDER BY or LIMIT, or with a condition on an id, is not split.
    """
    text = batch.statement or ""
    plan = readable(org.schema, text, deleted=batch.job.order.name == "queryAll")
    head, condition = _parted(text)
    if plan.ordered or plan.limit is not None or _NAMES_AN_ID.search(_WITHOUT_TEXT.sub("''", condition)):
        return []
    found = org.connection.execute(f'SELECT MIN("Id"), MAX("Id") FROM "{plan.sobject.name}"').fetchone()
    first, last = given.start or found[0], found[1]
    if last is None or first > last:
        return []
    also = f"({condition.strip()}) AND " if condition.strip() else ""
    edges = [ahead(first, offset) for offset in range(0, distance(first, last) + 1 + given.size, given.size)]
    return [f"{head.rstrip()} WHERE {also}Id >= '{low}' AND Id < '{high}'" for low, high in pairwise(edges)]


_WITHOUT_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)
_NAMES_AN_ID = re.compile(r"\w*Id\b", re.IGNORECASE)
_TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|\(|\)|\bWHERE\b", re.IGNORECASE | re.DOTALL)


def _parted(text: str) -> tuple[str, str]:
    """Return a statement in two parts: before its own WHERE, and the condition after it."""
    depth = 0
    for found in _TOKEN.finditer(text):
        if found[0] == "(":
            depth += 1
        elif found[0] == ")":
            depth -= 1
        elif depth == 0 and found[0].upper() == "WHERE":
            return text[: found.start()], text[found.end() :]
    return text, ""
