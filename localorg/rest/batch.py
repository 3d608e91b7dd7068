"""Batch: up to 25 independent requests in one (REST API guide, "Composite Batch").

Each request is a transaction of its own and counts against the day's API requests.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from localorg import errors
from localorg.errors import OrgError
from localorg.http.answers import answer
from localorg.http.registry import Call, Reply, refused
from localorg.lab.stats import Work
from localorg.org import ORG, Org
from localorg.rest.composite import inner
from localorg.rest.query import read_object

MOST_REQUESTS = 25
_METHODS = frozenset({"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"})
_HALTED = Reply(412, [{"errorCode": "BATCH_PROCESSING_HALTED", "message": "Batch processing halted per request"}])

routes = web.RouteTableDef()


class _Undo(Exception):
    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply


@routes.post(r"/services/data/v{version:[0-9]+\.[0-9]}/composite/batch{slash:/?}")
async def batch(request: web.Request) -> web.StreamResponse:
    """Run one request after the other; with haltOnError, stop after the first one that fails."""
    org = request.app[ORG]
    payload = await read_object(request)
    requests, halt = _read(payload)
    call = Call(org, org.caller, request["work"], "POST", request.match_info["version"], "/composite/batch")
    replies: list[Reply] = []
    for each in requests:
        failed = halt and any(reply.status >= 400 for reply in replies)
        replies.append(_HALTED if failed else await _one(org, call, each))
    results = [{"statusCode": reply.status, "result": reply.body} for reply in replies]
    return answer({"hasErrors": any(reply.status >= 400 for reply in replies), "results": results})


def _read(payload: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    listed, halt = payload.get("batchRequests"), payload.get("haltOnError", False)
    if not isinstance(listed, list) or not listed:
        raise OrgError(400, "INVALID_INPUT", "The request needs a list named batchRequests, with at least one request")
    if not isinstance(halt, bool | None):
        raise errors.json_parser_error("Cannot deserialize instance of boolean from the value of haltOnError")
    if len(listed) > MOST_REQUESTS:
        message = f"A batch takes at most {MOST_REQUESTS} requests; provided: {len(listed)}"
        raise OrgError(400, "LIMIT_EXCEEDED", message)
    for each in listed:
        method = each.get("method") if isinstance(each, dict) else None
        if not isinstance(method, str) or method.upper() not in _METHODS or not isinstance(each.get("url"), str):
            raise OrgError(400, "INVALID_INPUT", "Every request of a batch needs a method and a url")
    return listed, bool(halt)


async def _one(org: Org, call: Call, given: dict[str, Any]) -> Reply:
    org.limits.spend()
    url: str = given["url"]
    whole = url if url.startswith("/services/data/") else f"/services/data/{url.lstrip('/')}"
    work = Work()
    try:
        reply = await org.transaction(_kept, call, given["method"].upper(), whole, given.get("richInput"), work)
    except _Undo as undo:
        return undo.reply
    except OrgError as error:
        return refused(error)
    call.work.rows_read += work.rows_read
    call.work.written.update(work.written)
    return reply


def _kept(call: Call, method: str, url: str, body: Any, work: Work) -> Reply:
    reply = inner(call, method, url, body, {}, work)
    if reply.status >= 400:
        raise _Undo(reply)
    return reply
