"""The Quote job: price each matching Opportunity, and write one Quote with its lines for it."""

from __future__ import annotations

from quotejob.jobs.job import BuiltIn, Job
from quotejob.jobtypes import key_field
from quotejob.jobtypes.base import About, JobHandler
from quotejob.jobtypes.quotes import by_bulk, commit, pages, unknown
from quotejob.jobtypes.quotes.plan import plan_quotes
from quotejob.run.context import Run


class BatchQuote(JobHandler):
    """Plan by plan.py, price pages by pages.py, pack and write batches by commit.py."""

    name = BuiltIn.BATCH_QUOTE
    nothing = "No Opportunity matched the WHERE clause when the job ran, so there was nothing to price"

    def about(self) -> About:
        """Return what callers may know of the Quote job."""
        return About(
            name=str(self.name),
            object="Opportunity",
            version=None,
            writes=(f"insert Quote by {key_field.NAME}", "insert QuoteLineItem"),
            description="Prices Opportunities, and writes a Quote with its lines for each",
        )

    def purpose(self, job: Job) -> str:
        """Return the job's clause, or the job that it retries."""
        if job.retry_of is not None:
            return f"for the failed records of job {job.retry_of}"
        return f"for SOQL WHERE clause: {job.soql_where_clause}"

    def plan(self, run: Run) -> None:
        """Fix which Opportunities the job prices."""
        plan_quotes(run)

    def work_page(self, run: Run, wave: int, page: int) -> None:
        """Read and price one page."""
        pages.price_page(run, wave, page)

    def pack(self, run: Run, wave: int) -> int | None:
        """Fix the wave's batches. Returns how many there are, or None if they were fixed before."""
        return commit.pack(run, wave)

    def write_batch(self, run: Run, wave: int, batch: int) -> None:
        """Write one batch into the org."""
        (by_bulk if by_bulk.takes(run, wave, batch) else commit).write_batch(run, wave, batch)

    def clean_up(self, run: Run) -> None:
        """Remove the Quotes that an ended job has left incomplete."""
        commit.remove_incomplete(run, by_bulk.settle)

    def remark(self, run: Run) -> str | None:
        """Return that it was a dry run, and the countries of Accounts that were not recognised."""
        regions = pages.rules(run.settings.pricing_rules).regions
        countries = unknown.remark(run, regions.other_countries.name) if regions else None
        dry = f"Dry run: {run.job.planned:,} Quotes are planned, nothing was written" if run.job.dry_run else None
        return ". ".join(filter(None, (dry, countries))) or None

    def give_up_batch(self, run: Run, wave: int, batch: int) -> None:
        """Settle a batch that has ended its worker again and again."""
        (by_bulk if by_bulk.takes(run, wave, batch) else commit).give_up_batch(run, wave, batch)
