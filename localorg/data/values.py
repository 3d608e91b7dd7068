"""Input values: from JSON, or from the text of a CSV cell, to the form that a column keeps.

A reader is made once for each field and called for each value. It returns what is stored (None for nothing) and raises
OrgError where the platform would. Numbers are rounded half up to the scale of their field.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from localorg import errors
from localorg.dates import when
from localorg.errors import OrgError
from localorg.ids import normalise
from localorg.numbers import Double
from localorg.schema.model import Field, SObject

Reader = Callable[[Any], Any]
"""Takes a JSON value and gives what the column keeps."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EARLIEST, _LATEST = date(1700, 1, 1), date(4000, 12, 31)


class Unfit(Exception):
    """The value cannot be read as the type of its field."""


def rounded(value: float | Decimal, scale: int) -> float:
    """Return the number with so many decimals, rounded half away from zero.

    A float counts as the decimal number that it is written as.
    """
    if isinstance(value, float) and round(value, scale) == value:
        return value
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    return float(exact.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)) + 0.0


def parser(field: Field) -> Reader:
    """Return the reader of one field for a caller that handles nulls itself.

    The reader raises Unfit, for `unfit_json` or `unfit_text`.
    """
    return _MAKERS.get(field.type, _text)(field)


def reader(field: Field) -> Reader:
    """Return the reader of JSON values for one field."""
    inner = parser(field)

    def read(value: Any) -> Any:
        if value is None:
            return None
        try:
            return inner(value)
        except Unfit:
            raise unfit_json(field, value) from None

    return read


def text_reader(field: Field) -> Reader:
    """Return the reader of CSV cells for one field. "#N/A" empties it (Bulk API 2.0 guide, "Valid CSV Record Rows")."""
    inner = parser(field)

    def read(cell: Any) -> Any:
        if cell is None or cell == "#N/A":
            return None
        try:
            return inner(cell)
        except Unfit:
            raise unfit_text(field, cell) from None

    return read


def unfit_json(field: Field, value: Any) -> OrgError:
    """Return the error for a JSON value that does not fit its field's type."""
    what = f"Cannot deserialize instance of {field.type} from {_token(value)}"
    said = "" if isinstance(value, list | dict) else f" value {value}"
    return errors.json_parser_error(f"{what}{said} or request may be missing a required field")


def unfit_text(field: Field, cell: Any) -> OrgError:
    """Return the error for a CSV cell that does not fit its field's type."""
    message = f"{field.label}: value not of required type: {cell}"
    return OrgError(400, "INVALID_TYPE_ON_FIELD_IN_RECORD", message, (field.name,))


def _token(value: Any) -> str:
    match value:
        case bool():
            return "VALUE_TRUE" if value else "VALUE_FALSE"
        case int():
            return "VALUE_NUMBER_INT"
        case float():
            return "VALUE_NUMBER_FLOAT"
        case list():
            return "START_ARRAY"
        case dict():
            return "START_OBJECT"
        case _:
            return "VALUE_STRING"


# --- texts --------------------------------------------------------------------------------------------------------


def _plain_text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise Unfit


def _text(field: Field) -> Reader:
    most, label, name = field.length, field.label, field.name

    def read(value: Any) -> str | None:
        text = value.strip() if type(value) is str else _plain_text(value)
        if most and len(text) > most:
            raise errors.too_long(label, name, text, most)
        return text or None

    return read


def _picklist(field: Field) -> Reader:
    plain = _text(field)
    spelled = {value.lower(): value for value in field.picklist}

    def read(value: Any) -> str | None:
        text: str | None = plain(value)
        if text is None or not spelled:
            return text
        known = spelled.get(text.lower())
        if known is None and field.restricted:
            raise errors.bad_picklist(field.label, field.name, text)
        return known or text

    return read


def _multipicklist(field: Field) -> Reader:
    plain, one = _text(field), _picklist(field)

    def read(value: Any) -> str | None:
        chosen = (one(part) for part in (plain(value) or "").split(";"))
        return ";".join(each for each in chosen if each) or None

    return read


def _email(field: Field) -> Reader:
    plain = _text(field)

    def read(value: Any) -> str | None:
        text: str | None = plain(value)
        if text is not None and _EMAIL.fullmatch(text) is None:
            message = f"{field.label}: invalid email address: {text}"
            raise OrgError(400, "INVALID_EMAIL_ADDRESS", message, (field.name,))
        return text

    return read


