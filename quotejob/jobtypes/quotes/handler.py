"""The Quote job: price each matching Opportunity, and write one Quote with its lines for it."""

from __future__ import annotations

from quotejob.jobs.job import Job, JobType
from quotejob.jobtypes.base import JobHandler
from quotejob.jobtypes.quotes import commit, pages
from quotejob.jobtypes.quotes.plan import plan_quotes
from quotejob.run.context import Run


class BatchQuote(JobHandler):
    """Plan (plan.py), pages (pages.py), commit (commit.py)."""

    name = JobType.BATCH_QUOTE

    def purpose(self, job: Job) -> str:
        return f"for SOQL WHERE clause: {job.soql_where_clause}"

    def plan(self, run: Run) -> None:
        plan_quotes(run)

    def work_page(self, run: Run, wave: int, page: int) -> None:
        pages.price_page(run, wave, page)

    def pack(self, run: Run, wave: int) -> int | None:
        return commit.pack(run, wave)

    def write_batch(self, run: Run, wave: int, batch: int) -> None:
        commit.write_batch(run, wave, batch)

    def give_up_batch(self, run: Run, wave: int, batch: int) -> None:
        commit.give_up_batch(run, wave, batch)
