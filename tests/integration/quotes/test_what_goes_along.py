"""What a line agreed is in its Quote: discounts, totals to the cent, texts, dates, the order, and custom fields."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any

import pytest
from _quoting import Ran, line

from harness.api import Json
from harness.org_reader import OrgReader
from quotejob.jobs.job import Status
from quotejob.jobtypes.quotes import plan

D = Decimal
RULES = "maximum_discount: 30\nregion: {no_country: A, other_countries: A, table: {A: {discount: 10}}}\n"

Run = Callable[[str], Ran]
Make = Callable[..., str]
Rules = Callable[[str], None]
Find = Callable[..., Json]


def test_the_lines_discounts_are_kept(run: Run, make: Make, quote_of: Find, reader: OrgReader) -> None:
    """The customer is quoted the region's 10 % on what was agreed: 396.00 of 440, and sees each discount."""
    deal = make(line(2, 100), line(2, 100, Discount=10), line(1, 50, Discount=100), line(3, 20))
    assert next(reader.query(f"SELECT Amount FROM Opportunity WHERE Id = '{deal}'"))["Amount"] == 440
    assert run(f"Id = '{deal}'").job.succeeded == 1
    quote = quote_of(deal)
    assert (quote["Subtotal"], quote["TotalPrice"], quote["GrandTotal"]) == (459, 396, 396)
    assert [(row["UnitPrice"], row["Discount"]) for row in quote["QuoteLineItems"]] == [
        (90, None), (90, 10), (45, 100), (18, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "total"),
    [
        ([line(3, "19.99", Discount=7.5)], "49.92"),  # 17.99 x 3 = 53.97, less 7.5 % = 49.92225
        ([line(-2, 100, Discount=10)], "-162"),
        ([line(0, 100, Discount=10)], "0"),
        ([line("2.5", "9.96", Discount="33.33")], "14.93"),  # 8.96 x 2.5 = 22.40, less 33.33 % = 14.93408
        ([line(1, "12345678.90", Discount=0.01)], "11109999.90"),  # the org writes 1.23456789E7
        ([line(3, TotalPrice=100)], "90"),  # its UnitPrice is 33.33
        ([line(7, TotalPrice=100)], "90"),  # 12.86 x 7 is 90.02
        ([line(-7, TotalPrice=-100)], "-90"),
        ([line(3, TotalPrice=100, Discount=50)], "90"),
        ([line(1, TotalPrice=50, Discount=100)], "45"),
    ],
)
def test_totals_are_right_to_the_cent(run: Run, make: Make, quote_of: Find, lines: list[Json], total: str) -> None:
    """Whatever the quantity, the discount and its decimals, and the way in which the price was entered."""
    deal = make(*lines)
    assert run(f"Id = '{deal}'").job.succeeded == 1
    assert quote_of(deal)["TotalPrice"] == D(total)


def test_a_hundred_lines_of_all_kinds_by_a_plain_model(run: Run, make: Make, quote_of: Find) -> None:
    """The Quote has the sum of what each line is by the platform's arithmetic: price, quantity, less the discount."""
    chance = Random(7)
    discounts: list[float | None] = [None, 0, 5, 7.5, 12.34, 33.33, 99.99, 100]
    lines = [
        line(chance.randint(-20, 400), f"{chance.randint(0, 99_999) / 100}", Discount=chance.choice(discounts))
        for _ in range(100)
    ]
    deal = make(*lines)
    assert run(f"Id = '{deal}'").job.succeeded == 1
    expected = []
    for each in lines:
        price = (D(str(each["UnitPrice"])) * D("0.9")).quantize(D("0.01"), ROUND_HALF_UP)
        share = 1 - D(str(each["Discount"] or 0)) / 100
        expected.append((D(str(each["Quantity"])) * price * share).quantize(D("0.01"), ROUND_HALF_UP))
    quote = quote_of(deal)
    assert [row["TotalPrice"] for row in quote["QuoteLineItems"]] == expected
    assert quote["TotalPrice"] == sum(expected)


