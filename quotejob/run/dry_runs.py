"""Dry runs: what one has found, in figures; and the job that then writes what was seen, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from quotejob.errors import JobConflict
from quotejob.jobs.job import Job
from quotejob.jobs.options import Options
from quotejob.jobs.store import JobStore
from quotejob.run.progress import Progress
from quotejob.run.receipt import Outcome, Result
from quotejob.run.results import Results
from quotejob.run.retries import ListedJobs
from quotejob.run.waves import batched
from quotejob.salesforce.caller import CallerContext
from quotejob.store.client import RedisClient

CHANGED = "CHANGED_SINCE_DRY_RUN"
NOT_SHOWN = "-"  # in place of a fingerprint: nothing was planned for this record


@dataclass(slots=True)
class Amounts:
    """A part of what would be written. Money is in its currency; None: the org has only one."""

    currency: str | None
    region: str | None = None
    discount: Decimal | None = None  # in percent
    quotes: int = 0
    lines: int = 0
    list_total: Decimal = Decimal(0)
    net_total: Decimal = Decimal(0)

    def add(self, quotes: int, lines: int, list_total: Decimal, net_total: Decimal) -> None:
        """Add so many Quotes and lines, with these totals."""
        self.quotes += quotes
        self.lines += lines
        self.list_total += list_total
        self.net_total += net_total


@dataclass(frozen=True, slots=True)
class WriteCount:
    """How many records of one object would be written."""

    operation: str
    object: str
    count: int


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a dry run has found so far."""

    job: Job
    writes: list[WriteCount] = field(default_factory=list)
    totals: list[Amounts] = field(default_factory=list)
    by_region: list[Amounts] = field(default_factory=list)  # the largest first
    by_discount: list[Amounts] = field(default_factory=list)  # the smallest discount first


class DryRuns:
    """The dry runs of all orgs. Every method may raise StoreUnavailable."""

    def __init__(self, client: RedisClient, jobs: JobStore, progress: Progress, results: Results) -> None:
        self._redis = client
        self._jobs = jobs
        self._progress = progress
        self._results = results

    def summary(self, job: Job) -> DryRun:
        """Return what a dry run has found so far. Raises JobConflict for a job that writes."""
        if not job.dry_run:
            raise JobConflict("This job is no dry run; its results say what it has written")
        totals: dict[str | None, Amounts] = {}
        regions: dict[tuple[str | None, str | None], Amounts] = {}
        discounts: dict[tuple[str | None, Decimal], Amounts] = {}
        writes: dict[tuple[str, str], int] = {}
        for result in self._results.stream(job.job_id, Outcome.PLANNED):
            planned = result.planned
            for operation, name, count in planned.writes if planned else ():
                writes[operation, name] = writes.get((operation, name), 0) + count
            if planned is None or planned.quote is None:
                continue
            quote, money = planned.quote, planned.quote.currency
            sums = (1, quote.lines, Decimal(quote.list_total), Decimal(quote.net_total))
            totals.setdefault(money, Amounts(money)).add(*sums)
            regions.setdefault((money, quote.region), Amounts(money, quote.region)).add(*sums)
            for percent, count, list_total, net_total in quote.discounts:
                rate = Decimal(percent)
                group = discounts.setdefault((money, rate), Amounts(money, discount=rate))
                group.add(0, count, Decimal(list_total), Decimal(net_total))
        return DryRun(
            job,
            [WriteCount(operation, name, count) for (operation, name), count in writes.items()],
            sorted(totals.values(), key=lambda one: one.currency or ""),
            sorted(regions.values(), key=lambda one: -one.net_total),
            sorted(discounts.values(), key=lambda one: (one.currency or "", one.discount or 0)),
        )

    def run(self, context: CallerContext, options: Options, idempotency_key: str | None = None) -> tuple[Job, bool]:
        """Add the job that writes what a dry run has shown. Return it and whether it is new.

        The records and the fingerprints of their decisions are copied now. Raises JobConflict if it is no dry run that
        is Completed, FlexQueueFull, IdempotencyKeyReused.
        """
        seen = options.after_dry_run
        if seen is None:
            raise ValueError("no dry run is named")
        lists = ListedJobs(self._redis, self._jobs, self._progress)
        return lists.submit(context, seen, options, self._seen(seen), _nothing, idempotency_key, options=options)

    def _seen(self, job: Job) -> Iterator[str]:
        """Yield each record of a dry run, with the fingerprint of what was planned for it, if anything."""
        for result in self._results.stream(job.job_id):
            yield f"{result.planned.fingerprint if result.planned else NOT_SHOWN} {result.record_id}"


def _nothing() -> JobConflict:
    return JobConflict("This dry run has no records, or its results are no longer kept; start a new one")


def records(progress: Progress, job_id: str, page_size: int) -> Iterator[str]:
    """Yield the records of a job after a dry run. What that has shown of each is stored by page, beside the plan."""
    for page, entries in enumerate(batched(progress.chosen(job_id), page_size)):
        pairs = [entry.split(" ", 1) for entry in entries]
        progress.store_seen(job_id, page, {key: shown for shown, key in pairs if shown != NOT_SHOWN})
        yield from (key for _, key in pairs)


def changed(record_id: str, name: str | None, *, shown: bool) -> Result:
    """Return the result of a record for which something else would be written than a dry run has shown."""
    message = (
        "What would be written is not what the dry run has shown: the record, its rules or its code have changed since"
        if shown
        else "The dry run has shown nothing to write for this record"
    )
    return Result(record_id, Outcome.SKIPPED, code=CHANGED, message=message, record_name=name)
