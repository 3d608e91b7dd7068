"""What a line of an Opportunity agreed, and how the Quote's line keeps it: a unit price and a Discount.

The platform computes a line's total as ``UnitPrice x Quantity x (100 % - Discount)``. So the Quote's line takes over
the Discount, and our rules lower its unit price. The platform does the rest.

Sometimes a line's TotalPrice is another amount: a schedule sets it, or a user changed the quantity and the platform
rounded the new unit price. Then the total is what was agreed, and the unit price follows from it.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, ROUND_UP, Decimal
from typing import NamedTuple

from quotejob.errors import QuotejobError
from quotejob.pricing.model import OpportunityLine

LARGEST_NUMBER = Decimal("1e18")  # no number field of the platform holds 19 digits before the point
HUNDRED = Decimal(100)
HUNDREDTH = Decimal("0.01")  # fields of Discount and money have two decimals, also for currencies with three
HIGHER_PRICES = 100  # enough for nearly every total below 2,000, since a Discount has steps of 0.01 %


class Unpriceable(QuotejobError):
    """The Opportunity holds a number or a date that cannot be priced. Only its own quote is lost."""

    code = "UNPRICEABLE"
    status = 400


class Terms(NamedTuple):
    """What a line costs."""

    unit_price: Decimal
    discount: Decimal | None  # in percent, from 0 to 100

    def total(self, quantity: Decimal) -> Decimal:
        """Return the line's total, not rounded."""
        total = self.unit_price * quantity
        return total * (HUNDRED - self.discount) / HUNDRED if self.discount else total


def quoted(line: OpportunityLine, taken_off: Decimal, decimals: int) -> Terms:
    """Return the terms of the Quote's line: those of the Opportunity's line, less the fraction ``taken_off``.

    The unit price has the currency's ``decimals``. Raises Unpriceable if no Quote line can hold what was agreed.
    """
    cent = Decimal(1).scaleb(-decimals)
    left = 1 - taken_off
    terms = _terms(line)
    if terms is not None and _explains(terms, line, max(cent, HUNDREDTH)):
        return Terms(rounded(terms.unit_price * left, cent), terms.discount)
    return _from_total(line, left, cent)


def rounded(number: Decimal, cent: Decimal) -> Decimal:
    """Return the number rounded half up to multiples of ``cent``. A zero has no sign."""
    result = number.quantize(cent, ROUND_HALF_UP)
    return result or abs(result)


def _terms(line: OpportunityLine) -> Terms | None:
    """Return what stands on the line. None: no Quote line can hold it."""
    if line.unit_price is None or not 0 <= (line.discount or 0) <= HUNDRED:
        return None
    return Terms(line.unit_price, line.discount)


def _explains(terms: Terms, line: OpportunityLine, cent: Decimal) -> bool:
    """Return whether the terms give the line's total. It may be rounded, so it may miss by less than a cent.

    A unit price in parts of a cent was computed by the org from a total, so then the total is what was agreed.
    """
    if line.total_price is None:
        return True
    in_cents = terms.unit_price == rounded(terms.unit_price, cent)
    return in_cents and abs(terms.total(line.quantity) - line.total_price) < cent


def _from_total(line: OpportunityLine, left: Decimal, cent: Decimal) -> Terms:
    """Return terms that give the line's total, less our discount, to the cent or as near as can be.

    A unit price is rounded, so the total of many units can miss the cent. Then a slightly higher price with a small
    Discount is taken. It is the lowest of the HIGHER_PRICES next ones whose total is right.
    """
    agreed = _total(line)
    if not line.quantity:
        if agreed:
            raise Unpriceable(f"Line {line.id} has a TotalPrice of {agreed:f} for a Quantity of 0: no Quote holds that")
        return Terms(Decimal(0).quantize(cent), None)
    wanted = rounded(agreed * left, cent)
    discount = line.discount if 0 <= (line.discount or 0) < HUNDRED else None
    exact = agreed * left / (line.quantity * (1 - (discount or 0) / HUNDRED))
    if abs(exact) >= LARGEST_NUMBER:
        raise Unpriceable(
            f"Line {line.id} has a TotalPrice of {agreed:f}, too much for a Quantity of {line.quantity:f}"
        )
    nearest = Terms(rounded(exact, cent), discount)
    higher = exact.quantize(cent, ROUND_UP)
    if rounded(nearest.total(line.quantity), cent) == wanted or not higher:
        return nearest
    prices = (higher + step * cent.copy_sign(higher) for step in range(HIGHER_PRICES))
    corrected = (Terms(price, _discount(price * line.quantity, wanted)) for price in prices)
    return min((nearest, *corrected), key=lambda terms: abs(rounded(terms.total(line.quantity), cent) - wanted))


def _discount(subtotal: Decimal, total: Decimal) -> Decimal:
    """Return the Discount, in percent, that makes the total of the subtotal."""
    return max(rounded((1 - total / subtotal) * HUNDRED, HUNDREDTH), Decimal(0))


def _total(line: OpportunityLine) -> Decimal:
    if line.total_price is not None:
        return line.total_price
    if line.unit_price is None:
        raise Unpriceable(f"Line {line.id} has neither a UnitPrice nor a TotalPrice")
    return Terms(line.unit_price, line.discount).total(line.quantity)
