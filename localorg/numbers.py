"""Numbers as text, read and written as the platform does.

Digits are 0 to 9 only: int() and the digit class of Python's patterns also take those of other scripts.
"""

from __future__ import annotations

import re
from decimal import Decimal

_WHOLE = re.compile(r"[0-9]{1,18}")


def whole(text: str) -> int | None:
    """Return the whole number that a text is, of at most 18 digits; None for any other text."""
    return int(text) if _WHOLE.fullmatch(text) else None


class Double(float):
    """A number that is written with an exponent: from 10^7 on, and below 10^-3.

    The platform writes numbers with decimals as Java does (Double.toString), in JSON and in CSV: 1.15E8, 5.0E-4.
    """

    def __repr__(self) -> str:
        digits, _, power = f"{Decimal(float.__repr__(self)).normalize():e}".partition("e")
        return f"{digits if '.' in digits else digits + '.0'}E{int(power)}"

    __str__ = __repr__


def double(value: float | None) -> float | None:
    """Return a number from the database as it is to be written."""
    if value is None or -1e7 < value <= -1e-3 or 1e-3 <= value < 1e7 or value == 0:
        return value
    return Double(value)
