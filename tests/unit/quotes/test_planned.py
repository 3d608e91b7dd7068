"""What a dry run shows of a Quote: totals as the org would round them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from quotejob.jobtypes.quotes import dry
from quotejob.pricing import Rules
from quotejob.pricing.model import Opportunity, PricedLine, PricedQuote
from quotejob.run.receipt import PlannedQuote

DAY = date(2027, 2, 27)


def shown(decimals: int, *lines: tuple[str, str, str | None]) -> PlannedQuote:
    """The dry run of lines that have a quantity, a price and a discount in percent."""
    priced = (
        PricedLine(
            "00k1",
            "01u1",
            Decimal(quantity),
            Decimal(price),
            Decimal(price),
            Decimal(0),
            None if percent is None else Decimal(percent),
        )
        for quantity, price, percent in lines
    )
    deal = Opportunity("006a", "Deal", None, None, DAY, None, (), decimals)
    planned = dry._planned(PricedQuote(deal.id, deal.name, None, DAY, tuple(priced)), deal, Rules(Decimal(0))).planned
    assert planned
    assert planned.quote
    return planned.quote


@pytest.mark.parametrize("half", ["0.125", "0.105", "2.005"])
def test_halves_are_rounded_up(half: str) -> None:
    """As prices are: 0.125 is 0.13, and 0.105 is 0.11."""
    up = Decimal(half) + Decimal("0.005")
    found = shown(2, ("1", half, None))
    assert (Decimal(found.list_total), Decimal(found.net_total)) == (up, up)
    assert found.discounts == [("0", 1, str(found.list_total), str(found.net_total))]
    assert Decimal(shown(2, ("2", half, "50")).net_total) == up


@pytest.mark.parametrize("decimals", [0, 2, 10])
def test_the_largest_numbers_have_exact_totals(decimals: int) -> None:
    """A quantity and a price of 18 digits before the point."""
    largest = "999999999999999999"
    product = int(largest) ** 2
    found = shown(decimals, (largest, largest, None), (largest, largest, "0"), ("1", "1", None))
    assert Decimal(found.list_total) == Decimal(found.net_total) == Decimal(2 * product + 1)
    assert "E" not in found.list_total + found.net_total
