"""The steps of every request: count it, check the caller, apply a fault, answer as the platform does, take the time."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
import time
import zlib
from collections.abc import Awaitable

from aiohttp import web

from localorg import errors
from localorg.errors import OrgError
from localorg.http import bulk_one, strikes
from localorg.http.answers import Handler, answer, bearer, is_bulk_one, parser_error
from localorg.http.registry import served
from localorg.lab.costs import TooManyLongRequests
from localorg.lab.stats import Work, resource
from localorg.org import ORG, Org
from localorg.permissions import User

log = logging.getLogger("localorg")


# REST API guide, "Status Codes and Error Responses": above this size, in bytes, the platform sends 414 and 431.
LONGEST_URI = 16_384
_WORTH_COMPRESSING = 1_000
_COMPRESS_IN_A_THREAD = 100_000

_VERSIONED = re.compile(r"/services/data/v(\d+)\.(\d)(?:/(.*))?", re.DOTALL | re.ASCII)
_BULK_ONE = re.compile(r"/services/async/(\d+\.\d)(?:/.*)?", re.DOTALL | re.ASCII)
_OPEN_TO_ALL = re.compile(
    r"/services/data/?|/services/oauth2/(?!userinfo)\w*/?|/services/Soap/.*|/\.well-known/openid-configuration",
    re.DOTALL,
)
_IDENTITY = re.compile(r"/id/.*|/services/oauth2/userinfo/?", re.DOTALL)


@web.middleware
async def conduct(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve one request; the client never gets an unhandled exception, nor HTML."""
    if request.path == "/" or request.path.startswith("/localorg/"):
        return await _own_door(request, handler)
    if request.path == "/cometd" or request.path.startswith("/cometd/"):
        return await _safely(request, handler(request))  # it checks tokens itself, and its requests are long
    org = request.app[ORG]
    request["work"] = Work()
    org.stats.enter()
    began, now = time.time(), asyncio.get_running_loop().time
    started = now()
    try:
        response = await _visit(org, request, handler)
    finally:
        org.stats.leave()
        org.stats.remember(_resource_of(request), began, now() - started, request["work"])
    return await _dressed(org, request, response)


