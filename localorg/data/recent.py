"""The rows that each user used last: the answer of the resource `recent` (REST API guide, "Recently Viewed Items")."""

from __future__ import annotations

from collections import OrderedDict, defaultdict

from localorg.permissions import User

MOST_ITEMS = 200


class Recent:
    """The rows of each user in the order of their last use. Used in the database thread.

    A row counts as used when it was created or changed by a single-row request, read by one that sends the header
    `Sforce-Mru: updateMru=true`, or read by a query FOR VIEW or FOR REFERENCE.
    """

    def __init__(self) -> None:
        self._used: defaultdict[str, OrderedDict[tuple[str, str], None]] = defaultdict(OrderedDict)

    def note(self, user: User, object_name: str, record_id: str) -> None:
        """Note that this row was used just now."""
        used = self._used[user.id]
        used[object_name, record_id] = None
        used.move_to_end((object_name, record_id))
        if len(used) > MOST_ITEMS:
            used.popitem(last=False)

    def rows(self, user: User) -> list[tuple[str, str]]:
        """Return (object, id) pairs, the row used last first. Some rows may have been deleted."""
        return list(reversed(self._used[user.id]))
