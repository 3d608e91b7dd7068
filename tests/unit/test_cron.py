"""Cron expressions: the platform's syntax, what they mean, and the two days a year on which the clocks change."""

from __future__ import annotations

import calendar
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.process import ROOT
from quotejob.errors import InvalidRequest
from quotejob.schedules.cron import Cron

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
# How often a schedule of the pages with this name fires in a year: at least, and at most. Nights may be those of work.
HOW_OFTEN = {
    "hourly": (8_000, 8_784),
    "nightly": (250, 366),
    "daily": (250, 366),
    "weekly": (52, 53),
    "monthly": (12, 12),
}
HOW_OFTEN |= {"quarterly": (4, 4), "yearly": (1, 1)}
START = datetime(2026, 1, 1, tzinfo=UTC)  # a Thursday


def fires(expression: str, count: int, after: str = "2026-01-01T00:00", zone: str = "UTC") -> list[str]:
    """The next times on the wall of the zone, the offset from UTC behind each where it matters."""
    begin = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone))
    found = Cron.parse(expression, zone).preview(begin, count)
    assert all(moment.utcoffset() == timedelta() for moment in found)
    local = [moment.astimezone(ZoneInfo(zone)) for moment in found]
    return [f"{m:%Y-%m-%dT%H:%M:%S}" + ("" if zone == "UTC" else f"{m:%z}") for m in local]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 13 * * ?", ["2026-01-01T13:00:00", "2026-01-02T13:00:00"]),
        ("0 0 22 ? * 6L", ["2026-01-30T22:00:00", "2026-02-27T22:00:00"]),
        ("0 0 10 ? * MON-FRI", ["2026-01-01T10:00:00", "2026-01-02T10:00:00", "2026-01-05T10:00:00"]),
        ("0 0 20 * * ? 2027", ["2027-01-01T20:00:00", "2027-01-02T20:00:00"]),
        ("0 15 10 ? * 6#3", ["2026-01-16T10:15:00", "2026-02-20T10:15:00"]),
        ("0 15 10 L * ?", ["2026-01-31T10:15:00", "2026-02-28T10:15:00"]),
        ("0 15 10 L-2 * ?", ["2026-01-29T10:15:00", "2026-02-26T10:15:00"]),
        ("0 0 9 LW * ?", ["2026-01-30T09:00:00", "2026-02-27T09:00:00", "2026-03-31T09:00:00"]),
        ("0 0 9 15W * ?", ["2026-01-15T09:00:00", "2026-02-16T09:00:00", "2026-03-16T09:00:00"]),
        ("0 0 9 1W AUG,NOV ?", ["2026-08-03T09:00:00", "2026-11-02T09:00:00"]),  # never into the month before
        ("0 0 9 31W * ?", ["2026-01-30T09:00:00", "2026-03-31T09:00:00", "2026-05-29T09:00:00"]),
        ("0 0 0 ? JAN L", ["2026-01-03T00:00:00", "2026-01-10T00:00:00"]),  # alone it means Saturday
        ("0 0 0 29 2 ?", ["2028-02-29T00:00:00", "2032-02-29T00:00:00"]),
        ("0 0 0 ? * FRI-MON", ["2026-01-02T00:00:00", "2026-01-03T00:00:00", "2026-01-04T00:00:00",
                               "2026-01-05T00:00:00", "2026-01-09T00:00:00"]),
        ("0 0 22-2/2 * * ?", ["2026-01-01T02:00:00", "2026-01-01T22:00:00", "2026-01-02T00:00:00"]),
        ("0 0 0 ? * 2#5", ["2026-03-30T00:00:00", "2026-06-29T00:00:00"]),
        ("30 0/20,50 8 1,15,L nov-jan ?", ["2026-01-01T08:00:30", "2026-01-01T08:20:30", "2026-01-01T08:40:30",
                                           "2026-01-01T08:50:30", "2026-01-15T08:00:30"]),
        ("*/20 59 23 31 12 ? 2026", ["2026-12-31T23:59:00", "2026-12-31T23:59:20", "2026-12-31T23:59:40"]),
        ("0 0 0 30 2 ?", []),
        ("0 0 0 * * ? 2025", []),
    ],
)  # fmt: skip
def test_it_means_what_the_platform_means(expression: str, expected: list[str]) -> None:
    """The guide's own examples among them."""
    assert fires(expression, max(1, len(expected)), "2026-01-01T00:00") == expected


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", ["6 or 7 fields", "not 0"]),
        ("* * * * *", ["6 or 7 fields", "not 5"]),
        ("0 0 0 * * ? 2026 *", ["not 8"]),
        ("60 0 0 * * ?", ["Seconds", "'60'", "0 to 59"]),
        ("0 x 0 * * ?", ["Minutes", "'X'"]),
        ("0 0 24 * * ?", ["Hours", "0 to 23"]),
        ("0 0 0 32 * ?", ["Day_of_month", "1 to 31"]),
        ("0 0 0 0 * ?", ["Day_of_month"]),
        ("0 0 0 32W * ?", ["Day_of_month"]),
        ("0 0 0 L-31 * ?", ["Day_of_month", "L-30"]),
        ("0 0 0 1-5W * ?", ["Day_of_month"]),
        ("0 0 0 ? 13 2", ["Month", "JAN to DEC"]),
        ("0 0 0 ? * 0", ["Day_of_week", "1 to 7", "SUN to SAT"]),
        ("0 0 0 ? * 8L", ["Day_of_week"]),
        ("0 0 0 ? * 2#6", ["Day_of_week", "#1 to #5"]),
        ("0 0 0 ? * MOON", ["Day_of_week"]),
        ("0 0 0 * * ? 1969", ["Year", "1970 to 2099"]),
        ("0 0 0 * * ? 2030-2026", ["Year", "ends before it begins"]),
        ("0 0/0 0 * * ?", ["Minutes", "step", "1 to 59"]),
        ("0 0/ 0 * * ?", ["Minutes", "step"]),
        ("0 /5 0 * * ?", ["Minutes"]),
        ("0 ? 0 * * ?", ["Minutes"]),
        ("0 1,,2 0 * * ?", ["Minutes", "''"]),
        ("0 1-2-3 0 * * ?", ["Minutes"]),
        ("0 ٣ 0 * * ?", ["Minutes"]),
        ("0 0 0 * * *", ["Day_of_month and Day_of_week", "neither"]),
        ("0 0 0 ? * ?", ["Day_of_month and Day_of_week", "both"]),
    ],
)
def test_what_is_wrong_is_named(expression: str, words: list[str]) -> None:
    """The field, what stands there and what may stand there."""
    with pytest.raises(InvalidRequest) as refused:
        Cron.parse(expression)
    assert refused.value.details[0]["field"] == "cronExpression"
    assert all(word in refused.value.message for word in words), refused.value.message


