"""/localorg/: resources only of the local org: statistics, faults, limits, a reset, and the add-on's tokens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from localorg.data.kept_events import Message
from localorg.errors import OrgError
from localorg.http.answers import answer, bearer, read_json
from localorg.lab.faults import BadFault
from localorg.login.oauth import GRANTS
from localorg.org import ORG, Org
from localorg.versions import LATEST

routes = web.RouteTableDef()

# The AppLink add-on gives a connection a name; the one connection here has either of these names.
DEVELOPER_NAMES = frozenset({"local", "worker"})


@routes.get("/localorg/stats")
async def stats(request: web.Request) -> web.StreamResponse:
    """Answer with the statistics of the org, since the start or the last reset."""
    return answer(request.app[ORG].stats.body())


@routes.get("/localorg/requests")
async def requests(request: web.Request) -> web.StreamResponse:
    """Answer with the newest 20,000 requests that were answered, oldest first, since the start or the last reset."""
    return answer({"requests": [each.body() for each in request.app[ORG].stats.answered]})


@routes.get("/localorg/faults")
async def list_faults(request: web.Request) -> web.StreamResponse:
    """Answer with the active faults, and what is left of each."""
    return answer(request.app[ORG].faults.body())


@routes.post("/localorg/faults")
async def order_fault(request: web.Request) -> web.StreamResponse:
    """Add one fault, or remove all with `{"clear": true}`."""
    faults = request.app[ORG].faults
    spec = await _object(request)
    if spec == {"clear": True}:
        faults.clear()
        return answer(faults.body())
    try:
        faults.add(spec)
    except BadFault as error:
        raise _wrong(str(error)) from error
    return answer(faults.body())


@routes.post("/localorg/limits")
async def set_limits(request: web.Request) -> web.StreamResponse:
    """Set limits, such as the day's API requests: `{"dailyApiRequests": n}`. What was used stays used."""
    limits = request.app[ORG].limits
    spec = await _object(request)
    setters: dict[str, Callable[[int], None]] = {
        "dailyApiRequests": limits.allow,
        "dailyDeliveredPlatformEvents": limits.delivered.allow,
        "hourlyPublishedPlatformEvents": limits.published.allow,
    }
    if not spec or not all(name in setters and _is_count(most) for name, most in spec.items()):
        raise _wrong(f'limits are set by {{"dailyApiRequests": n}}, n from 0 on; there are {", ".join(setters)}')
    for name, most in spec.items():
        setters[name](most)
    return answer({**spec, "used": limits.used})


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


@routes.get("/localorg/users")
async def users(request: web.Request) -> web.StreamResponse:
    """Answer with all users who can log in, and a new access token for each."""
    org = request.app[ORG]
    listed = [
        {
            "id": user.id,
            "username": user.username,
            "profile": user.profile.name,
            "accessToken": org.sessions.open(user).token,
        }
        for user in org.users.everyone
    ]
    return answer({"users": listed})


@routes.post("/localorg/clients")
async def register_client(request: web.Request) -> web.StreamResponse:
    """Register a certificate or public key (PEM): from now on it checks the JWT assertions of a client."""
    spec = await _object(request)
    client_id, pem = spec.get("clientId"), spec.get("certificate")
    if set(spec) != {"clientId", "certificate"} or not isinstance(client_id, str) or not isinstance(pem, str):
        raise _wrong('a client is registered by {"clientId": "...", "certificate": "PEM"}')
    try:
        request.app[GRANTS].register(client_id, pem)
    except ValueError as error:
        raise _wrong(f"the certificate cannot be read: {error}") from error
    return answer({"clientId": client_id})


@routes.get("/localorg/certificate")
async def certificate(request: web.Request) -> web.StreamResponse:
    """Answer with the certificate that clients must trust when the org uses https, in PEM."""
    pem = request.app[ORG].certificate
    if pem is None:
        raise OrgError(404, "NOT_FOUND", "The org speaks plain http")
    return web.Response(text=pem, content_type="application/x-pem-file")


@routes.get("/localorg/events")
async def events(request: web.Request) -> web.StreamResponse:
    """Answer with the newest 10,000 platform events, oldest first; ?name=X__e selects one kind."""
    org = request.app[ORG]
    return answer(
        {"events": [_told(each) for each in await org.run(org.events.kept.last, 10_000, request.query.get("name"))]}
    )


def _told(message: Message) -> dict[str, Any]:
    event = {"EventUuid": message.uuid, "replayId": message.number, "EventApiName": message.name}
    return {"event": event, "payload": orjson.Fragment(message.payload)}


@routes.post("/localorg/reset")
async def reset(request: web.Request) -> web.StreamResponse:
    """Set statistics to zero, remove faults, start a new day of API requests; rows, jobs and tokens stay."""
    org = request.app[ORG]
    if set(spec := await _object(request)) - {"data"}:
        raise _wrong('reset takes nothing, or {"data": false}')
    if spec.get("data"):
        raise _wrong("the data cannot be reset; start a new org instead", 501)
    org.stats.reset()
    org.faults.clear()
    org.limits.reset()
    return answer(org.stats.body())


@routes.get("/localorg/applink/authorizations/{developer_name}")
async def authorization(request: web.Request) -> web.StreamResponse:
    """Answer with a new access token, in the way the Heroku AppLink add-on gives it to a worker when a job runs."""
    name = request.match_info["developer_name"]
    if not bearer(request):
        return _no_authorization("unauthorized", "Send the add-on's token as Authorization: Bearer TOKEN", 401)
    if name not in DEVELOPER_NAMES:
        return _no_authorization("not_found", f"There is no authorization with the developer name {name}", 404)
    return answer(_authorized(request, name))


def _no_authorization(title: str, detail: str, status: int) -> web.Response:
    return answer({"title": title, "detail": detail}, status)


def _authorized(request: web.Request, name: str) -> dict[str, Any]:
    """Return an answer in the add-on's own form (heroku_applink/authorization.py of its Python SDK)."""
    org = request.app[ORG]
    now = _addon_time(org.clock())
    return {
        "id": "5b0a1a3e-1f0c-4c0e-9a53-0c6d5f9b7a11",
        "status": "authorized",
        "org": _org(org, name, f"{request.scheme}://{request.host}"),
        "created_at": now,
        "created_by": org.user.username,
        "created_via_app": None,
        "last_modified_at": now,
        "last_modified_by": org.user.username,
        "redirect_uri": None,
    }


def _org(org: Org, name: str, url: str) -> dict[str, Any]:
    user = {"username": org.user.username, "user_id": org.user.id, "access_token": org.sessions.open(org.user).token}
    return {
        "id": org.organization_id,
        "developer_name": name,
        "instance_url": url,
        "type": "SalesforceOrg",
        "api_version": LATEST,
        "user_auth": user,
    }


def _addon_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _wrong(message: str, status: int = 400) -> OrgError:
    return OrgError(status, "BAD_REQUEST" if status == 400 else "NOT_IMPLEMENTED", message)


async def _object(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in a request's body; no body and null count as an empty object."""
    body = await read_json(request) if await request.read() else None
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise _wrong(f"the body is a JSON object, not {body!r}")
    return body
