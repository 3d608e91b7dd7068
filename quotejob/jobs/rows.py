"""Read a job's hash from Redis."""

from __future__ import annotations

import orjson

from quotejob import clock
from quotejob.jobs.job import Guess, Job
from quotejob.store import rows

ALWAYS = ("status", "jobType", "orgId", "createdDate", "createdById")  # the fields that every job's hash has


def read_job(job_id: str, row: rows.Row) -> Job:
    """Return a Job from its hash, or from a part of the hash that has the fields in ALWAYS. Raises ValueError."""
    return rows.read(Job, row, _READERS, job_id=job_id)


def _guess(text: str) -> Guess:
    made, meant = text.split()
    return Guess(clock.moment(made), clock.moment(meant))


_READERS: dict[str, rows.Reader] = {
    "parameters": orjson.loads,
    "depends_on": lambda text: text.split(","),
    "not_before": clock.moment,
    "start_guess": _guess,
    "end_guess": _guess,
}
