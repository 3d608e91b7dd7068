"""Celery's ways to Redis, with three things corrected: a restart of Redis, a full one, and the number of connections.

A worker does not end when Redis restarts or is full.

When Redis goes away, Celery closes the connection in two steps. In the second step kombu (5.7) may still try to give
back the messages that the worker holds. It asks the closed connection for its address and gets an AttributeError,
which ends the worker. With this transport it gets a connection error, and Celery waits.

When Redis is full, kombu cannot note that a message was taken or is done, and its error ends the worker. With this
transport a worker waits where it is. After ``LONGEST_WAIT`` it gets a connection error, so Celery connects again. A
step that sends a message gets StoreUnavailable, like from every other write. A full Redis still deletes, but not in a
transaction. So a message that is done is deleted outside of one.

Celery tries to connect again after 2, 4, 6 seconds, and so on, up to 30. So a worker whose Redis was away for a minute
could stay away for half a minute longer. Here it is ``LONGEST_PAUSE`` at most.

All channels and threads of a process share few connections. A thread waits for a free one, where kombu and Celery open
another or raise an error. Only what waits for messages has a connection of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import celery.app.amqp
import kombu
import kombu.transport.redis
import redis
from celery import Celery, signals
from celery.backends.redis import RedisBackend
from kombu.transport import TRANSPORT_ALIASES
from kombu.utils.json import dumps

from quotejob.errors import StoreUnavailable
from quotejob.run.gate import Gate
from quotejob.settings import current
from quotejob.store.client import PatientPipeline, accepts_no_writes, wait_for_room
from quotejob.store.reasons import reason

ORG = "org"  # the header of messages whose step asks an org: the org's id
MOST_CONNECTIONS = 2  # of the result backend; of all channels of a process that does not keep more
MORE_THAN_SENDERS = 2  # a process that keeps n to send with: the others take and end messages
CONNECTION_WITHIN = 60  # seconds that a thread waits for a free one
LONGEST_PAUSE = 4.0  # seconds between two tries to connect
LONGEST_WAIT = 10.0  # seconds that a worker waits for a full Redis; one that is to stop does not wait for longer

_patience = 0.0  # the web process does not wait: a caller has to be answered
_shared: dict[tuple[Any, ...], redis.BlockingConnectionPool] = {}  # by address: the connections of all channels


def _pool(most: int, **options: Any) -> redis.BlockingConnectionPool:
    few = {"max_connections": most, "timeout": CONNECTION_WITHIN}
    return redis.BlockingConnectionPool(**options | few)  # type: ignore[no-untyped-call]


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
            raise _told(refusal, self.connection_pool) from refusal


class Client(redis.Redis):
    """A client that waits, then raises NoRoom."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command and return its answer."""
        send = super().execute_command
        try:
            return wait_for_room(_patience, lambda: send(*args, **options))  # type: ignore[no-untyped-call]
        except redis.ResponseError as refusal:
            raise _told(refusal, self.connection_pool) from refusal

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        """Return an empty pipeline."""
        made = Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        made.patience = _patience
        return made


