"""Worker processes: which are alive, and who works beside whom in one of them.

A process that dies takes all units with it that it works on. Only one of them may be the cause, or none. So each
process gives a sign of life every second, and a suspected unit works alone in its process.
``store/lua/run/lease.lua`` says how deaths are counted.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Iterator
from functools import cache

from quotejob.errors import QuotejobError
from quotejob.store import scripts
from quotejob.store.client import RedisClient

ALIVE_INTERVAL = 1.0  # seconds between two signs of life


def this_process() -> str:
    """Return the name of this process, which no other process has, also not after a fork."""
    return _name(os.getpid())


@cache
def _name(pid: int) -> str:
    return f"{pid}.{uuid.uuid4().hex[:12]}"


class SignsOfLife:
    """What tells others that this process is alive, from a thread."""

    def __init__(self, client: RedisClient) -> None:
        self._redis = client
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="signs of life", daemon=True)

    def start(self) -> None:
        """Give a sign of life now and every second from now on. A second call does nothing."""
        if self._thread.ident is None:
            self._thread.start()

    def end(self) -> None:
        """Tell that this process ends in good order, so that nobody takes it for dead. Waits for a second at most."""
        self._ends.set()
        if self._thread.ident is not None:
            self._thread.join(1)

    def _go_on(self) -> None:
        while not self._ends.is_set():
            self._tell(ends=False)
            self._ends.wait(ALIVE_INTERVAL)
        self._tell(ends=True)

    def _tell(self, *, ends: bool) -> None:
        with contextlib.suppress(QuotejobError):
            scripts.run(self._redis, "run/alive", process=this_process(), ends=ends)


class Room:
    """The place of one process where its threads work: many at once, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._until = 0.0  # by time.monotonic(): so long nobody may enter

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Work beside others. Waits while one works alone or waits for that, but no longer than this one may."""
        with self._changed:
            while (rest := self._until - time.monotonic()) > 0:
                self._changed.wait(rest)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self, longest: float) -> Iterator[bool]:
        """Work alone, inside ``entered``. False: another one does, or the others did not leave in time.

        ``longest``: seconds that it waits for the others, and then seconds until others may enter although it is there.
        """
        until = 0.0
        with self._changed:
            if self._until <= time.monotonic():
                self._until = time.monotonic() + longest
                if self._changed.wait_for(lambda: self._inside == 1, longest):
                    until = time.monotonic() + longest
                self._let_in(until)
        try:
            yield until > 0
        finally:
            with self._changed:
                if self._until == until:  # else another one has the room by now
                    self._let_in(0)

    def _let_in(self, until: float) -> None:
        self._until = until
        self._changed.notify_all()


ROOM = Room()  # a forked child has its own: the parent's is empty
