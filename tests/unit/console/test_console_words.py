"""How the console says times, numbers and names."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from console import words
from quotejob import clock
from quotejob.jobs.job import BuiltIn, Job, Status
from quotejob.schedules.cron import Cron


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (86_400, "1 day"),
        (172_800, "2 days"),
    ],
)
def test_a_length_of_time_has_one_unit(seconds: float, said: str) -> None:
    assert words.lasting(seconds) == said == words.lasting(-seconds)


@pytest.mark.parametrize(("cookie", "zone"), [("Europe/Zurich", "Europe/Zurich"), ("../etc", "UTC"), ("", "UTC")])
def test_times_are_in_the_zone_of_the_browser(cookie: str, zone: str) -> None:
    """What is no zone is UTC, and never an error."""
    with Flask("t").test_request_context(headers={"Cookie": f"quotejob_zone={cookie}"}):
        assert words.zone() == zone
        assert zone in words.at(clock.now())


def test_a_relative_time_says_before_or_after() -> None:
    with Flask("t").test_request_context():
        assert ">in 4 min<" in words.relative(clock.now() + timedelta(minutes=4, seconds=30))
        assert ">4 min ago<" in words.relative(clock.now() - timedelta(minutes=4, seconds=30))


def test_a_time_of_another_day_has_its_date() -> None:
    """A clock time alone would be taken for one of today."""
    with Flask("t").test_request_context():
        assert re.search(r">\d\d:\d\d<", words.at(clock.now() + timedelta(hours=1)))
        assert ">01 Jan 2099<" in words.at(datetime(2099, 1, 1, 3, tzinfo=UTC))


@pytest.mark.parametrize(
    ("moment", "short", "long"),
    [
        (datetime(2027, 12, 20, 22, tzinfo=UTC), "Mon 22:00", "Mon 20 Dec, 22:00:00"),
        (datetime(2027, 12, 26, 22, tzinfo=UTC), "Sun 22:00", "Sun 26 Dec, 22:00:00"),
        (datetime(2027, 12, 27, 22, tzinfo=UTC), "Mon 27 Dec, 22:00", "Mon 27 Dec, 22:00:00"),
        (datetime(2028, 1, 1, 22, tzinfo=UTC), "Sat 01 Jan 2028, 22:00", "Sat 01 Jan 2028, 22:00:00"),
        (datetime(2028, 2, 29, tzinfo=UTC), "Tue 29 Feb 2028, 00:00", "Tue 29 Feb 2028, 00:00:00"),
        (datetime(2026, 12, 31, 23, 30, tzinfo=UTC), "Thu 31 Dec 2026, 23:30", "Thu 31 Dec 2026, 23:30:00"),
    ],
)
def test_a_fire_time_says_which_day_it_is(
    moment: datetime, short: str, long: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day of the week is enough for a week; another year is named."""
    monkeypatch.setattr(clock, "now", lambda: datetime(2027, 12, 20, 12, tzinfo=UTC))
    with Flask("t").test_request_context():
        assert f">{short}<" in words.fires(moment)
        assert f">{long}<" in words.fires(moment, "%a %d %b, %H:%M:%S")


def test_the_year_is_that_of_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """In Zurich a year begins before it does in UTC."""
    monkeypatch.setattr(clock, "now", lambda: datetime(2027, 12, 31, 12, tzinfo=UTC))
    with Flask("t").test_request_context(headers={"Cookie": "quotejob_zone=Europe/Zurich"}):
        said = words.fires(datetime(2027, 12, 31, 23, 30, tzinfo=UTC), "%a %d %b, %H:%M:%S")
    assert ">Sat 01 Jan 2028, 00:30:00<" in said


def test_it_is_100_percent_only_at_the_end() -> None:
    assert [words.percent(part, 1000) for part in (0, 1, 999, 1000)] == [0, 0, 99, 100]


def a_job(job_type: str, **more: object) -> Job:
    what: dict[str, object] = {"job_id": "1", "org_id": "2", "created_date": clock.now(), "created_by_id": "3"}
    return Job(job_type=job_type, status=Status.HOLDING, **what, **more)  # type: ignore[arg-type]


def test_a_title_says_what_the_job_does() -> None:
    """The words of the clause if there are no others, and never too many of them."""
    assert words.title(a_job(BuiltIn.BATCH_QUOTE, soql_where_clause="Id != null")) == "Id != null"
    assert len(words.title(a_job(BuiltIn.BATCH_QUOTE, soql_where_clause="x" * 9000))) == words.LONGEST_TITLE
    assert words.title(a_job(BuiltIn.SAMPLE_DATA_DELETE)) == "Delete sample data"
    assert words.title(a_job(BuiltIn.BATCH_QUOTE, soql_where_clause="Id != null", name="Nightly")) == "Nightly"
    assert words.title(a_job("OfAPlugin")) == "OfAPlugin"


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("0 0 22 ? * mon-fri", "At 22:00, Monday through Friday"),
        ("0 30 6 ? * 1,3-5", "At 06:30, only on Sunday and Tuesday through Thursday"),
        ("30 0 6 1,15 * ?", "At 06:00:30, on day 1 and 15 of the month"),
        ("0 0 6 L-3 * ?", "At 06:00, 3 days before the last day of the month"),
        ("0 0 6 15W * ?", "At 06:00, on the weekday nearest day 15 of the month"),
        ("0 0 6 LW * ?", "At 06:00, on the last weekday of the month"),
        ("0 0 6 ? * 6L", "At 06:00, on the last Friday of the month"),
        ("0 0 6 ? JAN,JUL FRI#3", "At 06:00, on the third Friday of the month, only in January and July"),
        ("0 0 6 1 1/3 ? 2027", "At 06:00, on day 1 of the month, every 3 months, only in 2027"),
        ("0 5/15 8-18 * * ?", "Every 15 minutes, starting at 5 minutes past the hour, between 08:00 and 18:59"),
        ("0/10 * * * * ?", "Every 10 seconds"),
    ],
)
def test_an_expression_is_said_in_words(expression: str, said: str) -> None:
    Cron.parse(expression)
    assert words.spoken(expression) == said


@pytest.mark.parametrize(
    "expression",
    [
        *("0 0 6 ? * L", "0 0 6 1,L * ?", "0 0 6 1W,15W * ?", "0 0 6 ? * 2#1,6#3", "0 0 6 ? * 2,6L"),  # parts left out
        *("0 0/7 * * * ?", "0 0 0/5 * * ?", "0 20/15 * * * ?", "0 0 6 1 2/5 ?"),  # steps that are not even
        *("0 0 6 1/5 * ?", "0 0 6 ? * 2/2", "0 0 6 1 1 ? 2027/2"),
        *("0 50-10 6 * * ?", "0 0 6 25-5 * ?", "0 0 6,8-10 * * ?", "0 5,* 6 * * ?"),  # another meaning
    ],
)
def test_what_would_be_said_wrongly_is_not_said(expression: str) -> None:
    Cron.parse(expression)
    assert words.spoken(expression) == ""
