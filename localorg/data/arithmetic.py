"""The arithmetic of selling: line totals, quote totals, and what follows from an Opportunity's stage and close date.

The rules are those of the Object Reference pages of Opportunity, OpportunityLineItem, Quote and QuoteLineItem. Amounts
have two decimals and are rounded halves up; percentages are written 10 for 10 %.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from localorg.data.values import rounded


class Stage(NamedTuple):
    """What StageName says about an Opportunity; probability in percent."""

    probability: float
    forecast_category: str = "Pipeline"
    is_closed: bool = False
    is_won: bool = False


STAGES = {
    "prospecting": Stage(10.0),
    "qualification": Stage(10.0),
    "needs analysis": Stage(20.0),
    "value proposition": Stage(50.0),
    "id. decision makers": Stage(60.0),
    "perception analysis": Stage(70.0),
    "proposal/price quote": Stage(75.0),
    "negotiation/review": Stage(90.0),
    "closed won": Stage(100.0, "Closed", is_closed=True, is_won=True),
    "closed lost": Stage(0.0, "Omitted", is_closed=True),
}
_CATEGORY_NAMES = {"BestCase": "Best Case", "Forecast": "Commit"}


def money(value: Decimal) -> float:
    """Return an amount with the currency's two decimals, rounded half up."""
    return rounded(value, 2)


def decimal(value: float | None) -> Decimal:
    """Return the number as it is written. None counts as 0."""
    return Decimal(repr(value or 0))


_EXACT = 1e9  # below this, a float can always tell one cent from the next


def cents(value: float) -> int | None:
    """Return the amount in hundredths if it has at most two decimals and is not huge, otherwise None."""
    number = round(value * 100)
    return number if number / 100 == value and -_EXACT < value < _EXACT else None


def _half_up(number: int, divisor: int) -> float:
    """Return number / divisor as an amount in whole cents, rounded half away from zero."""
    whole = (2 * abs(number) + divisor) // (2 * divisor)
    return (whole if number >= 0 else -whole) / 100


def line_totals(quantity: float, unit_price: float, discount: float | None) -> tuple[float, float]:
    """Return (Subtotal, TotalPrice) of a line. The discount is a percentage: 10 for 10 %."""
    many, price, off = cents(quantity), cents(unit_price), cents(discount or 0.0)
    if many is None or price is None or off is None:
        return _line_totals(quantity, unit_price, discount)
    subtotal = _half_up(many * price, 100)
    if not off:
        return subtotal, subtotal
    return subtotal, _half_up(round(subtotal * 100) * (10_000 - off), 10_000)


def _line_totals(quantity: float, unit_price: float, discount: float | None) -> tuple[float, float]:
    """Return the same as `line_totals`, for numbers of any size and precision."""
    subtotal = money(decimal(quantity) * decimal(unit_price))
    if not discount:
        return subtotal, subtotal
    return subtotal, money(decimal(subtotal) * (100 - decimal(discount)) / 100)


def unit_price_of(total: float, quantity: float, discount: float | None) -> float:
    """Return the UnitPrice that gives a line this TotalPrice.

    It is 0 when no price could: there is no quantity, or the discount is 100 %.
    """
    share = decimal(quantity) * (100 - decimal(discount)) / 100
    return money(decimal(total) / share) if share else 0.0


def quote_totals(subtotal: float, total: float, tax: float | None, shipping: float | None) -> tuple[float, ...]:
    """Return (Subtotal, TotalPrice, Discount in percent, GrandTotal) of a Quote from the sums over its lines."""
    before, after = rounded(subtotal, 2), rounded(total, 2)
    grand = money(decimal(after) + decimal(tax) + decimal(shipping)) if tax or shipping else after
    return before, after, _discount(before, after), grand


def _discount(before: float, after: float) -> float:
    """Return by how many percent a total is below a subtotal; 0 without a subtotal."""
    if not before:
        return 0.0
    was, is_now = cents(before), cents(after)
    if was is None or is_now is None or was < 0:
        return money((decimal(before) - decimal(after)) / decimal(before) * 100)
    return _half_up((was - is_now) * 10_000, was)


def expected_revenue(amount: float | None, probability: float | None) -> float | None:
    """Return Amount x Probability (a percentage), or None without an amount."""
    if amount is None:
        return None
    whole, share = cents(amount), cents(probability or 0.0)
    if whole is not None and share is not None:
        return _half_up(whole * share, 10_000)
    return money(decimal(amount) * decimal(probability) / 100)


@lru_cache(maxsize=100)
def _stage_fields(stage_name: str) -> dict[str, Any]:
    stage = STAGES.get(stage_name, Stage(0.0))
    category = stage.forecast_category
    return {
        "Probability": stage.probability,
        "ForecastCategory": category,
        "ForecastCategoryName": _CATEGORY_NAMES.get(category, category),
        "IsClosed": int(stage.is_closed),
        "IsWon": int(stage.is_won),
    }


def stage_fields(stage_name: str) -> dict[str, Any]:
    """Return the fields of an Opportunity that follow from its stage.

    A stage that is not in the list is open and has no probability.
    """
    return _stage_fields(stage_name.lower()).copy()


def fiscal_fields(close_date: str) -> dict[str, Any]:
    """Return the fiscal fields of an Opportunity that closes on this day. The fiscal year is the calendar year."""
    year, quarter = int(close_date[:4]), (int(close_date[5:7]) + 2) // 3
    return {"FiscalYear": year, "FiscalQuarter": quarter, "Fiscal": f"{year} {quarter}"}
