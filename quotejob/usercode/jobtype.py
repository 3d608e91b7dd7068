"""The base class of users' own jobs, in the shape of Database.Batchable: start, execute, finish."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin

from marshmallow import Schema

from quotejob.errors import SettingsError
from quotejob.usercode.context import Context, Finish
from quotejob.usercode.rows import Key, Row, columns, object_of
from quotejob.usercode.writes import May, Verb, Write, Yielded

R = TypeVar("R", bound=Row)
MAX_KINDS = 15  # of writes in one request: method and object (REST API guide, "Composite Graph Limits")
MAX_QUERIES = 20  # of a page
MAX_PAGE = 400  # records, because their ids go into a URI of 16 KiB
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")


@dataclass(frozen=True, slots=True)
class Keys:
    """What ``start`` returns for work without records: a text for each piece, of at most 200 characters."""

    keys: Iterable[str]


class JobType(Generic[R]):
    """A job of one's own: ``class LowerCaseEmails(JobType[Lead])``. The class name is its jobType.

    There is a new instance for each page, and it is frozen: nothing on it would survive the page. All methods may be
    called again with the same records.
    """

    row: ClassVar[type[Row]]  # taken from JobType[...]
    writes: ClassVar[tuple[May, ...]] = ()
    parameters: ClassVar[type[Schema]] = Schema
    page_size: ClassVar[int] = 200  # records
    most_failed: ClassVar[int | None] = None  # the job is Failed, and can be resumed, when more records have failed
    seconds_a_record: ClassVar[float] = 1.0  # without a sign of life, until the record counts as lost
    megabytes: ClassVar[int] = 512  # of memory for ``execute``
    queries_a_page: ClassVar[int] = 0  # calls of context.query
    pinned: ClassVar[bool] = False  # only workers with the version of the code that has begun a job go on with it

    def __init_subclass__(cls) -> None:
        for base in getattr(cls, "__orig_bases__", ()):
            if get_origin(base) is JobType and isinstance(get_args(base)[0], type):
                cls.row = get_args(base)[0]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"{type(self).__name__}.{name} would be forgotten after this page; yield record.tally({name!r}, ...) and "
            "read the total in finish"
        )

    def start(self, context: Context) -> str | Keys:
        """Return the WHERE clause of the job's records. Default: that of the submitter."""
        return context.where

    def execute(self, records: Sequence[R], context: Context) -> Iterable[Yielded]:
        """Decide a page: yield writes, skips and tallies. All writes of one record happen, or none of them."""
        raise NotImplementedError

    def finish(self, finish: Finish) -> Iterable[Write]:  # noqa: ARG002 (for jobs that have something to do)
        """Yield what to write once, after the last record. Default: nothing."""
        return ()


class JobTypeError(SettingsError):
    """A class is no job type that can run. The message names it and says what to change."""

    code = "JOB_TYPE_ERROR"


def check(job: type[JobType[Any]]) -> None:
    """Raise JobTypeError for a class that could not run, whatever the org."""
    for problem in _problems(job):
        raise JobTypeError(f"{job.__module__}.{job.__name__}: {problem}")


def needs_clause(job: type[JobType[Any]]) -> bool:
    """Return whether its records are those of the submitter's clause: it has no ``start`` of its own."""
    return job.start is JobType.start


def _problems(job: type[JobType[Any]]) -> Iterator[str]:
    if not _NAME.fullmatch(job.__name__):
        yield "its name should be 1 to 80 ASCII letters and digits, because it is its jobType"
    row = getattr(job, "row", None)
    if not (isinstance(row, type) and issubclass(row, Row)):
        yield "say of which rows it is: class Name(JobType[Contract]), with a subclass of Row"
        return
    try:
        columns(row)
    except TypeError as wrong:
        yield str(wrong)
    if row is Key and needs_clause(job):
        yield "a job of Key rows needs a start that returns Keys"
    if job.execute is JobType.execute:
        yield "it has no execute"
    parameters: Any = job.parameters
    if not (isinstance(parameters, type) and issubclass(parameters, Schema)):
        yield "parameters should be a marshmallow Schema class"
    yield from _wrong_numbers(job)
    yield from _wrong_writes(job.writes)


def _wrong_numbers(job: Any) -> Iterator[str]:
    if not (isinstance(job.page_size, int) and 1 <= job.page_size <= MAX_PAGE):
        yield f"page_size should be a whole number from 1 to {MAX_PAGE}"
    if not 0.01 <= job.seconds_a_record <= 240:
        yield "seconds_a_record should be a number from 0.01 to 240"
    if not (isinstance(job.megabytes, int) and job.megabytes >= 64):
        yield "megabytes should be a whole number, at least 64"
    if not (isinstance(job.queries_a_page, int) and 0 <= job.queries_a_page <= MAX_QUERIES):
        yield f"queries_a_page should be a whole number from 0 to {MAX_QUERIES}"
    if job.most_failed is not None and job.most_failed < 0:
        yield "most_failed should be None or a number of records"


def _wrong_writes(writes: object) -> Iterator[str]:
    if not isinstance(writes, tuple) or not all(isinstance(may, May) for may in writes):
        yield 'writes should be a tuple, as (updates("Lead", "Email"),)'
        return
    seen: set[tuple[Verb, str]] = set()
    for may in writes:
        if (may.verb, may.sobject) in seen:
            yield f"writes has {may.verb}s of {may.sobject} twice; name all fields in one"
        seen.add((may.verb, may.sobject))
        if may.verb is Verb.UPSERT and not may.fields:
            yield f"name the fields that upserts of {may.sobject} set: the plan checks that a repeat can set them too"
    kinds = {("POST" if verb is Verb.INSERT else "PATCH", sobject) for verb, sobject in seen if verb is not Verb.DELETE}
    if len(kinds) > MAX_KINDS:
        yield f"{len(kinds)} kinds of writes; one request holds {MAX_KINDS}"


def described_object(job: type[JobType[Any]]) -> str:
    """Return the name of the object whose records the job reads; "" for a job of Key rows."""
    return "" if issubclass(job.row, Key) else object_of(job.row)
