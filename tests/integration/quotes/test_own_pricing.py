"""A pricing function of users: what it reads, what it decides, and what its mistakes cost."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from _quoting import Ran, line

from harness.api import Json
from quotejob.jobs.job import Status
from quotejob.run.receipt import Explanation, Outcome
from quotejob.services import Services
from quotejob.settings import Settings, current
from quotejob.store import client as store

D = Decimal
RULES = "maximum_discount: 30\nregion: {no_country: A, other_countries: A, table: {A: {discount: 10}}}\n"

Run = Callable[[str], Ran]
Make = Callable[..., str]
Find = Callable[..., Json]
Explained = Callable[[Ran], dict[str, Explanation | None]]
Use = Callable[[str], None]


@pytest.fixture
def use(rules: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> Use:
    """``use(name)``: this function of _own_pricing prices, after rules that give 10 %."""

    def by(name: str) -> None:
        monkeypatch.setenv("QUOTEJOB_PRICING", f"_own_pricing:{name}")
        current.cache_clear()

    rules(RULES)
    return by


@pytest.fixture
def explained(settings: Settings) -> Callable[[Ran], dict[str, Explanation | None]]:
    """``explained(ran)``: why the prices of a job's records are what they are, by record id."""

    def of(ran: Ran) -> dict[str, Explanation | None]:
        services = Services(current(), store.client(current().redis_url, attempts=1))
        found, _ = services.results.page(ran.job.job_id, explain=True)
        return {result.record_id: result.explanation for result in found}

    return of


def test_a_function_gets_what_the_rules_gave_and_decides(use: Use, run: Run, make: Make, quote_of: Find) -> None:
    """100 less 10 % by the rules, less 5 % by the function: 85.50; its fields are set, numbers exact."""
    use("price")
    deal = make(line(2, 100, Color__c="red"), line(1, "9.99"), Region__c="North")
    assert run(f"Id = '{deal}'").job.succeeded == 1
    quote = quote_of(deal, "Region__c", "Seats__c", lines=("Color__c",))
    assert (quote["Region__c"], quote["Seats__c"]) == ("North", 1.5)
    rows = [(row["UnitPrice"], row["Color__c"]) for row in quote["QuoteLineItems"]]
    assert rows == [(D("85.5"), "red"), (D("8.54"), None)]  # 8.99 x 0.95 = 8.5405


def test_a_skip_and_an_exception_cost_only_their_records(use: Use, run: Run, make: Make) -> None:
    use("price")
    wanted = {region: make(line(1, 10), Region__c=region, name="Three of them") for region in ("Blocked", "Bad", "Ok")}
    ran = run("Name = 'Three of them'")
    assert ran.job.status is Status.COMPLETED
    told = {name: ran.results[made] for name, made in wanted.items()}
    assert (told["Blocked"].outcome, told["Blocked"].message) == (Outcome.SKIPPED, "the account is blocked")
    assert (told["Bad"].outcome, told["Bad"].code) == (Outcome.FAILED, "USER_CODE_ERROR")
    assert str(told["Bad"].message).startswith("ValueError: no price for this region (line ")
    assert str(told["Bad"].message).endswith(" of _own_pricing.py)")
    assert told["Ok"].outcome is Outcome.SUCCEEDED


def test_fields_that_the_org_lacks_stop_the_job_with_all_their_names(use: Use, run: Run, make: Make) -> None:
    use("reads_much")
    deal = make(line(1, 10))
    ran = run(f"Id = '{deal}'")
    assert ran.job.status is Status.FAILED
    assert "Opportunity.Account.Tier__c, Opportunity.Floor__c" in str(ran.job.extended_status)


def test_a_null_that_the_type_does_not_allow_fails_its_record(use: Use, run: Run, make: Make) -> None:
    use("never_empty")
    deal = make(line(1, 10))
    result = run(f"Id = '{deal}'").results[deal]
    assert (result.outcome, result.code) == (Outcome.FAILED, "BAD_RECORD")
    assert str(result.message).startswith("Opportunity.Region__c is empty in the org")


@pytest.mark.parametrize("function", ["nasty", "nasty_page"])
def test_harm_costs_only_its_own_records(
    use: Use, run: Run, make: Make, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop, a crash, an exit, a leak, an exception and nonsense beside 9 good ones in one page."""
    monkeypatch.setenv("QUOTEJOB_CODE_SECONDS", "1.5")
    monkeypatch.setenv("QUOTEJOB_CODE_MB", "150")
    use(function)
    bad = ("exit", "crash", "leak", "loop", "raise", "nonsense")
    stage: dict[str, Any] = {"StageName": "Qualification", "NextStep": function}
    harmful = {name: make(line(1, 10), name=name, **stage) for name in bad}
    good = [make(line(1, 10), name="fine", **stage) for _ in range(9)]
    ran = run(f"NextStep = '{function}'")
    assert [ran.results[each].outcome for each in good] == [Outcome.SUCCEEDED] * 9
    assert {name: ran.results[each].code for name, each in harmful.items()} == {
        "exit": "USER_CODE_DIED",
        "crash": "USER_CODE_DIED",
        "leak": "USER_CODE_MEMORY",
        "loop": "USER_CODE_TOO_SLOW",
        "raise": "USER_CODE_ERROR",
        "nonsense": "USER_CODE_NONSENSE",
    }


def test_every_price_is_explained(use: Use, run: Run, make: Make, explained: Explained) -> None:
    """By the rules and by the function, for each line, with the version of the function."""
    use("price")
    deal = make(line(2, 100), line(1, "9.99", Discount=7.5), Region__c="North")
    ran = run(f"Id = '{deal}'")
    explanation = explained(ran)[deal]
    assert explanation is not None
    assert explanation.code_version == ran.job.code_version
    assert ran.job.code_version is not None
    assert [(each.list_unit_price, each.unit_price, each.discount, each.reasons) for each in explanation.lines] == [
        ("100.0", "85.50", None, ("10 % region A", "5 % gold account")),
        ("9.99", "8.54", "7.50", ("10 % region A", "5 % gold account")),
    ]


def test_reasons_go_into_a_field_when_a_setting_asks(
    rules: Use, run: Run, make: Make, quote_of: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the user's own words, and never longer than the field."""
    rules(RULES)
    monkeypatch.setenv("QUOTEJOB_EXPLAIN_FIELD", "QuoteLineItem.Description")
    current.cache_clear()
    deal = make(line(1, 10, Description="Blue"), line(1, 10, Description="x" * 250), line(1, 10))
    assert run(f"Id = '{deal}'").job.succeeded == 1
    texts = [row["Description"] for row in quote_of(deal, lines=("Description",))["QuoteLineItems"]]
    assert texts == ["Blue\n10 % region A", "x" * 250 + "\n1...", "10 % region A"]


def test_a_field_for_reasons_that_the_org_lacks_stops_the_job(
    rules: Use, run: Run, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules(RULES)
    monkeypatch.setenv("QUOTEJOB_EXPLAIN_FIELD", "Quote.Reasons__c")
    current.cache_clear()
    ran = run(f"Id = '{make(line(1, 10))}'")
    assert ran.job.status is Status.FAILED
    assert "QUOTEJOB_EXPLAIN_FIELD is Quote.Reasons__c" in str(ran.job.extended_status)
