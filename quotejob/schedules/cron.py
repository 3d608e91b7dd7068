"""Cron expressions as the platform writes them: ``Seconds Minutes Hours Day_of_month Month Day_of_week [Year]``.

Each field takes values, names (JAN, MON), ranges (also around the end: ``FRI-MON``), steps (``0/15``, ``8-18/2``),
lists of these, and ``*``. One of the two day fields is ``?``. Day_of_month also knows ``L`` (last), ``L-3``, ``15W``
(the weekday nearest to the 15th, in the same month) and ``LW``; Day_of_week counts from 1 = SUN and knows ``L``
(Saturday), ``6L`` (the last Friday) and ``6#3`` (the third Friday). Beyond the platform, Seconds and Minutes take
lists, ranges and steps too.

When the clocks change, an expression that names hours goes by the clock on the wall: a time that does not exist fires
at the first moment after the gap, a time that exists twice fires the first time. One that runs in every hour goes by
time passed, as an interval should: nothing is added or left out on either day.

The packages there are count weekdays differently, or know neither W nor years, or fire twice on one of the two days.
"""

from __future__ import annotations

import calendar
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from quotejob.errors import InvalidRequest

FIELD = "cronExpression"
MAX_EXPRESSION_LENGTH = 255  # characters
FIRST_YEAR, LAST_YEAR = 1970, 2099
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), start=1)}
_SECOND = timedelta(seconds=1)

Days = Callable[[int, int], set[int]]  # the days of a year's month on which something happens


@dataclass(frozen=True, slots=True)
class _Field:
    """What one field may hold."""

    name: str
    low: int
    high: int
    names: dict[str, int] = field(default_factory=dict)


_FIELDS = (
    _Field("Seconds", 0, 59),
    _Field("Minutes", 0, 59),
    _Field("Hours", 0, 23),
    _Field("Day_of_month", 1, 31),
    _Field("Month", 1, 12, _MONTHS),
    _Field("Day_of_week", 1, 7, _WEEKDAYS),
    _Field("Year", FIRST_YEAR, LAST_YEAR),
)


