"""The clean-up: it removes Quotes that a job has left incomplete in the org when it ended.

The sweep sends :func:`clean_up`, which works with the job's own session. If that session has ended too, the next job
of the same org lends its session: see :func:`clean_up_for_others`. It removes the Quotes at once, or the next
:func:`clean_up` does, if a step may still write them or a late request may still arrive. Until then the job's results
and its extendedStatus name the Quote. A resumed job completes the Quote instead.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace

import structlog

from quotejob.errors import (
    JobNotFound,
    JobStopped,
    LeaseLost,
    NewerVersion,
    OrgUnreachable,
    QuotejobError,
    SessionExpired,
    StoreUnavailable,
)
from quotejob.jobs.job import Job
from quotejob.jobtypes.registry import handler_of
from quotejob.run.context import Run, renewed_session, session
from quotejob.run.incomplete import IncompleteQuote
from quotejob.salesforce.caller import CallerContext
from quotejob.settings import current
from tasks.app import app, services

PASSING = (
    JobStopped,
    LeaseLost,
    NewerVersion,
    OrgUnreachable,
    StoreUnavailable,
)  # nothing to tell users; the next try is set
MARK = "Incomplete in the org: "  # the beginning of the sentence in extendedStatus
ADVICE = "Resume this job to complete it; or it is removed when the next job of this org runs"
NAMED = 5  # Quotes that the sentence names

log = structlog.get_logger()


@app.task(name="quotejob.clean_up")
def clean_up(job_id: str) -> None:
    """Remove the incomplete Quotes of an ended job with a session of its own. May run twice, at any time."""
    _clean_up(job_id)


def clean_up_for_others(run: Run) -> None:
    """Remove the incomplete Quotes of ended jobs of the same org with the session of this run. Raises nothing."""
    try:
        for job_id in run.progress.incomplete.jobs_of_org(run.job.org_id):
            context = session(run.job, run.jobs, run.settings)
            _clean_up(job_id, run.job.org_id, context)
            run.jobs.lend(job_id, context)
    except QuotejobError as error:
        log.warning(f"Incomplete Quotes of other jobs stay for now: {error}")


def _clean_up(job_id: str, org_id: str | None = None, context: CallerContext | None = None) -> None:
    with structlog.contextvars.bound_contextvars(job_id=job_id, task="clean_up"):
        try:
            _remove(services().jobs.get_mine(job_id), context)
        except JobNotFound:
            services().progress.incomplete.forget(job_id, org_id)
        except PASSING as fault:
            log.info(f"The clean-up is tried again: {fault}")
        except QuotejobError as error:
            log.warning(f"Incomplete Quotes could not be removed: {error}")
            _explain(services().jobs.get(job_id), error)
        except Exception:
            log.exception("The clean-up failed with an unexpected error; it is tried again")


def _remove(job: Job, context: CallerContext | None) -> None:
    made = services()
    run = Run(job, made.jobs, made.progress, made.leases, current(), context=context)
    try:
        handler_of(job.job_type).clean_up(run)
    except SessionExpired:
        if context is not None:
            raise
        handler_of(job.job_type).clean_up(replace(run, context=_another_session(job)))
    _explain(job, None)


def _another_session(job: Job) -> CallerContext:
    """Return a fresh session of AppLink, or the one that another job has lent. Raises SessionExpired."""
    jobs = services().jobs
    with contextlib.suppress(SessionExpired):
        if fresh := renewed_session(job, jobs.context(job.job_id), current()):
            return fresh
    return jobs.context(job.job_id, "lent")


def _explain(job: Job, error: QuotejobError | None) -> None:
    """Let extendedStatus say which Quotes are incomplete, and why they could not be removed; or no longer say it."""
    stored = job.extended_status or ""
    reason = re.sub(rf" ?{MARK}.*$", "", stored)
    left = services().progress.incomplete.left_over(job.job_id)
    if error is not None and left:
        reason = f"{reason[:500]} {MARK}{_names(left)}. Not removed yet: {str(error)[:200]}. {ADVICE}"
    if reason != stored:
        services().jobs.explain(job.job_id, reason)


def _names(left: list[IncompleteQuote]) -> str:
    names = [
        f"Quotes of batch {quote.unit}"
        if quote.is_wave
        else f"Quote {quote.quote_id or '(id unknown)'} of {quote.opportunity_id}"
        for quote in left[:NAMED]
    ]
    return ", ".join(names) + (f" and {len(left) - NAMED} more" if len(left) > NAMED else "")
