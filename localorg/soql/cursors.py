"""Open results: the ids that a query found, kept for the pages that are not read yet.

A cursor keeps the ids its query found, so its pages hold those rows and no others, in the order they were in. The rows
themselves are read when a page is: values are as of then, and rows deleted meanwhile are left out.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from localorg.errors import invalid_query_locator
from localorg.ids import IdFactory
from localorg.soql.plans import Rows

LIFETIME = timedelta(days=2)  # REST API guide: results stay available for two days
MOST_CURSORS = 2_000
MOST_IDS = 5_000_000  # in all cursors together; 18 bytes each

_LOCATOR = re.compile(r"(01g[0-9A-Za-z]{15})-(\d{1,9})", re.ASCII)
_WIDTH = 18


@dataclass(slots=True)
class Cursor:
    """The ids a query found, the plan that reads their rows, and the page size its caller asked for."""

    plan: Rows
    packed: str  # the ids, one after the other
    batch_size: int
    opened: datetime
    key: str = ""  # its locator without an offset, once it is open
    # Rows that a parent brings, itself included, as seen so far. They tell how many parents to read for a page.
    weight: float = 0.0

    def __len__(self) -> int:
        return len(self.packed) // _WIDTH

    def ids(self, first: int, count: int) -> list[str]:
        """Return up to `count` ids from this offset on."""
        packed = self.packed[first * _WIDTH : (first + count) * _WIDTH]
        return [packed[at : at + _WIDTH] for at in range(0, len(packed), _WIDTH)]


class Cursors:
    """The open cursors, oldest first. The oldest are closed when there are too many."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        # A new series of locators at each start of the org: a locator of an earlier run names no cursor of this one.
        self._locators = IdFactory(seed=int(clock().timestamp() * 1000))
        self._open: OrderedDict[str, Cursor] = OrderedDict()
        self._ids = 0

    def cursor(self, plan: Rows, packed: str, batch_size: int) -> Cursor:
        """Return a new cursor over these ids. It is not open yet, because most results fit on one page."""
        return Cursor(plan, packed, batch_size, self._clock())

    def locator(self, cursor: Cursor, offset: int) -> str:
        """Return the locator of the page that starts at this offset. Open the cursor if necessary."""
        if not cursor.key:
            self._keep(cursor)
        return f"{cursor.key}-{offset}"

    def _keep(self, cursor: Cursor) -> None:
        cursor.key = self._locators.next("01g")
        self._open[cursor.key] = cursor
        self._ids += len(cursor)
        while len(self._open) > 1 and (len(self._open) > MOST_CURSORS or self._ids > MOST_IDS):
            self._close(next(iter(self._open)))

    def find(self, locator: str) -> tuple[Cursor, int]:
        """Return the cursor of a locator and the offset in it.

        Raise OrgError INVALID_QUERY_LOCATOR when there is none.
        """
        found = _LOCATOR.fullmatch(locator)
        if found is None:
            raise invalid_query_locator()
        cursor = self._open.get(found[1])
        if cursor is not None and self._clock() - cursor.opened > LIFETIME:
            self._close(found[1])
            cursor = None
        if cursor is None or int(found[2]) > len(cursor):
            raise invalid_query_locator()
        return cursor, int(found[2])

    def _close(self, key: str) -> None:
        self._ids -= len(self._open.pop(key))
