"""Celery's ways to Redis, with two things corrected: a restart of Redis, and the number of connections.

A worker does not end when Redis restarts.

When Redis goes away, Celery closes the connection in two steps. In the second step kombu (5.7) may still try to give
back the messages that the worker holds. It asks the closed connection for its address and gets an AttributeError,
which ends the worker. With this transport it gets a connection error, and Celery waits.

The threads of a worker share few connections. A thread waits for a free one, where kombu and Celery open another or
raise an error.
"""

from __future__ import annotations

from typing import Any

import kombu.transport.redis
import redis
from celery import Celery
from celery.backends.redis import RedisBackend
from kombu.transport import TRANSPORT_ALIASES
from kombu.utils.json import dumps

from quotejob.run.gate import Gate
from quotejob.settings import current

ORG = "org"  # the header of messages whose step asks an org: the org's id
MOST_CONNECTIONS = 2  # of one channel, besides the one that waits for messages; of the result backend
LONGEST_WAIT = 60  # seconds for a free one


def _pool(**options: Any) -> redis.BlockingConnectionPool:
    few = {"max_connections": MOST_CONNECTIONS, "timeout": LONGEST_WAIT}
    return redis.BlockingConnectionPool(**options | few)  # type: ignore[no-untyped-call]


class Channel(kombu.transport.redis.Channel):
    """A channel that raises a connection error when its connection is closed."""

    def _put(self, queue: str, message: dict[str, Any], **options: Any) -> None:
        """Put a message into its queue. If its step asks an org, the gate decides whether it may go now."""
        org_id = message["headers"].get(ORG)
        if org_id is None:
            super()._put(queue, message, **options)  # type: ignore[no-untyped-call]
            return
        priority = self._get_message_priority(message)  # type: ignore[no-untyped-call]
        place = self._q_for_pri(queue, priority)  # type: ignore[no-untyped-call]
        with self.conn_or_acquire() as client:
            text = dumps(message)  # type: ignore[no-untyped-call]
            Gate(client, current()).enter(org_id, message["headers"]["id"], priority, place, text)

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection.client is None:
            raise redis.ConnectionError("This connection to the broker is closed")
        return super()._connparams(asynchronous=asynchronous)  # type: ignore[no-untyped-call]

    def _get_pool(self, asynchronous: bool = False) -> Any:
        usual = super()._get_pool(asynchronous)  # type: ignore[no-untyped-call]
        if asynchronous:  # it waits for messages, in the loop of a worker
            return usual
        return _pool(**usual.connection_kwargs, connection_class=usual.connection_class)


class Transport(kombu.transport.redis.Transport):
    """The transport of redis:// and rediss://."""

    Channel = Channel


class Backend(RedisBackend):
    """The result backend: what counts the parts of chords. All threads of a process share it."""

    def _get_pool(self, **params: Any) -> Any:
        return _pool(**params)

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
    Backend.subscribes = False


def install() -> None:
    """Make every broker connection of this process use this transport."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "tasks.broker:Transport"))
