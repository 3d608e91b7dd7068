"""Date literals are the days the reference names, and days begin where the user is."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from soqlorg import SoqlOrg

from localorg.dates import date_literal

WEDNESDAY = date(2024, 5, 15)


@pytest.mark.parametrize(
    ("literal", "first", "last"),
    [
        ("YESTERDAY", "2024-05-14", "2024-05-14"),
        ("today", "2024-05-15", "2024-05-15"),
        ("Tomorrow", "2024-05-16", "2024-05-16"),
        ("LAST_WEEK", "2024-05-05", "2024-05-11"),
        ("THIS_WEEK", "2024-05-12", "2024-05-18"),
        ("NEXT_WEEK", "2024-05-19", "2024-05-25"),
        ("LAST_MONTH", "2024-04-01", "2024-04-30"),
        ("THIS_MONTH", "2024-05-01", "2024-05-31"),
        ("NEXT_MONTH", "2024-06-01", "2024-06-30"),
        ("LAST_90_DAYS", "2024-02-15", "2024-05-15"),
        ("NEXT_90_DAYS", "2024-05-16", "2024-08-13"),
        ("LAST_N_DAYS:1", "2024-05-14", "2024-05-15"),
        ("NEXT_N_DAYS:1", "2024-05-16", "2024-05-16"),
        ("N_DAYS_AGO:2", "2024-05-13", "2024-05-13"),
        ("LAST_N_WEEKS:2", "2024-04-28", "2024-05-11"),
        ("NEXT_N_WEEKS:2", "2024-05-19", "2024-06-01"),
        ("N_WEEKS_AGO:2", "2024-04-28", "2024-05-04"),
        ("LAST_N_MONTHS:5", "2023-12-01", "2024-04-30"),
        ("NEXT_N_MONTHS:8", "2024-06-01", "2025-01-31"),
        ("N_MONTHS_AGO:3", "2024-02-01", "2024-02-29"),
        ("LAST_QUARTER", "2024-01-01", "2024-03-31"),
        ("THIS_QUARTER", "2024-04-01", "2024-06-30"),
        ("NEXT_QUARTER", "2024-07-01", "2024-09-30"),
        ("LAST_N_QUARTERS:2", "2023-10-01", "2024-03-31"),
        ("NEXT_N_QUARTERS:2", "2024-07-01", "2024-12-31"),
        ("N_QUARTERS_AGO:2", "2023-10-01", "2023-12-31"),
        ("LAST_YEAR", "2023-01-01", "2023-12-31"),
        ("THIS_YEAR", "2024-01-01", "2024-12-31"),
        ("NEXT_YEAR", "2025-01-01", "2025-12-31"),
        ("LAST_N_YEARS:2", "2022-01-01", "2023-12-31"),
        ("NEXT_N_YEARS:2", "2025-01-01", "2026-12-31"),
        ("N_YEARS_AGO:2", "2022-01-01", "2022-12-31"),
        ("THIS_FISCAL_QUARTER", "2024-04-01", "2024-06-30"),
        ("LAST_FISCAL_QUARTER", "2024-01-01", "2024-03-31"),
        ("NEXT_FISCAL_YEAR", "2025-01-01", "2025-12-31"),
        ("LAST_N_FISCAL_QUARTERS:1", "2024-01-01", "2024-03-31"),
        ("N_FISCAL_YEARS_AGO:1", "2023-01-01", "2023-12-31"),
        ("NEXT_N_FISCAL_YEARS:1", "2025-01-01", "2025-12-31"),
    ],
)
def test_the_days_of_a_literal(literal: str, first: str, last: str) -> None:
    found = date_literal(literal)
    assert found is not None
    begin, after = found.days(WEDNESDAY)
    assert (begin.isoformat(), (after - timedelta(1)).isoformat()) == (first, last)


def test_a_fiscal_year_that_starts_in_april() -> None:
    def days(literal: str, today: date) -> tuple[str, str]:
        found = date_literal(literal)
        assert found is not None
        begin, after = found.days(today, fiscal_month=4)
        return begin.isoformat(), after.isoformat()

    assert days("THIS_FISCAL_YEAR", WEDNESDAY) == ("2024-04-01", "2025-04-01")
    assert days("THIS_FISCAL_YEAR", date(2024, 2, 1)) == ("2023-04-01", "2024-04-01")
    assert days("LAST_FISCAL_QUARTER", WEDNESDAY) == ("2024-01-01", "2024-04-01")
    assert days("THIS_YEAR", WEDNESDAY) == ("2024-01-01", "2025-01-01")


@pytest.mark.parametrize(
    "wrong", ["THIS_DAY", "LAST_N_DAYS", "LAST_N_DAYS:", "LAST_N_DAYS:-1", "SOON", "N_DAYS_AGO:x", ""]
)
def test_other_words_are_no_literals(wrong: str) -> None:
    assert date_literal(wrong) is None


UNITS = ["DAYS", "WEEKS", "MONTHS", "QUARTERS", "YEARS", "FISCAL_QUARTERS", "FISCAL_YEARS"]


@given(
    st.dates(date(1700, 1, 1), date(4000, 12, 31)),
    st.sampled_from(["LAST_N_{}", "NEXT_N_{}", "N_{}_AGO"]),
    st.sampled_from(UNITS),
    st.integers(0, 10**12),
)
def test_no_literal_is_out_of_the_calendars_reach(today: date, form: str, unit: str, n: int) -> None:
    found = date_literal(f"{form.format(unit)}:{n}")
    assert found is not None
    begin, after = found.days(today)
    assert begin <= after


@given(st.dates(date(1800, 1, 1), date(3900, 1, 1)), st.sampled_from(UNITS), st.integers(1, 40))
def test_last_this_and_next_meet(today: date, unit: str, n: int) -> None:
    def days(literal: str) -> tuple[date, date]:
        found = date_literal(literal)
        assert found is not None
        return found.days(today)

    last, following = days(f"LAST_N_{unit}:{n}"), days(f"NEXT_N_{unit}:{n}")
    this = (today, today + timedelta(1)) if unit == "DAYS" else days(f"THIS_{unit[:-1]}")
    assert last[1] == (this[1] if unit == "DAYS" else this[0])
    assert this[0] <= today < this[1] == following[0]
    assert days(f"N_{unit}_AGO:{n}")[0] == last[0]


def _org(zone: str) -> SoqlOrg:
    org = SoqlOrg(zone)
    for moment in [
        "2024-05-14T06:59:59",
        "2024-05-14T07:00:00",
        "2024-05-14T23:59:59",
        "2024-05-15T06:59:59",
        "2024-05-15T07:00:00",
    ]:
        org.add("Opportunity", Name=moment[8:13], CreatedDate=f"{moment}.000+0000", CloseDate=moment[:10])
    org.add("Opportunity", Name="null")
    return org


@pytest.mark.parametrize(
    ("zone", "where", "found"),
    [
        ("UTC", "CreatedDate = TODAY", ["15T06", "15T07"]),
        ("UTC", "CreatedDate = YESTERDAY", ["14T06", "14T07", "14T23"]),
        # In California it is still the 14th, which lasts from 07:00 to 07:00 UTC.
        ("America/Los_Angeles", "CreatedDate = TODAY", ["14T07", "14T23", "15T06"]),
        ("America/Los_Angeles", "CreatedDate < TODAY", ["14T06"]),
        ("America/Los_Angeles", "CreatedDate > TODAY", ["15T07"]),
        ("America/Los_Angeles", "CreatedDate <= TODAY", ["14T06", "14T07", "14T23", "15T06"]),
        ("America/Los_Angeles", "CreatedDate >= TOMORROW", ["15T07"]),
        ("America/Los_Angeles", "CreatedDate != TODAY", ["14T06", "15T07", "null"]),
        ("America/Los_Angeles", "(NOT CreatedDate = TODAY)", ["14T06", "15T07", "null"]),
        ("America/Los_Angeles", "CreatedDate IN (YESTERDAY, TOMORROW)", ["14T06", "15T07"]),
        ("America/Los_Angeles", "CreatedDate NOT IN (YESTERDAY, TOMORROW)", ["14T07", "14T23", "15T06", "null"]),
        ("America/Los_Angeles", "CloseDate = TODAY", ["14T06", "14T07", "14T23"]),
        ("UTC", "CreatedDate = NEXT_N_YEARS:999999999", []),
        ("Pacific/Kiritimati", "CreatedDate > LAST_N_YEARS:999999999", ["14T06", "14T07", "14T23", "15T06", "15T07"]),
        ("UTC", "DAY_ONLY(CreatedDate) = 2024-05-14", ["14T06", "14T07", "14T23"]),
        ("UTC", "DAY_ONLY(CreatedDate) = TODAY", ["15T06", "15T07"]),
        ("UTC", "HOUR_IN_DAY(CreatedDate) = 7", ["14T07", "15T07"]),
        ("UTC", "DAY_IN_WEEK(CloseDate) = 4 AND WEEK_IN_MONTH(CreatedDate) = 3", ["15T06", "15T07"]),
        ("UTC", "FISCAL_YEAR(CloseDate) = 2024 AND FISCAL_QUARTER(CreatedDate) IN (2) AND DAY_IN_YEAR(CloseDate)=136",
         ["15T06", "15T07"]),
        ("UTC", "CALENDAR_MONTH(CloseDate) != 5", ["null"]),
    ],
)  # fmt: skip
def test_days_begin_where_the_user_is(zone: str, where: str, found: list[str]) -> None:
    assert _org(zone).values(f"SELECT Name FROM Opportunity WHERE {where}") == found


def test_a_remembered_statement_knows_what_day_it_is() -> None:
    org = _org("UTC")
    text = "SELECT Name FROM Opportunity WHERE CloseDate = TODAY"
    assert org.values(text) == ["15T06", "15T07"]
    org.now -= timedelta(1)
    assert org.values(text) == ["14T06", "14T07", "14T23"]
