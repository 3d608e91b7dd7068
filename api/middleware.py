"""What every request goes through: its size, its id, its line in the log, the headers of its answer."""

from __future__ import annotations

import re
import time
import uuid
from contextlib import ExitStack

import structlog
from flask import Flask, Response, g, request
from werkzeug.exceptions import RequestEntityTooLarge

from quotejob import tally, tracing

log = structlog.get_logger("api")

MAX_BODY = 64 * 1024  # bytes
FAULT = 500  # this has a line with its traceback; what is above is for the person who runs quotejob
QUIET = {"health", "healthcheck", "ready", "asset", "metrics"}  # asked every few seconds; logged at debug level
_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


def install(app: Flask) -> None:
    """Wrap every request of the app."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY + 1  # of a chunked body no more than this is read, without an error
    app.before_request(_begin)
    app.after_request(_finish)


def _begin() -> None:
    g.started = time.perf_counter()
    claimed = request.headers.get("x-request-id", "")
    structlog.contextvars.clear_contextvars()
    g.span = _span()
    structlog.contextvars.bind_contextvars(request_id=claimed if _ID.fullmatch(claimed) else str(uuid.uuid4()))
    if len(request.get_data()) > MAX_BODY:  # also where no body is expected
        raise RequestEntityTooLarge


def _span() -> ExitStack:
    """Begin the span of the request, with the caller's own as its parent. What is asked every few seconds has none."""
    opened = ExitStack()
    operation = _operation()
    if operation not in QUIET:
        about = {"http.request.method": request.method, "http.route": str(request.url_rule)}
        parent = request.headers.get("traceparent", "")
        g.spanned = opened.enter_context(tracing.span(operation, "server", parent, about))
    return opened


def _end_span(status: int) -> None:
    if "spanned" in g:
        g.spanned.set_attribute("http.response.status_code", status)
        if job_id := structlog.contextvars.get_contextvars().get("job_id"):
            g.spanned.set_attribute("quotejob.job_id", job_id)
    g.span.close()


def _operation() -> str:
    return (request.endpoint or "-").rpartition(".")[2]


def _finish(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["X-Request-Id"] = structlog.contextvars.get_contextvars()["request_id"]
    operation = _operation()
    _end_span(response.status_code)
    seconds = time.perf_counter() - g.started
    tally.count("requests", operation, str(response.status_code))
    tally.observe("request_seconds", operation, seconds)
    quiet = operation in QUIET or g.get("quiet")
    write = log.debug if quiet else log.warning if response.status_code > FAULT else log.info
    write(
        "Answered a request",
        operation=operation,
        method=request.method,
        path=request.path[:200],
        status=response.status_code,
        seconds=round(seconds, 4),
        **g.get("refused", {}),
    )
    return response
