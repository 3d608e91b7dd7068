"""The records of a batch as a table: CSV as it is; XML and JSON with a column for each field that a record names.

A field that a record does not name is an empty cell, which is not written. A field that is null is `#N/A`. A reference
to a parent is a column as in CSV: `Account.Key__c` (Bulk API guide, "Relationship Fields in Records").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

import orjson

from localorg.bulk.operations import Unreadable
from localorg.bulk.rows import Row, Rows
from localorg.bulk.table import columns_in
from localorg.bulk_one.job import Batch
from localorg.bulk_one.wire import NIL, local_name, read_xml
from localorg.errors import OrgError

# Bulk API guide, "Limits", and the limits quick reference: of a batch, and of a record in it.
MOST_RECORDS = 10_000
LARGEST = 10_000_000  # bytes
_MOST_FIELDS = 5_000
_LONGEST_RECORD = 400_000  # characters
_NULL = "#N/A"


class Table(NamedTuple):
    """The names of the fields, and a row for each record, in the order of the request."""

    columns: Row
    rows: list[Row]


def table(batch: Batch) -> Table:
    """Read the records of a batch; raise Unreadable when they cannot be read, or are too many."""
    reader = {"CSV": _csv, "JSON": _json, "XML": _xml}[batch.job.order.content_type]
    found = reader(batch)
    if len(found.rows) > MOST_RECORDS:
        raise Unreadable(f"InvalidBatch : The batch has more than {MOST_RECORDS} records")
    if len(found.columns) > _MOST_FIELDS:
        raise Unreadable(f"InvalidBatch : The records have more than {_MOST_FIELDS} fields")
    return found


def _csv(batch: Batch) -> Table:
    with batch.request.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = Rows(file, ",")
        columns = columns_in(file.readline(), ",")
        taken = rows.take(MOST_RECORDS + 1)
    if taken.broken:
        raise Unreadable(f"InvalidBatch : {taken.broken[0].reason}")
    return Table(columns, taken.rows)


def _json(batch: Batch) -> Table:
    try:
        body = orjson.loads(batch.request.read_bytes())
    except json.JSONDecodeError as error:
        raise Unreadable(f"InvalidBatch : The batch is not JSON: {error}") from error
    if not isinstance(body, list) or not all(isinstance(each, dict) for each in body):
        raise Unreadable("InvalidBatch : The batch is not a list of records")
    return _of_records(_json_record(each) for each in body)


def _json_record(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in record.items():
        if name == "attributes":
            continue
        if isinstance(value, dict):
            parent = ((key, each) for key, each in value.items() if key not in ("attributes", "type"))
            yield from ((f"{name}.{key}", _text(key, each)) for key, each in parent)
        else:
            yield name, _text(name, value)


def _text(name: str, value: Any) -> str:
    """Return a JSON value as a cell has it."""
    if value is None or value == "":
        return _NULL
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise Unreadable(f"InvalidBatch : The value of {name} is not text, a number, a boolean or null")


def _xml(batch: Batch) -> Table:
    try:
        root = read_xml(batch.request.read_bytes())
    except OrgError as error:
        raise Unreadable(f"{error.code} : {error.message}") from error
    if local_name(root) != "sObjects":
        raise Unreadable(f"InvalidBatch : Expected sObjects, found {local_name(root)}")
    return _of_records(_xml_record(each) for each in root)


def _xml_record(record: Element) -> Iterator[tuple[str, str]]:
    for each in record:
        name = local_name(each)
        if len(each):
            # <Account><sObject><Key__c>...</Key__c></sObject></Account>
            yield from ((f"{name}.{key}", text) for key, text in _xml_record(each[0]))
        elif name != "type":
            yield name, _NULL if each.get(NIL, "").lower() in ("true", "1") else each.text or ""


def _of_records(records: Iterable[Iterator[tuple[str, str]]]) -> Table:
    """Return the table of records that may name different fields."""
    at: dict[str, int] = {}
    columns: Row = []
    rows: list[Row] = []
    for number, record in enumerate(records, start=1):
        row = [""] * len(columns)
        for name, text in record:
            place = at.setdefault(name.lower(), len(at))
            if place == len(columns):
                columns.append(name)
            row.extend([""] * (place + 1 - len(row)))
            row[place] = text
        if sum(map(len, row)) > _LONGEST_RECORD:
            raise Unreadable(f"InvalidBatch : Record {number} is longer than {_LONGEST_RECORD} characters")
        rows.append(row)
    if not columns:
        raise Unreadable("InvalidBatch : The batch has no records")
    return Table(columns, [row + [""] * (len(columns) - len(row)) for row in rows])
