"""Calls of users' code for a step: with what it may know of its run, and with its failures as errors of the engine.

The code runs in child processes: see :mod:`quotejob.usercode.jobs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from quotejob.errors import InvalidRequest, OrgClosed, OrgRefused
from quotejob.run.context import Run
from quotejob.salesforce import OrgClient
from quotejob.salesforce.clause import check_clause
from quotejob.usercode.deciding import UserCodeFailed
from quotejob.usercode.decisions import Decision
from quotejob.usercode.isolation.crew import of_process
from quotejob.usercode.isolation.hands import Unfit
from quotejob.usercode.jobs.apart import Apart, Records
from quotejob.usercode.jobs.words import Found, Known, Question, Sums
from quotejob.usercode.jobtype import JobType, Keys
from quotejob.usercode.rows import flat, select_list

MOST_ROWS = 2_000  # of a query of the job's code


def get_ready(run: Run, job: type[JobType[Any]]) -> None:
    """Start a child process in the background: the job's code is called soon."""
    _apart(run, job).get_ready()


def start(run: Run, job: type[JobType[Any]]) -> str | Keys:
    """Return what ``start`` gives. Raises OrgClosed if it fails, Retry if it does."""
    with translated():
        return _apart(run, job).start(_known(run))


def execute(run: Run, job: type[JobType[Any]], records: Records) -> list[Decision]:
    """Return the decision of each record. Raises Retry if it does, OrgClosed if it cannot be used."""
    with translated():
        return _apart(run, job).execute(_known(run), records, lambda question: asked(run.org, question))


def asked(org: OrgClient, question: Question) -> Found:
    """Ask the org what the job's code asks. What is wrong with the question is in the answer."""
    try:
        of = (
            f"FROM {_object(question.sobject)} WHERE ({check_clause(question.where)}) ORDER BY Id LIMIT {MOST_ROWS + 1}"
        )
        rows = [flat(question.columns, row) for row in org.query(f"SELECT {select_list(question.columns)} {of}")]
    except InvalidRequest as wrong:
        return Found(refused=wrong.message)
    except OrgRefused as refused:
        return Found(refused=f"The org refused the query: {refused.code}: {refused.message}")
    if len(rows) > MOST_ROWS:
        return Found(refused=f"More than {MOST_ROWS:,} rows match: ask for fewer")
    return Found(rows)


def _object(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise InvalidRequest(f"{name!r} is no name of an object")
    return name


def finish(run: Run, job: type[JobType[Any]], sums: Sums) -> Decision:
    """Return what ``finish`` decides. Raises OrgClosed if it fails, Retry if it does."""
    with translated():
        return _apart(run, job).finish(_known(run), sums)


def _apart(run: Run, job: type[JobType[Any]]) -> Apart:
    return Apart(job, of_process(run.settings.code_processes))


def _known(run: Run) -> Known:
    """Return what the job's code may know of its run."""
    return Known(
        job_id=run.job.after_dry_run or run.id,  # and the time, as the dry run had them: the same decisions
        now=run.job.as_of or run.job.created_date,
        parameters=[(name, text) for name, text in run.job.parameters],
        where=run.job.soql_where_clause or "",
        dry_run=run.job.dry_run,
    )


@contextmanager
def translated() -> Iterator[None]:
    """Let the block call users' code. Its failures are OrgClosed. Its Retry goes through: its org is well."""
    try:
        yield
    except UserCodeFailed as failed:
        raise OrgClosed(str(failed), code=failed.code) from failed
    except Unfit as unfit:
        raise OrgClosed(unfit.message, code=unfit.code) from unfit
