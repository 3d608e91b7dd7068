"""The workers of a history: processes with slots, and a broker that loses, repeats and delays messages.

They take the place of Celery. Chords count like Celery's: a body is sent when each message of the header has run. The
world may lose the body, send it early or send it twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from celery import Signature

from harness.histories.world import Actor, Process, World
from quotejob.errors import StoreUnavailable
from tasks.app import app
from tasks.queues import Message, key

SLOTS = 3  # of each process


@dataclass(eq=False)
class Chord:
    """A chord: how many messages of its header have not run, and its body."""

    left: int
    body: Signature


@dataclass(eq=False)
class Sent:
    """A message on its way."""

    task: str
    arguments: Mapping[str, Any]
    chord: Chord | None = None
    counted: bool = False  # its chord has counted it


@dataclass
class Workers:
    """The worker processes, and the messages that wait for them. ``faults``: how often a message has a fate."""

    world: World
    faults: float
    deaths: float  # probability at each command
    processes: list[Process] = field(default_factory=list)
    waiting: list[Sent] = field(default_factory=list)
    busy: dict[Process, int] = field(default_factory=dict)
    sign_of_life: Callable[[str], None] = lambda _: None  # writes that of the process with this id
    sweeping = True  # False takes this protection out

    def start(self, count: int) -> None:
        """Start so many processes."""
        for number in range(count):
            self.processes.append(self._made(f"worker-{number}"))

    def queued(self) -> set[Message]:
        """Return the messages that no worker has taken, as tasks.queues.waiting does."""
        return {key(sent.task, sent.arguments) for sent in self.waiting}

    def publish(
        self, task: str, arguments: Mapping[str, Any], chord: Chord | None = None, *, after: float = 0.0
    ) -> None:
        """Send a message that comes ``after`` so many seconds. It may be lost, doubled or late."""
        self.world.sleep(0.001)
        self.world.note(f"send {task} {dict(arguments)}")
        sent = Sent(task, arguments, chord)
        copies = self.world.dice.choice((0, 0, 2)) if self.world.chance(self.faults) else 1
        for _ in range(copies):
            late = self.world.dice.uniform(0, 30) if self.world.chance(self.faults) else 0.001
            self.world.at(after + late, lambda: self._arrive(sent))

    def publish_chord(self, header: Iterable[Signature], body: Signature) -> None:
        """Send the messages of a header, one by one. The body follows the last one that has run."""
        messages = list(header)
        chord = Chord(len(messages), body)
        if self.world.chance(self.faults / 2):
            self.publish(body.task, body.kwargs)  # early, as after a message that ran twice
        for message in messages:
            self.publish(message.task, message.kwargs, chord)

    def strike(self) -> None:
        """Let the process whose turn it is die, or stand still, with the probability of this history."""
        here = self.world.here()
        if here is None or here not in self.processes or not self.world.chance(self.deaths):
            return
        if self.world.dice.random() < 0.3:
            here.still_until = self.world.time + self.world.dice.uniform(1, 25)
            self.world.note("STANDS STILL")
            self.world.sleep(0)
        else:
            self.sign_of_life(here.id)
            replacement = self._made(here.name)
            self.processes[self.processes.index(here)] = replacement
            replacement.alive = False
            self.world.at(self.world.dice.uniform(0.5, 5), lambda: self._up(replacement))
            self.world.kill(here)

    def come_back(self, waiting: Sequence[Sent]) -> None:
        """Let these messages wait, and no others."""
        self.waiting[:] = waiting
        self._take()

    def idle(self) -> bool:
        """Return whether no message waits or is worked on."""
        return not self.waiting and not any(self.busy.get(process) for process in self.processes)

    def live(self) -> None:
        """Give a sign of life of each process that lives and does not stand still."""
        for process in self.processes:
            if process.alive and process.still_until <= self.world.time:
                self.sign_of_life(process.id)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _made(self, name: str) -> Process:
        return Process(name, f"{name}.{self.world.dice.getrandbits(32)}")

    def _up(self, process: Process) -> None:
        process.alive = True
        self._take()

    def _arrive(self, sent: Sent) -> None:
        self.waiting.append(sent)
        self._take()

    def _take(self) -> None:
        """Give waiting messages to free slots."""
        while self.waiting:
            free = [each for each in self.processes if each.alive and self.busy.get(each, 0) < SLOTS]
            if not free:
                return
            place = self.world.dice.randrange(min(len(self.waiting), 3))
            sent, process = self.waiting.pop(place), self.world.dice.choice(free)
            self.busy[process] = self.busy.get(process, 0) + 1
            self.world.spawn(Actor(sent.task.removeprefix("quotejob."), process, self._work(sent), self._done(process)))
            if self.world.chance(self.faults):  # delivered again, as a message that was not acknowledged in time
                self.world.at(self.world.dice.uniform(1, 60), lambda sent=sent: self._arrive(sent))  # type: ignore[misc]

    def _work(self, sent: Sent) -> Callable[[], None]:
        def work() -> None:
            with contextlib.suppress(StoreUnavailable):  # Celery logs it; nobody waits for the task
                app.tasks[sent.task](**sent.arguments)
            self.world.sleep(0.001)
            if sent.chord is not None and not sent.counted:
                sent.counted = True
                sent.chord.left -= 1
                if sent.chord.left == 0:
                    self.publish(sent.chord.body.task, sent.chord.body.kwargs)

        return work

    def _done(self, process: Process) -> Callable[[], None]:
        def done() -> None:
            self.busy[process] -= 1
            self._take()

        return done
