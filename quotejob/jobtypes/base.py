"""The interface of a job type. A new job type is a folder beside this file and one line in registry.py."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from quotejob.jobs.job import Job
from quotejob.run.context import Run
from quotejob.run.receipt import Receipt, lost


class JobHandler(ABC):
    """How the jobs of one type are planned, processed page by page, and written in batches.

    Every method may be called twice, at the same time, or after the job has ended: the first plan, packing and receipt
    that is stored wins. An expected problem of one record is data in a receipt; only a problem of the org is raised.
    """

    name: ClassVar[str]  # the jobType of the API
    nothing: ClassVar[str] = "No record matched, so there was nothing to do"  # the remark of a job without records
    slow: ClassVar[bool] = False  # its plan and its pages may take up to an hour, as jobs of Bulk API 2.0 do

    dry: ClassVar[bool] = False  # its jobs can be dry runs: work_page records Outcome.PLANNED, and nothing to write

    @abstractmethod
    def purpose(self, job: Job) -> str:
        """Return what the job is for, for the log, as "to delete the sample Opportunities"."""

    @abstractmethod
    def plan(self, run: Run) -> None:
        """Fix the job's records by waves.store_plan. Raises OrgClosed when the org is not ready for such jobs."""

    @abstractmethod
    def work_page(self, run: Run, wave: int, page: int) -> None:
        """Process one page, and record its receipt by Progress.record_page."""

    def give_up_page(self, run: Run, wave: int, page: int) -> None:
        """Settle a page that has ended its worker again and again: its records failed, with that reason."""
        results = tuple(lost(record_id) for record_id in run.progress.page(run.id, page))
        run.progress.record_page(run.id, wave, Receipt(str(page), results))

    def pack(self, run: Run, wave: int) -> int | None:
        """Fix the batches of a wave. Return their number, or None if they were fixed before. Default: no batches."""
        return 0 if run.progress.store_batches(run.id, wave, []) else None

    def write_batch(self, run: Run, wave: int, batch: int) -> None:
        """Write one batch into the org, and record its receipt by Progress.record_batch."""
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
