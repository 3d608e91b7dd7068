"""The registered job types. Workers and the sweep find a job's handler here by its name.

Those that come with quotejob have one line each. Those of users are added by :func:`load`, when a process starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from quotejob.errors import InvalidRequest, UnknownJobType
from quotejob.jobs.job import CommitBy, Job
from quotejob.jobtypes.base import About, JobHandler
from quotejob.jobtypes.own.handler import OwnJob
from quotejob.jobtypes.quotes.handler import BatchQuote
from quotejob.jobtypes.sample_data import SampleDataCreate, SampleDataDelete
from quotejob.run.progress import Progress
from quotejob.salesforce.clause import FIELD, check_clause
from quotejob.usercode import catalog, parameters
from quotejob.usercode.jobtype import JobType, JobTypeError
from quotejob.usercode.version import version_of

_HANDLERS: dict[str, JobHandler] = {}


def register(handler: JobHandler) -> None:
    """Register a job type. Raises ValueError if another handler has its name."""
    if _HANDLERS.setdefault(handler.name, handler) is not handler:
        raise ValueError(f"There is already a job type {handler.name}")


def load(modules: Sequence[str], version: str | None = None) -> None:
    """Register the job types of users: those of these modules (QUOTEJOB_JOBS), and those of installed packages.

    ``version``: of all their code; None: a hash of each one's files. A second call with the same job types changes
    nothing. Raises JobTypeError for what cannot run.
    """
    for job in catalog.find(modules).values():
        add(job, version)


def add(job: type[JobType[Any]], version: str | None = None) -> None:
    """Register a job type that a user has written, once. Raises JobTypeError if its name is taken."""
    known = _HANDLERS.get(job.__name__)
    if known is None:
        register(OwnJob(job, version or version_of(job)))
    elif not (isinstance(known, OwnJob) and known.job is job):
        raise JobTypeError(f"{job.__module__}.{job.__name__}: there is already a job type of this name; rename it")


def handler_of(job_type: str) -> JobHandler:
    """Return the handler of a job type. Raises UnknownJobType if this process has none."""
    try:
        return _HANDLERS[job_type]
    except KeyError:
        message = f"This process does not know the job type {job_type}; it knows {names()}"
        raise UnknownJobType(message, lacking=(job_type, None)) from None


def is_known(job_type: str) -> bool:
    """Return whether this process has a handler of this name."""
    return job_type in _HANDLERS


def of_user(job_type: str) -> type[JobType[Any]] | None:
    """Return the class of a job type that a user has written. None: it comes with quotejob."""
    handler = handler_of(job_type)
    return handler.job if isinstance(handler, OwnJob) else None


def is_slow(job_type: str) -> bool:
    """Return whether the pages of a job type may take an hour. False for one that this process does not know."""
    return job_type in _HANDLERS and _HANDLERS[job_type].slow


def rounds_off(job: Job, progress: Progress) -> bool:
    """Return whether a job has something left to do after its last record. False: this process does not know."""
    return job.job_type in _HANDLERS and _HANDLERS[job.job_type].rounds_off(job, progress)


def known() -> list[str]:
    """Return the names of the job types, those that come with quotejob first."""
    return list(_HANDLERS)


def names() -> str:
    """Return the names of the job types, separated by commas, for a message."""
    return ", ".join(_HANDLERS)


def versions() -> dict[str, str]:
    """Return the names of the job types of users that this process knows, with the versions of their code."""
    return {name: each.version for name, each in _HANDLERS.items() if isinstance(each, OwnJob)}


def abouts() -> list[About]:
    """Return what callers may know of each job type that can be submitted by its name."""
    return [about for handler in _HANDLERS.values() if (about := handler.about()) is not None]


def checked(job_type: str, clause: str | None, given: parameters.Pairs) -> Mapping[str, Any]:
    """Return the fields of a job to submit. Raises InvalidRequest if they do not fit the job type.

    The clause is checked as text only: the org is not asked.
    """
    about = next((each for each in abouts() if each.name == job_type), None)
    if about is None:
        known = ", ".join(each.name for each in abouts())
        wrong = f"{job_type!r} is no job type of this app; it has {known}"
        if is_known(job_type):
            wrong = (
                f"{job_type} has operations of its own, datacreate and datadelete; no forecast and no submitJob. "
                f"Those are for {known}"
            )
        raise InvalidRequest.field("jobType", wrong)
    if clause is None and about.needs_clause:
        raise InvalidRequest.field(
            FIELD, f"is missing; {job_type} works on the records of {about.object} that match it"
        )
    if clause is not None and about.object is None:
        raise InvalidRequest.field(FIELD, f"has no meaning for {job_type}, which reads no records; leave it out")
    parameters.load(about.schema, given)
    return {
        "soql_where_clause": None if clause is None else check_clause(clause),
        "parameters": [(name, text) for name, text in given],
    }


def has_choice_of_commit(job_type: str) -> bool:
    """Return whether the jobs of a type can be told how they write."""
    return job_type == BatchQuote.name


def check_commit_by(job_type: str, commit_by: CommitBy | None) -> None:
    """Raise InvalidRequest if the jobs of a type have no choice how they write."""
    if commit_by is not None and not has_choice_of_commit(job_type):
        raise InvalidRequest.field("commitBy", f"has no meaning for {job_type}; leave it out")


register(BatchQuote())
register(SampleDataCreate())
register(SampleDataDelete())
