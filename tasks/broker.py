"""Kombu's Redis transport with one gap closed, so that a worker outlives a Redis that restarts while it works.

When Redis goes away, Celery closes the connection in two steps, and in the second kombu (5.7) may still want to give
back the messages a worker holds. It then asks a connection that is taken apart for its address, and gets an
AttributeError that nobody expects and that ends the worker. Here it gets a connection error, and Celery waits.
"""

from __future__ import annotations

from typing import Any

import kombu.transport.redis
import redis
from kombu.transport import TRANSPORT_ALIASES


class Channel(kombu.transport.redis.Channel):
    """A channel that says so when its connection is closed."""

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection.client is None:
            raise redis.ConnectionError("This connection to the broker is closed")
        return super()._connparams(asynchronous=asynchronous)  # type: ignore[no-untyped-call]


class Transport(kombu.transport.redis.Transport):
    """The transport of redis:// and rediss://."""

    Channel = Channel


def install() -> None:
    """Have every broker connection of this process use it."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "tasks.broker:Transport"))
