"""Every error is JSON: ``{"code", "message", "details"}``. Never HTML, never a stack trace."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from quotejob.errors import QuotejobError

log = structlog.get_logger("api")

_SENTENCES = {
    400: "The request cannot be read; check its address, headers and body",
    404: "There is no such operation; /docs lists all operations",
    405: "This address does not accept {method}; send {allowed}. /docs lists all operations",
    413: "The body is larger than 64 KiB; send less",
    415: "The body has a content type that is not accepted here; send application/json",
}


def install(app: Flask) -> None:
    """Let the app answer every error in our form."""
    app.register_error_handler(QuotejobError, _ours)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def answer(
    status: int, code: str, message: str, details: Sequence[Any] = (), retry_after: int | None = None
) -> Response:
    """Return an error as a response. The line of the request in the log has it too.

    ``retry_after``: the seconds after which the same request may succeed.
    """
    g.refused = {"code": code, "reason": message}
    response = jsonify({"code": code, "message": message, "details": list(details)})
    response.status_code = status
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "x-client-context"  # HTTP wants it with every 401
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def _ours(error: QuotejobError) -> Response:
    if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unexpected(error)
    return answer(error.status, error.code, error.message, error.details, error.retry_after)


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unexpected(error)
    methods = sorted((isinstance(error, MethodNotAllowed) and error.valid_methods) or ())
    words = {"method": request.method, "allowed": " or ".join(method for method in methods if method != "HEAD")}
    sentence = _SENTENCES.get(status, f"{error.name}; see /docs").format(**words)
    response = answer(status, error.name.upper().replace(" ", "_"), sentence)
    if methods:
        response.headers["Allow"] = ", ".join(methods)
    return response


def _unexpected(error: Exception) -> Response:
    """Log an unexpected exception. Answer with a sentence and the request id, by which the log line is found."""
    log.error("A request failed", kind=type(error).__name__, exc_info=error)
    request_id = structlog.contextvars.get_contextvars().get("request_id", "-")
    return answer(500, "INTERNAL_ERROR", f"An unexpected error happened; the log has it under request id {request_id}")
