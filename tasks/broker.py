"""Kombu's Redis transport with two faults corrected: a worker does not end when Redis restarts or is full.

When Redis goes away, Celery closes the connection in two steps. In the second step kombu (5.7) may still try to give
back the messages that the worker holds. It asks the closed connection for its address and gets an AttributeError,
which ends the worker. With this transport it gets a connection error, and Celery waits.

When Redis is full, kombu cannot note that a message was taken or is done, and its error ends the worker. With this
transport a worker waits where it is. After ``LONGEST_WAIT`` it gets a connection error, so Celery connects again. A
step that sends a message gets StoreUnavailable, like from every other write. A full Redis still deletes, but not in a
transaction. So a message that is done is deleted outside of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import kombu.transport.redis
import redis
from celery import signals
from kombu.transport import TRANSPORT_ALIASES

from quotejob.errors import StoreUnavailable
from quotejob.store.client import FULL, PatientPipeline, accepts_no_writes, wait_for_room

LONGEST_WAIT = 10.0  # seconds; a worker that is to stop does not wait for longer

_patience = 0.0  # the web process does not wait: a caller has to be answered


@signals.worker_init.connect
@signals.beat_init.connect
def _wait(**_: Any) -> None:
    """Make this process, and the children that it will have, wait while Redis is full."""
    global _patience
    _patience = LONGEST_WAIT


class NoRoom(redis.ConnectionError):
    """Redis accepts no writes. It is a connection error, because Celery waits and tries again after one."""


class Pipeline(PatientPipeline):
    """A pipeline that waits, then raises NoRoom."""

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the commands in one round trip and return their answers in order."""
        try:
            return super().execute(raise_on_error)
        except redis.ResponseError as refusal:
            raise _told(refusal) from refusal


class Client(redis.Redis):
    """A client that waits, then raises NoRoom."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command and return its answer."""
        send = super().execute_command
        try:
            return wait_for_room(_patience, lambda: send(*args, **options))  # type: ignore[no-untyped-call]
        except redis.ResponseError as refusal:
            raise _told(refusal) from refusal

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        """Return an empty pipeline."""
        made = Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        made.patience = _patience
        return made


def _told(refusal: redis.ResponseError) -> Exception:
    return NoRoom(FULL) if accepts_no_writes(refusal) else refusal


class QoS(kombu.transport.redis.QoS):
    """The messages that were taken and are not done. No transactions: a full Redis refuses these also for deletes."""

    @contextmanager
    def pipe_or_acquire(self, pipe: Any = None, client: Any = None) -> Iterator[Any]:
        """Yield the pipeline that is given, or a new one."""
        if pipe:
            yield pipe
            return
        with self.channel.conn_or_acquire(client) as connected:
            yield connected.pipeline(transaction=False)


class Channel(kombu.transport.redis.Channel):
    """A channel that raises a connection error when its connection is closed, or when Redis is full for long."""

    QoS = QoS

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection.client is None:
            raise redis.ConnectionError("This connection to the broker is closed")
        return super()._connparams(asynchronous=asynchronous)  # type: ignore[no-untyped-call]

    def _get_client(self) -> type[redis.Redis]:
        return Client

    def _put(self, queue: str, message: Any, **options: Any) -> None:
        try:
            super()._put(queue, message, **options)  # type: ignore[no-untyped-call]
        except NoRoom as refusal:
            raise StoreUnavailable(str(refusal)) from refusal


class Transport(kombu.transport.redis.Transport):
    """The transport of redis:// and rediss://."""

    Channel = Channel


def install() -> None:
    """Make every broker connection of this process use this transport."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "tasks.broker:Transport"))
