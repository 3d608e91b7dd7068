"""The judge of bin/demo --once: it must see what is wrong, or its word is worth nothing."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from harness.api import Json
from harness.org_reader import OrgReader
from harness.verdict import RegionPrices, check_job

JOB = "6f0c1f0e-0000-4000-8000-000000000001"
OPPORTUNITY: Json = {
    "Id": "006000000000001AAA",
    "Name": "Deal",
    "CloseDate": "2027-01-31",
    "Pricebook2Id": "01s000000000001AAA",
    "Account": {"BillingCountry": "Germany"},
    "OpportunityLineItems": [
        {"PricebookEntryId": "01u1", "Quantity": Decimal("2.0"), "UnitPrice": Decimal("99.99"), "Discount": None},
        {"PricebookEntryId": "01u2", "Quantity": Decimal("1.0"), "UnitPrice": Decimal("10.0"), "Discount": None},
    ],
}
QUOTE: Json = {
    "Id": "0Q0000000000001AAA",
    "Name": "Deal",
    "OpportunityId": OPPORTUNITY["Id"],
    "Pricebook2Id": "01s000000000001AAA",
    "ExpirationDate": "2027-03-02",
    "Status": "Draft",
    "QuoteJobKey__c": f"{JOB}:{OPPORTUNITY['Id']}",
    "QuoteLineItems": [
        {"PricebookEntryId": "01u2", "Quantity": Decimal(1), "UnitPrice": Decimal("8.5"), "Discount": None},
        {"PricebookEntryId": "01u1", "Quantity": Decimal(2), "UnitPrice": Decimal("84.99"), "Discount": None},
    ],
}


class Rows(OrgReader):
    """An org that answers with given rows."""

    def __init__(self, opportunities: list[Json], quotes: list[Json]) -> None:
        self._opportunities, self._quotes = opportunities, quotes

    def query(self, soql: str) -> Iterator[Json]:
        """The Quotes or the Opportunities, whichever the query is about."""
        return iter(self._quotes if "FROM Quote " in soql else self._opportunities)

    def count(self, soql: str) -> int:
        """How many Quotes there are."""
        return len(self._quotes)


def differences(opportunities: list[Json], quotes: list[Json]) -> list[str]:
    """What the judge says about them."""
    return check_job(Rows(opportunities, quotes), JOB, "Id != null").differences


def test_a_right_quote_is_right() -> None:
    """Lines may come in any order; an Opportunity without lines needs no Quote."""
    empty = OPPORTUNITY | {"Id": "006000000000002AAA", "OpportunityLineItems": None}
    verdict = check_job(Rows([OPPORTUNITY, empty], [QUOTE]), JOB, "Id != null")
    assert (verdict.quotes, verdict.lines, verdict.differences) == (1, 2, [])
    assert (verdict.list_total, verdict.net_total) == (Decimal("209.98"), Decimal("178.48"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Name", "x" * 81),
        ("Name", ""),
        ("Pricebook2Id", None),
        ("ExpirationDate", "2027-03-03"),
        ("Status", "Approved"),
        ("QuoteJobKey__c", f"{JOB}:006000000000009AAA"),
        ("QuoteLineItems", None),
    ],
)
def test_a_wrong_field_is_seen(field: str, value: Any) -> None:
    """Each field of the contract, wrong by itself."""
    assert differences([OPPORTUNITY], [QUOTE | {field: value}])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("PricebookEntryId", "01u3"),
        ("Quantity", Decimal(3)),
        ("UnitPrice", Decimal("84.98")),
        ("Discount", Decimal(5)),
    ],
)
def test_a_wrong_line_is_seen(field: str, value: Any) -> None:
    """Each field of a line, wrong by itself."""
    quote = copy.deepcopy(QUOTE)
    quote["QuoteLineItems"][1][field] = value
    assert differences([OPPORTUNITY], [quote])


def test_missing_doubled_and_strange_quotes_are_seen() -> None:
    """Exactly one Quote an Opportunity, none for others, one line a line."""
    other = QUOTE | {"OpportunityId": "006000000000009AAA"}
    doubled = QUOTE | {"QuoteLineItems": [*QUOTE["QuoteLineItems"], QUOTE["QuoteLineItems"][0]]}
    empty = OPPORTUNITY | {"OpportunityLineItems": None}
    for opportunities, quotes in (
        ([OPPORTUNITY], []),
        ([OPPORTUNITY], [QUOTE, QUOTE]),
        ([OPPORTUNITY], [QUOTE, other]),
        ([OPPORTUNITY], [doubled]),
        ([empty], [QUOTE]),
    ):
        assert differences(opportunities, quotes)


@pytest.mark.parametrize(
    ("country", "price"),
    [
        (None, "9.05"),  # NAMER: 10.05 less 10 % is 9.045, half up
        ("", "9.05"),
        ("US", "9.05"),
        ("u.s.a.", "9.05"),
        ("Germany", "8.54"),  # EMEA, 15 %: 8.5425
        ("NO", "8.54"),  # Norway, not "no"
        ("Côte D’Ivoire", "8.54"),
        ("japan", "9.25"),  # APAC, 8 %: 9.246
        ("Brazil", "9.55"),  # other, 5 %: 9.5475
        ("Atlantis", "9.55"),
    ],
)
def test_the_shipped_regions(country: str | None, price: str) -> None:
    """The mission's table: NAMER 10 %, EMEA 15 %, APAC 8 %, other 5 %; NAMER without a country."""
    assert RegionPrices().unit_price(Decimal("10.05"), country) == Decimal(price)
