"""The files of the console: its style, its scripts, and what was vendored (static/vendor/README.md)."""

from __future__ import annotations

from pathlib import Path

from flask import Response, send_from_directory

from console.pages import blueprint

STATIC = Path(__file__).parent / "static"
DAY = 86_400  # seconds


@blueprint.get("/static/<path:name>")
def asset(name: str) -> Response:
    """Return one file. Browsers keep it for a day; its address has its version."""
    response = send_from_directory(STATIC, name, max_age=DAY)
    response.headers["Cache-Control"] = f"private, max-age={DAY}"
    return response
