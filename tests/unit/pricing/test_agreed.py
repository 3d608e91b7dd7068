"""The terms of a Quote's line: right to the cent by a plain model of the platform's arithmetic."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from quotejob.pricing.agreed import Terms, Unpriceable, quoted
from quotejob.pricing.model import OpportunityLine

D = Decimal
unhurried = settings(deadline=None)


def places(least: int, most: int, decimals: int = 2) -> st.SearchStrategy[Decimal]:
    return st.integers(least * 10**decimals, most * 10**decimals).map(lambda number: D(number).scaleb(-decimals))


prices, quantities, discounts = places(-(10**6), 10**6), places(-5000, 5000), st.none() | places(0, 100)
taken_off = places(0, 1, 4)


def line(
    quantity: Decimal, unit_price: Decimal | None, discount: Decimal | None = None, total: Decimal | None = None
) -> OpportunityLine:
    return OpportunityLine("00k", "01u", None, None, quantity, unit_price, discount, total)


def cents(exact: Fraction, decimals: int = 2) -> Decimal:
    """The model: halves go away from zero."""
    number = math.floor(abs(exact) * 10**decimals + Fraction(1, 2))
    return D(number if exact >= 0 else -number).scaleb(-decimals)


def platform_total(terms: Terms, quantity: Decimal) -> Fraction:
    """The model: UnitPrice x Quantity x (1 - Discount / 100), not rounded."""
    return Fraction(terms.unit_price) * Fraction(quantity) * (1 - Fraction(terms.discount or 0) / 100)


@unhurried
@given(quantities, prices, discounts, taken_off, st.integers(0, 3))
def test_a_lines_discount_stays_and_its_unit_price_is_priced(
    quantity: Decimal, price: Decimal, discount: Decimal | None, off: Decimal, decimals: int
) -> None:
    """Also for null, 0 and 100 %, decimals, and quantities of zero and below; whatever its total was rounded to."""
    exact = platform_total(Terms(price, discount), quantity)
    subtotal = cents(Fraction(price) * Fraction(quantity))
    twice = cents(Fraction(subtotal) * (1 - Fraction(discount or 0) / 100))
    expected = Terms(cents(Fraction(price) * (1 - Fraction(off)), decimals), discount)
    totals = (cents(exact), twice, D(exact.numerator) / D(exact.denominator)) if decimals >= 2 else ()
    for total in (None, *totals):
        assert quoted(line(quantity, price, discount, total), off, decimals) == expected


@unhurried
@given(quantities.filter(bool), prices, discounts, places(-(10**5), 10**5), taken_off)
@example(D(7), D("14.29"), None, D(100), D("0.1"))
@example(D(700), D("1.43"), None, D(1000), D("0.1"))
@example(D(1), D(0), D(100), D(50), D("0.1"))
@example(D("0.5"), D("0.01"), None, D("0.01"), D(0))
def test_a_total_of_its_own_counts(
    quantity: Decimal, price: Decimal, discount: Decimal | None, total: Decimal, off: Decimal
) -> None:
    """The line comes as near as a unit price and a Discount of two decimals can, and a small one to the cent."""
    assume(abs(platform_total(Terms(price, discount), quantity) - Fraction(total)) > Fraction("0.02"))
    terms = quoted(line(quantity, price, discount, total), off, 2)
    assert terms.unit_price == terms.unit_price.quantize(D("0.01"))
    assert 0 <= (terms.discount or 0) <= 100
    wanted = cents(Fraction(total) * (1 - Fraction(off)))
    missed = abs(platform_total(terms, quantity) - Fraction(wanted))
    assert missed <= abs(Fraction(quantity)) * Fraction("0.005") + Fraction("0.005")
    if abs(quantity) <= 10 and abs(wanted) <= 90:
        assert cents(platform_total(terms, quantity)) == wanted


@pytest.mark.parametrize(
    ("given_line", "terms"),
    [
        (line(D(2), None, None, D(100)), Terms(D("45.00"), None)),
        (line(D(2), None, D(10), D(90)), Terms(D("45.00"), D(10))),
        (line(D(2), D(100), D(-10), D(220)), Terms(D("99.00"), None)),
        (line(D(2), D(100), D(110)), Terms(D("-9.00"), None)),
        (line(D(0), D(100), D(10), D(0)), Terms(D("90.00"), D(10))),
        (line(D(0), None, None, D(0)), Terms(D("0.00"), None)),
        (line(D(700), D("1.42857143"), None, D("1000")), Terms(D("1.33"), D("3.33"))),  # the org has parts of a cent
        (line(D(2), D("-0.001"), None), Terms(D("0.00"), None)),
    ],
)
def test_what_a_quotes_line_cannot_hold_becomes_a_unit_price(given_line: OpportunityLine, terms: Terms) -> None:
    """No UnitPrice, or a Discount below 0 % or above 100 %: the total is kept."""
    assert quoted(given_line, D("0.1"), 2) == terms


def test_a_zero_has_no_sign() -> None:
    assert str(quoted(line(D(2), D("-0.001")), D("0.1"), 2).unit_price) == "0.00"


@pytest.mark.parametrize("nothing", [line(D(0), D(1), None, D(5)), line(D(2), None)])
def test_what_no_quote_can_hold_is_unpriceable(nothing: OpportunityLine) -> None:
    with pytest.raises(Unpriceable, match="Line 00k has"):
        quoted(nothing, D("0.1"), 2)
