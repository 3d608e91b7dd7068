"""Every error is JSON: ``{"code", "message", "details"}``. Never HTML, never a stack trace."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from math import ceil
from typing import Any

import structlog
from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from quotejob.errors import QuotejobError

log = structlog.get_logger("api")

RETRY_AFTER = 5  # seconds, where nothing better is known
_SENTENCES = {
    400: "The request cannot be read; check its address, headers and body",
    404: "There is no such operation; /docs lists all operations",
    405: "This address does not accept {method}; /docs lists all operations",
    413: "The body is larger than 64 KiB; send less",
    415: "The body has a content type that is not accepted here; send application/json",
}


def install(app: Flask) -> None:
    """Let the app answer every error in our form."""
    app.register_error_handler(QuotejobError, _ours)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def answer(status: int, code: str, message: str, details: Sequence[Any] = ()) -> Response:
    """Return an error as a response. The line of the request in the log has it too."""
    g.refused = {"code": code, "reason": message}
    response = jsonify({"code": code, "message": message, "details": list(details)})
    response.status_code = status
    return response


def _ours(error: QuotejobError) -> Response:
    if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unexpected(error)
    response = answer(error.status, error.code, error.message, error.details)
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(ceil(getattr(error, "wait", RETRY_AFTER)))
    return response


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unexpected(error)
    sentence = _SENTENCES.get(status, f"{error.name}; see /docs").format(method=request.method)
    response = answer(status, error.name.upper().replace(" ", "_"), sentence)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def _unexpected(error: Exception) -> Response:
    """Log an unexpected exception. Answer with a sentence and the request id, by which the log line is found."""
    log.error("A request failed", kind=type(error).__name__, exc_info=error)
    request_id = structlog.contextvars.get_contextvars().get("request_id", "-")
    return answer(500, "INTERNAL_ERROR", f"An unexpected error happened; the log has it under request id {request_id}")
