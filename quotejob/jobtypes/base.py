"""The interface of a job type. A new job type is a folder beside this file and one line in registry.py."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from marshmallow import Schema

from quotejob.jobs.job import Job
from quotejob.run.context import Run
from quotejob.run.progress import Progress
from quotejob.run.receipt import Receipt, lost
from quotejob.usercode.parameters import Parameter


@dataclass(frozen=True, slots=True)
class About:
    """What callers may know of a job type."""

    name: str
    object: str | None  # whose records it works on; None: it needs none
    version: str | None  # of the code that users wrote; None: it comes with quotejob
    writes: tuple[str, ...]  # as "insert Quote by QuoteJobKey__c"
    description: str | None = None
    needs_clause: bool = True  # soqlWhereClause is required; otherwise the job type may choose its records itself
    schema: type[Schema] = Schema  # reads the parameters
    parameters: tuple[Parameter, ...] = ()


class JobHandler(ABC):
    """How the jobs of one type are planned, processed page by page, and written in batches.

    Every method may be called twice, at the same time, or after the job has ended: the first plan, packing and receipt
    that is stored wins. An expected problem of one record is data in a receipt; only a problem of the org is raised.
    """

    name: ClassVar[str]  # the jobType of the API
    nothing: ClassVar[str] = "No record matched, so there was nothing to do"  # the remark of a job without records
    slow: ClassVar[bool] = False  # its plan and its pages may take up to an hour, as jobs of Bulk API 2.0 do

    def about(self) -> About | None:
        """Return what callers may know of the job type. None: it cannot be submitted by its name."""
        return None

    def rounds_off(self, job: Job, progress: Progress) -> bool:  # noqa: ARG002 (for job types that have something to do)
        """Return whether there is something left to do once, after the last record. Default: no."""
        return False

    def round_off(self, run: Run) -> None:  # noqa: B027 (most job types have nothing to do)
        """Do what is left to do once, after the last record. Raises OrgClosed if the job cannot be completed."""

    @abstractmethod
    def purpose(self, job: Job) -> str:
        """Return what the job is for, for the log, as "to delete the sample Opportunities"."""

    @abstractmethod
    def plan(self, run: Run) -> None:
        """Fix the job's records by waves.store_plan. Raises OrgClosed when the org is not ready for such jobs."""

    @abstractmethod
    def work_page(self, run: Run, wave: int, page: int) -> None:
        """Process one page, and record its receipt by run.record_page."""

    def give_up_page(self, run: Run, wave: int, page: int) -> None:
        """Settle a page that has ended its worker again and again: its records failed, with that reason."""
        results = tuple(lost(record_id) for record_id in run.progress.page(run.id, page))
        run.record_page(wave, Receipt(str(page), results))

    def pack(self, run: Run, wave: int) -> int | None:
        """Fix the batches of a wave. Return their number, or None if they were fixed before. Default: no batches."""
        return run.fix_batches(wave, [])

    def write_batch(self, run: Run, wave: int, batch: int) -> None:
        """Write one batch into the org, and record its receipt by run.record_batch."""
        raise NotImplementedError(f"{self.name} jobs have no batches")

    def clean_up(self, run: Run) -> None:
        """Remove from the org what an ended job has noted in Progress.incomplete. Default: such jobs note nothing."""
        run.progress.incomplete.removed(run.job)

    def remark(self, run: Run) -> str | None:  # noqa: ARG002 (for job types that have something to say)
        """Return what users should know of a completed job, beside its counts and failures. Default: nothing."""
        return None

    def give_up_batch(self, run: Run, wave: int, batch: int) -> None:
        """Settle a batch that has ended its worker again and again."""
        raise NotImplementedError(f"{self.name} jobs have no batches")
