"""The signs of life of this worker, for :mod:`quotejob.jobs.workers`."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import structlog
from celery import bootsteps

from quotejob.errors import StoreUnavailable
from quotejob.jobs.workers import INTERVAL, Workers
from quotejob.jobtypes import registry
from quotejob.jobtypes.living import Living
from quotejob.settings import current
from quotejob.store.client import client

log = structlog.get_logger()


class SignsOfLife(bootsteps.StartStopStep):
    """Notes every few seconds which queues this worker serves, and which job types of users it has.

    As long as it is connected to the broker.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """Note the first sign now. A connection to the broker that was lost and is back counts as a start."""
        queues = list(consumer.app.amqp.queues.consume_from)
        note(queues)
        self._timer = consumer.timer.call_repeatedly(INTERVAL, note, (queues,))

    def stop(self, consumer: Any) -> None:  # noqa: ARG002 (Celery calls it so)
        """Note no more signs."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def note(queues: list[str]) -> None:
    """Note one sign with a connection of its own, so that the worker holds none for it. Raises nothing."""
    with closing(client(current().redis_url, attempts=0, timeout=1, connections=1)) as briefly:
        try:
            Workers(briefly).note(queues)
            Living(briefly).note(registry.versions())
        except StoreUnavailable as away:
            log.debug(f"No sign of life was noted: {away}")
        finally:
            briefly.connection_pool.disconnect()