def test_a_total_that_was_kept_when_the_quantity_changed(
    run: Run, make: Make, quote_of: Find, reader: OrgReader
) -> None:
    """The platform keeps the total and rounds a new unit price, so price x quantity is no longer what was agreed."""
    deal = make(line(1, 200))
    (row,) = reader.query(f"SELECT Id FROM OpportunityLineItem WHERE OpportunityId = '{deal}'")
    reader.update("OpportunityLineItem", row["Id"], {"Quantity": 30})
    run(f"Id = '{deal}'")
    assert quote_of(deal)["TotalPrice"] == 180


def test_a_total_that_no_quote_can_hold_fails_alone(run: Run, make: Make) -> None:
    """A total of 50 for nothing: that Opportunity's own failure, with the reason; its neighbour gets its Quote."""
    bad, good = make(line(0, TotalPrice=50), name="Zero"), make(line(1, 50), name="Zero")
    ran = run("Name = 'Zero'")
    assert (ran.job.succeeded, ran.job.failed) == (1, 1)
    assert (ran.results[bad].code, ran.results[good].code) == ("UNPRICEABLE", None)
    assert "TotalPrice of 50" in (ran.results[bad].message or "")


def test_what_the_user_entered_on_a_line_goes_along(run: Run, make: Make, quote_of: Find) -> None:
    """Date, text and order; lines without an order come last, and what is empty stays empty."""
    deal = make(
        line(1, 1),
        line(2, 1, SortOrder=2, Description="Second"),
        line(3, 1, SortOrder=1, ServiceDate="2027-05-01", Description="Zuerst: größer ☂"),
    )
    run(f"Id = '{deal}'")
    rows = quote_of(deal, lines=("ServiceDate", "Description", "SortOrder"))["QuoteLineItems"]
    assert [(row["Quantity"], row["ServiceDate"], row["Description"], row["SortOrder"]) for row in rows] == [
        (3, "2027-05-01", "Zuerst: größer ☂", 1), (2, None, "Second", 2), (1, None, None, None),
    ]  # fmt: skip


def test_custom_fields_are_copied_and_set(
    run: Run, rules: Rules, make: Make, quote_of: Find, reader: OrgReader
) -> None:
    """From the Opportunity, its Account, its lines and their products, or the same for all; no float comes near."""
    rules(
        RULES
        + """fields:
  quote:
    Region__c: {from: region__c}
    Seats__c: {from: Seats__c}
    Origin__c: {value: quotejob}
    Automatic__c: {value: true}
    Description: {from: Account.Name}
  line:
    Color__c: {from: Color__c}
    Description: {from: Product2.Name}
"""
    )
    deal = make(line(1, 10, Color__c="red", Description="own"), line(2, 10), Region__c="West", Seats__c=12345.6789)
    assert run(f"Id = '{deal}'").job.succeeded == 1
    quote = quote_of(
        deal, "Region__c", "Seats__c", "Origin__c", "Automatic__c", "Description", lines=("Color__c", "Description")
    )
    assert (quote["Region__c"], quote["Seats__c"], quote["Origin__c"]) == ("West", D("12345.6789"), "quotejob")
    assert (quote["Automatic__c"], quote["Description"]) == (True, "Deal")
    product = next(reader.query(f"SELECT Product2.Name FROM OpportunityLineItem WHERE OpportunityId = '{deal}'"))
    texts = [(row["Color__c"], row["Description"]) for row in quote["QuoteLineItems"]]
    assert texts == [("red", product["Product2"]["Name"]), (None, product["Product2"]["Name"])]


@pytest.mark.parametrize(
    ("row", "status"),
    [
        ("", "Draft"),
        ("Status: {value: In Review}", "In Review"),
        ('status: {value: ""}', "Draft"),  # the org's own default
        ("Status: {from: StageName}", "Prospecting"),
    ],
)
def test_the_first_status_may_be_another(
    row: str, status: str, run: Run, rules: Rules, make: Make, quote_of: Find
) -> None:
    """An org may have renamed or removed Draft; then no Quote could be written."""
    rules(f"{RULES}fields:\n  quote: {{{row}}}\n" if row else RULES)
    deal = make(line(1, 10))
    assert run(f"Id = '{deal}'").job.succeeded == 1
    assert quote_of(deal, "Status")["Status"] == status


