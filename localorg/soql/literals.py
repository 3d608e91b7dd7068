"""Constants of a WHERE clause: their values, and whether they fit the field of the comparison.

Sources: SOQL and SOSL Reference, "Quoted String Escape Sequences", "Date Formats and Date Literals in WHERE".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TypeVar
from zoneinfo import ZoneInfo

from localorg.dates import DateLiteral, date_literal
from localorg.ids import normalise
from localorg.schema.model import NUMBERS
from localorg.soql.locales import first_weekday
from localorg.soql.names import Column, Scope
from localorg.soql.syntax import Literal

MOST_STRING = 4_000  # characters of one string literal

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_Day = TypeVar("_Day", bound=date)
_FIRST_YEAR, _LAST_YEAR = 1700, 4000
_SPOKEN = {"datetime": "dateTime", "id": "ID", "reference": "reference"}


@dataclass(frozen=True, slots=True)
class Person:
    """The user of a statement: time zone and locale.

    The time zone decides where days begin. The locale decides where weeks begin, and how FORMAT writes (SOQL and SOSL
    Reference, "Date Formats and Date Literals in WHERE", "FORMAT ()").
    """

    id: str
    zone: ZoneInfo
    locale: str = "en_US"


@dataclass(frozen=True, slots=True)
class Now:
    """When a statement runs (an aware time) and for whom; the fiscal year starts in month `fiscal_month`."""

    time: datetime
    person: Person
    fiscal_month: int = 1

    @property
    def today(self) -> date:
        """The user's day."""
        return self.time.astimezone(self.person.zone).date()


@dataclass(frozen=True, slots=True)
class Edge:
    """One end of a date literal's range, as text for the database. It is known only when the statement runs."""

    literal: DateLiteral
    last: bool  # the first day after the range, not its first day
    moment: bool  # a dateTime: midnight of that day in the user's zone, told in UTC

    def value(self, now: Now) -> str:
        """Return the day or the moment."""
        day = self.literal.days(now.today, now.fiscal_month, first_weekday(now.person.locale))[self.last]
        return midnight(day, now.person.zone) if self.moment else day.isoformat()


@dataclass(frozen=True, slots=True)
class Mine:
    """The id of the user the statement runs as."""

    def value(self, now: Now) -> str:
        """Return that id."""
        return now.person.id


def midnight(day: date, zone: ZoneInfo) -> str:
    """Return the start of a day in a time zone, as a stored dateTime."""
    try:
        return stored(datetime.combine(day, time(), zone))
    except OverflowError:  # the ends of Python's calendar
        return f"{day.isoformat()}T00:00:00.000+0000"


def stored(moment: datetime) -> str:
    """Return an aware time in the form of stored and sent dateTimes: 2024-05-22T10:00:00.000+0000."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}+0000".rjust(28, "0")


Constant = str | int | float | None | DateLiteral


def constant(scope: Scope, column: Column, literal: Literal, at: int) -> Constant:
    """Return the value of a literal for a column: a database value, None for null, or a date literal.

    `at` is the place of the field, where the platform points when type and literal do not fit (INVALID_FIELD).
    """
    if literal.kind == "word" and literal.text.lower() == "null":
        return 0 if column.type == "boolean" else None
    read = _READERS.get(column.type, _text)
    found = read(scope, literal)
    if found is None:
        raise _unfit(scope, column, at)
    return found


def _unfit(scope: Scope, column: Column, at: int) -> Exception:
    textual = _READERS.get(column.type, _text) in {_text, _id}
    quotes = "should be enclosed in quotes" if textual else "should not be enclosed in quotes"
    kind = _SPOKEN.get(column.type, "string" if textual else column.type)
    sentence = f"value of filter criterion for field '{column.name}' must be of type {kind} and {quotes}"
    return scope.refuse("INVALID_FIELD", at, sentence)


def _text(scope: Scope, literal: Literal) -> str | None:
    return unescaped(scope, literal) if literal.kind == "string" else None


def _id(scope: Scope, literal: Literal) -> str | None:
    if literal.kind != "string":
        return None
    text = unescaped(scope, literal)
    found = normalise(text)
    if found is None:
        raise scope.refuse("INVALID_QUERY_FILTER_OPERATOR", literal.at, f"invalid ID field: {text}")
    return found


def _number(scope: Scope, literal: Literal) -> int | float | None:
    # A currency literal (USD5000) is a word, and fits only in an org with several currencies: this one has one.
    if literal.kind != "number":
        return None
    value = float(literal.text)
    if not math.isfinite(value):
        raise scope.refuse("MALFORMED_QUERY", literal.at, f"For input string: '{literal.text[:40]}'")
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _boolean(_scope: Scope, literal: Literal) -> int | None:
    return {"true": 1, "false": 0}.get(literal.text.lower()) if literal.kind == "word" else None


def _date(scope: Scope, literal: Literal) -> str | DateLiteral | None:
    if literal.kind == "word":
        return date_literal(literal.text)
    if literal.kind != "date":
        return None
    try:
        return _in_calendar(date.fromisoformat(literal.text)).isoformat()
    except ValueError:
        raise scope.refuse("MALFORMED_QUERY", literal.at, f"Invalid date: {literal.text}") from None


def _datetime(scope: Scope, literal: Literal) -> str | DateLiteral | None:
    if literal.kind == "word":
        return date_literal(literal.text)
    if literal.kind != "datetime":
        return None
    try:
        return stored(_in_calendar(datetime.fromisoformat(literal.text.upper())))
    except (ValueError, OverflowError):
        raise scope.refuse("MALFORMED_QUERY", literal.at, f"Invalid datetime: {literal.text}") from None


def _in_calendar(day: _Day) -> _Day:
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise ValueError(day)
    return day


_READERS: dict[str, Callable[[Scope, Literal], Constant]] = {
    "id": _id,
    "reference": _id,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    **dict.fromkeys(NUMBERS, _number),
}


def unescaped(scope: Scope, literal: Literal, *, pattern: bool = False) -> str:
    r"""Return the text of a quoted literal.

    In a LIKE pattern, `\%` and `\_` stay escaped, and every plain backslash becomes escaped.
    """

    def one(found: re.Match[str]) -> str:
        mark = found[1]
        if mark[0] in "uU" and len(mark) == 5:
            return chr(int(mark[1:], 16))
        if pattern and mark in {"%", "_", "\\"}:
            return f"\\{mark}"
        if mark.lower() in _ESCAPES:
            return _ESCAPES[mark.lower()]
        sentence = f"Invalid string literal {literal.text}. Illegal character sequence '\\{mark}' in string literal."
        raise scope.refuse("MALFORMED_QUERY", literal.at, sentence)

    text = literal.text[1:-1]
    if len(text) > MOST_STRING:
        sentence = f"A string literal cannot be longer than {MOST_STRING} characters"
        raise scope.refuse("MALFORMED_QUERY", literal.at, sentence)
    if "\\" not in text:
        return text
    text = _ESCAPE.sub(one, text)
    try:  # \ud83d\ude00 is one character; half of it is none
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise scope.refuse("MALFORMED_QUERY", literal.at, f"Invalid string literal {literal.text}") from None
