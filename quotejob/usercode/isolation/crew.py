"""The children of a worker process: one for each core, shared by all of its threads."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from quotejob.errors import QuotejobError
from quotejob.usercode.isolation.hands import Hands, Kind
from quotejob.usercode.trouble import Retry

LONGEST_WAIT = 45.0  # seconds that a page waits for a child; then it goes back to its queue


class Crew:
    """At most ``size`` children work at a time.

    As many again may wait, so that pages of several kinds in turn need no new ones. Of more kinds, the child that has
    waited longest ends for a new one.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._places = threading.BoundedSemaphore(size)
        self._idle: list[Hands] = []  # the one that was used last is the last
        self._lent_out = 0
        self._lock = threading.Lock()

    @contextmanager
    def hands(self, kind: Kind) -> Iterator[Hands]:
        """Lend a child that runs this. Raises Retry if all of them are at work for a long time."""
        if not self._places.acquire(timeout=LONGEST_WAIT):
            raise Retry("All processes for users' code are at work", after=5)
        with self._lent(kind) as hands:
            yield hands

    def get_ready(self, kind: Kind, most: int | None = None) -> None:
        """Start children for at most so many free places, unless one of this kind waits for work. Returns at once.

        ``most``: None: as many as may work. For a caller who needs them soon: what goes wrong with one is said when it
        is needed.
        """
        with self._lock:
            if any(hands.kind == kind for hands in self._idle):
                return
        for _ in range(most or self._size):
            if self._places.acquire(blocking=False):
                threading.Thread(target=self._start, args=(kind,), name="users' code", daemon=True).start()

    def _start(self, kind: Kind) -> None:
        with contextlib.suppress(QuotejobError, OSError), self._lent(kind) as hands:
            hands.start()

    @contextmanager
    def _lent(self, kind: Kind) -> Iterator[Hands]:
        """Lend a child, whose place is taken already. Give the place back."""
        hands = self._take(kind)
        try:
            yield hands
        except BaseException:
            hands.stop()
            raise
        else:
            with self._lock:
                self._idle.append(hands)
        finally:
            with self._lock:
                self._lent_out -= 1
            self._places.release()

    def stop(self) -> None:
        """End the idle children."""
        with self._lock:
            idle, self._idle = self._idle, []
        for hands in idle:
            hands.stop()

    def _take(self, kind: Kind) -> Hands:
        with self._lock:
            same = [hands for hands in self._idle if hands.kind == kind]
            full = self._lent_out + len(self._idle) >= 2 * self._size
            other = self._idle[0] if full and not same else None
            if taken := (same[-1] if same else other):
                self._idle.remove(taken)
            self._lent_out += 1
        if same:
            return same[-1]
        if other is not None:
            other.stop()
        return Hands(kind)


def of_process(processes: int) -> Crew:
    """Return this process's children for users' code, however many kinds of it there are. 0: one for each core.

    A process that was forked makes some of its own: children belong to the process that started them.
    """
    return _crew(processes, os.getpid())


@cache
def _crew(processes: int, _pid: int) -> Crew:
    made = Crew(processes or cores())
    atexit.register(made.stop)
    return made


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
