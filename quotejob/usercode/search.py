"""The search for the record that breaks a call: every record is decided once, and a bad one costs only itself.

First the suspect alone, which was in hand last, then the others in halves; after three such rounds one by one. A record
is guilty only if it fails alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from quotejob.usercode.trouble import NOT_REACHED, Broken

MOST_ROUNDS = 3
LONGEST_PAGE = 240.0  # seconds for all calls of a page

T = TypeVar("T")
Call = Callable[[Sequence[int]], "list[T] | Broken"]


def isolate(count: int, call: Call[T], failed: Callable[[int, Broken], T], seconds: float = LONGEST_PAGE) -> list[T]:
    """Return what was decided for each of ``count`` records, in their order.

    ``call`` decides those at some places, in their order, or is Broken; its suspect is a place among these. ``failed``
    is what a guilty record gets. What is not decided after ``seconds`` fails with NOT_REACHED.
    """
    found: dict[int, T] = {}
    until = time.monotonic() + seconds
    waiting: list[tuple[Sequence[int], int]] = [(range(count), MOST_ROUNDS)] if count else []
    while waiting:
        places, rounds = waiting.pop()
        got = call(places) if time.monotonic() < until else Broken(0, NOT_REACHED, _LATE)
        if not isinstance(got, Broken):
            found |= zip(places, got, strict=True)
        elif len(places) == 1 or got.code == NOT_REACHED:
            found |= {place: failed(place, got) for place in places}
        else:
            waiting += reversed(_parts(places, got.suspect, rounds))
    return [found[place] for place in range(count)]


_LATE = "The time for its page was over before it was reached: others of the page took too long"


def _parts(places: Sequence[int], suspect: int, rounds: int) -> list[tuple[Sequence[int], int]]:
    """Return what to call next: the suspect, then the others in halves; or one by one."""
    if rounds == 0:
        return [([place], 0) for place in places]
    suspect = min(max(suspect, 0), len(places) - 1)
    rest = [*places[:suspect], *places[suspect + 1 :]]
    middle = (len(rest) + 1) // 2
    halves = [(part, rounds - 1) for part in (rest[:middle], rest[middle:]) if part]
    return [([places[suspect]], 0), *halves]
