"""What waits in the broker's queues: asked by the sweep, so that a page that is merely waiting is not sent twice.

Reads kombu's own lists in Redis without changing them (one list a queue, as no priorities are used).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, cast

import orjson
import redis

from quotejob import store
from tasks.app import app

Message = tuple[str, frozenset[tuple[str, Any]]]


def key(task: str, arguments: Mapping[str, Any]) -> Message:
    """What tells messages apart: the task's name and its keyword arguments."""
    return task, frozenset(arguments.items())


def waiting(client: redis.Redis) -> set[Message]:
    """Every message that no worker has taken yet."""
    with store.translated():
        return {
            message
            for queue in app.conf.task_queues
            for message in _read(cast(list[bytes], client.lrange(queue.name, 0, -1)))
        }


def _read(messages: list[bytes]) -> Iterator[Message]:
    for message in messages:
        document: dict[str, Any] = orjson.loads(message)
        _, arguments, *_ = orjson.loads(base64.b64decode(document["body"]))
        yield key(document["headers"]["task"], arguments)
