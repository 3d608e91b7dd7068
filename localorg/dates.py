"""Dates as text, and date literals of SOQL: names for ranges of days, such as TODAY or LAST_N_WEEKS:3.

Source: SOQL and SOSL Reference, "Date Formats and Date Literals in WHERE". Every literal is a number of whole units
(days, weeks, months ...) in a row; they are counted from the unit that contains today. Weeks start on Sunday and the
fiscal year in January, unless the caller says otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

_UNITS = "DAY|WEEK|MONTH|QUARTER|YEAR|FISCAL_QUARTER|FISCAL_YEAR"
_PLAIN = re.compile(rf"(LAST|THIS|NEXT)_({_UNITS.removeprefix('DAY|')})")
_COUNTED = re.compile(rf"(LAST_N|NEXT_N)_({_UNITS})S:(\d+)", re.ASCII)
_AGO = re.compile(rf"N_({_UNITS})S_AGO:(\d+)", re.ASCII)
_FIRST = {"LAST": -1, "THIS": 0, "NEXT": 1}
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_BETWEEN = ("T", "t", " ", "")  # date and time
SUNDAY = 6  # in the numbering of date.weekday()
_MOST = 4_000 * 366  # in days: no literal goes beyond the platform's calendar (1700 to 4000)


def when(text: str) -> datetime:
    """Return a date and time in ISO 8601, aware when it has an offset; raise ValueError when it is not one."""
    if text[10:11] not in _BETWEEN:  # Python takes any character here, a digit of another script too
        raise ValueError(text)
    return datetime.fromisoformat(text)


@dataclass(frozen=True, slots=True)
class DateLiteral:
    """A range of `count` whole units; the first is `first` units away from the unit that contains today."""

    unit: str
    first: int
    count: int

    def days(self, today: date, fiscal_month: int = 1, first_weekday: int = SUNDAY) -> tuple[date, date]:
        """Return the first day of the range and the first day after it.

        Fiscal years start in month `fiscal_month` (1 to 12), weeks on day `first_weekday` (0 is Monday).
        """
        begin = _begin(self.unit, today, fiscal_month, first_weekday)
        return _shift(self.unit, begin, self.first), _shift(self.unit, begin, self.first + self.count)


_NAMED = {
    "YESTERDAY": DateLiteral("DAY", -1, 1),
    "TODAY": DateLiteral("DAY", 0, 1),
    "TOMORROW": DateLiteral("DAY", 1, 1),
    "LAST_90_DAYS": DateLiteral("DAY", -90, 91),
    "NEXT_90_DAYS": DateLiteral("DAY", 1, 90),
}


def date_literal(text: str) -> DateLiteral | None:
    """Return the literal with this name, in any case; None when there is none."""
    text = text.upper()
    if text in _NAMED:
        return _NAMED[text]
    if found := _PLAIN.fullmatch(text):
        return DateLiteral(found[2], _FIRST[found[1]], 1)
    if found := _COUNTED.fullmatch(text):
        return _counted(found[1] == "LAST_N", found[2], _bounded(found[3]))
    if found := _AGO.fullmatch(text):
        return DateLiteral(found[1], -_bounded(found[2]), 1)
    return None


def _counted(last: bool, unit: str, n: int) -> DateLiteral:
    if not last:
        return DateLiteral(unit, 1, n)
    # Only with days the current unit is included: LAST_N_DAYS:1 is yesterday and today.
    return DateLiteral(unit, -n, n + 1 if unit == "DAY" else n)


def _bounded(digits: str) -> int:
    return min(int(digits[:9]), _MOST)


def _begin(unit: str, day: date, fiscal_month: int, first_weekday: int) -> date:
    if unit == "DAY":
        return day
    if unit == "WEEK":
        return day - timedelta(days=(day.weekday() - first_weekday) % 7)
    first_month = fiscal_month if unit.startswith("FISCAL") else 1
    months = _MONTHS[unit.removeprefix("FISCAL_")]
    return _month(day.year * 12 + day.month - 1 - (day.month - first_month) % months)


def _shift(unit: str, begin: date, by: int) -> date:
    if unit in {"DAY", "WEEK"}:
        days = by * (7 if unit == "WEEK" else 1)
        return date.fromordinal(max(date.min.toordinal(), min(date.max.toordinal(), begin.toordinal() + days)))
    months = by * _MONTHS[unit.removeprefix("FISCAL_")]
    return _month(begin.year * 12 + begin.month - 1 + months)


def _month(number: int) -> date:
    """Return the first day of a month, counted from year 0, and limited to Python's calendar."""
    year, month = divmod(number, 12)
    if year < 1:
        return date.min
    return date(year, month + 1, 1) if year <= 9999 else date.max
