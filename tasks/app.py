"""The Celery application, and the checks at the start of a worker process. An import does not connect to anything."""

from __future__ import annotations

import logging
import re
import sys
from functools import cache
from typing import Any

import structlog
from celery import Celery, bootsteps, signals
from celery.concurrency import prefork

from quotejob import logs
from quotejob.errors import QuotejobError, StoreUnavailable
from quotejob.jobtypes.quotes import pages
from quotejob.run.processes import SignsOfLife
from quotejob.services import Services
from quotejob.settings import current
from quotejob.store.client import client
from quotejob.store.intake import concerns
from tasks import broker

HOUSEKEEPING = re.compile(r"quotejob\.(tick|tick_at|sweep)\b")

log = structlog.get_logger()
broker.install()
app = Celery("quotejob")
app.config_from_object("celeryconfig")


class CheckedStart(bootsteps.StartStopStep):
    """The checks before the first task: settings, pricing rules, Redis. A worker that cannot price does not start."""

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        try:
            pages.rules(current().pricing_rules)
            with client(current().redis_url, attempts=1, timeout=2) as briefly:
                for concern in concerns(briefly):
                    log.warning(concern)
        except StoreUnavailable as away:
            log.warning(f"{away}: its settings could not be looked at")
        except QuotejobError as error:
            sys.exit(f"quotejob worker cannot start: {error}")


app.steps["worker"].add(CheckedStart)


@signals.setup_logging.connect
def _log_our_way(**_: Any) -> None:
    """Configure our logging. Celery does not configure logging if something handles this signal."""
    logs.configure(current().log_level)
    for name in ("celery.worker.strategy", "celery.app.trace", "celery.beat"):
        logging.getLogger(name).addFilter(quiet_housekeeping)


def quiet_housekeeping(record: logging.LogRecord) -> bool:
    """Make Celery's lines of each tick and sweep DEBUG: they come three times a second, also when nothing happens."""
    if record.levelno == logging.INFO and HOUSEKEEPING.search(record.getMessage()):
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)
    return True


@signals.worker_process_init.connect
@signals.worker_ready.connect
def _live(sender: Any = None, **_: Any) -> None:
    """Give signs of life from each process that runs steps: a child, or the worker itself if it has no children."""
    if not isinstance(getattr(sender, "pool", None), prefork.TaskPool):
        _signs_of_life().start()


@signals.worker_process_shutdown.connect
@signals.worker_shutdown.connect
def _end(**_: Any) -> None:
    _signs_of_life().end()


@cache
def _signs_of_life() -> SignsOfLife:
    return SignsOfLife(services().client)


def services() -> Services:
    """Return this process's stores. They wait while Redis restarts."""
    return Services.connected(current(), patient=True)
