"""Plan a user's own job: what ``start`` asks for, whether the org can take its writes, and which records there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from quotejob.errors import InvalidRequest, OrgClosed, OrgRefused
from quotejob.jobtypes import foreseen
from quotejob.jobtypes.own import beginning, calling
from quotejob.jobtypes.own.problems import Describe, problems, sentence, too_short
from quotejob.run import dry_runs
from quotejob.run.context import Run
from quotejob.run.waves import store_plan
from quotejob.salesforce.clause import check_clause
from quotejob.usercode.context import FINISH
from quotejob.usercode.deciding import BAD_KEYS
from quotejob.usercode.jobtype import JobType, Keys, described_object
from quotejob.usercode.writes import Verb

MAX_RECORDS_PER_WAVE = 20_000  # bounds what waits in Redis between deciding and writing
MAX_KEY = 200  # characters of a key that stands for a record


def plan(run: Run, job: type[JobType[Any]]) -> None:
    """Fix the job's records. Harmless when run twice: the first plan stored wins.

    Raises OrgClosed with all problems if the org cannot take the job's writes, or ``start`` gave no clause that works.
    """
    calling.get_ready(run, job)
    with run.org.reading("the fields of its objects"):
        describe = cache(run.org.describe)
        found = problems(job, describe)
    if found:
        raise OrgClosed(sentence(found), code="NOT_READY")
    beginning.keep(run)
    if run.job.dry_run:
        foreseen.keep(run, [describe(name) for name in dict.fromkeys(may.sobject for may in job.writes)])
    wave_size = max(1, MAX_RECORDS_PER_WAVE // job.page_size)
    store_plan(run, _records(run, job, describe), page_size=job.page_size, wave_size=wave_size)


def _records(run: Run, job: type[JobType[Any]], describe: Describe) -> Iterator[str]:
    if run.job.retry_of is not None:
        yield from run.progress.chosen(run.id)
        return
    if run.job.after_dry_run is not None:
        yield from dry_runs.records(run.progress, run.id, job.page_size)
        return
    given = calling.start(run, job)
    if isinstance(given, Keys):
        keys = list(_keys(given.keys, job))
        with run.org.reading("the fields of its objects"):
            found = too_short(job, describe, max(map(len, keys), default=0))
        if found:
            raise OrgClosed(sentence(found), code="NOT_READY")
        yield from keys
        return
    yield from _matching(run, described_object(job), given)


def _keys(given: Iterable[str], job: type[JobType[Any]]) -> Iterator[str]:
    """Yield the keys. Raises OrgClosed for one that no record of its own can have.

    What is inserted for a key is found by it, and the org takes upper and lower case there for the same.
    """
    inserts = any(may.verb is Verb.INSERT for may in job.writes)
    taken = {FINISH: FINISH} if inserts and job.finish is not JobType.finish else {}
    for key in given:
        if not 0 < len(key) <= MAX_KEY:
            raise OrgClosed(f"Keys has {key!r}: keys are different texts of 1 to {MAX_KEY} characters", code=BAD_KEYS)
        same = key.casefold() if inserts else key
        if same in taken:
            raise OrgClosed(_clash(key, taken[same]), code=BAD_KEYS)
        taken[same] = key
        yield key


def _clash(key: str, other: str) -> str:
    if other == FINISH:
        return f"Keys has {key!r}, which is the key of what finish inserts: give it another one"
    if other == key:
        return f"Keys has {key!r} twice"
    return f"Keys has {other!r} and {key!r}: an org takes them for the same key, so only one would be written"


def _matching(run: Run, sobject: str, clause: str) -> Iterator[str]:
    if not sobject:
        raise OrgClosed("A job of Key rows has to return Keys in start", code="START_FAILED")
    try:
        found = run.org.query(f"SELECT Id FROM {sobject} WHERE ({check_clause(clause)}) ORDER BY Id")
        with run.org.reading("the ids of the records"):
            yield from (row["Id"] for row in found)
    except InvalidRequest as wrong:
        raise OrgClosed(f"The WHERE clause of the job cannot be used: {wrong.message}", code="START_FAILED") from wrong
    except OrgRefused as refused:
        raise OrgClosed(f"The org refused the WHERE clause: {refused.message}", code=refused.code) from refused
