"""Notices of the ends of jobs: callbacks and webhooks. The sweep sends :func:`notify` for each that is due."""

from __future__ import annotations

import structlog

from quotejob.errors import JobNotFound, StoreUnavailable
from quotejob.jobs.job import Job
from quotejob.notices.outbox import Notice, State
from quotejob.notices.sending import Outcome, send
from quotejob.settings import current
from tasks.app import app, services

log = structlog.get_logger()


@app.task(name="quotejob.notify")
def notify(notice: str, number: int) -> None:
    """Send one notice. May run twice, at any time: only the newest try of a notice is sent."""
    told = Notice.read(notice)
    with structlog.contextvars.bound_contextvars(job_id=told.job_id, task="notify", receiver=told.receiver):
        try:
            _notify(told, number)
        except StoreUnavailable as away:
            log.info(f"The notice is looked at again: {away}")
        except Exception:
            log.exception("A notice failed with an unexpected error; it is tried again")
            services().outbox.later(told, number)


def _notify(notice: Notice, number: int) -> None:
    outbox = services().outbox
    job = _ended(notice)
    if job is None:
        outbox.done(notice)
    elif outbox.begin(notice, number) is State.SEND:
        if send(notice, job, services().jobs, current()) is Outcome.LATER:
            outbox.later(notice, number)
        else:
            outbox.done(notice)


def _ended(notice: Notice) -> Job | None:
    """Return the job with the end that the notice is about. None: it was resumed since, or is no longer stored."""
    try:
        job = services().jobs.get(notice.job_id)
    except JobNotFound:
        return None
    return job if job.ended and job.ends == notice.end else None
