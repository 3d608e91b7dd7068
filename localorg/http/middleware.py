"""The way every request goes: counted, let in, perhaps hit by a fault, answered in the platform's shapes, timed."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from localorg import errors
from localorg.errors import OrgError
from localorg.http.answers import answer, bearer, parser_error, read_json
from localorg.http.registry import served
from localorg.lab.costs import TooManyLongRequests
from localorg.lab.faults import AFTER, Fault, objects_in
from localorg.lab.stats import Work, resource
from localorg.org import ORG, Org
from localorg.permissions import User

log = logging.getLogger("localorg")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# REST API guide, "Status Codes and Error Responses": 414 and 431 both begin beyond this, in bytes.
LONGEST_URI = 16_384
_WORTH_COMPRESSING = 1_000
_COMPRESS_IN_A_THREAD = 100_000
_LARGEST_BODY_SEARCHED = 8_000_000

_VERSIONED = re.compile(r"/services/data/v(\d+)\.(\d)(?:/(.*))?", re.DOTALL)
_OPEN_TO_ALL = re.compile(
    r"/services/data/?|/services/oauth2/(?!userinfo)\w*/?|/services/Soap/.*|/\.well-known/openid-configuration",
    re.DOTALL,
)


@web.middleware
async def conduct(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Leads one request through the org; no exception and no HTML leaves it."""
    if request.path.startswith("/localorg/"):
        return await _own_door(request, handler)
    org = request.app[ORG]
    request["work"] = Work()
    org.stats.enter()
    try:
        response = await _visit(org, request, handler)
    finally:
        org.stats.leave()
    return await _dressed(org, request, response)


async def _visit(org: Org, request: web.Request, handler: Handler) -> web.StreamResponse:
    """One request from its arrival to its answer, in the time the cost profile says."""
    name = resource(request.method, request.path, explain="explain" in request.query)
    now = asyncio.get_running_loop().time
    started = now()
    try:
        with org.costs.long_requests.running(started):
            response = await _safely(request, _serve(org, request, handler, name))
            work: Work = request["work"]
            org.stats.note(name, work)
            # What the work took already is part of what it costs.
            await _wait(org.costs.profile.delay(work, name) - (now() - started))
            return response
    except TooManyLongRequests:
        org.stats.note(name, request["work"])
        return _refusal(errors.request_limit_exceeded("ConcurrentPerOrgLongTxn Limit exceeded."))


async def _serve(org: Org, request: web.Request, handler: Handler, name: str) -> web.StreamResponse:
    _check_shape(request)
    with org.acting_as(_let_in(org, request)):
        return await _served(org, request, handler, name)


async def _served(org: Org, request: web.Request, handler: Handler, name: str) -> web.StreamResponse:
    fault = await _fault_for(org, request, name)
    if fault is None:
        return await handler(request)
    if fault.kind not in AFTER:
        return await _struck_before(org, request, handler, fault)
    response = await handler(request)
    return await _struck_after(request, response, fault)


def _check_shape(request: web.Request) -> None:
    """Refuses what is too long, and bodies packed in a way that cannot be read."""
    packed = request.headers.get("Content-Encoding", "identity").strip().lower()
    if packed not in ("gzip", "identity", ""):
        raise OrgError(415, "UNSUPPORTED_MEDIA_TYPE", f"Content-Encoding {packed[:40]} is not supported; gzip is")
    uri = len(request.raw_path)
    if uri > LONGEST_URI:
        raise OrgError(414, "URI_TOO_LONG", f"URI too long: {uri} bytes; at most {LONGEST_URI} are allowed")
    # name, colon, space, value, CR, LF
    headers = sum(len(name) + len(value) + 4 for name, value in request.raw_headers)
    if uri + headers > LONGEST_URI:
        message = f"URI and headers too long: {uri + headers} bytes; at most {LONGEST_URI} are allowed"
        raise OrgError(431, "REQUEST_HEADER_FIELDS_TOO_LARGE", message)


# --- who may come in ----------------------------------------------------------------------------------------------


def _let_in(org: Org, request: web.Request) -> User:
    """The user a request runs as. Checks token, API version and the day's allowance, in the platform's order."""
    if _OPEN_TO_ALL.fullmatch(request.path):
        return org.user
    token = bearer(request)
    session = None if token is None else org.sessions.find(token)
    if session is None or org.faults.expired(session.token):
        raise errors.invalid_session()
    if versioned := _VERSIONED.fullmatch(request.path):
        org.limits.spend()
        if not served(f"{versioned[1]}.{versioned[2]}"):
            raise errors.not_found()
    return session.user


async def _own_door(request: web.Request, handler: Handler) -> web.StreamResponse:
    """/localorg/ is for the machine's own tests: it asks for no token, but answers to loopback only."""
    if not _from_loopback(request.remote):
        return _refusal(OrgError(403, "FORBIDDEN", "/localorg/ answers to clients on the same machine only"))
    return await _safely(request, handler(request))


def _from_loopback(remote: str | None) -> bool:
    try:
        address = ipaddress.ip_address(remote or "")
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


# --- faults -------------------------------------------------------------------------------------------------------


async def _fault_for(org: Org, request: web.Request, name: str) -> Fault | None:
    objects = await _objects_of(org, request) if org.faults.ask_for_objects else set()
    return org.faults.match(request.method, name, objects)


async def _objects_of(org: Org, request: web.Request) -> set[str]:
    """The objects a request is about, by its path, its query and its JSON body, or by its Bulk job."""
    text = f"{request.path} {request.query.get('q', '')}"
    is_json = "json" in request.headers.get("Content-Type", "")
    if is_json and (request.content_length or 0) <= _LARGEST_BODY_SEARCHED:
        # aiohttp keeps what was read, so the handler reads it again.
        text += (await request.read()).decode("utf-8", "replace")
    return objects_in(text) | org.jobs.objects_of(request.match_info.get("job", ""))


