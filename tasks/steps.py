"""The cross-cutting care of every step of a job, in one place: taking the job up, logging, errors, trying again.

A step never raises into its chord: what one record did wrong is data, what the org or the network did wrong is tried
again later, and what cannot be mended ends the job as Failed with the reason.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import structlog
from celery import Task
from celery.exceptions import SoftTimeLimitExceeded

from quotejob.errors import JobNotFound, JobStopped, OrgUnreachable, QuotejobError, StoreUnavailable
from quotejob.run import Run, begin
from quotejob.settings import current
from tasks.app import app, jobs

TRIES = 6  # of a step, before a passing fault ends the job
LONGEST_PAUSE = 60  # seconds between two tries
PASSING = (OrgUnreachable, StoreUnavailable, SoftTimeLimitExceeded)

P = ParamSpec("P")
log = structlog.get_logger()


def step(name: str, **options: Any) -> Callable[[Callable[Concatenate[Run, P], None]], Task]:
    """Make a Celery task of a function of a Run. Its messages carry the job's id and small numbers, nothing else."""

    def make(work: Callable[Concatenate[Run, P], None]) -> Task:
        @wraps(work)
        def task(self: Task, job_id: str, *args: P.args, **kwargs: P.kwargs) -> None:
            with structlog.contextvars.bound_contextvars(job_id=job_id, task=name):
                _attempt(self, job_id, lambda: work(begin(job_id, jobs(), current()), *args, **kwargs))

        made: Task = app.task(name=name, bind=True, max_retries=TRIES - 1, **options)(task)
        return made

    return make


def _attempt(task: Task, job_id: str, work: Callable[[], None]) -> None:
    try:
        work()
    except (JobStopped, JobNotFound) as gone:
        log.info(str(gone))
    except PASSING as fault:
        if task.request.retries >= TRIES - 1:
            _give_up(job_id, f"{type(fault).__name__}: {fault}")
        else:
            log.warning(f"Trying again: {fault}", attempt=task.request.retries + 1)
            pause = min(LONGEST_PAUSE, 2**task.request.retries) * random.uniform(0.5, 1.5)
            raise task.retry(countdown=pause, exc=None) from fault
    except QuotejobError as error:
        _give_up(job_id, f"{error.code}: {error}")
    except Exception as error:
        log.exception("A step failed in a way nobody expected")
        _give_up(job_id, f"INTERNAL_ERROR: {type(error).__name__}; the worker's log has the details")


def _give_up(job_id: str, reason: str) -> None:
    """End the job, and let the next one of its org have the slot."""
    store = jobs()
    if store.fail(job_id, reason):
        log.error(f"Job processing failed for Job ID: {job_id}. {reason}")
    app.send_task("quotejob.dispatch", args=[store.get(job_id).org_id])
