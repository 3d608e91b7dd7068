"""One Bulk query job: its order, its result file, and the pages of the result.

The rules are those of the Bulk API 2.0 guide ("Bulk API 2.0 Query"): which SOQL a job refuses; one CSV file with all
rows; a page can begin at any row.
"""

from __future__ import annotations

import csv
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO, ClassVar, NamedTuple

from localorg.bulk.job import DELIMITERS, LINE_ENDINGS, AnyJob, one_of
from localorg.errors import OrgError, invalid_query_locator, json_parser_error
from localorg.org import Org
from localorg.permissions import Action, User, check
from localorg.schema.model import Schema, SObject
from localorg.soql.compiler import compiled
from localorg.soql.parser import parse
from localorg.soql.plans import Count, Groups, Rows, Shape
from localorg.soql.syntax import Item, Name

OPERATIONS = ("query", "queryAll")
_OFFSET = Struct("<Q")
_SPARE = 1 << 18  # bytes sent at a time


@dataclass(slots=True, kw_only=True)
class QueryJob(AnyJob):
    """A query job: the order of its creator, and its progress.

    folder -- contains result.csv, and offsets.bin: the start of each row and the end of the file, 8 bytes each
    deleted -- whether it includes the recycle bin (queryAll)
    """

    kind: ClassVar[str] = "query"
    job_type: ClassVar[str] = "V2Query"

    query: str
    deleted: bool

    @property
    def result(self) -> Path:
        """The rows that the query found, as CSV."""
        return self.folder / "result.csv"

    @property
    def offsets(self) -> Path:
        """Where each row of the result starts, so that a page is read without the pages before it."""
        return self.folder / "offsets.bin"

    def body(self) -> dict[str, Any]:
        """Return the answer to requests that create or abort the job."""
        return self._body("queryAll" if self.deleted else "query", {})

    def info(self, now: datetime) -> dict[str, Any]:
        """Return the answer to a request for the job's state; its time is in milliseconds."""
        return self.entry() | self._progress(now) | {"isPkChunkingSupported": True}


# --- the order ----------------------------------------------------------------------------------------------------


class QueryOrder(NamedTuple):
    """The checked order of a query job's creator."""

    sobject: SObject
    query: str
    deleted: bool
    delimiter: str
    line_ending: str


def query_order(body: Any, schema: Schema, user: User) -> QueryOrder:
    """Read the JSON that creates a query job (Bulk API 2.0 guide, "Create a Query Job"); raise OrgError 400."""
    if not isinstance(body, Mapping):
        raise json_parser_error("A job is a JSON object at [line:1, column:1]")
    operation = one_of(body, "operation", OPERATIONS, None)
    one_of(body, "contentType", ("CSV",), "CSV")
    text = body.get("query")
    if not isinstance(text, str):
        raise _refused("Must specify query" if text is None else "query: value does not match expected type")
    deleted = operation == "queryAll"
    plan = readable(schema, text, deleted=deleted)
    check(user, plan.sobject.name, Action.READ)
    delimiter = one_of(body, "columnDelimiter", tuple(DELIMITERS), "COMMA")
    return QueryOrder(plan.sobject, text, deleted, delimiter, one_of(body, "lineEnding", tuple(LINE_ENDINGS), "LF"))


def readable(schema: Schema, text: str, *, deleted: bool) -> Rows:
    """Return the plan of a statement for a Bulk query; raise OrgError 400 when it cannot be one (guide, "Limits")."""
    plan = compiled(schema, text, deleted=deleted)
    if isinstance(plan, Count | Groups):
        raise _refused("Aggregate functions and GROUP BY are not supported in Bulk Query")
    if plan.children:
        raise _refused("Aggregate Relationships not supported in Bulk V2 Query with CSV content type")
    if plan.offset is not None:
        raise _refused("OFFSET is not supported in Bulk Query")
    return plan


def _refused(message: str) -> OrgError:
    return OrgError(400, "API_ERROR", message)


# --- columns ------------------------------------------------------------------------------------------------------

Getter = Callable[[Mapping[str, Any]], Any]


class Column(NamedTuple):
    """A column of the result: its header, and the way to get its value from a record."""

    header: str
    get: Getter


def _in_order(columns: Iterator[Column], text: str) -> list[Column]:
    """Return the columns in the order of the SELECT; those of FIELDS(...) keep their order."""
    items = [item.what for item in parse(text).items if isinstance(item, Item)]
    selected = [str(what).lower() for what in items if isinstance(what, Name)]

    def place(column: Column) -> int:
        name = column.header.lower()
        # A name may begin with the object's own name or an alias of it; use the shortest name that fits.
        fitting = [each for each in selected if f".{each}".endswith(f".{name}")]
        return selected.index(min(fitting, key=len)) if fitting else 0

    return sorted(columns, key=place)


def _columns(shape: Shape, sobject: SObject, schema: Schema) -> Iterator[Column]:
    """Yield the columns, those of one parent together."""
    parents = dict(shape.parents)
    for key in shape.keys:
        if key not in parents:
            yield Column(key, _getter(key, sobject))
            continue
        reference = sobject.parent(key)
        target = schema.object(reference.reference_to[0]) if reference else None
        assert target is not None
        for column in _columns(parents[key], target, schema):
            yield Column(f"{key}.{column.header}", _through(key, column.get))


