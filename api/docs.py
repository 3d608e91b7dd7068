"""/openapi.yaml, and Swagger UI at /docs with every asset served from here (the flask-swagger-ui wheel ships them).

While bin/demo runs, the page fills in the caller's context by itself: /docs/context gives that of the demo's own org.
"""

from __future__ import annotations

import base64
import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from flask import Blueprint, Response, request, send_from_directory
from werkzeug.exceptions import NotFound

from api import caller, openapi
from quotejob.salesforce import API_VERSION
from quotejob.webhook import is_loopback

blueprint = Blueprint("docs", __name__)

_OURS = Path(__file__).parent / "static"
_THEIRS = Path(str(files("flask_swagger_ui") / "dist"))
_ASSETS = {
    "start.js": _OURS,
    "swagger-ui.css": _THEIRS,
    "swagger-ui-bundle.js": _THEIRS,
    "favicon-32x32.png": _THEIRS,
}
# Swagger UI sets style attributes and draws its icons from data: addresses.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@blueprint.get("/openapi.yaml")
def document() -> Response:
    """Return the API's description, made from the code."""
    return Response(_document(), content_type="application/yaml; charset=utf-8")


@blueprint.get("/docs")
def page() -> Response:
    """Return the page of Swagger UI."""
    response = send_from_directory(_OURS, "docs.html")
    response.headers["Content-Security-Policy"] = _POLICY
    return response


@blueprint.get("/docs/context")
def context() -> Response:
    """Return the x-client-context header of the demo's org, to a browser on this machine only.

    Without a demo, and to anybody else, the answer is an empty 204.
    """
    file = caller.services().settings.demo_org
    org = json.loads(file.read_text()) if file and file.is_file() and _from_this_machine() else {}
    if not is_loopback(urlsplit(org.get("url", "")).hostname or ""):
        return Response(status=204)
    parts = {
        "orgId": org["org_id"],
        "orgDomainUrl": org["url"],
        "apiVersion": API_VERSION,
        "accessToken": org["token"],
        "userContext": {"userId": org["user_id"]},
    }
    header = base64.b64encode(json.dumps(parts).encode()).decode()
    return Response(json.dumps({"x-client-context": header}), content_type="application/json")


def _from_this_machine() -> bool:
    """Return whether a browser on this machine asks, from our own page."""
    foreign = request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")
    return caller.is_on_this_machine() and not foreign


@blueprint.get("/docs/<name>")
def asset(name: str) -> Response:
    """Return one of the files of Swagger UI."""
    if name not in _ASSETS:
        raise NotFound
    return send_from_directory(_ASSETS[name], name, max_age=86_400)


@cache
def _document() -> str:
    return openapi.document()
