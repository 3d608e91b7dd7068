"""The sweep: it sends outstanding units again when nobody works on them.

A worker, a message, or the body of a chord can get lost. The sweep reads only Redis, so a slow org or AppLink does not
delay it. It handles each job separately. An error with one job is logged, and the sweep continues with the others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from typing import Any

import structlog
from celery import Signature, signals

from quotejob import formats
from quotejob.errors import JobNotFound, NewerVersion, QuotejobError, StoreUnavailable
from quotejob.jobs.job import Job, Status
from quotejob.run.leases import SENT_AGAIN
from quotejob.run.outstanding import outstanding
from tasks.app import app, services
from tasks.clean_up import clean_up
from tasks.flow import dispatch, send, signatures
from tasks.housekeeping import Turn, is_late, turn
from tasks.mirror import mirror
from tasks.notices import notify
from tasks.queues import Message, key, queue_of, waiting
from tasks.ticks import tick

SILENT_AFTER = 9.0  # seconds without a sign of life; then the sweep searches the queues for the job's messages
BESIDE_OLDER = 3.0  # seconds between two ticks and sweeps of this process while workers of an older format run
HOLDING_PER_SWEEP = 200  # Holding jobs, and orgs, that one sweep checks; the same number for each

Queued = Callable[[], set[Message]]  # the messages that no worker has taken yet, read once for each sweep
log = structlog.get_logger()


@app.task(name="quotejob.sweep")
def sweep() -> None:
    """Send again the units that nobody works on. Several sweeps may run at once: only one of them may send a unit."""
    try:
        if is_late(services().client, sweep):
            return
        with turn(services().client, sweep.name) as mine:
            _sweep(mine, SILENT_AFTER, dispatch.delay)
    except StoreUnavailable as away:
        log.warning(f"The sweep stops here, the next one goes on: {away}")


@signals.worker_ready.connect
def _begin(**_: Any) -> None:
    if formats.FORMAT > 1:
        threading.Thread(target=_go_on, name="beside older", daemon=True).start()


def _go_on() -> None:
    while True:
        time.sleep(BESIDE_OLDER)
        with _isolated(), suppress(StoreUnavailable):
            beside_older()


def beside_older() -> None:
    """Tick and sweep in this process while workers of an older format run.

    These may get the message of every tick, sweep and dispatch. They start no job and fire no schedule that they do not
    understand.
    """
    if min(services().workers.versions().values(), default=formats.FORMAT) < formats.FORMAT:
        tick()
        _sweep(Turn(services().client, "beside older"), BESIDE_OLDER, dispatch)


def _sweep(mine: Turn, look_after: float, start: Callable[..., object]) -> None:
    """``look_after``: the seconds from one look at a Holding job to the next. ``start`` dispatches an org."""
    jobs = services().jobs
    services().gate.look()
    for org_id in {*jobs.waking(), *jobs.look_again(look_after, HOLDING_PER_SWEEP)}:
        start(org_id=org_id)
    queued = cache(lambda: waiting(services().client))
    for job_id in services().progress.incomplete.due():
        clean_up.apply_async(kwargs={"job_id": job_id}, queue=queue_of(clean_up, jobs.format_of(job_id)))
    for org_id in services().mirror.due():
        mirror.delay(org_id=org_id)
    for notice, number in services().outbox.due():
        notify.delay(notice=notice, number=number)
    opened = jobs.open()
    leases = services().leases.held_of([job_id for job_id, _ in opened])
    for (job_id, silence), held in zip(opened, leases, strict=True):
        mine.go_on()
        with structlog.contextvars.bound_contextvars(job_id=job_id), _isolated():
            _send_lost(job_id, held, queued, silent=silence > SILENT_AFTER)


@contextmanager
def _isolated() -> Iterator[None]:
    """Log an error with one job, so that the sweep continues with the others."""
    try:
        yield
    except StoreUnavailable:
        raise
    except QuotejobError as error:
        log.warning(f"The sweep skips this job for now: {error}")
    except Exception:
        log.exception("The sweep skips this job after an unexpected error")


def _send_lost(job_id: str, held: dict[str, str], queued: Queued, *, silent: bool) -> None:
    """Send the lost units of a job: those whose lease has ended, and after SILENT_AFTER those that are in no queue."""
    if not silent and not held:
        return
    job = _looked_at(job_id, silent=silent)
    if job is None or job.status is Status.HOLDING:  # HOLDING: it ended and was resumed
        return
    if job.ended:
        services().jobs.forget(job_id, job)  # Redis has lost the end of the script that ended it
        return
    for lacking in outstanding(job, services().progress):
        messages = signatures(job, lacking)
        searched = queued if silent else None
        lost = [unit for unit, message in messages.items() if _is_lost(held.get(unit), message, searched)]
        again = {unit: messages[unit] for unit in lost if services().leases.offer(job_id, unit)}
        if again:
            log.warning(f"Sending again what nobody works on: {', '.join(again)}")
            send(job, lacking, again)


def _looked_at(job_id: str, *, silent: bool) -> Job | None:
    """Return the job, or None if it is gone, or left to a newer version. A silent one then counts as looked at.

    So the next search in the queues for it is at least SILENT_AFTER later, also if the job cannot be read.
    """
    jobs = services().jobs
    newer = False
    try:
        return jobs.get_mine(job_id)
    except JobNotFound:
        jobs.forget(job_id)
    except NewerVersion as leave:
        newer = True  # a sweep of that version goes by the job's silence
        _tell_once(job_id, str(leave))
    finally:
        if silent and not newer:
            jobs.touch(job_id)
    return None


@lru_cache(maxsize=1000)
def _tell_once(job_id: str, why: str) -> None:  # noqa: ARG001 (once for each job)
    log.warning(why)


def _is_lost(lease: str | None, message: Signature, queued: Queued | None) -> bool:
    """Return whether a unit may be lost: somebody took its lease (offer() checks if it ended), or no queue has it."""
    if lease is None or lease == SENT_AGAIN:
        return queued is not None and key(message.task, message.kwargs) not in queued()
    return True
