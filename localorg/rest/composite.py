"""Composite: up to 25 requests in one; later ones can use the answers of earlier ones (REST API guide, "Composite").

Requests run in the order of the list, whatever collateSubrequests says. On the platform this setting only changes the
speed, and references keep their order there too. The whole composite is one visit to the database. Without allOrNone,
each request in it is kept or undone by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localorg import errors
from localorg.errors import OrgError
from localorg.http.registry import RESOURCES, Call, Reply, Way, address, refused, served
from localorg.lab.stats import Work
from localorg.rest.references import HALTED, REFERENCE_ID, ROLLED_BACK, fill, fill_url

MOST_REQUESTS = 25
MOST_QUERIES = 5  # queries and collections together
# Headers that the platform sets for each request (REST API guide, "Composite Subrequest").
_HEADERS_REFUSED = frozenset({"accept", "authorization", "content-type"})
_METHODS = frozenset({"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"})
_QUERY_OR_COLLECTION = re.compile(r"/(query|queryAll|composite/sobjects)(/.*)?")
# A composite may not contain another composite, nor a resource whose body is not JSON.
_INSIDE = re.compile(r"/(query|queryAll|sobjects|composite/sobjects|limits|recent)(/.*)?")


@dataclass(frozen=True, slots=True)
class Part:
    """One request of a composite."""

    reference_id: str
    method: str
    url: str
    body: Any
    headers: Mapping[str, str]


class _Undo(Exception):
    """The signal to roll back all requests; it carries the index of the failed one and its answer."""

    def __init__(self, at: int, reply: Reply) -> None:
        super().__init__()
        self.at = at
        self.reply = reply


# --- reading the request ------------------------------------------------------------------------------------------


def _malformed(message: str) -> OrgError:
    return OrgError(400, "INVALID_INPUT", message)


def _read(call: Call) -> tuple[list[Part], bool]:
    """Return the requests and allOrNone; raise OrgError (400) when the composite breaks a rule."""
    payload = call.json_object()
    listed, all_or_none = payload.get("compositeRequest"), payload.get("allOrNone", False)
    for name in ("allOrNone", "collateSubrequests"):
        if not isinstance(payload.get(name), bool | None):
            raise errors.json_parser_error(f"Cannot deserialize instance of boolean from the value of {name}")
    if not isinstance(listed, list) or not listed:
        raise _malformed("The request needs a list named compositeRequest, with at least one request")
    if len(listed) > MOST_REQUESTS:
        raise _over_limit("requests", len(listed), MOST_REQUESTS)
    parts = [_part(each, strict=float(call.version) >= 52) for each in listed]
    _check_parts(parts)
    return parts, bool(all_or_none)


def _part(given: Any, *, strict: bool) -> Part:
    if not isinstance(given, dict):
        raise _malformed("A request inside a composite is a JSON object")
    reference_id, url, method = given.get("referenceId"), given.get("url"), given.get("method")
    if not isinstance(reference_id, str) or not reference_id or (strict and not REFERENCE_ID.fullmatch(reference_id)):
        what = "must start with a letter or a number, and it can contain only letters, numbers and underscores ('_')."
        raise _malformed(f"Provided referenceId ('{reference_id}') {what}")
    if not isinstance(url, str) or not isinstance(method, str) or method.upper() not in _METHODS:
        raise _malformed(f"Request {reference_id} needs a url and a method")
    return Part(reference_id, method.upper(), url, given.get("body"), _headers(reference_id, given.get("httpHeaders")))


def _headers(reference_id: str, given: Any) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise errors.json_parser_error(f"The httpHeaders of request {reference_id} are an object of texts")
    headers = {name.lower(): value for name, value in given.items()}
    if refused_names := sorted(_HEADERS_REFUSED.intersection(headers)):
        raise _malformed(f"Request {reference_id} must not set the header {refused_names[0]}")
    return headers


def _check_parts(parts: list[Part]) -> None:
    seen: set[str] = set()
    for part in parts:
        if part.reference_id in seen:
            raise _malformed(f"Duplicate referenceId provided: {part.reference_id}")
        seen.add(part.reference_id)
    heavy = sum(bool(at and _QUERY_OR_COLLECTION.fullmatch(at.path)) for part in parts for at in (address(part.url),))
    if heavy > MOST_QUERIES:
        raise _over_limit("queries and collections", heavy, MOST_QUERIES)


def _over_limit(what: str, given: int, most: int) -> OrgError:
    return OrgError(400, "LIMIT_EXCEEDED", f"A composite request takes at most {most} {what}; provided: {given}")


# --- running ------------------------------------------------------------------------------------------------------


@RESOURCES.add("POST", "/composite", Way.WRITE)
def composite(call: Call) -> Reply:
    """Run every request; the status is 200 even when all of them fail."""
    parts, all_or_none = _read(call)
    if not all_or_none:
        return _answer(parts, _each(call, parts, all_or_none=False))
    try:
        with call.org.savepoint():
            return _answer(parts, _each(call, parts, all_or_none=True))
    except _Undo as undo:
        halted = refused(OrgError(400, HALTED, ROLLED_BACK))
        return _answer(parts, [undo.reply if at == undo.at else halted for at in range(len(parts))])


def _answer(parts: list[Part], replies: list[Reply]) -> Reply:
    results = [
        {
            "body": reply.body,
            "httpHeaders": dict(reply.headers),
            "httpStatusCode": reply.status,
            "referenceId": part.reference_id,
        }
        for part, reply in zip(parts, replies, strict=True)
    ]
    return Reply(200, {"compositeResponse": results})


def _each(call: Call, parts: list[Part], *, all_or_none: bool) -> list[Reply]:
    answers: dict[str, Any] = {}
    replies: list[Reply] = []
    done: list[Work] = []
    for at, part in enumerate(parts):
        work = Work()
        reply = _run(call, part, answers, work)
        if all_or_none and _has_failed(reply):
            raise _Undo(at, reply)
        if reply.status < 300:
            answers[part.reference_id] = reply.body
        replies.append(reply)
        done.append(work)
    for work in done:
        call.work.rows_read += work.rows_read
        call.work.written.update(work.written)
    return replies


def _has_failed(reply: Reply) -> bool:
    """Return whether a request failed, or a row of a collection in it failed."""
    rows = reply.body if isinstance(reply.body, list) else []
    return reply.status >= 300 or any(isinstance(row, dict) and row.get("success") is False for row in rows)


def _run(call: Call, part: Part, answers: Mapping[str, Any], work: Work) -> Reply:
    """Run one request and return its reply; undo what a refused request has written."""
    try:
        with call.org.savepoint():
            reply = inner(call, part.method, fill_url(part.url, answers), fill(part.body, answers), part.headers, work)
            if reply.status < 400:
                return reply
            raise _Undo(0, reply)
    except _Undo as undo:
        work.written.clear()
        return undo.reply
    except OrgError as error:
        work.written.clear()
        return refused(error)


def inner(call: Call, method: str, url: str, body: Any, headers: Mapping[str, str], work: Work) -> Reply:
    """Run a request that is inside another one and return its reply; raise OrgError when it is refused."""
    at = address(url)
    if at is None or not served(at.version):
        raise errors.not_found()
    if not _INSIDE.fullmatch(at.path):
        raise errors.not_found(f"The requested resource does not exist inside another request: {at.path}")
    handler = RESOURCES.handler(method, at.path)
    if handler is None:
        raise errors.not_found()
    return handler.answer(Call(call.org, call.user, work, method, at.version, at.path, at.query, body, headers))
