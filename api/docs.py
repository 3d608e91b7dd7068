"""/openapi.yaml, and Swagger UI at /docs with every asset served from here (the flask-swagger-ui wheel ships them)."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from flask import Blueprint, Response, send_from_directory
from werkzeug.exceptions import NotFound

from api import openapi

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


@blueprint.get("/docs/<name>")
def asset(name: str) -> Response:
    """Return one of the files of Swagger UI."""
    if name not in _ASSETS:
        raise NotFound
    return send_from_directory(_ASSETS[name], name, max_age=86_400)


@cache
def _document() -> str:
    return openapi.document()
