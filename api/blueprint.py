"""How a route is declared: what it takes, what it answers, in code and in openapi.yaml at once.

Built on flask-smorest. Every operation declares its errors, because External Services reads only what is
declared. It has the ``x-sfdc`` block, which tells Heroku AppLink which permission set lets a user call it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, NoReturn, ParamSpec, cast

import orjson
from flask import Request, url_for
from flask_smorest import Blueprint as SmorestBlueprint
from marshmallow import RAISE, Schema, ValidationError, fields
from marshmallow.utils import get_value
from webargs.flaskparser import FlaskParser
from werkzeug.datastructures import Headers, MultiDict

from api.external_services import ACTION, ALIASES, APPLINK
from api.places import document, names, only_there, refused, unknown
from quotejob.errors import InvalidRequest
from quotejob.store.rows import snake

P = ParamSpec("P")
View = Callable[P, Any]

ERRORS = {
    400: "The request or one of its fields is wrong; details name the field",
    401: "There is no valid caller context, or the org does not accept the token",
    403: "The org's address is not allowed, or the org denies access",
    404: "The caller's org has no such job or schedule",
    409: "The state of the job or schedule does not allow this, or the name is taken",
    413: "The body is larger than 64 KiB",
    414: "The URL is too long",
    422: "The Idempotency-Key came before with another request; send a new key with a new request",
    429: "The org's flex queue is full, or it has the most schedules allowed; the header Retry-After has the seconds "
    "to wait",
    431: "A header is too long",
    500: "An error in quotejob",
    503: "Redis or the org does not answer; nothing was accepted, so try again after the seconds in the header "
    "Retry-After",
}
ALWAYS = (400, 401, 403, 413, 414, 431, 500, 503)  # what any operation can answer; 414 and 431 are gunicorn's
# What a request has made, by the status that says so: the operation that shows it, and the field with its id.
MADE = {201: ("schedules.getSchedule", "scheduleId"), 202: ("jobs.getJob", "jobId")}
IDS = {
    name: {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "format": "uuid"},
    }
    for name, description in {
        "jobId": "The id of the job, from the answer of the operation that submitted it",
        "scheduleId": "The id of the schedule, from the answer of createSchedule",
    }.items()
}


class Parser(FlaskParser):
    """webargs, strict: no wrong content type, no unknown or repeated parameter; every error names its field."""

    DEFAULT_UNKNOWN_BY_LOCATION = FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION | {"query": RAISE, "json": RAISE}
    DEFAULT_VALIDATION_STATUS = 400

    def load_json(self, req: Request, schema: Schema) -> Any:
        """Return the JSON object of the body. Raises InvalidRequest if there is none and a field of it is required."""
        if not (_names(schema) or req.get_data()):
            return {}
        named = f" with {', '.join(_names(schema))}" if _names(schema) else ", or nothing at all"
        expected = f"a JSON object{named}, sent as Content-Type: application/json"
        if not req.is_json:
            raise InvalidRequest.field("body", f"should be {expected}")
        try:
            sent = document(req)
        except orjson.JSONDecodeError:
            raise InvalidRequest.field("body", f"{_not_json(req)}; it should be {expected}") from None
        if not isinstance(sent, dict):
            raise InvalidRequest.field("body", f"should be {expected}")
        absent = _null_is_absent(schema)
        return {name: value for name, value in sent.items() if value is not None or name not in absent}

    def load_querystring(self, req: Request, schema: Schema) -> Any:
        """Return the query parameters. Raises InvalidRequest if one that is no list is repeated."""
        several = {field.data_key for field in schema.fields.values() if isinstance(field, fields.List)}
        for name, values in req.args.lists():
            if len(values) > 1 and name not in several:
                raise InvalidRequest.field(name, "is given more than once; send it once")
        given: MultiDict[str, Any] = MultiDict(req.args)
        known = names(schema)
        for name, alias in ALIASES.items():
            if name in known and alias in given:
                given.setdefault(name, given.pop(alias))
            elif req.method == "POST":
                given.pop(alias, None)  # that of a header
        return self._makeproxy(given, schema)

    def load_headers(self, req: Request, schema: Schema) -> Any:
        """Return the headers. For one that was not sent, its alias among the query parameters counts."""
        given = Headers(req.headers)
        for name, alias in ALIASES.items():
            if name in names(schema) and name not in given and alias in req.args:
                given[name] = req.args[alias]
        return self._makeproxy(given, schema)

    def handle_error(
        self,
        error: ValidationError,
        req: Request,
        schema: Schema,
        *args: Any,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> NoReturn:
        """Raise InvalidRequest with every wrong field."""
        details = list(_details(cast(dict[str, Any], error.messages), names(schema)))
        for detail in details:  # by the name that was sent
            alias = ALIASES.get(detail["field"], "")
            if alias in req.args and detail["field"] not in req.args and detail["field"] not in req.headers:
                detail["field"] = alias
        raise refused(details) from None


def _not_json(request: Request) -> str:
    """Return why the body is not JSON."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        return "is compressed; send it as it is, without Content-Encoding"
    try:
        request.get_data().decode()
    except UnicodeDecodeError:
        return "is not UTF-8; save or send it as UTF-8"
    return "is not JSON"