def _getter(key: str, sobject: SObject) -> Getter:
    found = sobject.field(key)
    if found is not None and found.type == "boolean":
        return lambda record: "true" if record[key] else "false"
    if found is not None and found.type == "datetime":
        return lambda record: (record[key] or "").replace("+0000", "Z")
    return lambda record: record[key]


def _through(key: str, get: Getter) -> Getter:
    return lambda record: None if record[key] is None else get(record[key])


# --- working ------------------------------------------------------------------------------------------------------


class Reading:
    """The records that a statement finds, at most 2,000 at a time; it is used in the database thread.

    columns -- the columns of the records, in the order of the SELECT
    """

    def __init__(self, org: Org, text: str, *, version: float, deleted: bool) -> None:
        """Prepare the reading; raise OrgError for a statement that cannot be a Bulk query."""
        self._soql = org.soql
        self._text = text
        self._version = f"{version:.1f}"
        self._deleted = deleted
        plan = readable(org.schema, text, deleted=deleted)
        self.columns = _in_order(_columns(plan.shape, plan.sobject, org.schema), text)
        self._locator: str | None = None
        self._done = False

    def step(self) -> list[Mapping[str, Any]]:
        """Return the next records; none at the end. Raise OrgError."""
        if self._done:
            return []
        if self._locator is None:
            body = self._soql.query(self._text, version=self._version, deleted=self._deleted).body
        else:
            body = self._soql.more(self._locator, version=self._version).body
        self._done = body["done"]
        self._locator = None if self._done else body["nextRecordsUrl"].rpartition("/")[2]
        records: list[Mapping[str, Any]] = body["records"]
        return records


class QueryRun:
    """The run of one query job; it is used in the database thread, except for its end."""

    def __init__(self, org: Org, job: QueryJob) -> None:
        self._job = job
        self._reading = Reading(org, job.query, version=job.version, deleted=job.deleted)
        self._result = job.result.open("wb")
        self._offsets = job.offsets.open("wb")
        self._at = 0
        delimiter, ending = DELIMITERS[job.delimiter], LINE_ENDINGS[job.line_ending]
        self._writer = csv.writer(self, delimiter=delimiter, lineterminator=ending, quoting=csv.QUOTE_ALL)
        self._writer.writerow([column.header for column in self._reading.columns])
        self._mark()

    def write(self, line: str) -> int:
        """Take one row from the CSV writer."""
        data = line.encode()
        self._at += len(data)
        return self._result.write(data)

    def _mark(self) -> None:
        self._offsets.write(_OFFSET.pack(self._at))

    def step(self) -> int:
        """Read and write the next rows, at most 2,000; return their number, 0 at the end. Raise OrgError."""
        records = self._reading.step()
        getters = [column.get for column in self._reading.columns]
        for record in records:
            self._writer.writerow([get(record) for get in getters])
            self._mark()
        self._job.processed += len(records)
        return len(records)

    def close(self) -> None:
        """Complete and close the files."""
        self._result.close()
        self._offsets.close()


# --- pages --------------------------------------------------------------------------------------------------------


def locator_of(row: int) -> str:
    """Return the locator of the page that begins at a row: it has no meaning to clients, and is safe in any URL."""
    return urlsafe_b64encode(str(row).encode()).decode().rstrip("=")


def row_of(locator: str) -> int:
    """Return the row of a locator; raise OrgError INVALID_QUERY_LOCATOR when it is not a locator."""
    try:
        row = int(urlsafe_b64decode(locator + "=" * (-len(locator) % 4)))
    except ValueError:
        raise invalid_query_locator() from None
    if row < 0 or locator_of(row) != locator:
        raise invalid_query_locator()
    return row


class Page(NamedTuple):
    """A number of rows of a result, under the header row.

    rows -- how many rows it has
    following -- the first row of the next page; None when this is the last one
    """

    job: QueryJob
    begin: int
    end: int
    header: int
    rows: int
    following: int | None

    def pieces(self) -> Iterator[bytes]:
        """Yield the page as CSV, piece by piece."""
        with self.job.result.open("rb") as file:
            yield file.read(self.header)
            file.seek(self.begin)
            left = self.end - self.begin
            while left > 0 and (piece := file.read(min(_SPARE, left))):
                left -= len(piece)
                yield piece


def page(job: QueryJob, start: int, most: int) -> Page:
    """Return the page of a finished job from a row on, with at most this many rows; raise OrgError if there is none."""
    total = job.processed
    if start > total or (start == total and start > 0):
        raise invalid_query_locator()
    stop = min(start + most, total)
    with job.offsets.open("rb") as offsets:
        header, begin, end = (_offset(offsets, row) for row in (0, start, stop))
    return Page(job, begin, end, header, stop - start, stop if stop < total else None)


def _offset(offsets: BinaryIO, row: int) -> int:
    """Return the position of a row in the file; for the row after the last, the end of the file."""
    offsets.seek(row * _OFFSET.size)
    found: int = _OFFSET.unpack(offsets.read(_OFFSET.size))[0]
    return found
