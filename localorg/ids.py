"""Record ids: 15 characters that mind case, 18 that carry a checksum of it, and a maker of new ones.

The rule (Salesforce Help, "How to convert 15-character ids to 18"): cut the 15 characters into three groups of five,
set bit *j* of a group when its character *j* is a capital letter, and append the letter each number stands for.
"""

from __future__ import annotations

import random
import sqlite3
from collections import defaultdict
from itertools import product

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
# A group with its capital letters written as 1 and all else as 0, and the letter that stands for it.
_CAPITALS = str.maketrans({digit: str(int(digit.isupper())) for digit in _DIGITS})
_CHECK = {"".join(bits): _CHECKS[int("".join(reversed(bits)), 2)] for bits in product("01", repeat=5)}


def to18(id15: str) -> str:
    """The 18-character form of a 15-character id; the id is trusted to be well formed."""
    bits = id15.translate(_CAPITALS)
    return id15 + _CHECK[bits[:5]] + _CHECK[bits[5:10]] + _CHECK[bits[10:15]]


def normalise(record_id: object) -> str | None:
    """The 18-character form of an id in either form; None when it is malformed or its checksum is wrong."""
    if not isinstance(record_id, str) or not (record_id.isascii() and record_id.isalnum()):
        return None
    if len(record_id) == 18:
        full = to18(record_id[:15])
        return full if full == record_id else None
    return to18(record_id) if len(record_id) == 15 else None


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


_PAIRS = ["".join(pair) for pair in product(_DIGITS, repeat=2)]
"""The last two digits of a running number, in their order."""
_AHEAD = 1_000  # ids that a database is told of at a time
_MARKS = "localorg ids"


class IdFactory:
    """Hands out new ids, 18 characters, in ascending text order for each key prefix.

    An id is prefix (3), instance (2, drawn from the seed), "0", and a running number (9, base 62). The same seed gives
    the same ids in the same order. One that keeps its marks in a database (`keep`) never hands out an id twice, not
    even after a restart when the row that had it is gone.
    """

    def __init__(self, seed: int = 1) -> None:
        draw = random.Random(seed)
        self.instance = "".join(draw.choices(_DIGITS[10:], k=2))
        self._first = draw.randrange(62**3, 62**4)
        self._next: defaultdict[str, int] = defaultdict(lambda: self._first)
        self._heads: dict[str, tuple[int, str]] = {}
        self._kept: dict[str, int] = {}  # for each prefix the number that the database knows will be the next
        self._db: sqlite3.Connection | None = None

    def next(self, prefix: str) -> str:
        """A new id for objects with this three-character key prefix."""
        number = self._next[prefix]
        self._next[prefix] = number + 1
        if self._db is not None and number >= self._kept.get(prefix, 0):
            self._keep(prefix, number + _AHEAD)
        # All but the last two digits stay the same for 3,844 ids.
        rest, last = divmod(number, len(_PAIRS))
        known, head = self._heads.get(prefix, (-1, ""))
        if known != rest:
            head = f"{prefix}{self.instance}0{_base62(rest, 7)}"
            self._heads[prefix] = (rest, head)
        return to18(head + _PAIRS[last])

    def count(self, prefix: str) -> int:
        """How many ids with this prefix are used up."""
        return self._next[prefix] - self._first

    def resume(self, record_id: str) -> None:
        """Never hand out this id, or one before it, again."""
        number = 0
        for digit in record_id[6:15]:
            number = number * 62 + _DIGITS.index(digit)
        prefix = record_id[:3]
        self._next[prefix] = max(self._next[prefix], number + 1)

    # --- across restarts ------------------------------------------------------------------------------------------

    def keep(self, connection: sqlite3.Connection) -> None:
        """Goes on where this database says, and tells it from now on: of 1,000 ids at a time, before they are used."""
        connection.execute(f'CREATE TABLE IF NOT EXISTS "{_MARKS}" (prefix TEXT PRIMARY KEY, next INTEGER NOT NULL)')
        for prefix, number in connection.execute(f'SELECT prefix, next FROM "{_MARKS}"').fetchall():
            self._next[prefix] = max(self._next[prefix], number)
        self._db = connection

    def _keep(self, prefix: str, number: int) -> None:
        assert self._db is not None
        self._db.execute(f'INSERT OR REPLACE INTO "{_MARKS}" (prefix, next) VALUES (?, ?)', (prefix, number))
        self._kept[prefix] = number

    def forget(self) -> None:
        """What the database was told in this transaction has been rolled back: it is told again."""
        self._kept.clear()
