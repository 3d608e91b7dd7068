"""The broker's queues: the priority of messages, and which messages wait there.

Pages and batches of many jobs share the workers. The priority of a message depends on its place in its wave: the first
pages of a job come before the later pages of another job. So a small job does not wait for a large one, and large jobs
advance at the same time.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from quotejob.run.gate import in_rooms
from quotejob.store.client import RedisClient
from tasks.app import app

Message = tuple[str, frozenset[tuple[str, Any]]]


def key(task: str, arguments: Mapping[str, Any]) -> Message:
    """Return the key that identifies a message: the task's name and its keyword arguments."""
    return task, frozenset(arguments.items())


def share(place: int) -> int:
    """Return the priority of the page or batch at this place of its wave. 0 is the highest.

    The places 0, 1-2, 3-6, 7-14 ... have one priority each.
    """
    return min(9, (place + 1).bit_length() - 1)


def waiting(client: RedisClient) -> set[Message]:
    """Return all messages that no worker has taken yet: in kombu's own lists, and before the gate. Changes nothing."""
    return {message for found in (in_rooms(client), *client.lists(lists())) for message in _read(found)}


def lists() -> list[str]:
    """Return the names of the lists in Redis that hold waiting messages: kombu has one for each queue and priority."""
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
            continue  # not sent by this version of quotejob, so no job waits for it
