"""An answer that is too large is asked for in halves. A record that is too large alone fails alone, with the reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from _quoting import Ran, line

from harness.org_reader import OrgReader
from quotejob.jobs.job import Status
from quotejob.run.receipt import Outcome
from quotejob.settings import current

RULES = """maximum_discount: 30
region: {no_country: A, other_countries: A, table: {A: {discount: 10}}}
fields: {quote: {Notes__c: {from: Notes__c}, More__c: {from: More__c}}}
"""
WIDE = "\N{EURO SIGN}" * 131_072  # three bytes each: 0.4 MB


@pytest.fixture
def one_megabyte(rules: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers may have one megabyte, and the rules copy long texts."""
    monkeypatch.setenv("QUOTEJOB_ORG_ANSWER_MB", "1")
    rules(RULES)
    assert current().org_answer_mb == 1


@pytest.mark.usefixtures("one_megabyte")
def test_a_page_that_is_too_large_is_read_in_halves(
    run: Callable[[str], Ran], make: Callable[..., str], reader: OrgReader
) -> None:
    """Nine records of 0.4 MB are one page of 3.5 MB: all are priced, two at a time."""
    deals = [make(line(1, 100), name="Wide", Notes__c=WIDE) for _ in range(9)]
    ran = run("Name = 'Wide'")
    assert (ran.job.status, ran.job.total, ran.job.succeeded, ran.job.failed) == (Status.COMPLETED, 9, 9, 0)
    assert set(ran.results) == set(deals)
    quotes = list(reader.query("SELECT Notes__c FROM Quote WHERE Opportunity.Name = 'Wide'"))
    assert [quote["Notes__c"] for quote in quotes] == [WIDE] * 9


@pytest.mark.usefixtures("one_megabyte")
def test_a_record_that_is_too_large_alone_fails_alone(run: Callable[[str], Ran], make: Callable[..., str]) -> None:
    """1.2 MB in one record: the others are priced, and the job says which record it was, and why."""
    beside = [make(line(1, 100), name="Beside") for _ in range(4)]
    huge = make(line(1, 100), name="Beside", Notes__c=WIDE, More__c=WIDE * 2)
    ran = run("Name = 'Beside'")
    assert (ran.job.status, ran.job.succeeded, ran.job.failed) == (Status.COMPLETED, 4, 1)
    assert {ran.results[each].outcome for each in beside} == {Outcome.SUCCEEDED}
    assert ran.results[huge].code == "ANSWER_TOO_LARGE"
    assert "more than 1 MB" in (ran.job.extended_status or "")