@dataclass(frozen=True, slots=True, eq=False)
class Cron:
    """An expression in a time zone: a series of moments."""

    expression: str
    zone: ZoneInfo
    _times: tuple[list[int], list[int], list[int]]  # hours, minutes, seconds, each in order
    _months: frozenset[int]
    _years: list[int]
    _days: Days

    @classmethod
    def parse(cls, expression: str, time_zone: str = "UTC") -> Cron:
        """Read an expression; InvalidRequest names the field that is wrong."""
        zone = zone_of(time_zone)
        parts = expression.upper().split()
        if len(expression) > MAX_EXPRESSION_LENGTH or len(parts) not in (6, 7):
            names = " ".join(each.name for each in _FIELDS[:-1])
            raise _wrong(f"should have 6 or 7 fields ({names} and, if wanted, Year), not {len(parts)}")
        of_month, of_week = parts[3], parts[5]
        if (of_month == "?") == (of_week == "?"):
            both = "both are" if of_month == "?" else "neither is"
            raise _wrong(f"Day_of_month and Day_of_week: {both} ?; exactly one of the two should be")
        seconds, minutes, hours = (sorted(_values(_FIELDS[place], parts[place])) for place in range(3))
        days = _days_of_week(of_week) if of_month == "?" else _days_of_month(of_month)
        months = frozenset(_values(_FIELDS[4], parts[4]))
        years = sorted(_values(_FIELDS[6], parts[6] if len(parts) == 7 else "*"))
        return cls(" ".join(parts), zone, (hours, minutes, seconds), months, years, days)

    def next(self, after: datetime) -> datetime | None:
        """The first moment later than ``after`` (aware), in UTC; None when there is none before the year 2100."""
        after = after.astimezone(UTC).replace(microsecond=0)
        return self._next_by_time_passed(after) if len(self._times[0]) == 24 else self._next_by_the_wall(after)

    def preview(self, after: datetime, count: int = 5) -> list[datetime]:
        """The next ``count`` moments, or as many as there are."""
        found: list[datetime] = []
        while len(found) < count and (moment := self.next(after)) is not None:
            found.append(moment)
            after = moment
        return found

    # -- from the clock on the wall to moments -------------------------------------------------------------------------

    def _next_by_the_wall(self, after: datetime) -> datetime | None:
        wall = self._wall(after)
        while (found := self._reading_after(wall)) is not None:
            wall = found
            if (moment := self._moment(wall)) > after:  # else its first time has passed: this is the second
                return moment
        return None

    def _next_by_time_passed(self, after: datetime) -> datetime | None:
        wall, offset = self._wall(after), self._offset(after)
        while (found := self._reading_after(wall)) is not None:
            moment = (found - offset).replace(tzinfo=UTC)
            if self._offset(moment) == offset:
                return moment
            change = self._change(after, moment)  # look again from there, with the new difference to UTC
            offset = self._offset(change)
            wall, after = self._wall(change) - _SECOND, change
        return None

    def _moment(self, wall: datetime) -> datetime:
        """When the clock shows this first; the first moment after the gap when it never does."""
        early = wall.replace(tzinfo=self.zone).astimezone(UTC)
        if self._wall(early) == wall:
            return early
        return self._change(wall.replace(tzinfo=self.zone, fold=1).astimezone(UTC), early)

    def _change(self, before: datetime, after: datetime) -> datetime:
        """The moment between two with different offsets at which the offset of the first ends."""
        offset = self._offset(before)
        low, high = 0, int((after - before).total_seconds())
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(before + middle * _SECOND) == offset:
                low = middle
            else:
                high = middle
        return before + high * _SECOND

    def _wall(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone).replace(tzinfo=None, fold=0)

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self.zone).utcoffset() or timedelta()

    # -- on the wall ---------------------------------------------------------------------------------------------------

    def _reading_after(self, wall: datetime) -> datetime | None:
        """The next reading of the clock that fits, later than ``wall``."""
        later = self._time_after(wall) if self._fits(wall.date()) else None
        if later is not None:
            return datetime.combine(wall.date(), datetime.min.time()).replace(
                hour=later[0], minute=later[1], second=later[2]
            )
        for day in self._days_after(wall.date()):
            hours, minutes, seconds = self._times
            return datetime(day.year, day.month, day.day, hours[0], minutes[0], seconds[0])  # noqa: DTZ001
        return None

    def _time_after(self, wall: datetime) -> tuple[int, int, int] | None:
        """Hour, minute, second of the next fitting time of the same day."""
        hours, minutes, seconds = self._times
        hour, minute, second = wall.hour, wall.minute, wall.second + 1
        if hour in hours:
            if minute in minutes and (found := _at_least(seconds, second)) is not None:
                return hour, minute, found
            if (found := _at_least(minutes, minute + 1)) is not None:
                return hour, found, seconds[0]
        found = _at_least(hours, hour + 1)
        return None if found is None else (found, minutes[0], seconds[0])

    def _fits(self, day: date) -> bool:
        return day.year in self._years and day.month in self._months and day.day in self._days(day.year, day.month)

    def _days_after(self, day: date) -> Iterator[date]:
        first = day.day + 1
        for year in self._years[bisect_left(self._years, day.year) :]:
            for month in range(day.month if year == day.year else 1, 13):
                if month in self._months:
                    same = (year, month) == (day.year, day.month)
                    fitting = sorted(each for each in self._days(year, month) if not same or each >= first)
                    yield from (date(year, month, each) for each in fitting)


def zone_of(name: str) -> ZoneInfo:
    """The time zone of an IANA name, as Europe/Zurich; InvalidRequest when there is none."""
    if name not in _zones():
        raise InvalidRequest.field("timeZone", "should be an IANA name, as Europe/Zurich or UTC")
    return ZoneInfo(name)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _at_least(values: list[int], least: int) -> int | None:
    place = bisect_left(values, least)
    return values[place] if place < len(values) else None


# -- reading the fields ------------------------------------------------------------------------------------------------


def _wrong(message: str) -> InvalidRequest:
    return InvalidRequest.field(FIELD, message)


def _values(what: _Field, text: str) -> set[int]:
    """Every value of a field of plain terms."""
    return {value for term in text.split(",") for value in _term(what, term)}


