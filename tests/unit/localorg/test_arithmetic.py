"""Amounts are what exact decimal arithmetic says, rounded halves up, however fast they are computed."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from hypothesis import given
from hypothesis import strategies as st

from localorg.data.arithmetic import expected_revenue, line_totals, quote_totals

CENT = Decimal("0.01")
amounts = st.integers(-(10**13), 10**13).map(lambda number: number / 100)
small = st.integers(-(10**7), 10**7).map(lambda number: number / 100)
shares = st.integers(0, 10_000).map(lambda number: number / 100)


def cents(value: Decimal) -> float:
    return float(value.quantize(CENT, ROUND_HALF_UP)) + 0.0


def exact(value: float) -> Decimal:
    return Decimal(repr(value))


@given(small, small | amounts, shares)
def test_line_totals(quantity: float, price: float, discount: float) -> None:
    subtotal = cents(exact(quantity) * exact(price))
    total = cents(exact(subtotal) * (100 - exact(discount)) / 100)
    assert line_totals(quantity, price, discount) == (subtotal, total)
    assert line_totals(quantity, price, None) == (subtotal, subtotal)


@given(amounts, amounts, st.none() | small, st.none() | small)
def test_quote_totals(before: float, after: float, tax: float | None, shipping: float | None) -> None:
    discount = cents((exact(before) - exact(after)) / exact(before) * 100) if before else 0.0
    grand = cents(exact(after) + exact(tax or 0.0) + exact(shipping or 0.0))
    assert quote_totals(before, after, tax, shipping) == (before, after, discount, grand)


@given(amounts, shares)
def test_expected_revenue(amount: float, probability: float) -> None:
    assert expected_revenue(amount, probability) == cents(exact(amount) * exact(probability) / 100)
    assert expected_revenue(None, probability) is None