@pytest.mark.parametrize("zone", ["", "Mars/Base", "../../etc/passwd", "Europe", "x" * 500, "localtime", "posixrules"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    """And nothing is looked for outside the zones there are."""
    with pytest.raises(InvalidRequest, match="timeZone"):
        Cron.parse("0 0 0 * * ?", zone)


ZURICH = "Europe/Zurich"  # 2026-03-29 02:00 +01:00 becomes 03:00; 2026-10-25 03:00 +02:00 becomes 02:00


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("0 30 2 * * ?", "2026-03-28T12:00", ["2026-03-29T03:00:00+0200", "2026-03-30T02:30:00+0200"]),
        ("0 0/20 2,3 * * ?", "2026-03-29T00:00", ["2026-03-29T03:00:00+0200", "2026-03-29T03:20:00+0200"]),
        ("0 30 2 * * ?", "2026-10-24T12:00", ["2026-10-25T02:30:00+0200", "2026-10-26T02:30:00+0100"]),
        ("0 0,45 2 25 10 ? 2026", "2026-10-25T02:15", ["2026-10-25T02:45:00+0200"]),
        ("0 0 * * * ?", "2026-03-29T00:30", ["2026-03-29T01:00:00+0100", "2026-03-29T03:00:00+0200"]),
        ("0 0 * * * ?", "2026-10-25T01:30", ["2026-10-25T02:00:00+0200", "2026-10-25T02:00:00+0100",
                                             "2026-10-25T03:00:00+0100"]),
        ("0 30 0/1 29 3 ?", "2026-03-29T01:00", ["2026-03-29T01:30:00+0100", "2026-03-29T03:30:00+0200"]),
        ("0 0 8 * * ?", "2026-03-28T00:00", ["2026-03-28T08:00:00+0100", "2026-03-29T08:00:00+0200"]),
    ],
)  # fmt: skip
def test_the_days_on_which_the_clocks_change(expression: str, after: str, expected: list[str]) -> None:
    """A time that is missing fires right after the gap, one that comes twice fires once; intervals stay intervals."""
    assert fires(expression, len(expected), after, ZURICH) == expected