async def _visit(org: Org, request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve one request, and wait until it has taken the time that the cost profile says."""
    name = _resource_of(request)
    now = asyncio.get_running_loop().time
    started = now()
    try:
        with org.costs.long_requests.running(started):
            response = await _safely(request, _serve(org, request, handler, name))
            work: Work = request["work"]
            org.stats.note(name, work)
            # The time that the work has taken is part of the cost, so wait only for the rest.
            await asyncio.sleep(max(0.0, org.costs.profile.delay(work, name) - (now() - started)))
            return response
    except TooManyLongRequests:
        org.stats.note(name, request["work"])
        return _answer_to(request, errors.request_limit_exceeded("ConcurrentPerOrgLongTxn Limit exceeded."))


def _resource_of(request: web.Request) -> str:
    return resource(request.method, request.path, explain="explain" in request.query)


async def _serve(org: Org, request: web.Request, handler: Handler, name: str) -> web.StreamResponse:
    _check_shape(request)
    with org.acting_as(_let_in(org, request)):
        return await strikes.serve(request, handler, name)


def _check_shape(request: web.Request) -> None:
    """Refuse a request that is too long, or whose body is packed in a way that cannot be read."""
    packed = request.headers.get("Content-Encoding", "identity").strip().lower()
    # Not deflate, which the platform takes: aiohttp 3.14 never answers when such a body ends too early.
    if packed not in ("gzip", "identity", ""):
        raise OrgError(415, "UNSUPPORTED_MEDIA_TYPE", f"Content-Encoding {packed[:40]} is not supported; gzip is")
    uri = len(request.raw_path)
    if uri > LONGEST_URI:
        raise OrgError(414, "URI_TOO_LONG", f"URI too long: {uri} bytes; at most {LONGEST_URI} are allowed")
    # Each header is: name, colon, space, value, CR, LF.
    headers = sum(len(name) + len(value) + 4 for name, value in request.raw_headers)
    if uri + headers > LONGEST_URI:
        message = f"URI and headers too long: {uri + headers} bytes; at most {LONGEST_URI} are allowed"
        raise OrgError(431, "REQUEST_HEADER_FIELDS_TOO_LARGE", message)


# --- who may call -------------------------------------------------------------------------------------------------


def _let_in(org: Org, request: web.Request) -> User:
    """Return the user of a request. Check token, API version and the day's allowance, in the platform's order."""
    if _OPEN_TO_ALL.fullmatch(request.path):
        return org.user
    token = bearer(request)
    session = None if token is None else org.sessions.find(token)
    if session is None or org.faults.expired(session.token):
        identity = _IDENTITY.fullmatch(request.path)
        raise errors.no_oauth_token(missing=not token) if identity else errors.invalid_session()
    if versioned := _VERSIONED.fullmatch(request.path):
        org.limits.spend()
        if not served(f"{versioned[1]}.{versioned[2]}"):
            raise errors.not_found()
    elif bulk := _BULK_ONE.fullmatch(request.path):
        org.limits.spend()
        if not served(bulk[1]):
            raise OrgError(400, "InvalidVersion", f"Api version is invalid: {bulk[1]}")
    return session.user


async def _own_door(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve / and /localorg/, for this machine: no token is needed, but only loopback addresses may call it."""
    if not _from_loopback(request.remote):
        return _refusal(OrgError(403, "FORBIDDEN", "/ and /localorg/ answer to clients on the same machine only"))
    return await _safely(request, handler(request))


def _from_loopback(remote: str | None) -> bool:
    try:
        address = ipaddress.ip_address(remote or "")
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


# --- refusals -----------------------------------------------------------------------------------------------------


async def _safely(request: web.Request, serving: Awaitable[web.StreamResponse]) -> web.StreamResponse:
    """Convert every failure to the platform's error array."""
    try:
        return await serving
    except OrgError as error:
        return _answer_to(request, error)
    except web.HTTPException as error:
        return _answer_to(request, _of_aiohttp(error, request.path)) if error.status >= 400 else error
    except json.JSONDecodeError as error:
        return _answer_to(request, parser_error(error))
    except web.RequestPayloadError as error:
        return _answer_to(request, OrgError(400, "BAD_REQUEST", f"The request body could not be read: {error}"))
    except RecursionError:
        return _answer_to(request, errors.json_parser_error("The request body is nested too deeply"))
    except ConnectionError:
        raise
    except Exception:
        log.exception("%s %s could not be answered", request.method, request.path)
        return _answer_to(request, errors.unknown_exception())


def _answer_to(request: web.Request, error: OrgError) -> web.Response:
    if error.code in errors.OF_IDENTITY:
        return web.Response(text=error.code, status=error.status)
    return bulk_one.refusal(request, error) if is_bulk_one(request.path) else _refusal(error)


def _refusal(error: OrgError) -> web.Response:
    return answer(error.body(), error.status)


def _of_aiohttp(error: web.HTTPException, path: str) -> OrgError:
    """Convert a refusal of aiohttp: no such route, wrong method, body too large."""
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
    """Return the error for a path without a route: 501 with the reason for a platform resource, otherwise 404."""
    if path.lower().startswith("/services/soap/"):
        return errors.not_imitated("SOAP (REST and the SOAP login are there)")
    if (versioned := _VERSIONED.fullmatch(path)) and versioned[3]:
        for start, what in NOT_IMITATED.items():
            if f"{versioned[3].lower()}/".startswith(f"{start.lower()}/"):
                return errors.not_imitated(what)
    return errors.not_found()


# --- headers and compression of the answer ------------------------------------------------------------------------


async def _dressed(org: Org, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Add the headers that every answer has, and gzip when the caller accepts it."""
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
    # Use the fastest level: in most cases the client is on the same machine.
    packer = zlib.compressobj(level=1, wbits=31)
    return packer.compress(body) + packer.flush()