def _told(refusal: redis.ResponseError, pool: redis.ConnectionPool) -> Exception:
    """Return NoRoom for a refusal to write. The next command connects anew: to the new primary, after a failover.

    ``pool``: the connections that were refused. Others may have been made since, after the refusal of another thread.
    """
    if not accepts_no_writes(refusal):
        return refusal
    for address in [address for address, shared in list(_shared.items()) if shared is pool]:
        _shared.pop(address, None)
    return NoRoom(reason(refusal))


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
    most_connections = MOST_CONNECTIONS
    _kept: Any = None  # the client of all operations but those that wait for messages

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]
        self.__dict__.pop("client", None)  # it only asked whether Redis answers: _create_client

    def _put(self, queue: str, message: dict[str, Any], **options: Any) -> None:
        """Put a message into its queue. If its step asks an org, the gate decides whether it may go now."""
        try:
            if message["headers"].get(ORG) is None:
                super()._put(queue, message, **options)  # type: ignore[no-untyped-call]
            else:
                self._put_before_gate(queue, message)
        except NoRoom as refusal:
            raise StoreUnavailable(str(refusal)) from refusal

    def _put_before_gate(self, queue: str, message: dict[str, Any]) -> None:
        org_id = message["headers"][ORG]
        priority = self._get_message_priority(message)  # type: ignore[no-untyped-call]
        place = self._q_for_pri(queue, priority)  # type: ignore[no-untyped-call]
        with self.conn_or_acquire() as client:
            text = dumps(message)  # type: ignore[no-untyped-call]
            Gate(client, current()).enter(org_id, message["headers"]["id"], priority, place, text)

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection.client is None:
            raise redis.ConnectionError("This connection to the broker is closed")
        return super()._connparams(asynchronous=asynchronous)  # type: ignore[no-untyped-call]

    def _get_client(self) -> type[redis.Redis]:
        return Client

    def _create_client(self, asynchronous: bool = False) -> Any:
        """Return the client of all operations. kombu makes one for each, which takes longer than most of them.

        One that waits for messages has a connection of its own, from when it first waits: most channels only send.
        """
        if asynchronous and self._registered:
            return super()._create_client(asynchronous)  # type: ignore[no-untyped-call]
        kept = self._kept
        if kept is None or kept.connection_pool not in _shared.values():  # made anew after a refusal
            self._kept = kept = self.Client(connection_pool=self._get_pool())
        return kept

    def _get_pool(self, asynchronous: bool = False) -> Any:
        usual = super()._get_pool(asynchronous)  # type: ignore[no-untyped-call]
        if asynchronous:  # it waits for messages
            return usual
        options = {**usual.connection_kwargs, "connection_class": usual.connection_class}
        address = tuple(options.get(part) for part in ("host", "port", "path", "db", "username"))
        return _shared.setdefault(address, _pool(self.most_connections, **options))


class Transport(kombu.transport.redis.Transport):
    """The transport of redis:// and rediss://."""

    Channel = Channel


class Connection(kombu.Connection):
    """A connection to the broker that is tried again soon, however long Redis was away."""

    def ensure_connection(self, *args: Any, interval_max: float = LONGEST_PAUSE, **options: Any) -> Any:
        """Connect. Try again until it is possible, or ``max_retries`` times."""
        return super().ensure_connection(*args, interval_max=interval_max, **options)  # type: ignore[no-untyped-call]


class AMQP(celery.app.amqp.AMQP):
    """What Celery makes its connections with."""

    Connection = Connection


class Backend(RedisBackend):
    """The result backend: what counts the parts of chords. All threads of a process share it."""

    def _get_pool(self, **params: Any) -> Any:
        return _pool(MOST_CONNECTIONS, **params)

    subscribes = True  # to the results of the tasks that this process sends

    def on_task_call(self, producer: Any, task_id: str) -> Any:
        """Subscribe to the result of a task that is being sent."""
        return super().on_task_call(producer, task_id) if self.subscribes else {}

    def add_pending_result(self, result: Any, weak: bool = False, start_drainer: bool = True) -> Any:
        """Subscribe to the result of a task that was sent: Celery does it for every part of a chord."""
        return super().add_pending_result(result, weak, start_drainer) if self.subscribes else result


def keep_connections(app: Celery, most: int) -> None:
    """Let this process keep at most so many connections to send messages with, instead of a new one for each message.

    Call it before the first message. It is not in celeryconfig.py, because Flower needs its connections unpooled. And
    let it subscribe to no results: nobody waits for one here.
    """
    app.conf.broker_pool_limit = most
    Channel.most_connections = most + MORE_THAN_SENDERS
    Backend.subscribes = False


def install() -> None:
    """Make every broker connection of this process use this transport."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "tasks.broker:Transport"))
