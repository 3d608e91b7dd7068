"""The org: one database, one thread that works on it, and all objects that use the two."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

from aiohttp import web

from localorg.data.events import Events
from localorg.data.kept_events import KeptEvents
from localorg.data.limits import Limits, utc_now
from localorg.data.recent import Recent
from localorg.data.records import Records
from localorg.data.sessions import Sessions
from localorg.data.users import Users
from localorg.ids import IdFactory
from localorg.lab.costs import Costs
from localorg.lab.faults import Faults
from localorg.lab.stats import Stats
from localorg.permissions import Profile, User
from localorg.schema.model import Schema
from localorg.schema.tables import create_tables
from localorg.soql import Soql

P = ParamSpec("P")
T = TypeVar("T")


class Org:
    """An org and its one database.

    Requests are served in parallel on the event loop. The work of each on the database is one function. The database
    thread runs these functions one after the other, as the user of the request's token. So no request ever sees half of
    the work of another one.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        path: Path | None = None,
        seed: int = 1,
        token: str | None = None,
        clock: Callable[[], datetime] = utc_now,
        profiles: Iterable[Profile] = (),
    ) -> None:
        """Open the org in the file at path, or one in memory; a new org is still empty (see seed.py).

        Beside the usual users it has one for each of ``profiles``.
        """
        self.schema = schema
        self.seed = seed
        self.clock = clock
        self.opened = clock().replace(microsecond=0)  # its schema has not changed since then
        self.url = ""
        self.certificate: str | None = None  # in PEM, when the org uses https
        self.connection = _connect(path)
        with ExitStack() as undo:  # the file of an org that cannot be opened is not left locked
            undo.callback(self.connection.close)
            create_tables(self.connection, schema)
            self.ids = self._resumed_ids()
            self.organization_id = self._first_id("Organization")
            self.users = Users(self.connection, self.ids, profiles)
            self.user = self.users.first
            self._caller: ContextVar[User] = ContextVar("caller", default=self.user)
            self.token = token or f"{self.organization_id[:15]}!{_secret(seed, self.organization_id)}"
            self.sessions = Sessions(self.organization_id, clock)
            self.sessions.first(self.token, self.user)
            self.limits = Limits(clock=clock)
            self.stats = Stats()
            self.faults = Faults()
            self.costs = Costs()
            self.soql = Soql(schema, self.connection, clock=clock, user_id=self.user.id, time_zone=self.user.time_zone)
            self.records = Records(schema, self.connection, self.ids, clock=clock, user=self.user)
            self.events = Events(KeptEvents(self.connection, clock), self.limits.published, clock)
            self.recent = Recent()
            self.soql.noted = self._used
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="database")
            self._one_writes = asyncio.Lock()
            undo.pop_all()

    def _used(self, _kind: str, object_name: str, ids: Sequence[str]) -> None:
        """Note the rows that a query read FOR VIEW or FOR REFERENCE."""
        for record_id in ids:
            self.recent.note(self.records.user, object_name, record_id)

    def _resumed_ids(self) -> IdFactory:
        ids = IdFactory(self.seed)
        for name in (sobject.name for sobject in self.schema.objects.values() if not sobject.event):
            (largest,) = self.connection.execute(f'SELECT MAX("Id") FROM "{name}"').fetchone()
            if largest:
                ids.resume(largest)
        return ids

    def _first_id(self, object_name: str) -> str:
        """Return the id of the object's first row; for an empty table, the id that this row will have."""
        row = self.connection.execute(f'SELECT MIN("Id") FROM "{object_name}"').fetchone()
        return row[0] or self.ids.next(self.schema.objects[object_name].key_prefix)

    # --- in the event loop ----------------------------------------------------------------------------------------

    @property
    def caller(self) -> User:
        """The user of the current request; outside of requests the administrator."""
        return self._caller.get()

    @contextmanager
    def acting_as(self, user: User) -> Iterator[None]:
        """Run the code inside as this user; this includes the tasks that it starts."""
        before = self._caller.set(user)
        try:
            yield
        finally:
            self._caller.reset(before)

    async def run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in the database thread as the caller, without a transaction."""
        user, loop = self._caller.get(), asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: self._as(user, fn, *args, **kwargs))

    async def transaction(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in the database thread in a transaction of its own; an exception undoes all of it.

        Transactions wait here for each other, so a request that only reads waits for one of them at most.
        """
        async with self._one_writes:
            return await self.run(lambda: self.in_transaction(fn, *args, **kwargs))

    # --- in the database thread -----------------------------------------------------------------------------------

    def _as(self, user: User, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self.records.user = user
        self.soql.user_id, self.soql.time_zone = user.id, user.time_zone
        return fn(*args, **kwargs)

    def in_transaction(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function as `transaction` does, when the caller is already in the database thread."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            result = fn(*args, **kwargs)
            self.records.settle()
        except BaseException:
            self.connection.execute("ROLLBACK")
            self.records.forget()
            self.events.undo()
            self.events.keep()
            self.events.announce()
            raise
        self.events.keep()
        self.connection.execute("COMMIT")
        self.events.announce()
        return result

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo the work inside, totals included, when it raises an exception; keep the work done before."""
        self.records.settle()
        self.connection.execute("SAVEPOINT part")
        mark = self.events.mark()
        try:
            yield
            self.records.settle()
        except BaseException:
            self.connection.execute("ROLLBACK TO part")
            self.connection.execute("RELEASE part")
            self.records.forget()
            self.events.undo(mark)
            raise
        self.connection.execute("RELEASE part")

    def close(self) -> None:
        """End the database thread after its waiting work, and close the database."""
        self._thread.shutdown()
        self.connection.close()


def _connect(path: Path | None) -> sqlite3.Connection:
    name = ":memory:" if path is None else str(path)
    connection = sqlite3.connect(
        name, timeout=0.5, isolation_level=None, check_same_thread=False, cached_statements=1000
    )
    # With pages larger than SQLite's default, writing is 10 % faster or more; this must be set before anything else.
    connection.execute("PRAGMA page_size = 8192")
    if path is not None:
        # Only one process may use an org: a second one gets the error that the database is locked.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA cache_size = -200000")
    return connection


def _secret(seed: int, organization_id: str) -> str:
    """Return the second half of a session id: it depends on the seed, and has only letters that `sf` accepts."""
    digest = hashlib.sha512(f"{seed}:{organization_id}".encode()).hexdigest()
    return f"AQ{digest[:80]}.{digest[80:]}"


ORG: web.AppKey[Org] = web.AppKey("org", Org)
"""Where handlers find the org: `request.app[ORG]`."""