def _term(what: _Field, term: str) -> Iterator[int]:
    """One of: * n n-m */s n/s n-m/s."""
    span, slash, stride = term.partition("/")
    start, dash, end = span.partition("-")
    size = what.high - what.low + 1
    step = 1
    if slash:
        if not re.fullmatch("[0-9]{1,4}", stride, re.ASCII) or not 1 <= int(stride) <= what.high:
            raise _wrong(f"{what.name}: the step of {_shown(term)} should be a whole number from 1 to {what.high}")
        step = int(stride)
    if span == "*":
        return iter(range(what.low, what.high + 1, step))
    low = _value(what, start, term)
    if not dash:
        return iter(range(low, what.high + 1, step) if slash else (low,))
    high = _value(what, end, term)
    if high < low and what.name == "Year":
        raise _wrong(f"Year: the range {_shown(term)} runs backwards")
    length = high - low + 1 if high >= low else high - low + 1 + size
    return iter([what.low + (low - what.low + place) % size for place in range(0, length, step)])


def _value(what: _Field, text: str, term: str) -> int:
    if text in what.names:
        return what.names[text]
    if not re.fullmatch("[0-9]{1,4}", text, re.ASCII) or not what.low <= int(text) <= what.high:
        names = f" or {next(iter(what.names))} to {list(what.names)[-1]}" if what.names else ""
        raise _wrong(f"{what.name}: {_shown(term)} should be made of {what.low} to {what.high}{names}")
    return int(text)


def _shown(term: str) -> str:
    """A term as it may stand in an answer."""
    return repr(term[:20])


def _days_of_month(text: str) -> Days:
    rules = [_day_of_month(term) for term in text.split(",")]
    return cache(lambda year, month: set().union(*(rule(year, month) for rule in rules)))


def _day_of_month(term: str) -> Days:
    what = _FIELDS[3]
    if term == "L" or (found := re.fullmatch("L-([0-9]{1,2})", term, re.ASCII)) is not None:
        back = 0 if term == "L" else int(term[2:])
        if back > 30:
            raise _wrong(f"Day_of_month: {_shown(term)} goes back further than a month; L-30 is the furthest")
        return lambda year, month: {day for day in (_length(year, month) - back,) if day >= 1}
    if term == "LW":
        return lambda year, month: {_weekday_near(year, month, _length(year, month))}
    if found := re.fullmatch("([0-9]{1,2})W", term, re.ASCII):
        day = _value(what, found[1], term)
        return lambda year, month: {_weekday_near(year, month, day)} if day <= _length(year, month) else set()
    days = frozenset(_term(what, term))
    return lambda year, month: {day for day in days if day <= _length(year, month)}


def _days_of_week(text: str) -> Days:
    rules = [_day_of_week(term) for term in text.split(",")]
    return cache(lambda year, month: set().union(*(rule(year, month) for rule in rules)))


def _day_of_week(term: str) -> Days:
    what = _FIELDS[5]
    if term == "L":
        return lambda year, month: set(_on(year, month, 7))
    if found := re.fullmatch("([0-9]|[A-Z]{3})L", term, re.ASCII):
        weekday = _value(what, found[1], term)
        return lambda year, month: {_on(year, month, weekday)[-1]}
    if found := re.fullmatch("([0-9]|[A-Z]{3})#([0-9])", term, re.ASCII):
        weekday, place = _value(what, found[1], term), int(found[2])
        if not 1 <= place <= 5:
            raise _wrong(f"Day_of_week: {_shown(term)} should count from #1 to #5")
        return lambda year, month: set(_on(year, month, weekday)[place - 1 : place])
    days = frozenset(_term(what, term))
    return lambda year, month: {day for each in days for day in _on(year, month, each)}


def _length(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def _on(year: int, month: int, weekday: int) -> list[int]:
    """The days of the month that fall on a weekday (1 = SUN), in order."""
    first = 1 + (weekday - 1 - (date(year, month, 1).weekday() + 1)) % 7
    return list(range(first, _length(year, month) + 1, 7))


def _weekday_near(year: int, month: int, day: int) -> int:
    """The day from Monday to Friday nearest to a day, without leaving the month."""
    weekday = date(year, month, day).weekday()
    if weekday == 5:
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < _length(year, month) else day - 2
    return day
