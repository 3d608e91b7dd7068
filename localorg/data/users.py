"""The users of an org: one for each way of using the API, each with its own profile."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from zoneinfo import ZoneInfo

from localorg.ids import IdFactory, normalise
from localorg.permissions import ADMINISTRATOR, READ_ONLY, STANDARD, Profile, User

TIME_ZONE = "America/Los_Angeles"
_PREFIX = "005"

# Username; first name, last name and alias; profile. The first is the user of the org's first token.
_PEOPLE: tuple[tuple[str, tuple[str, str, str], Profile], ...] = (
    ("worker@quotejob.example", ("Quote", "Worker", "qworker"), ADMINISTRATOR),
    ("standard@quotejob.example", ("Stan", "Dard", "standard"), STANDARD),
    ("reader@quotejob.example", ("Reed", "Only", "reader"), READ_ONLY),
)


class Users:
    """Everyone who can log in, found by id or by username. The first user is the org's administrator."""

    def __init__(self, connection: sqlite3.Connection, ids: IdFactory, more: Iterable[Profile] = ()) -> None:
        """Read the users. Users in the database keep their ids; the others get ids in the order of the list.

        There is one more user for each of the profiles in ``more``: its name, in small letters, is in the username.
        """
        known = dict(connection.execute('SELECT "Username", "Id" FROM "User"').fetchall())
        zone = ZoneInfo(TIME_ZONE)
        self.everyone = tuple(
            User(known.get(username) or ids.next(_PREFIX), username, zone, *names, profile)
            for username, names, profile in (*_PEOPLE, *(_alone(each) for each in more))
        )
        self.custom_permissions: dict[str, frozenset[str]] = {}  # by the user's id
        self._by_id = {user.id: user for user in self.everyone}
        self._by_username = {user.username: user for user in self.everyone}

    @property
    def first(self) -> User:
        """The administrator."""
        return self.everyone[0]

    def by_id(self, user_id: str) -> User | None:
        """Return the user with this id of 15 or 18 characters."""
        return self._by_id.get(normalise(user_id) or "")

    def by_username(self, username: str) -> User | None:
        """Return the user with this username, in any case."""
        return self._by_username.get(username.strip().lower())


def _alone(profile: Profile) -> tuple[str, tuple[str, str, str], Profile]:
    short = profile.name.lower()
    return f"{short}@quotejob.example", ("Only", profile.name, short[:8]), profile
