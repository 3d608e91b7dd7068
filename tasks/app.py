"""The Celery application, and the checks at the start of a worker process. An import does not connect to anything."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import threading
from functools import cache
from typing import Any

import structlog
from celery import Celery, bootsteps, signals
from celery.concurrency import prefork

from quotejob import logs, tally, tracing
from quotejob.errors import QuotejobError, StoreUnavailable
from quotejob.jobtypes import registry
from quotejob.jobtypes.quotes import pages
from quotejob.metrics import reading
from quotejob.run import processes
from quotejob.run.gate import Gate
from quotejob.run.leases import RENEWAL_INTERVAL
from quotejob.services import Services
from quotejob.settings import current, or_exit
from quotejob.store.client import client
from quotejob.store.intake import concerns
from quotejob.usercode.pricing.pricer import pricer
from tasks import broker
from tasks.signs import SignsOfLife

HOUSEKEEPING = re.compile(r"quotejob\.(tick|tick_at|sweep)\b")

SENDING_CONNECTIONS = 2  # of a worker
SEALS_ANEW_AFTER = 900.0  # seconds after its start, when a deploy is over and every process knows the newest key

log = structlog.get_logger()
broker.install()
app = Celery("quotejob", amqp="tasks.broker:AMQP")
app.config_from_object("celeryconfig")


class CheckedStart(bootsteps.StartStopStep):
    """The checks before the first task: settings, pricing rules, Redis. A worker that cannot price does not start."""

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        broker.keep_connections(app, SENDING_CONNECTIONS)
        try:
            pages.rules(current().pricing_rules)
            _check_own_pricing()
            registry.load(current().jobs, current().code_version)
            with client(current().redis_url, attempts=1, timeout=2) as briefly:
                for concern in concerns(briefly):
                    log.warning(concern)
        except StoreUnavailable as away:
            log.warning(f"{away}: its settings could not be looked at")
        except QuotejobError as error:
            sys.exit(f"quotejob worker cannot start: {error}")


def _check_own_pricing() -> None:
    """Look at the users' pricing function. Raises Unfit if it cannot be used. The children of a process are its own."""
    own = pricer(current())
    if own is not None:
        log.info(f"Trying {current().pricing}")
        log.info(f"Prices by {current().pricing}, version {own.version}")
        if own.about.warning:
            log.warning(f"{current().pricing} raised for a made-up Opportunity: {own.about.warning}")
        own.rest()


class Announced(bootsteps.StartStopStep):
    """Tells the gate how many steps this worker runs at a time, while it runs. A worker of the clock alone does not."""

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._ended = threading.Event()

    def start(self, worker: Any) -> None:
        """Announce the worker, again and again."""
        if "pages" in app.amqp.queues.consume_from:
            announcing = (worker.hostname, worker.concurrency)
            threading.Thread(target=self._announce, args=announcing, name="gate", daemon=True).start()
            if len(current().secret_keys) > 1:
                threading.Thread(target=self._seal_anew, name="seals", daemon=True).start()

    def stop(self, worker: Any) -> None:
        """Withdraw the worker."""
        self._ended.set()
        with contextlib.suppress(StoreUnavailable), client(current().redis_url, attempts=1, timeout=2) as briefly:
            Gate(briefly, current()).withdraw(worker.hostname)  # Redis may be away: then its entry ends by itself

    def _seal_anew(self) -> None:
        if not self._ended.wait(SEALS_ANEW_AFTER):
            with contextlib.suppress(StoreUnavailable):  # the next worker does it
                count = services().jobs.seal_anew()
                log.info(f"Sealed {count} sessions of jobs with the newest key; none needs an older one any more")

    def _announce(self, name: str, threads: int) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(StoreUnavailable):
                services().gate.announce(name, threads)
            self._ended.wait(RENEWAL_INTERVAL)


app.steps["worker"].update((CheckedStart, Announced))
app.steps["consumer"].add(SignsOfLife)


@signals.setup_logging.connect
def _log_our_way(**_: Any) -> None:
    """Configure our logging. Celery does not configure logging if something handles this signal."""
    settings = or_exit(current)
    logs.configure(settings.log_level, settings.log_format)
    or_exit(lambda: tracing.start(settings.otel_endpoint, settings.otel_service))
    for name in ("celery.worker.strategy", "celery.app.trace", "celery.beat"):
        logging.getLogger(name).addFilter(quiet_housekeeping)


@signals.heartbeat_sent.connect
def _note_alive(sender: Any, **_: Any) -> None:
    """Store a sign of life of this worker, for the metrics. Celery sends it every two seconds from its main process."""
    with contextlib.suppress(QuotejobError):
        reading.note_alive(Services.connected(current()).client, sender.eventer.hostname)


@signals.task_unknown.connect
def _tell_of_unknown(name: str, **_: Any) -> None:
    """Say what Celery's own error means: the message is dropped, and nothing is lost."""
    log.warning(f"A newer version of quotejob has sent {name}, which this one does not know; it will send it again")


tally.hand_to(lambda counts: reading.store(services().client, counts))


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
def _signs_of_life() -> processes.SignsOfLife:
    return processes.SignsOfLife(services().client)


def services() -> Services:
    """Return this process's stores. They wait while Redis restarts."""
    return Services.connected(current(), patient=True)
