"""Bulk API 1.0, of which this org has only the door: the answer to a session that is not good.

Source: Bulk API guide, "Errors": an error is XML, or JSON for requests in JSON.
"""

from __future__ import annotations

from aiohttp import web

from localorg.http.answers import JSON_TYPE

_XML = (
    '<?xml version="1.0" encoding="UTF-8"?><error xmlns="http://www.force.com/2009/06/asyncapi/dataload">'
    "<exceptionCode>InvalidSessionId</exceptionCode><exceptionMessage>Invalid session id</exceptionMessage></error>"
)
_JSON = '{"exceptionCode":"InvalidSessionId","exceptionMessage":"Invalid session id"}'


def invalid_session(request: web.Request) -> web.Response:
    """Return the answer to a session that is missing, unknown or expired."""
    as_json = "json" in request.headers.get("Content-Type", request.headers.get("Accept", "")).lower()
    body, kind = (_JSON, JSON_TYPE) if as_json else (_XML, "application/xml;charset=UTF-8")
    return web.Response(body=body.encode(), status=401, headers={"Content-Type": kind})
