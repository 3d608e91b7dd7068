"""What a caller may ask of a job beside its records: to write nothing, to write only what was seen, to leave calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from quotejob import formats
from quotejob.errors import JobConflict
from quotejob.jobs.job import CommitBy, Job, Status


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a new job."""

    dry_run: bool = False  # plan, read and decide everything, and write nothing
    after_dry_run: Job | None = None  # write what this dry run has shown, and nothing else
    keep_api_calls: int | None = None  # of the org's day, for others; None: as many as the setting says
    commit_by: CommitBy | None = None  # None: as the setting says
    callback_url: str | None = None  # in the caller's org: where the end of the job is told

    def check(self) -> None:
        """Raise JobConflict if the job to follow is not a dry run that is Completed; NewerVersion."""
        seen = self.after_dry_run
        if seen is not None:
            formats.check(f"Job {seen.job_id}", seen.format)
        if seen is not None and not seen.dry_run:
            raise JobConflict("This job is no dry run; it has written its records itself")
        if seen is not None and seen.status is not Status.COMPLETED:
            raise JobConflict(f"Only a dry run that is Completed can be run; this one is {seen.status}")

    def stored(self) -> dict[str, Any]:
        """Return the fields of the new job's hash."""
        after = self.after_dry_run
        found = {
            "dryRun": 1 if self.dry_run else None,
            "afterDryRun": after and after.job_id,
            "keepApiCalls": self.keep_api_calls,
            "commitBy": self.commit_by,
            "callbackUrl": self.callback_url,
            "name": after and after.name,
            "soqlWhereClause": after and after.soql_where_clause,
            "asOf": after and after.created_date.isoformat(),
            "parameters": orjson.dumps(after.parameters).decode() if after and after.parameters else None,
        }
        return {name: value for name, value in found.items() if value is not None}


PLAIN = Options()


def already_run(job_id: str) -> JobConflict:
    """Return the error for a dry run that another job has run: a second one would write everything once more."""
    return JobConflict(
        f"Job {job_id} runs this dry run already, and a dry run is run once; resume that job if it has stopped, retry "
        "its failed records, or start a new dry run",
        code="DRY_RUN_ALREADY_RUN",
    )
