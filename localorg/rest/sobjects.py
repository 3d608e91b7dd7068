"""The resource sobjects: objects, rows by id and by external id, and the relationships of a row."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from localorg import errors
from localorg.data.records import SeveralMatches
from localorg.errors import OrgError
from localorg.http.registry import RESOURCES, Call, Reply, Way
from localorg.ids import normalise
from localorg.permissions import Action
from localorg.schema.describe import basic_information, describe, describe_global
from localorg.schema.model import SObject

_RECENT = 5
_FIELD_NAME = re.compile(r"\w+(\.\w+)*", re.ASCII)

# Resources below an object that the platform has and this org does not have.
_NOT_IMITATED = {
    "approvallayouts": "approval layouts",
    "defaultvalues": "default values",
    "layouts": "layouts",
    "listviews": "list views",
    "quickactions": "quick actions",
    "relevantitems": "relevant items",
}


# --- objects ------------------------------------------------------------------------------------------------------


def the_object(call: Call, name: str) -> SObject:
    """Return the object with this name, in any case; raise OrgError 404 when the user can see no such object."""
    found = call.org.schema.object(name)
    if found is None or not (found.event or call.user.profile.allows(found.name, Action.READ)):
        raise errors.not_found()
    return found


@RESOURCES.add("GET", "/sobjects", Way.PLAIN)
def objects(call: Call) -> Reply:
    """Return a short description of every object of the org."""
    if (status := _unmet(call, call.org.opened)) is not None:
        return Reply(status)
    return Reply(200, describe_global(call.org.schema, call.version))


@RESOURCES.add("GET", "/sobjects/{}", Way.READ)
def object_information(call: Call, name: str) -> Reply:
    """Return a short description of one object, and its newest rows."""
    sobject = the_object(call, name)
    newest = [] if sobject.event else _newest(call, sobject)
    call.work.rows_read += len(newest)
    return Reply(200, basic_information(sobject, call.version, newest))


def _newest(call: Call, sobject: SObject) -> list[dict[str, Any]]:
    alive = ' WHERE "IsDeleted" = 0' if sobject.field("IsDeleted") else ""
    newest = f'SELECT "Id" FROM "{sobject.name}"{alive} ORDER BY "Id" DESC LIMIT {_RECENT}'
    fields = [name for name in ("Id", "Name") if sobject.field(name)]
    rows = call.org.connection.execute(newest).fetchall()
    return [call.org.records.get(sobject.name, row[0], fields, version=call.version) for row in rows]


@RESOURCES.add("GET", "/sobjects/{}/describe", Way.PLAIN)
def object_description(call: Call, name: str) -> Reply:
    """Return the full description of one object."""
    sobject = the_object(call, name)
    if (status := _unmet(call, call.org.opened)) is not None:
        return Reply(status)
    return Reply(200, describe(sobject, call.version))


@RESOURCES.add("POST", "/sobjects/{}", Way.WRITE)
def create(call: Call, name: str) -> Reply:
    """Create a row, or publish an event."""
    sobject, body = the_object(call, name), call.json_object()
    if sobject.event:
        return Reply(201, call.org.events.publish(call.user, sobject, body))
    record_id = call.org.records.create(sobject.name, body)
    return _written(call, sobject, record_id, created({"id": record_id, "success": True, "errors": []}, call, sobject))


def created(body: dict[str, Any], call: Call, sobject: SObject) -> Reply:
    """Return 201 with the address of the new row."""
    return Reply(201, body, {"Location": f"{call.base}/sobjects/{sobject.name}/{body['id']}"})


def _written(call: Call, sobject: SObject, record_id: str, reply: Reply) -> Reply:
    call.work.write(sobject.name)
    call.org.recent.note(call.user, sobject.name, record_id)
    return reply


# --- rows ---------------------------------------------------------------------------------------------------------


@RESOURCES.add("GET", "/sobjects/{}/{}", Way.READ)
def read(call: Call, name: str, record_id: str) -> Reply:
    """Return a row, or only its fields named in ?fields=."""
    sobject = the_object(call, name)
    if what := _NOT_IMITATED.get(record_id.lower()):
        raise errors.not_imitated(what)
    return _read(call, sobject, record_id)


def _read(call: Call, sobject: SObject, record_id: str) -> Reply:
    asked = call.query.get("fields")
    fields = None if asked is None else asked.split(",")
    if sobject.event:
        raise errors.not_found()
    if (status := _condition(call, sobject, record_id)) is not None:
        return Reply(status)
    row = call.org.records.get(sobject.name, record_id, fields, version=call.version)
    call.work.rows_read += 1
    if "updatemru=true" in call.headers.get("sforce-mru", "").lower():
        call.org.recent.note(call.user, sobject.name, normalise(record_id) or record_id)
    return Reply(200, row)


def _condition(call: Call, sobject: SObject, record_id: str) -> int | None:
    """Return 304 or 412 when a condition on the last change of a row is not met."""
    if not call.headers.keys() & {"if-modified-since", "if-unmodified-since"}:
        return None
    row = call.org.records.get(sobject.name, record_id, ["LastModifiedDate"])
    return _unmet(call, datetime.fromisoformat(row["LastModifiedDate"]))


def _unmet(call: Call, changed: datetime) -> int | None:
    """Return 304 or 412 when the last change does not meet a condition (REST API guide, "Conditional Requests")."""
    since, until = (_moment(call.headers.get(name)) for name in ("if-modified-since", "if-unmodified-since"))
    if since is not None and changed <= since:
        return 304
    return 412 if until is not None and changed > until else None


def _moment(text: str | None) -> datetime | None:
    """Return an HTTP date; None, which is no condition, when it cannot be read."""
    try:
        moment = parsedate_to_datetime(text) if text else None
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


@RESOURCES.add("PATCH", "/sobjects/{}/{}", Way.WRITE)
def update(call: Call, name: str, record_id: str) -> Reply:
    """Change a row, unless a condition on its last change is not met."""
    sobject = the_object(call, name)
    _stored(sobject)
    until = call.headers.get("if-unmodified-since")
    if until is not None and _moment(until) is None:
        raise OrgError(400, "BAD_REQUEST", f"If-Unmodified-Since is not a date of HTTP: {until}")
    if (status := _condition(call, sobject, record_id)) is not None:
        return Reply(status)
    call.org.records.update(sobject.name, record_id, call.json_object())
    return _written(call, sobject, normalise(record_id) or record_id, Reply(204))


@RESOURCES.add("DELETE", "/sobjects/{}/{}", Way.WRITE)
def delete(call: Call, name: str, record_id: str) -> Reply:
    """Delete a row."""
    sobject = the_object(call, name)
    _stored(sobject)
    call.org.records.delete(sobject.name, record_id)
    call.work.write(sobject.name)
    return Reply(204)


@RESOURCES.add("POST", "/sobjects/{}/{}", Way.WRITE)
def create_by_id(call: Call, name: str, record_id: str) -> Reply:
    """Create a row by POST to T/Id; refuse a POST to a row."""
    if record_id.lower() == "id":
        return create(call, name)
    the_object(call, name)
    raise errors.method_not_allowed("POST", ("DELETE", "GET", "HEAD", "PATCH"))


def _stored(sobject: SObject) -> None:
    if sobject.event:
        raise OrgError(400, "INVALID_TYPE_FOR_OPERATION", f"entity type cannot be updated: {sobject.name}")


# --- rows by external id, and relations of a row ------------------------------------------------------------------


@RESOURCES.add("GET", "/sobjects/{}/{}/{+}", Way.READ)
def read_by_key(call: Call, name: str, key: str, value: str) -> Reply:
    """Return a row by an external id (300 with the addresses of several), or the target of a row's relationship."""
    sobject = the_object(call, name)
    _stored(sobject)
    if key.lower() == "describe":
        raise errors.not_imitated("layouts")
    if _is_row(sobject, key):
        return _follow(call, sobject, key, value)
    try:
        return _read(call, sobject, call.org.records.by_key(sobject.name, key, value))
    except SeveralMatches as error:
        return several(call, error)


