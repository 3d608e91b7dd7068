"""Identity of the org and of the user: API versions, resources, and the user who calls."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from localorg import errors
from localorg.errors import OrgError
from localorg.http.answers import answer
from localorg.ids import normalise
from localorg.org import ORG
from localorg.permissions import User
from localorg.versions import NEWEST_VERSION, OLDEST_VERSION

routes = web.RouteTableDef()

# There are three releases a year, in this order; API 50.0 was Winter '21.
_SEASONS = ("Winter", "Spring", "Summer")
_FIRST_YEAR = 21
_SLASH = "{slash:/?}"


@routes.get("/services/data" + _SLASH)
async def versions(_request: web.Request) -> web.StreamResponse:
    """Answer with the API versions of this org; no token is needed (REST API guide, "Versions")."""
    return answer([_version(number) for number in range(OLDEST_VERSION, NEWEST_VERSION + 1)])


def _version(number: int) -> dict[str, str]:
    years, season = divmod(number - OLDEST_VERSION, len(_SEASONS))
    label = f"{_SEASONS[season]} '{_FIRST_YEAR + years}"
    return {"label": label, "url": f"/services/data/v{number}.0", "version": f"{number}.0"}


@routes.get(r"/services/data/{version:v[0-9]+\.[0-9]}" + _SLASH)
async def resources(request: web.Request) -> web.StreamResponse:
    """Answer with the resources that this org has in one version, and the caller's identity URL."""
    org, base = request.app[ORG], f"/services/data/{request.match_info['version']}"
    names = ("query", "queryAll", "sobjects", "composite", "jobs", "limits", "recent")
    return answer({name: f"{base}/{name}" for name in names} | {"identity": identity_url(request, org.caller)})


def identity_url(request: web.Request, user: User) -> str:
    """Return the address of a user's identity resource."""
    return f"{url_of(request)}/id/{request.app[ORG].organization_id}/{user.id}"


def url_of(request: web.Request) -> str:
    """Return the org's address as the caller wrote it."""
    return f"{request.scheme}://{request.host}"


@routes.get("/id/{organization}/{user}" + _SLASH)
async def identity(request: web.Request) -> web.StreamResponse:
    """Answer a request to the identity URL (Salesforce Help, "Identity URLs")."""
    org = request.app[ORG]
    user = org.users.by_id(request.match_info["user"])
    if normalise(request.match_info["organization"]) != org.organization_id or user is None:
        raise errors.not_found()
    if user is not org.caller and org.caller is not org.user:
        raise OrgError(403, "FORBIDDEN", "Only an administrator may ask for the identity of another user")
    return answer(_identity(request, user))


@routes.route("*", "/services/oauth2/userinfo" + _SLASH)
async def userinfo(request: web.Request) -> web.StreamResponse:
    """Answer OpenID Connect's request about the caller (Salesforce Help, "The UserInfo Endpoint")."""
    user = request.app[ORG].caller
    who = _identity(request, user)
    who |= {"sub": who["id"], "preferred_username": who["username"], "name": who["display_name"]}
    who |= {"given_name": user.first_name, "family_name": user.last_name, "zoneinfo": who["timezone"]}
    who |= {"email_verified": True, "profile": f"{url_of(request)}/{user.id}"}
    return answer(who)


def _identity(request: web.Request, user: User) -> dict[str, Any]:
    org = request.app[ORG]
    rest = f"{url_of(request)}/services/data/v{{version}}"
    held = org.users.custom_permissions.get(user.id)
    return {
        "id": identity_url(request, user),
        "asserted_user": True,
        "user_id": user.id,
        "organization_id": org.organization_id,
        "username": user.username,
        "display_name": user.name,
        "nick_name": user.alias,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.username,
        "active": True,
        "user_type": "STANDARD",
        "language": "en_US",
        "locale": "en_US",
        "timezone": user.time_zone.key,
        "urls": {
            "rest": f"{rest}/",
            "sobjects": f"{rest}/sobjects/",
            "query": f"{rest}/query/",
            "recent": f"{rest}/recent/",
        },
    } | ({"custom_permissions": dict.fromkeys(sorted(held), True)} if held else {})