async def _struck_before(org: Org, request: web.Request, handler: Handler, fault: Fault) -> web.StreamResponse:
    """A fault that strikes before anything is written; `slow` only takes its time."""
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
    """A fault that strikes when the work is done: the caller cannot tell whether it was."""
    await _wait(fault.seconds)
    if fault.kind == "reset_after_write":
        return _hang_up(request)
    del response
    raise _unavailable(fault)


def _unavailable(fault: Fault) -> OrgError:
    return OrgError(503, "SERVER_UNAVAILABLE", fault.message or "Server unavailable, please try again later")


async def _locked(request: web.Request, fault: Fault) -> web.StreamResponse:
    """A lock that could not be had: inside the answer of a graph, as the platform does, else as the answer."""
    error = errors.unable_to_lock_row()
    if fault.message:
        error = OrgError(error.status, error.code, fault.message, error.fields)
    if not request.path.rstrip("/").lower().endswith("/composite/graph"):
        raise error
    graphs = (await read_json(request)).get("graphs", [])
    return answer({"graphs": [_locked_graph(graph, error) for graph in graphs]})


def _locked_graph(graph: dict[str, Any], error: OrgError) -> dict[str, Any]:
    """A graph rolled back because its first node met a locked row (REST API guide, "Composite Graph")."""
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
    """Resets the TCP connection, so that the client sees no answer at all."""
    if (transport := request.transport) is not None:
        if (connection := transport.get_extra_info("socket")) is not None:
            # Lingering for zero seconds turns the close into a reset.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=503)


async def _wait(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)


# --- refusals -----------------------------------------------------------------------------------------------------


async def _safely(request: web.Request, serving: Awaitable[web.StreamResponse]) -> web.StreamResponse:
    """Turns whatever goes wrong into the platform's error array."""
    try:
        return await serving
    except OrgError as error:
        return _refusal(error)
    except web.HTTPException as error:
        return _refusal(_of_aiohttp(error, request.path)) if error.status >= 400 else error
    except json.JSONDecodeError as error:
        return _refusal(parser_error(error))
    except web.RequestPayloadError as error:
        return _refusal(OrgError(400, "BAD_REQUEST", f"The request body could not be read: {error}"))
    except RecursionError:
        return _refusal(errors.json_parser_error("The request body is nested too deeply"))
    except ConnectionError:
        raise
    except Exception:
        log.exception("%s %s could not be answered", request.method, request.path)
        return _refusal(errors.unknown_exception())


def _refusal(error: OrgError) -> web.Response:
    return answer(error.body(), error.status)


def _of_aiohttp(error: web.HTTPException, path: str) -> OrgError:
    """aiohttp's own refusals: no such route, wrong method, body too large."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        return errors.method_not_allowed(error.method, sorted(error.allowed_methods))
    if isinstance(error, web.HTTPNotFound):
        return _unknown(path)
    return OrgError(error.status, error.reason.upper().replace(" ", "_"), error.text or error.reason)


# Resources of the platform (REST API guide, "Reference") that a client may know and this org does not have.
NOT_IMITATED: dict[str, str] = {
    "actions": "invocable actions",
    "analytics": "the Reports and Dashboards API",
    "appMenu": "app menus",
    "async-queries": "async SOQL",
    "chatter": "the Chatter API",
    "commerce": "the Commerce API",
    "compactLayouts": "layouts",
    "connect": "the Connect API",
    "consent": "the Consent API",
    "einstein": "Einstein",
    "event": "platform event schemas",
    "knowledgeManagement": "Knowledge",
    "licensing": "licensing",
    "metadata": "the Metadata API",
    "parameterizedSearch": "search",
    "process": "processes and approvals",
    "quickActions": "quick actions",
    "search": "search",
    "support": "the Support API",
    "tabs": "tabs",
    "theme": "themes",
    "tooling": "the Tooling API",
    "ui-api": "the User Interface API",
    "wave": "CRM Analytics",
}


def _unknown(path: str) -> OrgError:
    """What no route answers: 501 with the reason for a resource the platform has, 404 for the rest."""
    if re.match(r"/services/(async|Soap)/", path, re.IGNORECASE):
        return errors.not_imitated("Bulk API 1.0 and SOAP (Bulk API 2.0, REST and the SOAP login are there)")
    if (versioned := _VERSIONED.fullmatch(path)) and versioned[3]:
        for start, what in NOT_IMITATED.items():
            if f"{versioned[3].lower()}/".startswith(f"{start.lower()}/"):
                return errors.not_imitated(what)
    return errors.not_found()


# --- the answer's dress -------------------------------------------------------------------------------------------


async def _dressed(org: Org, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Adds the headers every answer carries, and gzip where the caller takes it."""
    if response.prepared:
        return response
    if _VERSIONED.fullmatch(request.path):
        response.headers["Sforce-Limit-Info"] = org.limits.header()
    response.headers.setdefault("Cache-Control", "no-cache,must-revalidate,max-age=0,no-store,private")
    if isinstance(response, web.Response) and "gzip" in request.headers.get("Accept-Encoding", "").lower():
        await _compress(response)
    return response


async def _compress(response: web.Response) -> None:
    body = response.body
    if not isinstance(body, bytes) or len(body) < _WORTH_COMPRESSING:
        return
    response.body = await asyncio.to_thread(_gzip, body) if len(body) > _COMPRESS_IN_A_THREAD else _gzip(body)
    response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"


def _gzip(body: bytes) -> bytes:
    # The fastest level: the other side is on the same machine more often than not.
    packer = zlib.compressobj(level=1, wbits=31)
    return packer.compress(body) + packer.flush()
