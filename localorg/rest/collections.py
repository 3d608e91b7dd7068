"""sObject collections: up to 200 rows in one request, each with its own result (REST API guide, chapter of this name).

The guide does not say everything. Here the whole request is refused with 400 for a field that no object of the request
has, and for a value of the wrong JSON type. It is also refused for more than 200 rows, or more than ten chunks (runs of
rows of one type).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from localorg import errors
from localorg.data.values import row_id
from localorg.errors import OrgError
from localorg.http.registry import RESOURCES, Call, Reply, Way
from localorg.ids import normalise
from localorg.permissions import Action, check
from localorg.rest.query import no_such_type
from localorg.rest.sobjects import the_object
from localorg.schema.model import SObject

MOST_ROWS = 200
MOST_CHUNKS = 10  # runs of rows of one type
MOST_READ = 2_000
MOST_UPDATES = 12  # of one row
_UNDONE = "Record rolled back because not all records were valid and the request was using AllOrNone header"

Result = dict[str, Any]
Row = dict[str, Any]


# --- results ------------------------------------------------------------------------------------------------------


def row_error(error: OrgError) -> Result:
    """Return an error in the form of collections and trees: with `statusCode` in place of `errorCode`."""
    code, message = error.code, error.message
    if code == "NOT_FOUND":  # a row of a collection has no address, so nothing can be "not found"
        code, message = "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"
    return {"statusCode": code, "message": message, "fields": list(error.fields or ())}


def _failed(error: OrgError) -> Result:
    return {"success": False, "errors": [row_error(error)]}


def _succeeded(record_id: str, **more: Any) -> Result:
    return {"id": record_id, "success": True, "errors": [], **more}


class _Undo(Exception):
    """The signal to roll back what was written; it carries the results for the answer."""

    def __init__(self, results: list[Result]) -> None:
        super().__init__()
        self.results = results


def each(
    call: Call, rows: Iterable[Row], write: Callable[[Row], Result], *, all_or_none: bool, creating: bool = False
) -> Reply:
    """Write the rows one by one and return their results in order; with all_or_none, one failure undoes all.

    A row that is undone keeps its id in its result, unless it was to be created.
    """
    before = call.work.written.copy()
    try:
        with call.org.savepoint():
            results = [_one(row, write) for row in rows]
            if all_or_none and not all(result["success"] for result in results):
                raise _Undo(results)
    except _Undo as undo:
        call.work.written = before
        undone = _failed(OrgError(400, "ALL_OR_NONE_OPERATION_ROLLED_BACK", _UNDONE))
        return Reply(200, [_id_of(row, creating) | undone if row["success"] else row for row in undo.results])
    return Reply(200, results)


def _id_of(result: Result, creating: bool) -> Result:
    return {} if creating else {"id": result["id"]}


def _one(row: Row, write: Callable[[Row], Result]) -> Result:
    try:
        return write(row)
    except OrgError as error:
        if error.code == "JSON_PARSER_ERROR" or error.message.startswith("No such column"):
            raise
        return _failed(error)


# --- requests -----------------------------------------------------------------------------------------------------


def _records(call: Call) -> tuple[list[Row], bool]:
    """Return the rows of a request and its allOrNone; raise OrgError when there are too many rows or none."""
    body = call.json_object()
    rows, all_or_none = body.get("records"), body.get("allOrNone", False)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise errors.json_parser_error("Cannot deserialize request body: a list named records was expected")
    if not isinstance(all_or_none, bool | None):
        raise errors.json_parser_error(f"Cannot deserialize instance of boolean from {all_or_none!r}")
    check_count(rows)
    return rows, bool(all_or_none)


def check_count(rows: Sequence[Any], most: int = MOST_ROWS) -> None:
    """Raise OrgError (400) for a request without rows, or with too many."""
    if not rows:
        raise OrgError(400, "INVALID_INPUT", "The request body or query has to name at least one record")
    if len(rows) > most:
        message = f"record limit reached. cannot submit more than {most} records into this call"
        raise OrgError(400, "EXCEEDED_ID_LIMIT", message)


def _typed(call: Call, rows: list[Row]) -> list[tuple[SObject, Row]]:
    """Return the rows, each with the object named in its `attributes`; `attributes` is removed from the row."""
    typed = [(_object_of(call, row), {k: v for k, v in row.items() if k.lower() != "attributes"}) for row in rows]
    _check_chunks([sobject.name for sobject, _ in typed])
    return typed


def _object_of(call: Call, row: Row) -> SObject:
    attributes = row.get("attributes")
    name = attributes.get("type") if isinstance(attributes, dict) else None
    if not isinstance(name, str):
        raise OrgError(400, "INVALID_INPUT", "Every record needs its type in attributes")
    sobject = call.org.schema.object(name)
    if sobject is None:
        raise no_such_type(name)
    return sobject


def _check_chunks(names: list[str]) -> None:
    chunks = sum(name != before for name, before in zip(names, [None, *names], strict=False))
    if chunks > MOST_CHUNKS:
        message = f"The records make {chunks} chunks of one type; at most {MOST_CHUNKS} are allowed in one request"
        raise OrgError(400, "LIMIT_EXCEEDED", message)


def _taken(row: Row, name: str) -> tuple[Any, Row]:
    """Return the value of a key, in upper or lower case, and the row without it."""
    value = next((value for key, value in row.items() if key.lower() == name.lower()), None)
    return value, {key: value for key, value in row.items() if key.lower() != name.lower()}


# --- writing ------------------------------------------------------------------------------------------------------


@RESOURCES.add("POST", "/composite/sobjects", Way.WRITE)
def create_rows(call: Call) -> Reply:
    """Create rows of one or more types, or publish events."""
    rows, all_or_none = _records(call)
    typed = iter(_typed(call, rows))
    return each(call, rows, lambda _row: create_row(call, *next(typed)), all_or_none=all_or_none, creating=True)


def create_row(call: Call, sobject: SObject, row: Row) -> Result:
    """Create one row, or publish one event."""
    if sobject.event:
        return call.org.events.publish(call.user, sobject, row)
    record_id = call.org.records.create(sobject.name, row)
    call.work.write(sobject.name)
    return _succeeded(record_id)


@RESOURCES.add("PATCH", "/composite/sobjects", Way.WRITE)
def update_rows(call: Call) -> Reply:
    """Change rows; each row has its id."""
    rows, all_or_none = _records(call)
    typed = iter(_typed(call, rows))
    seen: Counter[str] = Counter()
    return each(call, rows, lambda _row: _update(call, *next(typed), seen), all_or_none=all_or_none)


def _update(call: Call, sobject: SObject, row: Row, seen: Counter[str]) -> Result:
    record_id, rest = _taken(row, "Id")
    if not record_id:
        raise OrgError(400, "MISSING_ARGUMENT", "Id not specified in an update call", ("Id",))
    full = row_id(sobject, record_id)
    seen[full] += 1
    if seen[full] > MOST_UPDATES:
        raise errors.too_many_updates(full, MOST_UPDATES)
    call.org.records.update(sobject.name, full, rest)
    call.work.write(sobject.name)
    return _succeeded(full)


@RESOURCES.add("PATCH", "/composite/sobjects/{}/{}", Way.WRITE)
def upsert_rows(call: Call, name: str, key: str) -> Reply:
    """Update or create rows of one type by an external id, which each row has."""
    sobject = the_object(call, name)
    field = sobject.field(key)
    if field is None or not (field.external_id or field.id_lookup):
        raise errors.external_id_not_found(key)
    rows, all_or_none = _records(call)
    if any(row_type is not sobject for row in rows if "attributes" in row for row_type in (_object_of(call, row),)):
        raise OrgError(400, "INVALID_INPUT", f"Every record has to be of the type {sobject.name}")
    doubled = _more_than_once(rows, field.name)

    def write(row: Row) -> Result:
        return _upsert(call, sobject, field.name, row, doubled)

    return each(call, rows, write, all_or_none=all_or_none)


def _more_than_once(rows: list[Row], key: str) -> set[str]:
    """Return the external ids, in lower case, that several rows have: none of these rows is written."""
    counted = Counter(str(value).lower() for row in rows if (value := _taken(row, key)[0]) not in (None, ""))
    return {value for value, count in counted.items() if count > 1}


def _upsert(call: Call, sobject: SObject, key: str, row: Row, doubled: set[str]) -> Result:
    value, rest = _taken(row, key)
    if key == "Id" and not value:
        return {**create_row(call, sobject, rest), "created": True}
    if value in (None, ""):
        raise OrgError(400, "MISSING_ARGUMENT", f"{key} not specified", ())
    if str(value).lower() in doubled:
        raise errors.duplicate_external_id(value)
    record_id, created = call.org.records.upsert(sobject.name, key, value, rest)
    call.work.write(sobject.name)
    return _succeeded(record_id, created=created)


@RESOURCES.add("DELETE", "/composite/sobjects", Way.WRITE)
def delete_rows(call: Call) -> Reply:
    """Delete the rows in ?ids=."""
    ids = [word for word in call.query.get("ids", "").split(",") if word]
    check_count(ids)
    names = [_of_id(call, record_id) for record_id in ids]
    _check_chunks([name for name in names if name])
    rows = [{"id": record_id} for record_id in ids]
    return each(call, rows, lambda row: _delete(call, row["id"]), all_or_none=call.flag("allOrNone"))


def _of_id(call: Call, record_id: str) -> str | None:
    full = normalise(record_id)
    sobject = call.org.schema.by_prefix(full[:3]) if full else None
    return sobject.name if sobject else None


def _delete(call: Call, record_id: str) -> Result:
    name, full = _of_id(call, record_id), normalise(record_id)
    if name is None or full is None:
        raise OrgError(400, "MALFORMED_ID", f"malformed id {record_id}", ())
    call.org.records.delete(name, full)
    call.work.write(name)
    return _succeeded(full)


# --- reading ------------------------------------------------------------------------------------------------------


@RESOURCES.add("GET", "/composite/sobjects/{}", Way.READ)
def read_rows(call: Call, name: str) -> Reply:
    """Return the rows in ?ids= with the fields in ?fields=; null in the place of a row that does not exist."""
    return _read(call, the_object(call, name), _words(call, "ids"), _words(call, "fields"))


def _words(call: Call, name: str) -> list[str]:
    return [word.strip() for word in call.query.get(name, "").split(",") if word.strip()]


@RESOURCES.add("POST", "/composite/sobjects/{}", Way.READ)
def read_rows_by_body(call: Call, name: str) -> Reply:
    """Return the same with ids and fields from the body, which has room for more of them than a URL."""
    body = call.json_object()
    ids, fields = body.get("ids"), body.get("fields")
    for words in (ids, fields):
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise errors.json_parser_error("Cannot deserialize request body: ids and fields are lists of texts")
    return _read(call, the_object(call, name), list(ids or ()), list(fields or ()))


def _read(call: Call, sobject: SObject, ids: list[str], fields: list[str]) -> Reply:
    check(call.user, sobject.name, Action.READ)
    if sobject.event:
        raise errors.not_found()
    check_count(ids, MOST_READ)
    if not fields:
        raise OrgError(400, "INVALID_INPUT", "The request has to name at least one field")
    for field in fields:
        if sobject.field(field) is None:
            raise errors.no_such_column(field, sobject.name)
    rows = [_row(call, sobject, record_id, fields) for record_id in ids]
    call.work.rows_read += sum(row is not None for row in rows)
    return Reply(200, rows)


def _row(call: Call, sobject: SObject, record_id: str, fields: list[str]) -> Row | None:
    try:
        return call.org.records.get(sobject.name, record_id, fields, version=call.version)
    except OrgError:
        return None
