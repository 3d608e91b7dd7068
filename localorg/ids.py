"""Record ids: 15 characters that mind case, 18 that carry a checksum of it, and a maker of new ones.

The rule (Salesforce Help, "How to convert 15-character ids to 18"): cut the 15 characters into three groups of five,
set bit *j* of a group when its character *j* is a capital letter, and append the letter each number stands for.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_SHAPE = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")


def _check(group: str) -> str:
    number = 0
    for bit, character in enumerate(group):
        if "A" <= character <= "Z":
            number |= 1 << bit
    return _CHECKS[number]


def to18(id15: str) -> str:
    """The 18-character form of a 15-character id; the id is trusted to be well formed."""
    return id15 + _check(id15[:5]) + _check(id15[5:10]) + _check(id15[10:15])


def normalise(record_id: object) -> str | None:
    """The 18-character form of an id in either form; None when it is malformed or its checksum is wrong."""
    if not isinstance(record_id, str) or _SHAPE.fullmatch(record_id) is None:
        return None
    full = to18(record_id[:15])
    return full if len(record_id) == 15 or record_id == full else None


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


class IdFactory:
    """Hands out new ids, 18 characters, in ascending text order for each key prefix.

    An id is prefix (3), instance (2, drawn from the seed), "0", and a running number (9, base 62). The same seed gives
    the same ids in the same order. After opening an existing database, call `resume` with the largest id of each table.
    """

    def __init__(self, seed: int = 1) -> None:
        draw = random.Random(seed)
        self.instance = "".join(draw.choices(_DIGITS[10:], k=2))
        self._first = draw.randrange(62**3, 62**4)
        self._next: defaultdict[str, int] = defaultdict(lambda: self._first)

    def next(self, prefix: str) -> str:
        """A new id for objects with this three-character key prefix."""
        number = self._next[prefix]
        self._next[prefix] = number + 1
        return to18(f"{prefix}{self.instance}0{_base62(number, 9)}")

    def resume(self, record_id: str) -> None:
        """Never hand out this id, or one before it, again."""
        number = 0
        for digit in record_id[6:15]:
            number = number * 62 + _DIGITS.index(digit)
        prefix = record_id[:3]
        self._next[prefix] = max(self._next[prefix], number + 1)
