"""The broker's queues: whose turn it is in them, and what waits there.

Pages and batches of many jobs share the workers. The priority of a message is how far into its job's work it is: the
first pages of a job come before the further ones of another, so a small job never waits behind a large one, and large
ones advance side by side.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, cast

import orjson
import redis

from quotejob.store import client as store
from tasks.app import app

Message = tuple[str, frozenset[tuple[str, Any]]]


def key(task: str, arguments: Mapping[str, Any]) -> Message:
    """What tells messages apart: the task's name and its keyword arguments."""
    return task, frozenset(arguments.items())


def share(place: int) -> int:
    """The priority (0 is the highest) of a page or batch at this place of its wave: one for 0, 1-2, 3-6, 7-14 ..."""
    return min(9, (place + 1).bit_length() - 1)


def waiting(client: redis.Redis) -> set[Message]:
    """Every message that no worker has taken yet, read from kombu's own lists without changing them."""
    with store.translated():
        return {message for name in lists() for message in _read(cast(list[bytes], client.lrange(name, 0, -1)))}


def lists() -> list[str]:
    """The lists in Redis that hold waiting messages: one for each queue and priority, named as kombu does."""
    steps = app.conf.broker_transport_options["priority_steps"]
    separator = "\x06\x16"  # kombu.transport.redis.Channel.sep
    return [
        f"{queue.name}{separator}{step}" if step else queue.name for queue in app.conf.task_queues for step in steps
    ]


def _read(messages: list[bytes]) -> Iterator[Message]:
    for message in messages:
        try:
            document: dict[str, Any] = orjson.loads(message)
            _, arguments, *_ = orjson.loads(base64.b64decode(document["body"]))
            yield key(document["headers"]["task"], arguments)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # not one of ours: what no worker of this version sends, no job waits for
