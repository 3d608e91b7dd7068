"""The page at /: what this is and where to look, for people; the same addresses as JSON for programs."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, jsonify, request, send_from_directory

blueprint = Blueprint("home", __name__)

_OURS = Path(__file__).parent / "static"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_ABOUT = {
    "name": "quotejob",
    "what": "A SOQL WHERE clause in, one Quote with its lines for each matching Opportunity, exactly once",
    "documentation": "/docs",
    "specification": "/openapi.yaml",
    "health": "/health",
    "ready": "/ready",
    "jobs": "/api/jobs",
}


@blueprint.get("/")
def home() -> Response:
    """Return the page to a browser, and to any other client the addresses as JSON."""
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) != "text/html":
        return jsonify(_ABOUT)
    response = send_from_directory(_OURS, "home.html")
    response.headers["Content-Security-Policy"] = _POLICY
    return response
