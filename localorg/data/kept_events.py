"""The event messages that the org keeps: in a table of its database, for 72 hours.

Source: Platform Events guide, "High-Volume Platform Event Persistence".
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

KEPT_FOR = timedelta(hours=72)
_TIDY_EVERY = timedelta(minutes=1)


class Message(NamedTuple):
    """One event message. `number` is its replay id; `payload` is the JSON text of its fields."""

    number: int
    name: str  # of the object, such as JobProgress__e
    uuid: str
    payload: str


class KeptEvents:
    """The table of messages; used in the database thread. Replay ids rise, and go on rising after a restart."""

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], datetime]) -> None:
        self._db = connection
        self._clock = clock
        self._tidied = datetime.min.replace(tzinfo=clock().tzinfo)
        # AUTOINCREMENT: the number of a message that was deleted is not used again.
        connection.execute(
            'CREATE TABLE IF NOT EXISTS "_events" (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL,'
            " uuid TEXT NOT NULL, payload TEXT NOT NULL, published REAL NOT NULL)"
        )
        connection.execute('CREATE INDEX IF NOT EXISTS "_events.name" ON "_events" (name, number)')
        connection.execute('CREATE INDEX IF NOT EXISTS "_events.published" ON "_events" (published)')

    def add(self, messages: Iterable[tuple[str, str, str]]) -> None:
        """Keep messages of (name, uuid, payload), in this order; delete those that are older than 72 hours."""
        now = self._clock()
        self._db.executemany(
            'INSERT INTO "_events" (name, uuid, payload, published) VALUES (?, ?, ?, ?)',
            [(*message, now.timestamp()) for message in messages],
        )
        if now - self._tidied >= _TIDY_EVERY:
            self._tidied = now
            self._db.execute('DELETE FROM "_events" WHERE published < ?', (self._oldest(),))

    def after(self, number: int, name: str, most: int) -> list[Message]:
        """Return at most `most` messages of an object after this number, oldest first, none older than 72 hours."""
        rows = self._db.execute(
            'SELECT number, name, uuid, payload FROM "_events" WHERE name = ? AND number > ? AND published >= ?'
            " ORDER BY number LIMIT ?",
            (name, number, self._oldest(), most),
        )
        return [Message(*row) for row in rows]

    def newest(self) -> int:
        """Return the number of the last message that was ever published; 0 when there was none."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = '_events'").fetchone()
        return int(row[0]) if row else 0

    def has(self, number: int) -> bool:
        """Return whether a message with this number is still kept."""
        found = self._db.execute(
            'SELECT 1 FROM "_events" WHERE number = ? AND published >= ?', (number, self._oldest())
        ).fetchone()
        return found is not None

    def last(self, most: int, name: str | None = None) -> list[Message]:
        """Return the newest messages, of one object or of all, oldest first."""
        rows = self._db.execute(
            'SELECT number, name, uuid, payload FROM "_events" WHERE name = ifnull(?, name)'
            " ORDER BY number DESC LIMIT ?",
            (name, most),
        ).fetchall()
        return [Message(*row) for row in reversed(rows)]

    def by_minute(self, since: datetime) -> dict[int, int]:
        """Return how many messages were published in each minute (since 1970), from a moment on."""
        rows = self._db.execute(
            'SELECT CAST(published / 60 AS INTEGER), COUNT(*) FROM "_events" WHERE published >= ? GROUP BY 1',
            (since.timestamp(),),
        )
        return dict(rows.fetchall())

    def _oldest(self) -> float:
        return (self._clock() - KEPT_FOR).timestamp()
