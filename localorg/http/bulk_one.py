"""The shape of errors of Bulk API 1.0: an exception code with its message, as XML, or as JSON for requests in JSON.

Source: Bulk API guide, "Errors" and "Content Type Header". Its refusals have the status 400; a client in use
(jsforce) takes a session for expired only if the status is 400 and the code InvalidSessionId.
"""

from __future__ import annotations

from html import escape

import orjson
from aiohttp import web

from localorg.errors import OrgError

NAMESPACE = "http://www.force.com/2009/06/asyncapi/dataload"
# Errors of the whole org, in the words of this API.
_CODES = {
    "INVALID_SESSION_ID": ("InvalidSessionId", "Invalid session id"),
    "NOT_FOUND": ("InvalidUrl", "Destination URL not reset. The URL returned from login must be set"),
    "METHOD_NOT_ALLOWED": ("InvalidUrl", None),
    "REQUEST_LIMIT_EXCEEDED": ("ExceededQuota", None),
    "INSUFFICIENT_ACCESS_OR_READONLY": ("InvalidUser", None),
    "UNKNOWN_EXCEPTION": ("Unknown", None),
}
_AS_THEY_ARE = frozenset({500, 501, 503})


def refusal(request: web.Request, error: OrgError) -> web.Response:
    """Return the answer for an error."""
    code, message = _CODES.get(error.code, (error.code, None))
    body = {"exceptionCode": code, "exceptionMessage": message or error.message}
    status = error.status if error.status in _AS_THEY_ARE else 400
    if "json" in request.headers.get("Content-Type", "").lower():
        return web.Response(body=orjson.dumps(body), status=status, headers={"Content-Type": "application/json"})
    inner = "".join(f"<{name}>{escaped(text)}</{name}>" for name, text in body.items())
    xml = f'<?xml version="1.0" encoding="UTF-8"?><error xmlns="{NAMESPACE}">{inner}</error>'
    return web.Response(body=xml.encode(), status=status, headers={"Content-Type": "application/xml"})


def escaped(text: str) -> str:
    """Return text for the inside of an XML element."""
    return escape(text, quote=False)