def test_a_day_that_was_left_out() -> None:
    """Samoa had no 30 December 2011: what was to happen then happened as the 31st began."""
    assert fires("0 0 12 29-31 12 ? 2011", 3, "2011-12-29T00:00", "Pacific/Apia") == [
        "2011-12-29T12:00:00-1000", "2011-12-31T00:00:00+1400", "2011-12-31T12:00:00+1400",
    ]  # fmt: skip


# -- against a model that looks at every minute of some days -----------------------------------------------------------

CHANGES = [
    ("Europe/Zurich", "2026-03-29"), ("Europe/Zurich", "2026-10-25"), ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"), ("Australia/Lord_Howe", "2026-04-05"), ("Australia/Lord_Howe", "2026-10-04"),
    ("America/Havana", "2025-11-02"), ("Africa/Cairo", "2026-04-24"), ("Asia/Kathmandu", "2026-02-28"),
    ("UTC", "2028-02-29"),
]  # fmt: skip
Fits = Callable[[date], bool]


def numbers(low: int, high: int) -> st.SearchStrategy[tuple[str, set[int]]]:
    """A field of plain values, and the set it stands for."""
    values = st.integers(low, high)
    single = values.map(lambda n: (str(n), {n}))
    every = st.just(("*", set(range(low, high + 1))))
    steps = st.tuples(values, st.integers(1, high)).map(lambda p: (f"{p[0]}/{p[1]}", set(range(p[0], high + 1, p[1]))))
    spans = st.tuples(values, values).map(
        lambda p: (f"{p[0]}-{p[1]}", {n for n in range(low, high + 1)
                                      if (p[0] <= n <= p[1] if p[0] <= p[1] else n >= p[0] or n <= p[1])})
    )  # fmt: skip
    several = st.lists(st.one_of(single, steps, spans), min_size=1, max_size=3).map(
        lambda parts: (",".join(text for text, _ in parts), set().union(*(each for _, each in parts)))
    )
    return st.one_of(single, every, steps, spans, several)


