"""The ids of an org's records, and columns of them in few bytes: a large job keeps some ids of each record.

An id is a prefix and a running number, so neighbours in a column mostly differ by a small number. What cannot be such a
difference stays in the column as it is. Columns are compressed afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SUFFIX_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_VALUES = {digit: value for value, digit in enumerate(DIGITS)}
_PREFIX, _HEAD, _PLAIN = (
    6,
    12,
    15,
)  # characters: before the running number, of it but for its last three, without suffix
_TAIL: int = len(DIGITS) ** (_PLAIN - _HEAD)
_CENTS = re.compile(r"-?(0|[1-9][0-9]{0,14})\.[0-9]{2}")

Column = list[int | str | None]


def to18(record_id: str) -> str:
    """Return the 18-character form of a 15- or 18-character id (SOAP API guide, ID field type: case-folding suffix)."""
    return record_id[:15] + "".join(_suffix(record_id[start : start + 5]) for start in (0, 5, 10))


@lru_cache(maxsize=4096)
def _suffix(group: str) -> str:
    return _SUFFIX_LETTERS[sum(1 << place for place, letter in enumerate(group) if "A" <= letter <= "Z")]


def packed(ids: Iterable[str | None]) -> Column:
    """Return a column of ids, or of any texts. ``unpacked`` returns equal ones."""
    column: Column = []
    prefix, before = "", 0
    for each in ids:
        if each is None or not _is_id(each):
            column.append(each)
            continue
        number = _number(each)
        column.append(number - before if each[:_PREFIX] == prefix else each)
        prefix, before = each[:_PREFIX], number
    return column


def unpacked(column: Iterable[int | str | None]) -> Iterator[str | None]:
    """Yield what ``packed`` got. Raises ValueError for a column that it did not make."""
    prefix, number = "", 0
    for each in column:
        if isinstance(each, int):
            number += each
            yield _id(prefix, number)
            continue
        if each is not None and _is_id(each):
            prefix, number = each[:_PREFIX], _number(each)
        yield each


def _is_id(text: str) -> bool:
    return len(text) == 18 and text.isascii() and text.isalnum() and to18(text) == text


def _number(record_id: str) -> int:
    return _head(record_id[_PREFIX:_HEAD]) * _TAIL + _head(record_id[_HEAD:_PLAIN])


@lru_cache(maxsize=4096)
def _head(digits: str) -> int:
    number = 0
    for digit in digits:
        number = number * len(DIGITS) + _VALUES[digit]
    return number


def _id(prefix: str, number: int) -> str:
    digits = []
    for _ in range(_PLAIN - _PREFIX):
        number, digit = divmod(number, len(DIGITS))
        digits.append(DIGITS[digit])
    if number or not prefix:
        raise ValueError("this is no column of ids")
    return to18(prefix + "".join(reversed(digits)))


def packed_money(amounts: Iterable[str | None]) -> Column:
    """Return a column of amounts: those with two decimals in cents. ``unpacked_money`` returns equal ones."""
    return [
        int(each.replace(".", "")) if each and _CENTS.fullmatch(each) and each != "-0.00" else each for each in amounts
    ]


def unpacked_money(column: Iterable[int | str | None]) -> Iterator[str | None]:
    """Yield what ``packed_money`` got."""
    for each in column:
        if isinstance(each, int):
            whole, cents = divmod(abs(each), 100)
            yield f"{'-' if each < 0 else ''}{whole}.{cents:02}"
        else:
            yield each
