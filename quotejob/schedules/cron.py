"""Cron expressions as the platform writes them: ``Seconds Minutes Hours Day_of_month Month Day_of_week [Year]``.

Each field takes ``*``, values, names (JAN, MON), ranges (``FRI-MON`` runs over the end), steps (``0/15``, ``8-18/2``)
and lists of these. Exactly one of the two day fields is ``?``. Day_of_month also takes ``L`` (the last day), ``L-3``,
``15W`` (the weekday nearest to the 15th in the same month) and ``LW``. Day_of_week counts from 1 = SUN. It also takes
``L`` (Saturday), ``6L`` (the last Friday) and ``6#3`` (the third Friday). Seconds and Minutes also take lists, ranges
and steps, which the platform does not.

When the clocks change, an expression that names hours uses local time. A local time that does not exist fires at the
first moment after the gap. A local time that exists twice fires the first time. An expression for every hour uses
elapsed time instead, as an interval should: it adds and leaves out nothing on these days.

Existing packages were not used: they count weekdays differently, or lack W or years, or fire twice on these days.
"""

from __future__ import annotations

import calendar
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from quotejob.errors import InvalidRequest

EXPRESSION_FIELD = "cronExpression"  # of the API
MAX_EXPRESSION_LENGTH = 255  # characters
FIRST_YEAR, LAST_YEAR = 1970, 2099
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), start=1)}
_SECOND = timedelta(seconds=1)

Days = Callable[[int, int], set[int]]  # year, month -> the days of that month


@dataclass(frozen=True, slots=True)
class _Field:
    """The values that one field may hold."""

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
    """An expression in a time zone. In: a moment. Out: the fire times after it, aware, in UTC."""

    expression: str
    zone: ZoneInfo
    _times: tuple[list[int], list[int], list[int]]  # hours, minutes, seconds, each sorted
    _months: frozenset[int]
    _years: list[int]
    _days: Days

    @classmethod
    def parse(cls, expression: str, time_zone: str = "UTC") -> Cron:
        """Parse an expression. Raises InvalidRequest, which names the field that is wrong."""
        zone = time_zone_named(time_zone)
        parts = expression.upper().split()
        if len(expression) > MAX_EXPRESSION_LENGTH or len(parts) not in (6, 7):
            names = " ".join(each.name for each in _FIELDS[:-1])
            raise _wrong(f"should have 6 or 7 fields ({names} and an optional Year), not {len(parts)}")
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
        """Return the first fire time later than ``after`` (aware), in UTC. None: there is none before the year 2100."""
        after = after.astimezone(UTC).replace(microsecond=0)
        return self._next_by_elapsed_time(after) if len(self._times[0]) == 24 else self._next_by_local_time(after)

    def preview(self, after: datetime, count: int = 5) -> list[datetime]:
        """Return the next ``count`` fire times, or fewer when there are not so many."""
        found: list[datetime] = []
        while len(found) < count and (moment := self.next(after)) is not None:
            found.append(moment)
            after = moment
        return found

    # -- from local time to UTC ----------------------------------------------------------------------------------------

    def _next_by_local_time(self, after: datetime) -> datetime | None:
        local = self._local(after)
        while (found := self._local_time_after(local)) is not None:
            local = found
            if (
                moment := self._moment(local)
            ) > after:  # otherwise this local time exists twice, and the first one has passed
                return moment
        return None

    def _next_by_elapsed_time(self, after: datetime) -> datetime | None:
        local, offset = self._local(after), self._offset(after)
        while (found := self._local_time_after(local)) is not None:
            moment = (found - offset).replace(tzinfo=UTC)
            if self._offset(moment) == offset:
                return moment
            change = self._change(after, moment)  # search again from there, with the new offset
            offset = self._offset(change)
            local, after = self._local(change) - _SECOND, change
        return None

    def _moment(self, local: datetime) -> datetime:
        """Return the first moment with this local time, or the first moment after the gap when it does not exist."""
        early = local.replace(tzinfo=self.zone).astimezone(UTC)
        if self._local(early) == local:
            return early
        return self._change(local.replace(tzinfo=self.zone, fold=1).astimezone(UTC), early)

    def _change(self, before: datetime, after: datetime) -> datetime:
        """Return when the offset of ``before`` ends. ``after`` is a later moment with another offset."""
        offset = self._offset(before)
        low, high = 0, int((after - before).total_seconds())
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(before + middle * _SECOND) == offset:
                low = middle
            else:
                high = middle
        return before + high * _SECOND

    def _local(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone).replace(tzinfo=None, fold=0)

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self.zone).utcoffset() or timedelta()

    # -- local time ----------------------------------------------------------------------------------------------------

    def _local_time_after(self, local: datetime) -> datetime | None:
        """Return the next local time later than ``local`` that fits the expression."""
        later = self._time_after(local) if self._fits(local.date()) else None
        if later is not None:
            return datetime.combine(local.date(), datetime.min.time()).replace(
                hour=later[0], minute=later[1], second=later[2]
            )
        for day in self._days_after(local.date()):
            hours, minutes, seconds = self._times
            return datetime(day.year, day.month, day.day, hours[0], minutes[0], seconds[0])  # noqa: DTZ001
        return None

    def _time_after(self, local: datetime) -> tuple[int, int, int] | None:
        """Return hour, minute and second of the next time on the same day that fits, if there is one."""
        hours, minutes, seconds = self._times
        hour, minute, second = local.hour, local.minute, local.second + 1
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