def last(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def is_nearest_weekday(day: date, wanted: int) -> bool:
    """By trying every weekday of the month."""
    if wanted > last(day):
        return False
    candidates = [n for n in range(1, last(day) + 1) if day.replace(day=n).weekday() < 5]
    best = min(candidates, key=lambda n: (abs(n - wanted), n if day.replace(day=wanted).weekday() == 5 else -n))
    return day.day == best


days = st.one_of(
    numbers(1, 31).map(lambda p: (p[0], "?", lambda d: d.day in p[1])),
    numbers(1, 7).map(lambda p: ("?", p[0], lambda d: d.isoweekday() % 7 + 1 in p[1])),
    st.integers(0, 30).map(lambda n: (f"L-{n}" if n else "L", "?", lambda d: d.day == last(d) - n)),
    st.integers(1, 31).map(lambda n: (f"{n}W", "?", lambda d: is_nearest_weekday(d, n))),
    st.just(("LW", "?", lambda d: is_nearest_weekday(d, last(d)))),
    st.tuples(st.integers(1, 7), st.integers(1, 5)).map(
        lambda p: ("?", f"{p[0]}#{p[1]}", lambda d: d.isoweekday() % 7 + 1 == p[0] and (d.day + 6) // 7 == p[1])
    ),
    st.integers(1, 7).map(lambda n: ("?", f"{n}L", lambda d: d.isoweekday() % 7 + 1 == n and d.day + 7 > last(d))),
)


def minutes_around(zone: str, day: str) -> list[tuple[datetime, datetime]]:
    """Every minute of five days: the moment, and what the clock on the wall shows."""
    start = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(days=2)
    moments = [start + timedelta(minutes=n) for n in range(5 * 1440)]
    return [(moment, moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for moment in moments]


def brute(table: list[tuple[datetime, datetime]], hours: set[int], minutes: set[int], fits: Fits) -> Iterator[datetime]:
    """What should fire in the table's time, by looking at each minute."""
    if len(hours) == 24:
        yield from (moment for moment, wall in table if fits(wall.date()) and wall.minute in minutes)
        return
    reached, furthest = [], table[0][1]
    for _, wall in table:
        furthest = max(furthest, wall)
        reached.append(furthest)
    wall, end = table[0][1], table[-1][1]
    found = set()
    while wall <= end:
        if wall.hour in hours and wall.minute in minutes and fits(wall.date()):
            found.add(table[bisect_left(reached, wall)][0])
        wall += timedelta(minutes=1)
    yield from sorted(found)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CHANGES), numbers(0, 59), numbers(0, 23), days, numbers(1, 12))
def test_it_agrees_with_looking_at_every_minute(
    change: tuple[str, str],
    minutes: tuple[str, set[int]],
    hours: tuple[str, set[int]],
    day: tuple[str, str, Fits],
    months: tuple[str, set[int]],
) -> None:
    """Any expression, over the days on which the clocks of many zones change: nothing twice, nothing left out."""
    table = minutes_around(*change)
    expected = list(brute(table, hours[1], minutes[1], lambda d: d.month in months[1] and day[2](d)))
    cron = Cron.parse(f"0 {minutes[0]} {hours[0]} {day[0]} {months[0]} {day[1]}", change[0])
    found: list[datetime] = []
    moment = cron.next(table[0][0] - timedelta(seconds=1))
    while moment is not None and moment <= table[-1][0] and len(found) < 400:
        found.append(moment)
        moment = cron.next(moment)
    assert found == expected[: len(found)]
    assert len(found) == min(len(expected), 400)


@settings(max_examples=200)
@given(st.text(st.sampled_from("0123456789*?/,-LW# ANMOJ"), max_size=40))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    """Never another error, and never without an end."""
    try:
        cron = Cron.parse(text)
    except InvalidRequest:
        return
    cron.next(START)


def test_schedules_of_the_pages_fire_as_often_as_their_names_say() -> None:
    """Who copies one gets what it is called."""
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    command = r'schedules (?:create|edit \w+ --name) (\w+) --cron "([^"]+)"'
    body = r'"name": "(\w+)", "cronExpression": "([^"]+)"'
    named = [*re.findall(command, text), *re.findall(body, text)]
    assert {"Yearly", "Nightly", "Monthly"} <= {name for name, _ in named}
    for name, expression in named:
        least, most = HOW_OFTEN[name.lower()]
        ahead = Cron.parse(expression).preview(START, most + 1)
        assert least <= sum(moment < START.replace(year=2027) for moment in ahead) <= most, (name, expression)
