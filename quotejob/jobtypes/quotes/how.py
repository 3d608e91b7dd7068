"""How a Quote job writes: by composite graphs, or by Bulk API 2.0. Decided once, when it is planned.

``auto`` takes graphs, because they are fast and write each Quote whole, unless their calls are a large part of what the
org has left for the job today.
"""

from __future__ import annotations

from quotejob.jobs.job import CommitBy
from quotejob.jobtypes.batches.calls import Shape
from quotejob.jobtypes.quotes import calls
from quotejob.run.context import Run
from quotejob.salesforce.clause import count_opportunities
from quotejob.salesforce.queries import MOST_TOGETHER
from quotejob.settings import Settings

LINES = 3  # of an Opportunity, while nobody has counted them
PLAN_CALLS = 1  # of a plan by Bulk beside the others: the lines of Quotes are described
FIRST_WAVE = 5_000  # Opportunities of the first wave by Bulk: each wave costs nine calls, and the start of two jobs
_PAGE_SIZE = "page size"  # a note of the job
MOST_PERCENT = 20  # of the calls that are left: above that, Bulk is taken if it needs fewer


def decided(run: Run) -> CommitBy:
    """Return how the job writes. ``auto`` costs one call, which counts the records."""
    known = uncounted(run.job.commit_by, run.settings, dry_run=run.job.dry_run)
    if known is not None:
        return known
    if run.job.soql_where_clause is None:
        return CommitBy.GRAPH
    records = run.org.count(count_opportunities(run.job.soql_where_clause))
    return best(records, run.org.usage, run.job.keep_api_calls, run.settings)


def uncounted(asked: CommitBy | None, settings: Settings, *, dry_run: bool) -> CommitBy | None:
    """Return how a job writes whatever the number of its records. None: it depends on them."""
    way = asked or CommitBy(settings.commit_by)
    if way is not CommitBy.AUTO:
        return way
    return CommitBy.GRAPH if dry_run else None


def page_size(commit_by: CommitBy | None, settings: Settings) -> int:
    """Return how many Opportunities a page of a job has that is planned now. One call reads each of its pages."""
    return settings.page_size * queries_of_page(commit_by)


def queries_of_page(commit_by: CommitBy | None) -> int:
    """Return by how many queries a page is read."""
    return MOST_TOGETHER if commit_by is CommitBy.BULK else 1


def first_wave(commit_by: CommitBy | None) -> int | None:
    """Return how many Opportunities the first wave has. None: as usual."""
    return FIRST_WAVE if commit_by is CommitBy.BULK else None


def kept_page_size(run: Run, commit_by: CommitBy | None) -> int:
    """Return the page size of the job. It is fixed when its plan begins, and does not change with the settings."""
    begun = bool(run.progress.added_waves(run.id))  # by a version that had one page size for all jobs
    size = page_size(None if begun else commit_by, run.settings)
    return int(run.progress.first_note(run.id, _PAGE_SIZE, str(size)))


def best(records: int, usage: tuple[int, int] | None, keep: int | None, settings: Settings) -> CommitBy:
    """Return how so many records are written. ``usage``: calls that the org's day has used and allows, if it says so.

    ``keep``: calls that the job leaves for others.
    """
    if usage is None:
        return CommitBy.GRAPH
    used, limit = usage
    left = limit - used - max(keep or 0, settings.keep_calls.of(limit))
    graph = calls.of_totals(records, records, LINES * records, Shape(settings.page_size, 0, 0)).write
    pays = (
        calls.by_bulk(records, Shape(page_size(CommitBy.BULK, settings), 0, 0, first_wave=FIRST_WAVE)) < graph
        and 100 * graph > MOST_PERCENT * left
    )
    return CommitBy.BULK if pays else CommitBy.GRAPH
