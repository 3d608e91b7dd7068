"""Where an operation takes its fields: the query, the body, a header. What is sent where it takes none is refused.

Without this, a filter in the body of abortJobs would be left unread, and all jobs would be aborted.
"""

from __future__ import annotations

import codecs
import difflib
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec

import orjson
from flask import Request, request
from marshmallow import Schema

from api.external_services import ALIASES
from quotejob.errors import InvalidRequest

P = ParamSpec("P")
_PLACES = {"query": "as a query parameter", "json": "in the JSON body", "headers": "as a header"}
_NO_BODY = "should be empty, or {}: this operation takes no body"


def names(schema: Schema) -> list[str]:
    """Return the names of all fields, as they are sent."""
    return [field.data_key or name for name, field in schema.fields.items()]


def refused(details: Sequence[Mapping[str, str]]) -> InvalidRequest:
    """Return the error for these wrong fields. Its message names all of them."""
    return InvalidRequest("; ".join(f"{one['field']}: {one['message']}" for one in details), details=details)


def unknown(name: str, known: Sequence[str]) -> str:
    """Return what is wrong with a name that is not known, and which one was probably meant."""
    if likely := _likely(name, known):
        return f"is unknown; did you mean {likely}?"
    return f"is unknown; leave it out. Known here: {', '.join(known)}"


def only_there(view: Callable[P, Any], schemas: Mapping[str, Schema]) -> Callable[P, Any]:
    """Return the view, which then refuses what is sent where it has no schema.

    ``schemas`` has those it has, by location: query, json, headers. Without one for the body, a caller may send no
    body, {} or null: some clients cannot send a POST without any.
    """
    taken = {name: place for place, schema in schemas.items() for name in names(schema)}
    aliases = {alias for name, alias in ALIASES.items() if name in taken}

    def elsewhere(name: str) -> str:
        found = _likely(name, list(taken))
        return f"is not read here; send {found} {_PLACES[taken[found]]}" if found else "is unknown; leave it out"

    @wraps(view)
    def checked(*args: P.args, **kwargs: P.kwargs) -> Any:
        strange = request.args.keys() - aliases
        if "query" in schemas:  # which refuses all names but those of aliases
            strange &= set(ALIASES.values())
        unread = [name for name in request.args if name in strange]
        if "json" not in schemas:
            unread += _sent_in_body()
        if unread:
            raise refused([{"field": name, "message": elsewhere(name)} for name in unread])
        return view(*args, **kwargs)

    return checked


def document(req: Request) -> Any:
    """Return the JSON of the body. Raises orjson.JSONDecodeError, also if there is no body."""
    return orjson.loads(req.get_data().removeprefix(codecs.BOM_UTF8))  # Windows begins text files with it


def _likely(name: str, known: Sequence[str]) -> str:
    """Return the known name that was probably meant; "" if there is none."""
    folded = {one.lower(): one for one in known}
    likely = difflib.get_close_matches(name.lower().replace("_", ""), folded, n=1, cutoff=0.6)
    return folded[likely[0]] if likely else ""


def _sent_in_body() -> list[str]:
    """Return the names of the fields in the body. Raises InvalidRequest if it is neither empty nor a JSON object."""
    empty = not request.get_data().removeprefix(codecs.BOM_UTF8).strip()
    try:
        sent = None if empty else document(request)
    except orjson.JSONDecodeError:
        raise InvalidRequest.field("body", _NO_BODY) from None
    if not isinstance(sent, dict | None):
        raise InvalidRequest.field("body", _NO_BODY)
    return list(sent or ())
