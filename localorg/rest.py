"""The REST resources query and sobjects: each handler reads the request, asks the org one thing, and answers."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from localorg import errors
from localorg.describe import basic_information, describe, describe_global
from localorg.middleware import answer, read_json
from localorg.org import ORG, Org
from localorg.records import SeveralMatches
from localorg.schema import SObject

routes = web.RouteTableDef()

_DATA = r"/services/data/v{version:\d+\.\d}"
_SLASH = "{slash:/?}"
_OBJECT = _DATA + "/sobjects/{object:[^/]+}"
_ROW = _OBJECT + "/{id:[^/]+}" + _SLASH
_KEY = _OBJECT + "/{field:[^/]+}/{value:.+?}" + _SLASH
_BATCH_SIZE = re.compile(r"\bbatchSize\s*=\s*(\d+)", re.IGNORECASE)
_RECENT = 5

# Resources below an object that the platform has and this org has not.
_NOT_IMITATED = {
    "approvallayouts": "approval layouts",
    "deleted": "the list of deleted rows (queryAll with IsDeleted = true is there)",
    "defaultvalues": "default values",
    "layouts": "layouts",
    "listviews": "list views",
    "quickactions": "quick actions",
    "relevantitems": "relevant items",
    "updated": "the list of updated rows (a query on SystemModstamp is there)",
}


async def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object a request carries; raises OrgError (400 JSON_PARSER_ERROR)."""
    body = await read_json(request)
    if not isinstance(body, dict):
        raise errors.json_parser_error("Cannot deserialize request body: a JSON object was expected")
    return body


# --- query --------------------------------------------------------------------------------------------------------


@routes.get(_DATA + "/query" + _SLASH)
async def query(request: web.Request) -> web.StreamResponse:
    """Runs a query, or with explain= only says how it would run."""
    if "explain" in request.query:
        org = request.app[ORG]
        return answer(await org.run(org.soql.explain, request.query["explain"]))
    return await _query(request, deleted=False)


@routes.get(_DATA + "/queryAll" + _SLASH)
async def query_all(request: web.Request) -> web.StreamResponse:
    """Runs a query that sees the recycle bin too."""
    return await _query(request, deleted=True)


async def _query(request: web.Request, *, deleted: bool) -> web.StreamResponse:
    org, text = request.app[ORG], request.query.get("q")
    if text is None:
        raise errors.malformed_query("A query string has to be specified")
    version = request.match_info["version"]
    found = await org.run(org.soql.query, text, version=version, batch_size=_batch_size(request), deleted=deleted)
    request["work"].rows_read += found.rows
    return answer(found.body)


def _batch_size(request: web.Request) -> int:
    """Rows a page from Sforce-Query-Options: 200 to 2,000, and 2,000 when not asked for."""
    asked = _BATCH_SIZE.search(request.headers.get("Sforce-Query-Options", ""))
    return min(max(int(asked[1]), 200), 2000) if asked else 2000


@routes.get(_DATA + "/query/{locator:[^/]+}" + _SLASH)
async def query_more(request: web.Request) -> web.StreamResponse:
    """The next page of a query."""
    org = request.app[ORG]
    found = await org.run(org.soql.more, request.match_info["locator"], version=request.match_info["version"])
    request["work"].rows_read += found.rows
    return answer(found.body)


# --- objects ------------------------------------------------------------------------------------------------------


@routes.get(_DATA + "/sobjects" + _SLASH)
async def objects(request: web.Request) -> web.StreamResponse:
    """Every object of the org in short."""
    return answer(describe_global(request.app[ORG].schema, request.match_info["version"]))


@routes.get(_OBJECT + _SLASH)
async def object_information(request: web.Request) -> web.StreamResponse:
    """One object in short, and its newest rows."""
    org, version, sobject = request.app[ORG], request.match_info["version"], _object(request)
    recent = await org.run(_recent, org, sobject, version)
    request["work"].rows_read += len(recent)
    return answer(basic_information(sobject, version, recent))


def _recent(org: Org, sobject: SObject, version: str) -> list[dict[str, Any]]:
    newest = f'SELECT "Id" FROM "{sobject.name}" WHERE "IsDeleted" = 0 ORDER BY "Id" DESC LIMIT {_RECENT}'
    fields = [name for name in ("Id", "Name") if sobject.field(name)]
    rows = org.connection.execute(newest).fetchall()
    return [org.records.get(sobject.name, row[0], fields, version=version) for row in rows]


@routes.get(_OBJECT + "/describe" + _SLASH)
async def object_description(request: web.Request) -> web.StreamResponse:
    """One object in full."""
    return answer(describe(_object(request), request.match_info["version"]))


@routes.post(_OBJECT + _SLASH)
async def create(request: web.Request) -> web.StreamResponse:
    """Creates a row."""
    return await _create(request, await read_object(request))


