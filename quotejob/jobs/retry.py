"""A retry: a job for the records that failed in an earlier job.

Retries of a job, and retries of these, are one chain. All jobs of a chain write with the keys of the first one. So the
org itself refuses a second Quote for an Opportunity, whichever job of the chain wrote the first, and whenever.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import orjson

from quotejob import formats
from quotejob.errors import JobConflict
from quotejob.jobs.job import BuiltIn, Job

NOT_RETRYABLE = (BuiltIn.SAMPLE_DATA_CREATE, BuiltIn.SAMPLE_DATA_DELETE)


@dataclass(frozen=True, slots=True)
class Retry:
    """Which job is retried, and the codes of the failures that are (none: all of them).

    Raises JobConflict if it is not a job that can be retried.
    """

    of: Job
    codes: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.of.job_type in NOT_RETRYABLE:
            raise JobConflict(f"{self.of.job_type} jobs cannot be retried; submit a new one")

        if self.of.dry_run:
            raise JobConflict("A dry run has written nothing, so there is nothing to retry; submit a new job")

    def check(self) -> None:
        """Raise JobConflict if the job has not ended, or none of its records failed; NewerVersion."""
        formats.check(f"Job {self.of.job_id}", self.of.format)
        if not self.of.ended:
            raise JobConflict(f"Only a job that has ended can be retried; this one is {self.of.status}")
        if not self.of.failed:
            raise JobConflict("No record of this job failed; there is nothing to retry")

    def takes(self, code: str | None) -> bool:
        """Return whether a record that failed with this code is retried."""
        return not self.codes or code in self.codes

    def stored(self) -> dict[str, Any]:
        """Return the fields of the new job's hash."""
        codes = {"retryCodes": " ".join(sorted(self.codes))} if self.codes else {}
        name = {"name": self.of.name} if self.of.name else {}
        given = {"parameters": orjson.dumps(self.of.parameters).decode()} if self.of.parameters else {}
        return {"retryOf": self.of.job_id, "firstJobId": self.of.key_id, **name, **codes, **given}


def nothing_to_retry(retry: Retry, found: Collection[str]) -> JobConflict:
    """Return the error for a job that has no failed record to retry. ``found`` are the codes of those it has."""
    if not found:
        return JobConflict("The results of this job are no longer kept; submit a new job for its records")
    wanted, there_are = ", ".join(sorted(retry.codes)), ", ".join(sorted(found))
    return JobConflict(f"No record of this job failed with {wanted}; its codes are {there_are}")
