"""Housekeeping takes only a share of a worker's time, also when Redis is far away.

Ticks and sweeps come before all other tasks. With a slow Redis each takes longer than the time until the next one. Then
a worker would do nothing else. So beat sends one only if the one before has ended and has rested. It rests several
times as long as it worked, or some seconds longer than long work.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Task
from celery.beat import ScheduleEntry

from quotejob.store import scripts
from quotejob.store.client import RedisClient, server_time
from tasks import beat

SENT = "sent"  # header of a message from beat: when it was sent (ms, by the clock of Redis)
LONGEST_WAIT = 10.0  # seconds; what waited longer, while no worker ran, is not needed: a newer one waits behind it
WAITING = 5.0  # seconds until beat sends the next one although the one before has not begun, or has died
WORKING = 10.0  # seconds until the same while one works that has told so
REST = 5  # times as long as it worked: two kinds of housekeeping take a third of one process's time
REST_BEYOND = 6.0  # seconds that a rest is longer than long work at most, because lost work waits for the next sweep

_ahead: float | None = None  # seconds that Redis's clock is ahead of time.monotonic(), as the last turn has seen it


class Scheduler(beat.Scheduler):
    """Beat's scheduler, which leaves out a periodic task whose turn it is not."""

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        """Send the task of an entry, if it is its turn. An error is logged, and the next time comes by itself."""
        try:
            sent = _set(self.producer.channel.client, entry.task, WAITING, take=True)
        except self.connection.connection_errors:
            sent = 1  # Celery then says why it could not be sent
        if sent:
            entry.options["headers"] = {SENT: sent}
            super().apply_entry(entry, producer=producer)


class Turn:
    """The turn of one periodic task, while it works."""

    def __init__(self, client: RedisClient, task: str) -> None:
        self._redis = client
        self._task = task
        self._began = self._told = time.monotonic()
        self.rest = REST

    def go_on(self) -> None:
        """Tell that the task still works. Call it in long loops."""
        silent = self._silent()
        if silent <= 1:
            return
        if silent > WORKING:
            self._began += silent
        _set(self._redis, self._task, WORKING)
        self._told = time.monotonic()

    def end(self) -> None:
        """Let the next one come after the rest. If the turn is over, another one has it: it ends by itself."""
        if self._silent() > WORKING:
            return
        worked = time.monotonic() - self._began
        _set(self._redis, self._task, min(worked * self.rest, worked + REST_BEYOND))

    def _silent(self) -> float:
        """Return the seconds since it told. More than WORKING were no work: Redis was away, or this process was."""
        return time.monotonic() - self._told


@contextmanager
def turn(client: RedisClient, task: str) -> Iterator[Turn]:
    """Do one periodic task. Raises what the block raises; then the next one comes after WAITING at most."""
    made = Turn(client, task)
    yield made
    made.end()


def is_late(client: RedisClient, task: Task) -> bool:
    """Return whether the message that this task runs for has waited so long that it is not needed any more.

    Redis is asked only about a message that looks late: its clock may have jumped since the last turn.
    """
    sent = task.request.get(SENT)
    if sent is None:
        return False
    last = float(sent) / 1000 + LONGEST_WAIT
    looks_late = _ahead is None or _ahead + time.monotonic() > last
    return looks_late and server_time(client).timestamp() > last


def _set(client: RedisClient, task: str, seconds: float, *, take: bool = False) -> int:
    global _ahead
    length = max(1, int(seconds * 1000))
    now = int(scripts.run(client, "turn", key=f"quotejob:turn:{task}", length=length, take=take))
    if now:
        _ahead = now / 1000 - time.monotonic()
    return now
