"""The HTTP handler of all REST resources, and the resources query and queryAll."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from localorg import errors
from localorg.http.answers import answer, read_json
from localorg.http.registry import RESOURCES, Call, Handler, Reply, Way
from localorg.org import ORG, Org

routes = web.RouteTableDef()

_TUNNELLED = frozenset({"PATCH", "DELETE"})
_WITH_BODY = frozenset({"POST", "PATCH", "PUT"})
_NAMES = "query|queryAll|tooling/query|sobjects|recent|limits|composite/sobjects|composite/tree"
_BATCH_SIZE = re.compile(r"\bbatchSize\s*=\s*(\d{1,9})", re.IGNORECASE | re.ASCII)
_FROM = re.compile(r"\bFROM\s+(\w+)", re.IGNORECASE)


# --- HTTP ---------------------------------------------------------------------------------------------------------


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in a request's body; raise OrgError (400 JSON_PARSER_ERROR) when there is none."""
    body = await read_json(request)
    if not isinstance(body, dict):
        raise errors.json_parser_error("Cannot deserialize request body: a JSON object was expected")
    return body


@routes.route("*", r"/services/data/v{version:[0-9]+\.[0-9]}{path:/(?:" + _NAMES + r")(?:/.*)?}")
@routes.post(r"/services/data/v{version:[0-9]+\.[0-9]}{path:/composite/?}")
async def serve(request: web.Request) -> web.StreamResponse:
    """Serve any registered resource."""
    org = request.app[ORG]
    method = _method(request)
    path = request.rel_url.raw_path.partition(f"/v{request.match_info['version']}")[2]
    handler = RESOURCES.handler(method, path)
    if handler is None:
        raise errors.not_found()
    call = Call(
        org,
        org.caller,
        request["work"],
        method,
        request.match_info["version"],
        path,
        dict(request.query),
        await read_json(request) if method in _WITH_BODY else None,
        {name.lower(): value for name, value in request.headers.items()},
    )
    return responded(await performed(org, handler, call))


def _method(request: web.Request) -> str:
    """Return the HTTP method that is meant: clients without PATCH send a POST with ?_HttpMethod=PATCH."""
    meant = request.query.get("_HttpMethod", "").upper()
    return meant if request.method == "POST" and meant in _TUNNELLED else request.method


async def performed(org: Org, handler: Handler, call: Call) -> Reply:
    """Run a resource in the way it is registered for, and return its reply."""
    if handler.way is Way.PLAIN:
        return handler.answer(call)
    if handler.way is Way.READ:
        return await org.run(handler.answer, call)
    return await org.transaction(handler.answer, call)


def responded(reply: Reply) -> web.Response:
    """Return a reply as an HTTP answer."""
    if reply.body is None:
        return web.Response(status=reply.status, headers=reply.headers)
    return answer(reply.body, reply.status, dict(reply.headers))


# --- query --------------------------------------------------------------------------------------------------------


@RESOURCES.add("GET", "/query", Way.READ)
def query(call: Call) -> Reply:
    """Run a query; with explain= return only its plan, with columns=true only its columns."""
    if "explain" in call.query:
        return Reply(200, call.org.soql.explain(call.query["explain"]))
    return _query(call, deleted=False)


@RESOURCES.add("GET", "/queryAll", Way.READ)
def query_all(call: Call) -> Reply:
    """Run a query that includes the recycle bin; its next pages are read like those of query."""
    return _query(call, deleted=True)


def _query(call: Call, *, deleted: bool) -> Reply:
    text = call.query.get("q")
    if text is None:
        raise errors.malformed_query("A query string has to be specified")
    if call.flag("columns"):
        return Reply(200, call.org.soql.columns(text))
    found = call.org.soql.query(text, version=call.version, batch_size=_batch_size(call), deleted=deleted)
    call.work.rows_read += found.rows
    return Reply(200, found.body)


def _batch_size(call: Call) -> int:
    """Return the rows of a page from Sforce-Query-Options: 200 to 2,000; 2,000 when the header is missing."""
    asked = _BATCH_SIZE.search(call.headers.get("sforce-query-options", ""))
    return min(max(int(asked[1]), 200), 2000) if asked else 2000


@RESOURCES.add("GET", "/query/{}", Way.READ)
@RESOURCES.add("GET", "/queryAll/{}", Way.READ)
def query_more(call: Call, locator: str) -> Reply:
    """Return the next page of a query."""
    found = call.org.soql.more(locator, version=call.version)
    call.work.rows_read += found.rows
    return Reply(200, found.body)


@RESOURCES.add("GET", "/tooling/query", Way.PLAIN)
def tooling_query(call: Call) -> Reply:
    """Refuse the Tooling API's query: this org has none of its objects."""
    named = _FROM.search(call.query.get("q", ""))
    if named is None:
        raise errors.malformed_query("A query string has to be specified")
    raise no_such_type(named[1])


def no_such_type(name: str) -> errors.OrgError:
    """Return the refusal for an object that a query or a record names and that the org does not have."""
    advice = (
        "If you are attempting to use a custom object, be sure to append the '__c' after the entity name. "
        "Please reference your WSDL or the describe call for the appropriate names."
    )
    return errors.OrgError(400, "INVALID_TYPE", f"sObject type '{name}' is not supported. {advice}")
