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

MOST_CONNECTIONS = 2  # of one channel, besides the one that waits for messages; of the result backend
LONGEST_WAIT = 60  # seconds for a free one


def _pool(**options: Any) -> redis.BlockingConnectionPool:
    few = {"max_connections": MOST_CONNECTIONS, "timeout": LONGEST_WAIT}
    return redis.BlockingConnectionPool(**options | few)  # type: ignore[no-untyped-call]


class Channel(kombu.transport.redis.Channel):
    """A channel that raises a connection error when its connection is closed."""

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

    def on_task_call(self, producer: Any, task_id: str) -> dict[str, Any]:  # noqa: ARG002
        """Do not subscribe to the task's result: nobody waits for one, and threads must not share a subscription."""
        return {}


def keep_connections(app: Celery, most: int) -> None:
    """Let this process keep at most so many connections to send messages with, instead of a new one for each message.

    Call it before the first message. It is not in celeryconfig.py, because Flower needs its connections unpooled.
    """
    app.conf.broker_pool_limit = most


def install() -> None:
    """Make every broker connection of this process use this transport."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "tasks.broker:Transport"))
