"""Many jobs changed at once: all that match a filter are aborted, or resumed, each with its own outcome."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from itertools import islice

from quotejob.errors import InvalidRequest, JobConflict, QuotejobError, StoreUnavailable
from quotejob.jobs.job import ALIVE, RESUMABLE, Job, Status
from quotejob.jobs.listing import JobFilter, Order, Sorting
from quotejob.jobs.search import JobSearch


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of change: the statuses that a job may come from, and which jobs go first.

    A child is aborted before its parent, which would abort it too. It is resumed after it, and after what came before.
    """

    origins: tuple[Status, ...]
    order: Order


ABORT = Kind(ALIVE, Order.DESCENDING)
RESUME = Kind(RESUMABLE, Order.ASCENDING)


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one job. Without ``code`` and ``message`` nothing stood against it."""

    job: Job
    changed: bool = False
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """How many jobs match in all, what became of some of them, and the cursor of the next ones."""

    matched: int
    jobs: list[Change]
    next_cursor: str | None

    @property
    def changed(self) -> int:
        """How many were changed."""
        return sum(one.changed for one in self.jobs)


def change(
    search: JobSearch,
    org_id: str,
    wanted: JobFilter,
    kind: Kind,
    make: Callable[[str], Job],
    *,
    at_most: int | None,
    limit: int,
    cursor: str | None = None,
) -> Changes:
    """Change up to ``limit`` jobs of the org that match, beginning at the cursor. ``make`` changes one, by its id.

    Without ``at_most`` nothing is changed, and the answer has the jobs that would be. Raises InvalidRequest if the
    filter asks for a status that no job may come from; JobConflict, before any change, if more than ``at_most`` jobs
    match; StoreUnavailable, if nothing was changed yet. Later it ends the list, and the cursor goes on from there.
    """
    wanted = _within(wanted, kind.origins)
    sorting = Sorting(order=kind.order)
    matched, found, following = search.counted(org_id, wanted, sorting, limit=limit, cursor=cursor)
    if at_most is not None and matched > at_most:
        raise JobConflict(
            f"{matched:,} jobs match, more than atMost={at_most}: nothing was changed. Look at them without atMost, "
            "then send their number"
        )
    if at_most is None:
        return Changes(matched, [Change(job) for job in found], following)
    found = list(islice(found, at_most))
    done = _each(found, make)
    if len(done) < len(found):
        following = sorting.cursor(sorting.place(done[-1].job))
    return Changes(matched, done, following)


def change_these(jobs: Iterable[Job], kind: Kind, make: Callable[[str], Job]) -> Changes:
    """Change those of the jobs whose status allows it, in the order of the kind. Raises StoreUnavailable as above."""
    able = [job for job in jobs if job.status in kind.origins]
    able.sort(key=lambda job: job.created_date, reverse=kind.order is Order.DESCENDING)
    return Changes(len(able), _each(able, make), None)


def _each(jobs: Iterable[Job], make: Callable[[str], Job]) -> list[Change]:
    """Change the jobs, until the store does not answer. Raises StoreUnavailable if nothing was changed by then."""
    done: list[Change] = []
    for job in jobs:
        try:
            done.append(_one(job, make))
        except StoreUnavailable:
            if not done:
                raise
            break
    return done


def _one(job: Job, make: Callable[[str], Job]) -> Change:
    try:
        return Change(make(job.job_id), changed=True)
    except StoreUnavailable:
        raise
    except QuotejobError as refused:
        return Change(job, code=refused.code, message=refused.message)


def _within(wanted: JobFilter, origins: Collection[Status]) -> JobFilter:
    if strange := [status for status in Status if status in wanted.statuses and status not in origins]:
        raise InvalidRequest.field(
            "status", f"cannot be {', '.join(strange)} here; it should be among {', '.join(origins)}"
        )
    return replace(wanted, statuses=wanted.statuses or frozenset(origins))