def _reference(field: Field) -> Reader:
    # The platform's messages call the field by its label, "Opportunity ID: id value of incorrect type: 003...".
    def read(value: Any) -> str | None:
        if value == "":
            return None
        found = normalise(value)
        if found is None:
            raise OrgError(400, "MALFORMED_ID", f"{field.label}: id value of incorrect type: {value}", (field.name,))
        return found

    return read


def row_id(sobject: SObject, given: Any) -> str:
    """Return the 18-character id of a row of this object, given with 15 or 18; raise OrgError (400 MALFORMED_ID)."""
    full = normalise(given)
    if full is None or full[:3] != sobject.key_prefix:
        raise OrgError(400, "MALFORMED_ID", f"Record ID: id value of incorrect type: {given}", ("Id",))
    return full


# --- numbers ------------------------------------------------------------------------------------------------------


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Unfit
    text = value.strip() if isinstance(value, str) else repr(value)
    if _NUMBER.fullmatch(text) is None:
        raise Unfit
    try:
        return Decimal(text)
    except InvalidOperation:
        raise Unfit from None


def _rounded_exactly(field: Field, value: Any, number: float, bound: float) -> float:
    """Return the number rounded to the field's scale, judged by its exact digits; raise OrgError when it does not fit.

    The largest number that fits may be as large, as a float, as the smallest that does not.
    """
    if -2 * bound < number < 2 * bound:
        exact = _decimal(value).quantize(Decimal(1).scaleb(-field.scale), ROUND_HALF_UP)
        if -bound < exact < bound:
            return float(exact) + 0.0
    raise errors.number_outside_valid_range(field.label, field.name, value)


_NUMERIC = frozenset({float, int, Double})


def _number(field: Field) -> Reader:
    scale = field.scale
    bound = 10.0 ** (field.precision - scale) if field.precision else 1e18

    def read(value: Any) -> float | None:
        if type(value) is str:
            if value == "":
                return None
            value = value.strip()
            if _NUMBER.fullmatch(value) is None:
                raise Unfit
        elif type(value) not in _NUMERIC:
            raise Unfit
        number = float(value)
        if -bound < number < bound and round(number, scale) == number:
            return number
        return _rounded_exactly(field, value, number, bound)

    return read


def _int(field: Field) -> Reader:
    bound = 10**field.precision if field.precision else 2**31

    def read(value: Any) -> int | None:
        if value == "":
            return None
        number = _decimal(value)
        if number != number.to_integral_value():
            raise Unfit
        if not -bound < number < bound:
            raise errors.number_outside_valid_range(field.label, field.name, value)
        return int(number)

    return read


_TRUTHS: dict[Any, int] = {"true": 1, "false": 0, "1": 1, "0": 0}


def _boolean(field: Field) -> Reader:
    del field

    def read(value: Any) -> int:
        if isinstance(value, bool):
            return int(value)
        known = _TRUTHS.get(value.strip().lower()) if isinstance(value, str) else None
        if known is None:
            raise Unfit
        return known

    return read


# --- times --------------------------------------------------------------------------------------------------------


def _date(field: Field) -> Reader:
    del field

    def read(value: Any) -> str | None:
        if value == "":
            return None
        if not isinstance(value, str) or _DATE.fullmatch(value[:10]) is None:
            raise Unfit
        _day(value[:10])
        if len(value) > 10:
            _instant(value)
        return value[:10]

    return read


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Unfit from None
    if not _EARLIEST <= day <= _LATEST:
        raise Unfit
    return day


def _instant(text: str) -> datetime:
    try:
        moment = when(text)
    except ValueError:
        raise Unfit from None
    if moment.tzinfo is None:
        raise Unfit
    return moment


def _datetime(field: Field) -> Reader:
    del field

    def read(value: Any) -> str | None:
        if value == "":
            return None
        if not isinstance(value, str):
            raise Unfit
        if _DATE.fullmatch(value):
            value += "T00:00:00Z"
        moment = _instant(value)
        _day(value[:10])
        return stamp(moment)

    return read


def stamp(moment: datetime) -> str:
    """Return a time as columns and answers write it: UTC, whole seconds, `2026-01-31T08:00:00.000+0000`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


_MAKERS: dict[str, Callable[[Field], Reader]] = {
    "reference": _reference,
    "id": _reference,
    "picklist": _picklist,
    "multipicklist": _multipicklist,
    "email": _email,
    "int": _int,
    "double": _number,
    "currency": _number,
    "percent": _number,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
}
