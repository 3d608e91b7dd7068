"""The door to each org and to AppLink: how many threads of this process may wait for it at the same time.

A request that asks an org holds a thread until the org answers. Without a limit the callers of one org that does not
answer hold all threads, and every other tenant waits. So an org has AT_ONCE calls at a time, and some requests that
wait for one. The rest are answered at once with 503. An org that does not answer CLOSED_AFTER calls in a row is closed
for a pause; then one call at a time is tried.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from quotejob.errors import OrgError, OrgSilent
from quotejob.salesforce.translate import TIMEOUT

# gunicorn.conf.py has 64 threads.
AT_ONCE = 4  # calls to one org
OF_ONE_ORG = 32  # threads that call one org or wait to call it
OF_ALL_ORGS = 48  # threads that do so for any org; the others answer what needs no org
PATIENCE = 2.0  # seconds without an answer of the org, after which nobody waits for it
CLOSED_AFTER = 3  # calls without an answer, in a row
FIRST_PAUSE = 5.0  # seconds; doubles with each
LONGEST_PAUSE = 60.0  # seconds


@dataclass(slots=True)
class _Org:
    calls: int = 0  # that wait for an answer
    waiting: int = 0  # threads that wait to make a call
    unanswered: int = 0  # calls, in a row
    heard_at: float = 0  # when the org last answered, or was asked after a time without calls
    closed_until: float = 0

    @property
    def at_once(self) -> int:
        return AT_ONCE if self.unanswered < CLOSED_AFTER else 1


class Door:
    """The doors to all orgs. Safe for threads. ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._orgs: dict[str, _Org] = {}
        self._changed = threading.Condition()

    @contextmanager
    def to(self, name: str) -> Iterator[None]:
        """Let the block call the org of this host. Raises OrgSilent at once, or after PATIENCE, if it may not."""
        with self._changed:
            org = self._orgs.setdefault(name, _Org())
            try:
                self._wait(org, name)
            finally:
                self._forget(name)
        answered = True
        try:
            yield
        except OrgError as fault:
            answered = fault.code != TIMEOUT
            raise
        finally:
            with self._changed:
                self._note(org, answered=answered)
                self._forget(name)

    def _wait(self, org: _Org, name: str) -> None:
        """Wait until the call may be made, and count it."""
        if org.calls + org.waiting >= OF_ONE_ORG or self._busy() >= OF_ALL_ORGS:
            raise OrgSilent(f"{name} is asked by many requests already; try again in 1 s", 1, code="ORG_BUSY")
        if not org.calls:
            org.heard_at = self._clock()
        org.waiting += 1
        try:
            while True:
                now = self._clock()
                if now < org.closed_until:
                    raise _silent(name, org.closed_until - now)
                if org.calls < org.at_once:
                    break
                left = org.heard_at + PATIENCE - now
                if left <= 0:
                    raise _silent(name, FIRST_PAUSE)
                self._changed.wait(left)
            org.calls += 1
        finally:
            org.waiting -= 1

    def _note(self, org: _Org, *, answered: bool) -> None:
        org.calls -= 1
        if answered:
            org.unanswered, org.closed_until, org.heard_at = 0, 0, self._clock()
        else:
            org.unanswered += 1
            if org.unanswered >= CLOSED_AFTER:
                pause = FIRST_PAUSE * 2 ** min(org.unanswered - CLOSED_AFTER, 10)
                org.closed_until = self._clock() + min(pause, LONGEST_PAUSE)
        self._changed.notify_all()

    def _busy(self) -> int:
        return sum(org.calls + org.waiting for org in self._orgs.values())

    def _forget(self, name: str) -> None:
        """Forget an org about which there is nothing to know."""
        org = self._orgs.get(name)
        if org is not None and not (org.calls or org.waiting or org.unanswered):
            del self._orgs[name]


def _silent(name: str, seconds: float) -> OrgSilent:
    seconds = max(1, seconds)
    return OrgSilent(f"{name} does not answer; try again in {seconds:.0f} s", seconds)


door = Door()
