"""The broker's queues: the queue and priority of a step's message, and which messages wait there.

Pages and batches of many jobs share the workers. The priority of a message depends on its place in its wave: the first
pages of a job come before the later pages of another job. So a small job does not wait for a large one, and large jobs
advance at the same time.

A job that only newer workers understand has queues of its own, which only these serve: see :mod:`quotejob.formats`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson
from celery import Signature, Task, signals

from quotejob import formats
from quotejob.jobs.job import Job
from quotejob.run.gate import in_rooms
from quotejob.store.client import RedisClient
from tasks.app import app
from tasks.broker import ORG

Message = tuple[str, frozenset[tuple[str, Any]]]


def key(task: str, arguments: Mapping[str, Any]) -> Message:
    """Return the key that identifies a message: the task's name and its keyword arguments."""
    return task, frozenset(arguments.items())


def message(job: Job, step: Task, *, priority: int = 0, on_time: bool = False, **numbers: int) -> Signature:
    """Return the message of a step of a job, for the queue where only workers take it that understand the job.

    A step that asks an org passes the gate. ``on_time``: it goes to the clock's queue, past the gate.
    """
    queue = formats.queue("clock", job.format) if on_time else queue_of(step, job.format)
    headers = {ORG: job.org_id} if step.asks_org and not on_time else {}
    return step.si(job_id=job.job_id, **numbers).set(queue=queue, priority=priority, headers=headers)


def queue_of(task: Task, number: int) -> str:
    """Return the queue of a task for a job that needs this format."""
    return formats.queue(app.conf.task_routes.get(task.name, app.conf.task_default_queue), number)


def served(names: Iterable[str]) -> list[str]:
    """Return the queues that a worker of this version serves: the named ones, each with those of the newer formats."""
    return [formats.queue(name, number) for name in names for number in range(1, formats.FORMAT + 1)]


@signals.celeryd_after_setup.connect
def _serve(**_: Any) -> None:
    """Let this worker serve the queues of the newer formats too, beside those of -Q, or beside all."""
    queues = app.amqp.queues
    queues.select(served(queues.consume_from))


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
    names = served(queue.name for queue in app.conf.task_queues)
    return [f"{name}{separator}{step}" if step else name for name in names for step in steps]


def _read(messages: list[bytes]) -> Iterator[Message]:
    for message in messages:
        try:
            document: dict[str, Any] = orjson.loads(message)
            _, arguments, *_ = orjson.loads(base64.b64decode(document["body"]))
            yield key(document["headers"]["task"], arguments)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # not sent by this version of quotejob, so no job waits for it
