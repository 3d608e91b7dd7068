"""Read a job's hash from Redis. Fields of a newer version and missing fields are ignored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from quotejob import clock
from quotejob.jobs.job import DependsOnOutcome, Guess, Job, Status
from quotejob.store import rows

ALWAYS = ("status", "jobType", "orgId", "createdDate", "createdById")  # the fields that every job's hash has

_READERS: dict[str, Callable[[str], Any]] = {
    "guaranteed": lambda raw: raw == "1",
    "status": Status,
    "dependsOn": lambda raw: tuple(raw.split(",")),
    "dependsOnOutcome": DependsOnOutcome,
    "notBefore": clock.moment,
    **dict.fromkeys(("startGuess", "endGuess"), lambda raw: Guess(*map(clock.moment, raw.split()))),
    **dict.fromkeys(("createdDate", "startedDate", "completedDate", "resumedDate"), datetime.fromisoformat),
    **dict.fromkeys(
        (
            *("numberOfOpportunities", "totalJobItems", "jobItemsProcessed", "numberOfErrors"),
            *("total", "succeeded", "skipped", "failed", "quotesCreated", "apiCalls", "waves", "resumedItems"),
        ),
        int,
    ),
}


def read_job(job_id: str, stored: Mapping[bytes, bytes] | Mapping[str, bytes]) -> Job:
    """Return a Job from its hash, or from a part of the hash that has the fields in ALWAYS."""
    return Job(job_id, **rows.read(Job, _READERS, rows.decoded(stored)))
