"""The handler of a job type that users have written: one for each class."""

from __future__ import annotations

from typing import Any

from quotejob.errors import UnknownJobType
from quotejob.jobs.job import Job
from quotejob.jobtypes.base import About, JobHandler
from quotejob.jobtypes.own import commit, finishing, pages
from quotejob.jobtypes.own.plan import plan
from quotejob.run.context import Run
from quotejob.run.progress import Progress
from quotejob.usercode.jobtype import JobType, described_object, needs_clause
from quotejob.usercode.parameters import describe
from quotejob.usercode.writes import May


class OwnJob(JobHandler):
    """Plan by plan.py, decide pages by pages.py, write batches by commit.py, and finish by finishing.py."""

    nothing = "No record matched when the job ran, so there was nothing to do"

    def __init__(self, job: type[JobType[Any]], version: str) -> None:
        self.job = job
        self.version = version  # of its code, when this process started
        self.name = job.__name__  # type: ignore[misc]  # of this handler, not of its class

    def about(self) -> About:
        """Return what callers may know of the job type."""
        return About(
            name=self.name,
            object=described_object(self.job) or None,
            version=self.version,
            needs_clause=needs_clause(self.job),
            schema=self.job.parameters,
            parameters=tuple(describe(self.job.parameters)),
            writes=tuple(_sentence(may) for may in self.job.writes),
            description=(self.job.__doc__ or "").strip().split("\n")[0] or None,
        )

    def purpose(self, job: Job) -> str:
        """Return the job's clause, or the job that it retries."""
        if job.retry_of is not None:
            return f"for the failed records of job {job.retry_of}"
        return f"to run {self.name} for SOQL WHERE clause: {job.soql_where_clause or 'its own'}"

    def plan(self, run: Run) -> None:
        """Fix which records the job has."""
        self._check_version(run)
        plan(run, self.job)

    def remark(self, run: Run) -> str | None:
        """Return that it was a dry run."""
        return f"Dry run: {run.job.planned:,} records are planned, nothing was written" if run.job.dry_run else None

    def work_page(self, run: Run, wave: int, page: int) -> None:
        """Read and decide one page."""
        self._check_version(run)
        pages.decide_page(run, self.job, wave, page, self.version)

    def pack(self, run: Run, wave: int) -> int | None:
        """Fix the wave's batches. Returns how many there are, or None if they were fixed before."""
        return commit.pack(run, wave)

    def write_batch(self, run: Run, wave: int, batch: int) -> None:
        """Write one batch into the org."""
        commit.write_batch(run, self.job, wave, batch)

    def give_up_batch(self, run: Run, wave: int, batch: int) -> None:
        """Settle a batch that has ended its worker again and again."""
        commit.give_up_batch(run, wave, batch)

    def rounds_off(self, job: Job, progress: Progress) -> bool:
        """Return whether ``finish`` is still to be done."""
        return finishing.is_due(job, progress, self.job)

    def round_off(self, run: Run) -> None:
        """Do what ``finish`` says."""
        self._check_version(run)
        finishing.do(run, self.job)

    def _check_version(self, run: Run) -> None:
        """Raise UnknownJobType if the job is pinned to another version: that of the worker that has begun it.

        Or that has begun it again, when it was resumed.
        """
        if self.job.pinned:
            begun = run.progress.first_note(run.id, f"pinned {run.job.resumed_date or ''}", self.version)
            if begun != self.version:
                message = f"This process has version {self.version} of {self.name}; the job has begun with {begun}"
                raise UnknownJobType(message, lacking=(self.name, begun))


def _sentence(may: May) -> str:
    fields = f" ({', '.join(may.fields)})" if may.fields else ""
    key = f" by {may.key}" if may.key else ""
    return f"{may.verb} {may.sobject}{key}{fields}"
