"""The files of the console: its style, its scripts, and what was vendored (static/vendor/README.md)."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

from flask import Response, request, send_from_directory
from werkzeug.exceptions import NotFound

from console.pages import blueprint

STATIC = Path(__file__).parent / "static"
FILES = frozenset(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file())
DAY = 86_400  # seconds
TEXT = (".css", ".js", ".svg")


@blueprint.get("/static/<path:name>")
def asset(name: str) -> Response:
    """Return one file. Browsers keep it for a day; its address has its version.

    A file has one name. Other spellings of its path are not found: each of them would be packed and kept.
    """
    if name not in FILES:
        raise NotFound("There is no such file.")
    response = send_from_directory(STATIC, name, max_age=DAY)
    response.headers["Cache-Control"] = f"private, max-age={DAY}"
    if name.endswith(TEXT) and response.status_code == 200 and request.accept_encodings["gzip"] > 0:
        response.direct_passthrough = False
        response.close()
        response.set_data(_packed(name))
        response.headers["Content-Encoding"] = "gzip"
    response.vary.add("Accept-Encoding")
    return response


@cache
def _packed(name: str) -> bytes:
    return gzip.compress((STATIC / name).read_bytes(), mtime=0)
