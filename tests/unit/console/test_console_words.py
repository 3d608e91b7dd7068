"""How the console says times, numbers and names."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from console import words
from quotejob import clock
from quotejob.jobs.job import BuiltIn, Job, Status


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
