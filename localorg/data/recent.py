"""What each user worked with last: the answer of the resource `recent` (REST API guide, "Recently Viewed Items")."""

from __future__ import annotations

from collections import OrderedDict, defaultdict

from localorg.permissions import User

MOST_ITEMS = 200


class Recent:
    """Rows in the order they were last used, by user; used in the database thread.

    A row counts as used when it was created or changed by a single-row request, read by one that sends the header
    `Sforce-Mru: updateMru=true`, or read by a query FOR VIEW or FOR REFERENCE.
    """

    def __init__(self) -> None:
        self._used: defaultdict[str, OrderedDict[tuple[str, str], None]] = defaultdict(OrderedDict)

    def note(self, user: User, object_name: str, record_id: str) -> None:
        """This row was used just now."""
        used = self._used[user.id]
        used[object_name, record_id] = None
        used.move_to_end((object_name, record_id))
        if len(used) > MOST_ITEMS:
            used.popitem(last=False)

    def rows(self, user: User) -> list[tuple[str, str]]:
        """(object, id), the row used last first; some may be gone by now."""
        return list(reversed(self._used[user.id]))
