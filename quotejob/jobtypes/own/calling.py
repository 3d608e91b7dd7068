"""Calls of users' code for a step: with what it may know of its run, and with its failures as errors of the engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from quotejob.errors import OrgClosed, OrgUnreachable
from quotejob.run.context import Run
from quotejob.usercode import deciding, parameters
from quotejob.usercode.context import Context, Finish
from quotejob.usercode.decisions import Decision
from quotejob.usercode.jobtype import JobType, Keys
from quotejob.usercode.rows import Row
from quotejob.usercode.trouble import Retry

AWAY = "SOMETHING_AWAY"  # what a job needs does not answer, as its code says


def start(run: Run, job: type[JobType[Any]]) -> str | Keys:
    """Return what ``start`` gives. Raises OrgClosed if it fails, OrgUnreachable if it raises Retry."""
    with _translated():
        return deciding.started(job, context(run, job))


def execute(run: Run, job: type[JobType[Any]], records: Sequence[Row]) -> list[Decision]:
    """Return the decision of each record. Raises OrgUnreachable if it raises Retry."""
    known = context(run, job)
    with _translated():
        return deciding.decide(records, lambda some: deciding.attempt(job, some, known))


def finish(job: type[JobType[Any]], finish: Finish) -> Decision:
    """Return what ``finish`` decides. Raises OrgClosed if it fails, OrgUnreachable if it raises Retry."""
    with _translated():
        return deciding.finished(job, finish)


def context(run: Run, job: type[JobType[Any]]) -> Context:
    """Return what the job's code may know of its run."""
    return Context(
        job_id=run.job.after_dry_run or run.id,  # and the time, as the dry run had them: the same decisions
        now=run.job.as_of or run.job.created_date,
        dry_run=run.job.dry_run,
        parameters=parameters.load(job.parameters, run.job.parameters),
        where=run.job.soql_where_clause or "",
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except Retry as away:
        raise OrgUnreachable(f"The job's code asks to wait: {away}", code=AWAY) from away
    except deciding.UserCodeFailed as failed:
        raise OrgClosed(str(failed), code=failed.code) from failed
