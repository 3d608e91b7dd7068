"""What all jobs that use Bulk API 2.0 share: where the ids of Bulk jobs are kept, and how a refused row is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quotejob.run.context import Run


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The ids of the Bulk jobs of one step, kept with the progress of the job."""

    run: Run
    name: str

    def load(self) -> list[str]:
        """Return the ids that were saved."""
        return (self.run.progress.note(self.run.id, self.name) or "").split()

    def save(self, job_ids: list[str]) -> None:
        """Save the ids, all of them. Raises LeaseLost if Redis does not know this step: the next one has its own."""
        self.run.progress.note(self.run.id, self.name, " ".join(job_ids), lease=self.run.lease)


def show_life(run: Run) -> Callable[[int, int], None]:
    """Return what a step calls at each look at its Bulk jobs, so that the job is seen to be alive."""
    return lambda _processed, _failed: run.jobs.touch(run.id)


def reason(row: Mapping[str, str]) -> tuple[str, str]:
    """Return the code and the message of a refused row: sf__Error is "CODE:message:fields --"."""
    code, _, message = row["sf__Error"].partition(":")
    return code, re.sub(r":[\w ]*--$", "", message)
