"""How a fault hits a request: before or after its work; as an error, a lock, or a connection that is reset."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

from aiohttp import web

from localorg import errors
from localorg.errors import OrgError
from localorg.http.answers import Handler, answer, bearer, read_json
from localorg.lab.faults import AFTER, Fault, objects_in
from localorg.org import ORG, Org

BULK_OBJECTS: web.AppKey[Callable[[web.Request], set[str]]] = web.AppKey("bulk_objects")
"""Where a fault asks for the object of the Bulk job that a request is about."""


async def serve(request: web.Request, handler: Handler, name: str) -> web.StreamResponse:
    """Serve a request of the resource ``name``; a fault that matches hits it. Raise OrgError on refusal."""
    org = request.app[ORG]
    fault = await _fault_for(org, request, name)
    if fault is None:
        return await handler(request)
    if fault.kind not in AFTER:
        return await _struck_before(org, request, handler, fault)
    response = await handler(request)
    return await _struck_after(request, response, fault)


async def _fault_for(org: Org, request: web.Request, name: str) -> Fault | None:
    objects = await _objects_of(request) if org.faults.ask_for_objects else set()
    return org.faults.match(request.method, name, objects)


async def _objects_of(request: web.Request) -> set[str]:
    """Return the objects of a request: those in its path, its query and its JSON body, or that of its Bulk job."""
    text = f"{request.path} {request.query.get('q', '')}"
    is_json = "json" in request.headers.get("Content-Type", "")
    if is_json and (request.content_length or 0) <= _LARGEST_BODY_SEARCHED:
        # aiohttp keeps the body that was read, so the handler can read it again.
        text += (await request.read()).decode("utf-8", "replace")
    return objects_in(text) | request.app[BULK_OBJECTS](request)


async def _struck_before(org: Org, request: web.Request, handler: Handler, fault: Fault) -> web.StreamResponse:
    """Apply a fault that hits before anything is written; `slow` only waits."""
    await _wait(fault.seconds)
    match fault.kind:
        case "slow":
            return await handler(request)
        case "fail_before_write":
            raise _unavailable(fault)
        case "reset_before_write":
            return _hang_up(request)
        case "lock":
            return await _locked(request, fault)
        case "limit":
            raise errors.request_limit_exceeded(fault.message or "ConcurrentPerOrgLongTxn Limit exceeded.")
        case _:
            org.faults.expire(bearer(request) or "")
            raise errors.invalid_session()


async def _struck_after(request: web.Request, response: web.StreamResponse, fault: Fault) -> web.StreamResponse:
    """Apply a fault that hits when the work is done: the caller cannot know that it was done."""
    await _wait(fault.seconds)
    if fault.kind == "reset_after_write":
        return _hang_up(request)
    del response
    raise _unavailable(fault)


def _unavailable(fault: Fault) -> OrgError:
    return OrgError(503, "SERVER_UNAVAILABLE", fault.message or "Server unavailable, please try again later")


async def _locked(request: web.Request, fault: Fault) -> web.StreamResponse:
    """Answer that a row is locked: for a graph inside its answer, as the platform does, otherwise as an error."""
    error = errors.unable_to_lock_row()
    if fault.message:
        error = OrgError(error.status, error.code, fault.message, error.fields)
    if not request.path.rstrip("/").lower().endswith("/composite/graph"):
        raise error
    graphs = (await read_json(request)).get("graphs", [])
    return answer({"graphs": [_locked_graph(graph, error) for graph in graphs]})


def _locked_graph(graph: dict[str, Any], error: OrgError) -> dict[str, Any]:
    """Return a graph that was rolled back because its first node met a locked row.

    Source: REST API guide, "Composite Graph".
    """
    halted = "The transaction was rolled back since another operation in the same transaction failed."
    results = [
        {
            "body": error.body() if index == 0 else [{"errorCode": "PROCESSING_HALTED", "message": halted}],
            "httpHeaders": {},
            "httpStatusCode": 400,
            "referenceId": node.get("referenceId"),
        }
        for index, node in enumerate(graph.get("compositeRequest", []))
    ]
    return {"graphId": graph.get("graphId"), "graphResponse": {"compositeResponse": results}, "isSuccessful": False}


def _hang_up(request: web.Request) -> web.StreamResponse:
    """Reset the TCP connection, so that the client gets no answer at all."""
    if (transport := request.transport) is not None:
        if (connection := transport.get_extra_info("socket")) is not None:
            # With a linger time of zero seconds, closing the connection resets it.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=503)


async def _wait(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)


_LARGEST_BODY_SEARCHED = 8_000_000
