"""What an administrator sets up for an app: a canvas app in a tab of the org, and who has which custom permission.

The signed request has the form of the Canvas developer guide ("CanvasRequest"). The tab is local: a page with a frame,
and no Lightning around it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from html import escape
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from localorg.errors import OrgError
from localorg.http.answers import answer, read_json
from localorg.login.identity import url_of
from localorg.org import ORG
from localorg.permissions import User
from localorg.versions import LATEST

routes = web.RouteTableDef()

APPS: web.AppKey[dict[str, str]] = web.AppKey("canvas app", dict[str, str])

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Canvas app | Local Org</title>
<style>
body {{ margin: 0; font: 16px/1.5 sans-serif; background: #032d60; color: #fff; }}
p {{ margin: 0; padding: .4rem 1rem; }}
iframe {{ display: block; width: 100%; height: calc(100vh - 2.3rem); border: 0; background: #fff; }}
</style></head>
<body>
<p>Local Org: the tab of an app, for {user}</p>
<iframe name="app" title="App"></iframe>
<form method="post" target="app" action="{url}"><input type="hidden" name="signed_request" value="{signed}"></form>
<script>document.forms[0].submit();</script>
</body></html>
"""


@routes.post("/localorg/canvas")
async def set_canvas_app(request: web.Request) -> web.StreamResponse:
    """Set the canvas app of the org: `{"url": "https://...", "consumerSecret": "..."}`."""
    spec = await _texts(request, "url", "consumerSecret")
    if urlsplit(spec["url"]).scheme not in ("http", "https"):
        raise OrgError(400, "BAD_REQUEST", "url is the address of the app, https://...")
    request.app[APPS].update(spec)
    return answer({"url": spec["url"]})


@routes.get("/localorg/canvas")
async def canvas_tab(request: web.Request) -> web.StreamResponse:
    """Answer with the tab of the canvas app, for the administrator or ?username=; for programs with what it posts."""
    org, app = request.app[ORG], request.app[APPS]
    user = org.users.by_username(request.query.get("username", org.user.username))
    if not app or user is None:
        raise OrgError(404, "NOT_FOUND", "There is no canvas app, or no such user; POST /localorg/canvas sets the app")
    signed = _signed(_canvas_request(request, user), app["consumerSecret"])
    if "text/html" not in request.headers.get("Accept", ""):
        return answer({"url": app["url"], "signed_request": signed})
    page = _PAGE.format(user=escape(user.username), url=escape(app["url"]), signed=escape(signed))
    return web.Response(text=page, content_type="text/html", headers={"Cache-Control": "no-store"})


def _signed(said: dict[str, Any], secret: str) -> str:
    payload = base64.b64encode(json.dumps(said).encode())
    return f"{base64.b64encode(hmac.digest(secret.encode(), payload, hashlib.sha256)).decode()}.{payload.decode()}"


def _canvas_request(request: web.Request, user: User) -> dict[str, Any]:
    org, here = request.app[ORG], url_of(request)
    rest = f"/services/data/v{LATEST}/"
    return {
        "algorithm": "HMACSHA256",
        "issuedAt": int(org.clock().timestamp()),
        "userId": user.id,
        "client": {
            "refreshToken": None,
            "instanceId": "_:Local_App:",
            "targetOrigin": here,
            "instanceUrl": here,
            "oauthToken": org.sessions.open(user).token,
        },
        "context": {
            "user": {
                "userId": user.id,
                "userName": user.username,
                "firstName": user.first_name,
                "lastName": user.last_name,
                "fullName": user.name,
                "email": user.username,
                "locale": "en_US",
                "language": "en_US",
                "timeZone": user.time_zone.key,
                "userType": "STANDARD",
            },
            "links": {"restUrl": rest, "sobjectUrl": f"{rest}sobjects/", "queryUrl": f"{rest}query/"},
            "application": {"name": "Local App", "canvasUrl": request.app[APPS]["url"], "authType": "SIGNED_REQUEST"},
            "organization": {"organizationId": org.organization_id, "name": "Local Org", "multicurrencyEnabled": False},
            "environment": {"displayLocation": None, "uiTheme": "Theme4d", "parameters": {}},
        },
    }


@routes.post("/localorg/permissions")
async def set_permissions(request: web.Request) -> web.StreamResponse:
    """Give a user custom permissions, and no others: `{"username": "...", "customPermissions": ["..."]}`."""
    users, spec = request.app[ORG].users, await read_json(request)
    given = spec if isinstance(spec, dict) else {}
    user, names = users.by_username(str(given.get("username"))), given.get("customPermissions")
    if user is None or not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise OrgError(400, "BAD_REQUEST", 'permissions are set by {"username": "...", "customPermissions": ["..."]}')
    users.custom_permissions[user.id] = frozenset(names)
    return answer({"username": user.username, "customPermissions": sorted(names)})


async def _texts(request: web.Request, *names: str) -> dict[str, str]:
    """Return the texts of a JSON object that has just these. Raise OrgError (400)."""
    spec = await read_json(request)
    if (
        not isinstance(spec, dict)
        or set(spec) != set(names)
        or not all(isinstance(each, str) for each in spec.values())
    ):
        raise OrgError(400, "BAD_REQUEST", f"the body is a JSON object with the texts {' and '.join(names)}")
    return spec