@RESOURCES.add("PATCH", "/sobjects/{}/{}/{+}", Way.WRITE)
def upsert(call: Call, name: str, key: str, value: str) -> Reply:
    """Update the row with this external id, or create it unless ?updateOnly=true; or change the parent of a row."""
    sobject = the_object(call, name)
    _stored(sobject)
    if _is_row(sobject, key):
        parent, parent_id = _parent(call, sobject, key, value)
        return update(call, parent.name, parent_id)
    only = call.flag("updateOnly")
    try:
        record_id, new = call.org.records.upsert(sobject.name, key, value, call.json_object(), update_only=only)
    except SeveralMatches as error:
        return several(call, error)
    body = {"id": record_id, "success": True, "errors": [], "created": new}
    return _written(call, sobject, record_id, created(body, call, sobject) if new else Reply(200, body))


@RESOURCES.add("DELETE", "/sobjects/{}/{}/{+}", Way.WRITE)
def delete_by_key(call: Call, name: str, key: str, value: str) -> Reply:
    """Delete the row with this external id, or the parent of a row."""
    sobject = the_object(call, name)
    _stored(sobject)
    if _is_row(sobject, key):
        parent, parent_id = _parent(call, sobject, key, value)
        return delete(call, parent.name, parent_id)
    try:
        record_id = call.org.records.by_key(sobject.name, key, value)
    except SeveralMatches as error:
        return several(call, error)
    return delete(call, sobject.name, record_id)


def several(call: Call, error: SeveralMatches) -> Reply:
    """Return the answer for an external id that fits several rows: 300, and nothing is done."""
    return Reply(300, several_urls(error, call.version))


def several_urls(error: SeveralMatches, version: str) -> list[str]:
    """Return the addresses of the rows that fit an external id."""
    return [f"/services/data/v{version}/sobjects/{error.object_name}/{record_id}" for record_id in error.ids]


def _is_row(sobject: SObject, key: str) -> bool:
    return sobject.field(key) is None and normalise(key) is not None


def _parent(call: Call, sobject: SObject, record_id: str, relationship: str) -> tuple[SObject, str]:
    """Return the row that a reference points to; raise OrgError 404 when it is empty.

    Source: REST API guide, "sObject Relationships".
    """
    field = sobject.parent(relationship)
    if field is None:
        raise errors.not_found()
    target = call.org.records.get(sobject.name, record_id, [field.name])[field.name]
    parent = call.org.schema.by_prefix(target[:3]) if target else None
    if parent is None:
        raise errors.not_found()
    return parent, target


def _follow(call: Call, sobject: SObject, record_id: str, relationship: str) -> Reply:
    child = sobject.child(relationship)
    if child is None:
        return _read(call, *_parent(call, sobject, record_id, relationship))
    full = call.org.records.get(sobject.name, record_id, ["Id"])["Id"]
    fields = call.query.get("fields") or ",".join(field.name for field in the_object(call, child.child).fields)
    for name in fields.split(","):
        if _FIELD_NAME.fullmatch(name.strip()) is None:
            raise errors.no_such_column(name, child.child)
    text = f"SELECT {fields} FROM {child.child} WHERE {child.field} = '{full}'"
    found = call.org.soql.query(text, version=call.version)
    call.work.rows_read += found.rows
    return Reply(200, found.body)
