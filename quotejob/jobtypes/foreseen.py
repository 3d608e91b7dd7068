"""What an org will refuse, as far as its describes say: for dry runs, which send no write.

They say which fields the user may set, which are required, how much text fits and which values a restricted picklist
has. They do not say what validation rules, triggers, flows, locks and duplicates will do.
"""

from __future__ import annotations

from base64 import b85decode, b85encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from quotejob.run.context import Run
from quotejob.store import rows
from quotejob.usercode.writes import Verb

_TEXT = frozenset(("string", "textarea", "phone", "url", "email", "encryptedstring", "combobox"))
_MOST_SAID = 500  # characters


class _Field(msgspec.Struct, frozen=True, array_like=True):
    name: str
    createable: bool
    updateable: bool
    filled: bool  # it may not be empty
    given: bool  # the org fills it if a new record does not
    length: int  # characters; 0: no limit is known
    values: list[str]  # of a restricted picklist; empty: any


Fields = Mapping[str, _Field]  # by name in lower case
Write = tuple[Verb, str, Mapping[str, Any]]  # what, the object, and its fields: texts, numbers and so on, None: empty


def keep(run: Run, described: Iterable[Mapping[str, Any]]) -> None:
    """Keep with a dry run what the org says of some objects."""
    for each in described:
        with run.org.reading("the fields of its objects"):
            found = [list(_fact(field)) for field in each["fields"]]
            run.progress.note(run.id, _note(each["name"]), b85encode(rows.squeeze(found)).decode())


def kept(run: Run, objects: Iterable[str]) -> dict[str, Fields]:
    """Return what was kept of these objects, by the names as they are given."""
    noted = {name: run.progress.note(run.id, _note(name)) for name in objects}
    return {
        name: {field.name.lower(): field for field in rows.unsqueeze(b85decode(text), list[_Field])}
        for name, text in noted.items()
        if text is not None
    }


def refusal(known: Mapping[str, Fields], writes: Iterable[Write]) -> tuple[str, str] | None:
    """Return the code and the message with which the org will refuse one of these writes. None: nothing is known."""
    for verb, name, body in writes:
        for code, field, reason in _wrong(known.get(name, {}), verb, body):
            return code, f"{name}.{field} {reason}"[:_MOST_SAID]
    return None


def _note(name: str) -> str:
    return f"described {name.lower()}"


def _fact(field: Mapping[str, Any]) -> Iterator[Any]:
    yield from (field["name"], field["createable"], field["updateable"])
    yield not field["nillable"] and field["type"] != "boolean"
    yield field["defaultedOnCreate"]
    yield int(field.get("length") or 0) if field["type"] in _TEXT else 0
    restricted = field.get("restrictedPicklist") and field["type"] == "picklist"
    yield [each["value"] for each in field["picklistValues"] if each["active"]] if restricted else []


def _wrong(fields: Fields, verb: Verb, body: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield code, field and reason."""
    if not fields:
        return
    for name, value in body.items():
        field = fields.get(name.lower())
        if field is None:
            yield "INVALID_FIELD", name, "is no field of the org, or the user may not see it"
        else:
            yield from _wrong_value(field, verb, value)
    if verb is Verb.INSERT:
        given = {name.lower() for name in body}
        for key, field in fields.items():
            if field.createable and field.filled and not field.given and key not in given:
                yield "REQUIRED_FIELD_MISSING", field.name, "is required, and the new record does not set it"


def _wrong_value(field: _Field, verb: Verb, value: Any) -> Iterator[tuple[str, str, str]]:
    value = value.strip() if isinstance(value, str) else value  # as an org does
    if (verb is not Verb.UPDATE and not field.createable) or (verb is not Verb.INSERT and not field.updateable):
        yield "INVALID_FIELD_FOR_INSERT_UPDATE", field.name, f"cannot be set in an {verb} by this user"
    elif value in (None, ""):
        if field.filled:
            yield "REQUIRED_FIELD_MISSING", field.name, "is required, and would be empty"
    elif isinstance(value, str) and 0 < field.length < len(value):
        yield "STRING_TOO_LONG", field.name, f"holds {field.length} characters, and the text has {len(value)}"
    elif field.values and str(value).casefold() not in map(str.casefold, field.values):
        yield "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", field.name, f"has no value {value!r}"