def time_zone_named(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name such as Europe/Zurich. Raises InvalidRequest for an unknown name."""
    if name not in _zones():
        raise InvalidRequest.field("timeZone", "should be an IANA name, such as Europe/Zurich or UTC")
    return ZoneInfo(name)


@cache
def _zones() -> frozenset[str]:
    """Return the names of IANA. A machine may have others, such as localtime, which has another meaning on the next."""
    return frozenset(files("tzdata").joinpath("zones").read_text().split())


def _at_least(values: list[int], least: int) -> int | None:
    place = bisect_left(values, least)
    return values[place] if place < len(values) else None


# -- reading the fields ------------------------------------------------------------------------------------------------


def _wrong(message: str) -> InvalidRequest:
    return InvalidRequest.field(EXPRESSION_FIELD, message)


def _values(what: _Field, text: str) -> set[int]:
    """Return all values of a field that has only plain terms."""
    return {value for term in text.split(",") for value in _term(what, term)}


def _term(what: _Field, term: str) -> Iterator[int]:
    """Yield the values of one term: ``*``, ``n``, ``n-m``, ``*/s``, ``n/s`` or ``n-m/s``."""
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
        raise _wrong(f"Year: the range {_shown(term)} ends before it begins")
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
    """Return a term quoted and shortened, for an error message."""
    return repr(term[:20])


def _days_of_month(text: str) -> Days:
    rules = [_day_of_month(term) for term in text.split(",")]
    return cache(lambda year, month: set().union(*(rule(year, month) for rule in rules)))


def _day_of_month(term: str) -> Days:
    what = _FIELDS[3]
    if term == "L" or (found := re.fullmatch("L-([0-9]{1,2})", term, re.ASCII)) is not None:
        back = 0 if term == "L" else int(term[2:])
        if back > 30:
            raise _wrong(f"Day_of_month: {_shown(term)} is more than a month back; the most is L-30")
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
        return lambda year, month: set(_days_on(year, month, 7))
    if found := re.fullmatch("([0-9]|[A-Z]{3})L", term, re.ASCII):
        weekday = _value(what, found[1], term)
        return lambda year, month: {_days_on(year, month, weekday)[-1]}
    if found := re.fullmatch("([0-9]|[A-Z]{3})#([0-9])", term, re.ASCII):
        weekday, place = _value(what, found[1], term), int(found[2])
        if not 1 <= place <= 5:
            raise _wrong(f"Day_of_week: {_shown(term)} should have a number from #1 to #5")
        return lambda year, month: set(_days_on(year, month, weekday)[place - 1 : place])
    days = frozenset(_term(what, term))
    return lambda year, month: {day for each in days for day in _days_on(year, month, each)}


def _length(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def _days_on(year: int, month: int, weekday: int) -> list[int]:
    """Return the days of the month that fall on a weekday (1 = SUN), in order."""
    first = 1 + (weekday - 1 - (date(year, month, 1).weekday() + 1)) % 7
    return list(range(first, _length(year, month) + 1, 7))


def _weekday_near(year: int, month: int, day: int) -> int:
    """Return the day from Monday to Friday that is nearest to a day, in the same month."""
    weekday = date(year, month, day).weekday()
    if weekday == 5:
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < _length(year, month) else day - 2
    return day
