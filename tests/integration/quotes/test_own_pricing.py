"""A pricing function of users: what it reads, what it decides, and what its mistakes cost."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from _quoting import Ran, line

from cli.client import Json
from quotejob.jobs.job import Status
from quotejob.run.receipt import Outcome
from quotejob.settings import current

D = Decimal
RULES = "maximum_discount: 30\nregion: {no_country: A, other_countries: A, table: {A: {discount: 10}}}\n"

Run = Callable[[str], Ran]
Make = Callable[..., str]
Find = Callable[..., Json]
Use = Callable[[str], None]


@pytest.fixture
def use(rules: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> Use:
    """``use(name)``: this function of _own_pricing prices, after rules that give 10 %."""

    def by(name: str) -> None:
        monkeypatch.setenv("QUOTEJOB_PRICING", f"_own_pricing:{name}")
        current.cache_clear()

    rules(RULES)
    return by


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
    """A loop, a crash, an exit, a leak, an exception and nonsense beside 20 good ones in one page."""
    monkeypatch.setenv("QUOTEJOB_CODE_SECONDS", "0.5")
    monkeypatch.setenv("QUOTEJOB_CODE_MB", "150")
    use(function)
    bad = ("exit", "crash", "leak", "loop", "raise", "nonsense")
    stage: dict[str, Any] = {"StageName": "Qualification", "NextStep": function}
    harmful = {name: make(line(1, 10), name=name, **stage) for name in bad}
    good = [make(line(1, 10), name="fine", **stage) for _ in range(20)]
    ran = run(f"NextStep = '{function}'")
    assert [ran.results[each].outcome for each in good] == [Outcome.SUCCEEDED] * 20
    assert {name: ran.results[each].code for name, each in harmful.items()} == {
        "exit": "USER_CODE_DIED",
        "crash": "USER_CODE_DIED",
        "leak": "USER_CODE_MEMORY",
        "loop": "USER_CODE_TOO_SLOW",
        "raise": "USER_CODE_ERROR",
        "nonsense": "USER_CODE_NONSENSE",
    }
