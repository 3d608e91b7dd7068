"""Record ids: 15 characters (case-sensitive), or 18 with a checksum of the case, and a factory for new ids.

The rule is in Salesforce Help, "How to convert 15-character ids to 18". Split the 15 characters into three groups of
five. Set bit *j* of a group if its character *j* is a capital letter. Append the letter for each number.
"""

from __future__ import annotations

import random
import sqlite3
from collections import defaultdict
from itertools import product

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
# The pattern of a group (1 for a capital letter, 0 for all else), and the letter for this pattern.
_CAPITALS = str.maketrans({digit: str(int(digit.isupper())) for digit in _DIGITS})
_CHECK = {"".join(bits): _CHECKS[int("".join(reversed(bits)), 2)] for bits in product("01", repeat=5)}


def to18(id15: str) -> str:
    """Return the 18-character form of a 15-character id; the id is not checked."""
    bits = id15.translate(_CAPITALS)
    return id15 + _CHECK[bits[:5]] + _CHECK[bits[5:10]] + _CHECK[bits[10:15]]


def normalise(record_id: object) -> str | None:
    """Return the 18-character form of an id in either form; None when it is malformed or its checksum is wrong."""
    if not isinstance(record_id, str) or not (record_id.isascii() and record_id.isalnum()):
        return None
    if len(record_id) == 18:
        full = to18(record_id[:15])
        return full if full == record_id else None
    return to18(record_id) if len(record_id) == 15 else None


def _number(record_id: str) -> int:
    """Return the running number of an id."""
    number = 0
    for digit in record_id[6:15]:
        number = number * 62 + _DIGITS.index(digit)
    return number


def distance(first: str, last: str) -> int:
    """Return how many ids last is after first; both have one prefix."""
    return _number(last) - _number(first)


def ahead(record_id: str, count: int) -> str:
    """Return the id that is so many ids after this one."""
    return to18(record_id[:6] + _base62(_number(record_id) + count, 9))


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


_PAIRS = ["".join(pair) for pair in product(_DIGITS, repeat=2)]
"""The last two digits of a running number, in their order."""
_AHEAD = 1_000  # number of ids that are reserved in the database at a time
_MARKS = "localorg ids"


class IdFactory:
    """A factory of new ids, 18 characters, in ascending text order for each key prefix.

    An id is prefix (3), instance (2, drawn from the seed), "0", and a running number (9, base 62). The same seed gives
    the same ids in the same order. A factory that saves its marks in a database (`keep`) never returns an id twice, not
    even after a restart when the row with this id no longer exists.
    """

    def __init__(self, seed: int = 1) -> None:
        draw = random.Random(seed)
        self.instance = "".join(draw.choices(_DIGITS[10:], k=2))
        self._first = draw.randrange(62**3, 62**4)
        self._next: defaultdict[str, int] = defaultdict(lambda: self._first)
        self._heads: dict[str, tuple[int, str]] = {}
        self._kept: dict[str, int] = {}  # for each prefix the next number as saved in the database
        self._db: sqlite3.Connection | None = None

    def next(self, prefix: str) -> str:
        """Return a new id for objects with this three-character key prefix."""
        number = self._next[prefix]
        self._next[prefix] = number + 1
        if self._db is not None and number >= self._kept.get(prefix, 0):
            self._keep(prefix, number + _AHEAD)
        # All digits except the last two stay the same for 3,844 ids.
        rest, last = divmod(number, len(_PAIRS))
        known, head = self._heads.get(prefix, (-1, ""))
        if known != rest:
            head = f"{prefix}{self.instance}0{_base62(rest, 7)}"
            self._heads[prefix] = (rest, head)
        return to18(head + _PAIRS[last])

    def count(self, prefix: str) -> int:
        """Return the number of used ids with this prefix."""
        return self._next[prefix] - self._first

    def resume(self, record_id: str) -> None:
        """Go on after this id: neither it nor an earlier one is returned again."""
        prefix = record_id[:3]
        self._next[prefix] = max(self._next[prefix], _number(record_id) + 1)

    # --- across restarts ------------------------------------------------------------------------------------------

    def keep(self, connection: sqlite3.Connection) -> None:
        """Continue from the marks in this database, and save new ones for 1,000 ids at a time, before their use."""
        connection.execute(f'CREATE TABLE IF NOT EXISTS "{_MARKS}" (prefix TEXT PRIMARY KEY, next INTEGER NOT NULL)')
        for prefix, number in connection.execute(f'SELECT prefix, next FROM "{_MARKS}"').fetchall():
            self._next[prefix] = max(self._next[prefix], number)
        self._db = connection

    def _keep(self, prefix: str, number: int) -> None:
        assert self._db is not None
        self._db.execute(f'INSERT OR REPLACE INTO "{_MARKS}" (prefix, next) VALUES (?, ?)', (prefix, number))
        self._kept[prefix] = number

    def forget(self) -> None:
        """Forget what was saved in a transaction that was rolled back, so that it is saved again."""
        self._kept.clear()
