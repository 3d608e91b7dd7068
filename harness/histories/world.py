"""A world in one process: actors take turns in simulated time, and the order of their turns is drawn from a seed.

An actor is a greenlet that belongs to a process of the world. It gives up its turn at every command to Redis, every
request to the org, and every sleep. There its process may be killed or stand still. A killed actor has no effect any
more: whatever it does while it unwinds raises Died.
"""

from __future__ import annotations

import heapq
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random

from greenlet import getcurrent, greenlet

START = datetime(2027, 1, 4, tzinfo=UTC)
TRACE_LENGTH = 400  # the last events that a failed history shows


class Died(BaseException):
    """The process of this actor was killed. Nothing handles it, as nothing handles SIGKILL."""


@dataclass(eq=False)
class Process:
    """A process of the world. Its actors die with it, and stand still with it."""

    name: str
    id: str = "nobody"  # no other process has it, also not the next one of this name
    alive: bool = True
    still_until: float = 0.0  # seconds of the world's time
    actors: list[Actor] = field(default_factory=list)


@dataclass(eq=False)
class Actor:
    """One line of work in a process."""

    name: str
    process: Process
    work: Callable[[], None]
    at_end: Callable[[], None] = lambda: None  # not called if the actor was killed
    turn: greenlet | None = None
    dead: bool = False


class World:
    """Time, turns and faults of one history. ``calm``: no further faults."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        self.time = 0.0  # seconds since START
        self.calm = False
        self.faults = 0  # that have happened
        self.errors: list[str] = []  # tracebacks of actors that ended with an exception
        self.trace: deque[str] = deque(maxlen=TRACE_LENGTH)
        self._events: list[tuple[float, int, Actor | Callable[[], None]]] = []
        self._numbers = count()
        self._hub = getcurrent()
        self._current: Actor | None = None

    def now(self) -> datetime:
        """Return the time: aware, UTC."""
        return START + timedelta(seconds=self.time)

    def chance(self, probability: float) -> bool:
        """Return whether a fault of this probability happens. Never in calm."""
        struck = not self.calm and self.dice.random() < probability
        self.faults += struck
        return struck

    def note(self, event: str) -> None:
        """Add an event to the trace."""
        who = f"{self._current.process.name} {self._current.name}" if self._current else "-"
        self.trace.append(f"{self.time:9.3f}  {who:34}  {event}")

    # -- actors --------------------------------------------------------------------------------------------------------

    def spawn(self, actor: Actor, *, after: float = 0.0) -> None:
        """Let the actor begin after so many seconds."""
        actor.process.actors.append(actor)
        actor.turn = greenlet(lambda: self._live(actor), parent=self._hub)
        self.at(after, actor)

    def at(self, after: float, what: Actor | Callable[[], None]) -> None:
        """Let something happen after so many seconds."""
        heapq.heappush(self._events, (self.time + after, next(self._numbers), what))

    def sleep(self, seconds: float) -> None:
        """Give up the turn for so many seconds. Outside of an actor nothing happens. Raises Died."""
        actor = self._current
        if actor is None:
            return
        if actor.dead:
            raise Died
        self.at(seconds, actor)
        self._hub.switch()
        if actor.dead:
            raise Died

    def here(self) -> Process | None:
        """Return the process of the actor whose turn it is."""
        return self._current.process if self._current else None

    def kill(self, process: Process) -> None:
        """Kill a process with all its actors. Raises Died if it is the caller's own."""
        self.note(f"KILL {process.name}")
        process.alive = False
        for actor in process.actors:
            actor.dead = True
            self.at(0, actor)  # to unwind
        if self._current is not None and self._current.dead:
            raise Died

    def run(self, until: Callable[[], bool], limit: float) -> bool:
        """Run events until the condition holds, or for ``limit`` seconds of the world. Return whether it holds."""
        end = self.time + limit
        while self._events and self.time <= end:
            if until():
                return True
            self.time, _, event = self._pop()
            if isinstance(event, Actor):
                self._take_turn(event)
            else:
                event()
        return until()

    def close(self) -> None:
        """Unwind every actor that is left."""
        left = {event for _, _, event in self._events if isinstance(event, Actor)}
        self._events = []
        for actor in left:
            actor.dead = True
            self._take_turn(actor)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _pop(self) -> tuple[float, int, Actor | Callable[[], None]]:
        at, number, event = heapq.heappop(self._events)
        return max(at, self.time), number, event

    def _take_turn(self, actor: Actor) -> None:
        if actor.turn is None or actor.turn.dead:
            return
        if not actor.dead and actor.process.still_until > self.time:
            self.at(actor.process.still_until - self.time, actor)
            return
        self._current = actor
        try:
            actor.turn.switch()
        finally:
            self._current = None

    def _live(self, actor: Actor) -> None:
        try:
            if not actor.dead:
                actor.work()
        except Died:
            pass
        except Exception:
            self.errors.append(traceback.format_exc())
        actor.process.actors.remove(actor)
        if not actor.dead:
            actor.at_end()
