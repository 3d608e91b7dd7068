"""Who and what the org is: API versions, resources, the user, tokens."""

from __future__ import annotations

import secrets
from typing import Any

from aiohttp import web
from multidict import MultiMapping

from localorg import errors
from localorg.ids import normalise
from localorg.middleware import NEWEST_VERSION, OLDEST_VERSION, answer
from localorg.org import ORG, Org

routes = web.RouteTableDef()

# Releases come three times a year, in this order; API 50.0 was Winter '21.
_SEASONS = ("Winter", "Spring", "Summer")
_FIRST_YEAR = 21
_SLASH = "{slash:/?}"


@routes.get("/services/data" + _SLASH)
async def versions(_request: web.Request) -> web.StreamResponse:
    """The API versions served; needs no token (REST API guide, "Versions")."""
    return answer([_version(number) for number in range(OLDEST_VERSION, NEWEST_VERSION + 1)])


def _version(number: int) -> dict[str, str]:
    years, season = divmod(number - OLDEST_VERSION, len(_SEASONS))
    label = f"{_SEASONS[season]} '{_FIRST_YEAR + years}"
    return {"label": label, "url": f"/services/data/v{number}.0", "version": f"{number}.0"}


@routes.get(r"/services/data/{version:v\d+\.\d}" + _SLASH)
async def resources(request: web.Request) -> web.StreamResponse:
    """The resources of one version that this org has, and the caller's identity URL."""
    base = f"/services/data/{request.match_info['version']}"
    names = ("query", "queryAll", "sobjects", "composite", "jobs", "limits")
    return answer({name: f"{base}/{name}" for name in names} | {"identity": identity_url(request)})


def identity_url(request: web.Request) -> str:
    """The address that tells who the caller is."""
    org = request.app[ORG]
    return f"{request.scheme}://{request.host}/id/{org.organization_id}/{org.user.id}"


@routes.get("/id/{organization}/{user}" + _SLASH)
async def identity(request: web.Request) -> web.StreamResponse:
    """The identity URL's answer (Salesforce Help, "Identity URLs")."""
    org = request.app[ORG]
    organization, user = (normalise(request.match_info[part]) for part in ("organization", "user"))
    if organization != org.organization_id or user != org.user.id:
        raise errors.not_found()
    return answer(_identity(request))


@routes.route("*", "/services/oauth2/userinfo" + _SLASH)
async def userinfo(request: web.Request) -> web.StreamResponse:
    """OpenID Connect's question about the caller (Salesforce Help, "The UserInfo Endpoint")."""
    who = _identity(request)
    who |= {"sub": who["id"], "preferred_username": who["username"], "name": who["display_name"]}
    who |= {"zoneinfo": who["timezone"], "email_verified": True, "profile": f"{_url(request)}/{who['user_id']}"}
    return answer(who)


def _identity(request: web.Request) -> dict[str, Any]:
    org = request.app[ORG]
    rest = f"{_url(request)}/services/data/v{{version}}"
    return {
        "id": identity_url(request),
        "asserted_user": True,
        "user_id": org.user.id,
        "organization_id": org.organization_id,
        "username": org.user.username,
        "display_name": org.user.username,
        "email": org.user.username,
        "active": True,
        "user_type": "STANDARD",
        "language": "en_US",
        "locale": "en_US",
        "timezone": org.user.time_zone.key,
        "urls": {
            "rest": f"{rest}/",
            "sobjects": f"{rest}/sobjects/",
            "query": f"{rest}/query/",
            "recent": f"{rest}/recent/",
        },
    }


@routes.post("/services/oauth2/token" + _SLASH)
async def token(request: web.Request) -> web.StreamResponse:
    """A fresh token, by the flows `password` and `client_credentials`; any client id and secret will do."""
    org = request.app[ORG]
    form = await request.post()
    if refusal := _refused(org, form):
        return answer(refusal, 400)
    return answer(
        {
            "access_token": fresh_token(org),
            "instance_url": _url(request),
            "id": identity_url(request),
            "token_type": "Bearer",
            "issued_at": str(int(org.clock().timestamp() * 1000)),
            "signature": "",
        }
    )


def _refused(org: Org, form: MultiMapping[Any]) -> dict[str, str] | None:
    """What is wrong with a token request (Salesforce Help, "OAuth 2.0 Error Codes")."""
    grant = form.get("grant_type")
    if grant not in ("password", "client_credentials"):
        return {"error": "unsupported_grant_type", "error_description": "grant type not supported"}
    if "client_id" not in form:
        return {"error": "invalid_client_id", "error_description": "client identifier invalid"}
    if grant == "password" and form.get("username") != org.user.username:
        return {"error": "invalid_grant", "error_description": "authentication failure"}
    return None


def fresh_token(org: Org) -> str:
    """A new token of the org's one user; the ones handed out before stay good."""
    fresh = f"{org.organization_id[:15]}!{secrets.token_hex(48)}"
    org.tokens.add(fresh)
    return fresh


def _url(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"