class Blueprint(SmorestBlueprint):
    """flask-smorest's blueprint, with the strict parser and one decorator that declares all of an operation."""

    ARGUMENTS_PARSER = Parser()

    def operation(
        self,
        rule: str,
        *,
        name: str,
        answer: type[Schema],
        method: str = "GET",
        status: int = 200,
        says: str = "",
        body: type[Schema] | None = None,
        example: dict[str, Any] | None = None,
        query: type[Schema] | None = None,
        headers: type[Schema] | None = None,
        errors: tuple[int, ...] = (),
        for_agents: bool = False,
    ) -> Callable[[View[P]], View[P]]:
        """Declare a route. The view gets those of body, query and headers there are by position, path parts by name.

        ``name`` is the operationId, from which External Services makes the Apex method's name; ``says`` describes the
        answer; ``errors`` are the statuses it can answer beside ALWAYS. ``example`` is the body that Swagger UI fills
        in: only what is needed. ``for_agents``: Agentforce gets an action that calls it; its answer should be flat.
        """

        def decorate(view: View[P]) -> View[P]:
            described = f"{says}. The header Location has its address" if status in MADE else says
            wrapped = _answering(status, view)
            for error in errors + ALWAYS:  # first, and by a name: each decorator copies all that was declared before
                wrapped = self.alt_response(error, schema="Error", description=ERRORS[error])(wrapped)
            wrapped = self.response(status, answer, description=described or None)(wrapped)
            places = {"headers": headers, "query": query, "json": body}
            # One of each for all requests: to make one copies every field.
            made = {location: schema() for location, schema in places.items() if schema is not None}
            for location, one in made.items():
                more = {"example": example} if location == "json" else {}
                wrapped = self.arguments(one, location=location, required=bool(_names(one)), **more)(wrapped)
            wrapped = only_there(wrapped, made)
            marks = APPLINK | (ACTION if for_agents else {})
            wrapped = self.doc(operationId=name, **{"x-sfdc": marks})(wrapped)
            parameters = [one for part, one in IDS.items() if f"<{part}>" in rule] or None
            self.route(rule, methods=[method], endpoint=name, parameters=parameters)(wrapped)
            return view

        return decorate


def _answering(status: int, view: Callable[..., Any]) -> Callable[..., Any]:
    """Return the view with its path parameters in snake_case, and with the header Location for what it has made.

    In the document the parameters are camelCase.
    """

    @wraps(view)
    def called(*args: Any, **kwargs: Any) -> Any:
        found = view(*args, **{snake(name): value for name, value in kwargs.items()})
        if status not in MADE:
            return found
        operation, part = MADE[status]
        return found, {"Location": url_for(operation, **{part: get_value(found, snake(part))})}

    return called


def _null_is_absent(schema: Schema) -> set[str]:
    """Return the names of the optional fields for which null says nothing of its own.

    A caller whose language has no absent value sends null: it counts as left out.
    """
    found = schema.fields.items()
    return {field.data_key or name for name, field in found if not (field.required or field.allow_none)}


def _names(schema: Schema) -> list[str]:
    """Return the names of the required fields."""
    return [field.data_key or name for name, field in schema.fields.items() if field.required]


def _details(messages: Mapping[str, Any], known: Sequence[str]) -> Iterator[dict[str, str]]:
    """Flatten webargs' location -> field -> messages. A list has index -> messages below its field."""
    for found in messages.values():
        for field, what in found.items():
            for message in _texts(what):
                yield {
                    "field": str(field),
                    "message": unknown(str(field), known) if message == "Unknown field." else message,
                }


def _texts(what: Any) -> Iterator[str]:
    if isinstance(what, dict):
        what = list(what.values())
    if isinstance(what, list):
        for part in what:
            yield from _texts(part)
    else:
        yield str(what)
