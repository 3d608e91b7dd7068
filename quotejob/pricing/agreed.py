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

HUNDRED = Decimal(100)
HUNDREDTH = Decimal("0.01")  # fields of Discount and money have two decimals, also for currencies with three


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
    """Return whether the terms give the line's total. It may be rounded, so it may miss by less than a cent."""
    return line.total_price is None or abs(terms.total(line.quantity) - line.total_price) < cent


def _from_total(line: OpportunityLine, left: Decimal, cent: Decimal) -> Terms:
    """Return terms that give the line's total, less our discount, as exactly as a unit price can.

    A unit price is rounded, so the total of many units can miss the cent. Then a price rounded up, with the small
    Discount that brings it back, may come nearer.
    """
    agreed = _total(line)
    if not line.quantity:
        if agreed:
            raise Unpriceable(
                f"Line {line.id} has a TotalPrice of {agreed:f} for a Quantity of 0: no Quote can hold that"
            )
        return Terms(Decimal(0).quantize(cent), None)
    wanted = rounded(agreed * left, cent)
    discount = line.discount if 0 <= (line.discount or 0) < HUNDRED else None
    exact = agreed * left / (line.quantity * (1 - (discount or 0) / HUNDRED))
    nearest = Terms(rounded(exact, cent), discount)
    higher = exact.quantize(cent, ROUND_UP)
    if rounded(nearest.total(line.quantity), cent) == wanted or not higher:
        return nearest
    off = rounded((1 - wanted / (higher * line.quantity)) * HUNDRED, HUNDREDTH)
    corrected = Terms(higher, max(off, Decimal(0)))
    return min(nearest, corrected, key=lambda terms: abs(terms.total(line.quantity) - wanted))


def _total(line: OpportunityLine) -> Decimal:
    if line.total_price is not None:
        return line.total_price
    if line.unit_price is None:
        raise Unpriceable(f"Line {line.id} has neither a UnitPrice nor a TotalPrice")
    return Terms(line.unit_price, line.discount).total(line.quantity)