async def _create(request: web.Request, body: dict[str, Any]) -> web.Response:
    org, sobject = request.app[ORG], _object(request)
    record_id = await org.transaction(org.records.create, sobject.name, body)
    request["work"].write(sobject.name)
    return _created(request, sobject, record_id, {})


def _created(request: web.Request, sobject: SObject, record_id: str, more: dict[str, Any]) -> web.Response:
    location = f"/services/data/v{request.match_info['version']}/sobjects/{sobject.name}/{record_id}"
    return answer({"id": record_id, "success": True, "errors": [], **more}, 201, {"Location": location})


def _object(request: web.Request) -> SObject:
    found = request.app[ORG].schema.object(request.match_info["object"])
    if found is None:
        raise errors.not_found()
    return found


# --- rows ---------------------------------------------------------------------------------------------------------


@routes.get(_ROW)
async def read(request: web.Request) -> web.StreamResponse:
    """A row, or the fields of it named in ?fields=."""
    sobject, record_id = _object(request), request.match_info["id"]
    if what := _NOT_IMITATED.get(record_id.lower()):
        raise errors.not_imitated(what)
    return await _read(request, sobject, record_id)


async def _read(request: web.Request, sobject: SObject, record_id: str) -> web.Response:
    org, asked = request.app[ORG], request.query.get("fields")
    fields = None if asked is None else asked.split(",")
    version = request.match_info["version"]
    row = await org.run(org.records.get, sobject.name, record_id, fields, version=version)
    request["work"].rows_read += 1
    return answer(row)


@routes.patch(_ROW)
async def update(request: web.Request) -> web.StreamResponse:
    """Changes a row."""
    org, sobject = request.app[ORG], _object(request)
    body = await read_object(request)
    await org.transaction(org.records.update, sobject.name, request.match_info["id"], body)
    request["work"].write(sobject.name)
    return web.Response(status=204)


@routes.delete(_ROW)
async def delete(request: web.Request) -> web.StreamResponse:
    """Deletes a row."""
    org, sobject = request.app[ORG], _object(request)
    await org.transaction(org.records.delete, sobject.name, request.match_info["id"])
    request["work"].write(sobject.name)
    return web.Response(status=204)


@routes.post(_ROW)
async def create_or_tunnel(request: web.Request) -> web.StreamResponse:
    """POST to T/Id creates; to a row it stands for the method named in ?_HttpMethod= (clients that know no PATCH)."""
    if request.match_info["id"].lower() == "id":
        return await create(request)
    method = request.query.get("_HttpMethod", "").upper()
    if method not in ("PATCH", "DELETE"):
        raise errors.method_not_allowed("POST", ("DELETE", "GET", "HEAD", "PATCH"))
    return await (update(request) if method == "PATCH" else delete(request))


# --- rows by external id ------------------------------------------------------------------------------------------


@routes.get(_KEY)
async def read_by_key(request: web.Request) -> web.StreamResponse:
    """A row by an external id; 300 with the addresses when several fit."""
    org, sobject, where = request.app[ORG], _object(request), request.match_info
    if where["field"].lower() == "describe":
        raise errors.not_imitated("layouts")
    try:
        record_id = await org.run(org.records.by_key, sobject.name, where["field"], where["value"])
    except SeveralMatches as error:
        return several(error, where["version"])
    return await _read(request, sobject, record_id)


@routes.patch(_KEY)
async def upsert(request: web.Request) -> web.StreamResponse:
    """Updates the row with this external id, or creates it unless ?updateOnly=true."""
    org, sobject, where = request.app[ORG], _object(request), request.match_info
    body = await read_object(request)
    update_only = request.query.get("updateOnly", "").lower() == "true"
    try:
        record_id, created = await org.transaction(
            org.records.upsert, sobject.name, where["field"], where["value"], body, update_only=update_only
        )
    except SeveralMatches as error:
        return several(error, where["version"])
    request["work"].write(sobject.name)
    if created:
        return _created(request, sobject, record_id, {"created": True})
    return answer({"id": record_id, "success": True, "errors": [], "created": False})


@routes.delete(_KEY)
async def delete_by_key(request: web.Request) -> web.StreamResponse:
    """Deletes the row with this external id."""
    org, sobject, where = request.app[ORG], _object(request), request.match_info
    try:
        await org.transaction(_delete_by_key, org, sobject.name, where["field"], where["value"])
    except SeveralMatches as error:
        return several(error, where["version"])
    request["work"].write(sobject.name)
    return web.Response(status=204)


def _delete_by_key(org: Org, object_name: str, field_name: str, value: str) -> None:
    org.records.delete(object_name, org.records.by_key(object_name, field_name, value))


def several_urls(error: SeveralMatches, version: str) -> list[str]:
    """The addresses of the rows that fit an external id."""
    return [f"/services/data/v{version}/sobjects/{error.object_name}/{record_id}" for record_id in error.ids]


def several(error: SeveralMatches, version: str) -> web.Response:
    """The answer when an external id fits several rows: 300, nothing done."""
    return answer(several_urls(error, version), 300)
