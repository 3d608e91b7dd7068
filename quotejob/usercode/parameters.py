"""The parameters of a job: texts by name, as they are submitted, and a marshmallow schema that reads them."""

from __future__ import annotations

import decimal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema, ValidationError, fields, missing, validate

from quotejob.errors import InvalidRequest

FIELD = "parameters"
Pairs = Sequence[tuple[str, str]]  # name and text; a name that comes again makes a list

# The first kind that a field is an instance of counts.
_KINDS: tuple[tuple[type[fields.Field[Any]], str], ...] = (
    (fields.Boolean, "boolean"),
    (fields.Integer, "integer"),
    (fields.Number, "number"),
    (fields.DateTime, "datetime"),
    (fields.Date, "date"),
    (fields.Time, "time"),
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """What callers should know of one parameter."""

    name: str
    type: str  # text, integer, number, boolean, date, datetime, time; "list of ..." if it may come again
    required: bool
    default: str | None  # as it would be sent
    choices: tuple[str, ...]
    description: str | None


def describe(schema: type[Schema]) -> list[Parameter]:
    """Return the parameters of a schema, in its order."""
    return [_parameter(name, field) for name, field in _fields(schema).items()]


def load(schema: type[Schema], pairs: Pairs) -> Mapping[str, Any]:
    """Return the values that the schema reads of the texts. Raises InvalidRequest, which names every wrong one."""
    known, given = _fields(schema), _grouped(pairs)
    wrong = [(name, f"is no parameter of this job type; {_has(known)}") for name in given if name not in known]
    wrong += [
        (name, "came more than once")
        for name, texts in given.items()
        if name in known and len(texts) > 1 and not isinstance(known[name], fields.List)
    ]
    if not wrong:
        texts = {name: some if isinstance(known[name], fields.List) else some[0] for name, some in given.items()}
        try:
            loaded: Mapping[str, Any] = schema().load(texts)
            return loaded
        except ValidationError as refused:
            wrong = list(_reasons(refused.messages))
    details = [{"field": f"{FIELD}.{name}" if name else FIELD, "message": reason} for name, reason in wrong]
    said = "; ".join(f"{each['field']}: {each['message']}" for each in details)
    raise InvalidRequest(said, details=details)


def _grouped(pairs: Pairs) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, text in pairs:
        found.setdefault(name, []).append(text)
    return found


def _has(known: Mapping[str, object]) -> str:
    return f"it has {', '.join(known)}" if known else "it has none"


def _fields(schema: type[Schema]) -> dict[str, fields.Field[Any]]:
    return {field.data_key or name: field for name, field in schema().load_fields.items()}


def _reasons(messages: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the parameters that marshmallow refuses, and why."""
    if isinstance(messages, dict):
        for part, below in messages.items():
            yield from _reasons(below, name or ("" if part == "_schema" else str(part)))
    elif isinstance(messages, list):
        yield name, " ".join(str(message) for message in messages)
    else:
        yield name, str(messages)


def _parameter(name: str, field: fields.Field[Any]) -> Parameter:
    default = field.load_default
    if callable(default):
        default = missing  # it depends on the moment
    inner = field.inner if isinstance(field, fields.List) else field
    kind = next((word for kind, word in _KINDS if isinstance(inner, kind)), "text")
    return Parameter(
        name,
        f"list of {kind}" if inner is not field else kind,
        field.required,
        None if default is missing or default is None else _text(default),
        tuple(_choices(inner)),
        field.metadata.get("description"),
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(getattr(value, "value", value))


def _choices(field: fields.Field[Any]) -> Iterator[str]:
    if isinstance(field, fields.Enum):
        yield from (_text(member.value if field.by_value else member.name) for member in field.enum)
    for validator in field.validators:
        if isinstance(validator, validate.OneOf):
            yield from map(_text, validator.choices)
