"""Field types of the wire, and functions that make a field with its messages. Outside, all names are camelCase."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from quotejob.jobs.job import MAX_NAME_LENGTH, CommitBy
from quotejob.jobs.naming import WRONG_NAME, is_name
from quotejob.jobtypes import registry
from quotejob.store import keys

NULLABLE = True  # allow_none, so that the document says nullable


class CamelCase(Schema):
    """Python names inside, camelCase outside."""

    class Meta:
        unknown = EXCLUDE  # an answer may get more fields later: the document must not say there are no others

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Set the name of a field on the wire."""
        first, *others = (field_obj.data_key or field_name).split("_")
        field_obj.data_key = first + "".join(other.title() for other in others)


class Instant(fields.DateTime):
    """ISO 8601, UTC, to the millisecond, as ``2026-01-31T09:05:00.120Z``."""

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:  # noqa: ARG002
        if value is None:
            return None
        return value.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


class WholeNumber(fields.Integer):
    """Digits only: Python's int() would take ``1_000``, blanks and the digits of every script too."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class JsonNumber(WholeNumber):
    """A whole number in a JSON body. Accepts a number only, no text and no boolean."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class TrueOrFalse(fields.Boolean):
    """A boolean in a JSON body. Accepts true and false only."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class OneOrMore(fields.List[Any]):
    """Several values of a query parameter: separated by commas, or the parameter repeated."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> list[Any]:
        values = [part for item in value for part in item.split(",")]
        return super()._deserialize(values, attr, data, **kwargs)


def described(text: str, **more: Any) -> dict[str, Any]:
    """Return the metadata of a field: its description in openapi.yaml, and more keys of its schema."""
    return {"description": text, **more}


def word(words: type[Enum], text: str = "", **options: Any) -> fields.Enum[Any]:
    """Return a field for one of the words of an enumeration."""
    description = {"description": text} if text else {}
    return fields.Enum(words, by_value=True, metadata={"type": "string", **description}, **options)


def name_of_job_type() -> fields.String:
    """Return a field for the name of a job type: one that comes with quotejob, or one of the user's own.

    It does not check that there is one: also jobs of a type that only another version knows are shown.
    """
    return fields.String(
        required=True,
        validate=validate.Regexp(r"^[A-Za-z][A-Za-z0-9_]{0,79}$", error="should be the name of a job type"),
        metadata=described("A name of listJobTypes, SampleDataCreate or SampleDataDelete", example="BatchQuote"),
    )


def known_job_type() -> fields.String:
    """Return a field for the name of a job type that this process knows."""
    return fields.String(validate=_is_known_job_type, metadata={"example": "BatchQuote"})


def _is_known_job_type(name: str) -> None:
    if not registry.is_known(name):
        raise ValidationError(f"should be the name of a job type: {registry.names()}")


def job_id_in_body(text: str, *, required: bool = True) -> fields.String:
    """Return a field for a job's id in a body. It does not check that the job exists."""
    wrong = "should be the id of a job"
    messages: dict[str, Any] = {"invalid": wrong, "null": wrong, "required": "is missing; send the id of a job"}
    return fields.String(required=required, error_messages=messages, metadata=described(text, format="uuid"))


def whole_number(longest: int, default: int, text: str, kind: type[WholeNumber] = WholeNumber) -> WholeNumber:
    """Return a field for a whole number from 1 to ``longest``."""
    message = f"should be a whole number from 1 to {longest:,}"
    return kind(
        load_default=default,
        validate=validate.Range(1, longest, error=message),
        error_messages={"invalid": message, "null": message},
        metadata=described(text),
    )


_ZONED = "should be a time in ISO 8601 with a zone, such as 2026-01-31T22:00:00+01:00"


def text(description: str, longest: int, example: str | None = None, **options: Any) -> fields.String:
    """Return a field for a text of 1 to ``longest`` characters."""
    message = f"should be a text of 1 to {longest:,} characters"
    return fields.String(
        validate=validate.Length(1, longest, error=message),
        error_messages=dict.fromkeys(("required", "null", "invalid"), message),
        metadata=described(description, **({} if example is None else {"example": example})),
        **options,
    )


def name(description: str, example: str, **options: Any) -> fields.String:
    """Return a field for the name that a person gives to a job or a schedule."""
    return fields.String(
        validate=[validate.Length(1, MAX_NAME_LENGTH, error=WRONG_NAME), _is_name],
        error_messages=dict.fromkeys(("required", "null", "invalid"), WRONG_NAME),
        metadata=described(description, example=example),
        **options,
    )


def _is_name(text: str) -> None:
    if text and not is_name(text):
        raise ValidationError(WRONG_NAME)


def zoned_time(text: str) -> fields.AwareDateTime:
    """Return a field for a time with its zone, in a body."""
    return fields.AwareDateTime(
        format="iso",
        error_messages=dict.fromkeys(("invalid", "invalid_awareness", "null"), _ZONED),
        metadata=described(text, example="2026-01-31T22:00:00+01:00"),
    )


def zoned_time_in_query(text: str) -> fields.AwareDateTime:
    """Return a field for a time with its zone, in a query, where + has to be sent as %2B."""
    wrong = "should be a time in ISO 8601 with a zone, such as 2026-01-31T21:00:00Z or 2026-01-31T22:00:00%2B01:00"
    return fields.AwareDateTime(
        format="iso",
        error_messages=dict.fromkeys(("invalid", "invalid_awareness", "null"), wrong),
        metadata=described(f"{text}, such as 2026-01-31T21:00:00Z"),  # an example would be filled in by Swagger UI
    )


def true_or_false_in_query(text: str) -> fields.Boolean:
    """Return a field for a boolean in a query: the words true and false, and no others."""
    wrong = "should be true or false"
    return fields.Boolean(
        truthy={"true"}, falsy={"false"}, error_messages={"invalid": wrong, "null": wrong}, metadata=described(text)
    )


def id_in_query(text: str) -> fields.String:
    """Return a field for an id in a query. It does not check that the thing exists."""
    return fields.String(validate=_is_id, metadata=described(text, format="uuid"))


def _is_id(text: str) -> None:
    if not keys.is_id(text):
        raise ValidationError("should be an id, such as 123e4567-e89b-12d3-a456-426614174000")


def cursor() -> fields.String:
    """Return a field for the cursor of a list."""
    return fields.String(
        validate=validate.Regexp(
            r"^[0-9a-f.:-]{1,100}$", error="is not a cursor of this API; send nextCursor of the answer before"
        ),
        metadata=described("nextCursor of the answer before"),
    )


def commit_by(**options: Any) -> fields.Enum[Any]:
    """Return the field for how a Quote job writes."""
    text = (
        "How Quotes are written. graph: by composite graphs, fast, and each Quote comes whole. bulk: by Bulk API 2.0, "
        "with few calls; for a while Quotes are there without lines. auto: graphs, unless their calls are a large part "
        "of those left. Without it: as the app is set"
    )
    return word(CommitBy, text, **options)


MAX_KEPT = 1_000_000_000
_KEPT = f"should be a whole number from 0 to {MAX_KEPT:,}"


def keep_api_calls() -> JsonNumber:
    """Return the field for the API calls that a job leaves for others."""
    return JsonNumber(
        validate=validate.Range(0, MAX_KEPT, error=_KEPT),
        error_messages=dict.fromkeys(("invalid", "null"), _KEPT),
        metadata=described(
            "So many of the org's daily API calls are kept for others, if that is more than the app keeps anyway. A "
            "job that would go below waits until calls return",
            example=20_000,
        ),
    )
