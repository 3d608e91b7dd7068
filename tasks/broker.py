"""Kombu's Redis transport with one fault corrected: a worker does not end when Redis restarts.

When Redis goes away, Celery closes the connection in two steps. In the second step kombu (5.7) may still try to give
back the messages that the worker holds. It asks the closed connection for its address and gets an AttributeError,
which ends the worker. With this transport it gets a connection error, and Celery waits.
"""

from __future__ import annotations

from typing import Any

import kombu.transport.redis
import redis
from kombu.transport import TRANSPORT_ALIASES


class Channel(kombu.transport.redis.Channel):
    """A channel that raises a connection error when its connection is closed."""

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection.client is None:
            raise redis.ConnectionError("This connection to the broker is closed")
        return super()._connparams(asynchronous=asynchronous)  # type: ignore[no-untyped-call]


class Transport(kombu.transport.redis.Transport):
    """The transport of redis:// and rediss://."""

    Channel = Channel


def install() -> None:
    """Make every broker connection of this process use this transport."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "tasks.broker:Transport"))