def test_a_page_is_read_by_several_queries_if_its_fields_are_many(
    run: Run, rules: Rules, make: Make, quote_of: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query stands in a URI of 16 KiB, with the ids of a page, the fields and the token."""
    monkeypatch.setattr("quotejob.salesforce.org.MAX_HEAD_BYTES", 1500)
    rules(f"{RULES}fields:\n  quote: {{Region__c: {{from: Region__c}}}}\n")
    deals = [make(line(1, 10), Region__c=f"many {number}", NextStep="many") for number in range(9)]
    ran = run("NextStep = 'many'")
    assert (ran.job.status, ran.job.succeeded) == (Status.COMPLETED, 9)
    assert [quote_of(deal, "Region__c")["Region__c"] for deal in deals] == [f"many {number}" for number in range(9)]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("quote: {Nowhere__c: {value: 1}}", "set Quote.Nowhere__c, but the org has no such field"),
        ("quote: {GrandTotal: {value: 1}}", "set Quote.GrandTotal, but the org has no such field, or the user may not"),
        ("line: {Nowhere__c: {value: 1}}", "set QuoteLineItem.Nowhere__c, but the org has no such field"),
        ("quote: {Region__c: {from: Nowhere__c}}", "No such column 'Nowhere__c' on entity 'Opportunity'"),
        ("quote: {Region__c: {from: Nobody.Name}}", "lacks a field that is read, or the user may not read it"),
        ("line: {Color__c: {from: Nowhere__c}}", "No such column 'Nowhere__c' on entity 'OpportunityLineItem'"),
    ],
)
def test_a_field_that_the_org_lacks_fails_the_job_with_a_sentence(
    run: Run, rules: Rules, make: Make, fields: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the job is planned: before any Quote is written, and without a traceback."""
    rules(f"{RULES}fields:\n  {fields}\n")
    job = run(f"Id = '{make(line(1, 10))}'").job
    assert job.status is Status.FAILED
    assert said in (job.extended_status or "")
    assert "correct 'fields' in the" in (job.extended_status or "")
    assert "Traceback" not in str(capsys.readouterr())


def test_a_field_that_is_lost_after_the_plan_fails_the_job_too(
    run: Run, rules: Rules, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when somebody takes the user's access away: with the same sentence, and not with the text of the query."""
    monkeypatch.setattr(plan, "_check_fields", lambda *_: None)
    rules(f"{RULES}fields:\n  line: {{Color__c: {{from: Nowhere__c}}}}\n")
    job = run(f"Id = '{make(line(1, 10))}'").job
    assert job.status is Status.FAILED
    assert (job.extended_status or "").startswith("ORG_CLOSED: The org lacks a field that is read")
    assert "SELECT" not in (job.extended_status or "")


def test_rules_without_fields_cost_no_request(run: Run, make: Make, reader: OrgReader) -> None:
    """One request for the org's fields, one for the records, one for the page, one for the batch."""
    deal = make(line(1, 10, Discount=5))
    reader.reset_stats()
    run(f"Id = '{deal}'")
    stats: dict[str, Any] = reader.stats()
    assert stats["requests"]["total"] == 4, stats


def test_dates_and_names_at_the_platforms_edges(run: Run, make: Make, quote_of: Find) -> None:
    """A quote that would expire after the last date fails alone; its neighbour's name is cut between two families."""
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    late = make(line(1, 10), CloseDate="4000-12-15", NextStep="edge")
    last = make(line(1, 10), CloseDate="4000-12-01", NextStep="edge", name=family * 14)
    ran = run("NextStep = 'edge'")
    assert (ran.job.succeeded, ran.results[late].code) == (1, "UNPRICEABLE")
    quote = quote_of(last, "ExpirationDate", "Name")
    assert (quote["ExpirationDate"], quote["Name"]) == ("4000-12-31", "Quote for " + family * 8 + "...")


def test_numbers_with_exponents_are_read(run: Run, make: Make, quote_of: Find) -> None:
    """From 10,000,000 on the platform writes 1.15E8; every digit of what it means is kept."""
    deal = make(line(3, "115000000.05"), line(1, 250000000, Discount=2))
    run(f"Id = '{deal}'")
    assert quote_of(deal)["TotalPrice"] == D("310500000.15") + D("220500000.00")
