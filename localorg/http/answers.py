"""Helpers for handlers: they read a request, and build an answer in the platform's form."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from localorg import errors
from localorg.errors import OrgError
from localorg.numbers import Double

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
JSON_TYPE = "application/json;charset=UTF-8"


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return a JSON answer in the platform's form."""
    return web.Response(
        body=orjson.dumps(body, default=written), status=status, headers={"Content-Type": JSON_TYPE, **(headers or {})}
    )


def written(value: object) -> orjson.Fragment:
    """Return a value of another type than those of JSON as it is written."""
    if isinstance(value, Double):
        return orjson.Fragment(repr(value))
    raise TypeError(f"{type(value)} is not for JSON")


async def read_json(request: web.Request) -> Any:
    """Return the body of a request, which must be JSON; raise OrgError (400 JSON_PARSER_ERROR) when it is not."""
    body = await request.read()
    try:
        return orjson.loads(body)
    except json.JSONDecodeError as error:
        raise parser_error(error) from error


def is_bulk_one(path: str) -> bool:
    """Return whether a path is of Bulk API 1.0."""
    return path.lower().startswith("/services/async/")


def bearer(request: web.Request) -> str | None:
    """Return the caller's token.

    It is in `Authorization: Bearer T` (or OAuth T), in `?oauth_token=T`, or for Bulk API 1.0 in `X-SFDC-Session: T`.
    """
    if is_bulk_one(request.path) and (session := request.headers.get("X-SFDC-Session")):
        return session.strip()
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() in ("bearer", "oauth"):
        return token.strip()
    return request.query.get("oauth_token")


def parser_error(error: json.JSONDecodeError) -> OrgError:
    """Return the org's error for a body that is not JSON: 400 JSON_PARSER_ERROR, with the position."""
    return errors.json_parser_error(f"{error.msg} at [line:{error.lineno}, column:{error.colno}]")
