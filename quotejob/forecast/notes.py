"""What is kept of forecasts: each until a job of the same records is submitted, then beside that job's real figures."""

from __future__ import annotations

import hashlib
from math import ceil

from quotejob.jobs.job import CommitBy, Job
from quotejob.jobtypes.batches.calls import ROWS
from quotejob.store import keys, scripts
from quotejob.store.client import RedisClient

KEPT_FOR = 3600  # seconds that a forecast waits for its job
RATIOS = 50  # of earlier jobs, for each job type of an org
RATIOS_KEPT_FOR = 30 * 24 * 3600  # seconds after the last one


class ForecastNotes:
    """The forecasts of all orgs. Every method may raise StoreUnavailable."""

    def __init__(self, client: RedisClient) -> None:
        self._redis = client

    def keep(self, org_id: str, job_type: str, clause: str, calls: int, seconds: float) -> None:
        """Keep a forecast. A job with this clause that is planned within an hour gets it."""
        self._redis.set(_key(org_id, job_type, clause), f"{calls} {seconds:.3f}", ex=KEPT_FOR)

    def planned(self, job: Job, calls: int) -> None:
        """Note in a job that has just been planned what was forecast of it, and keep how many calls its plan has sent.

        The job itself may have counted more: its first pages are read while it is planned.
        """
        if job.retry_of is None and calls:
            beside = calls - max(1, ceil(job.total / ROWS)) - (job.commit_by is CommitBy.BULK and not job.dry_run)
            self._redis.set(
                _plan_calls(job.org_id, job.job_type, dry_run=job.dry_run), max(0, beside), ex=RATIOS_KEPT_FOR
            )
        if job.dry_run or job.forecast_calls is not None or job.retry_of is not None:
            return
        found = self._redis.value(_key(job.org_id, job.job_type, job.soql_where_clause or ""))
        if found is not None:
            foreseen, seconds = found.decode().split()
            fields = {"forecastCalls": foreseen, "forecastSeconds": seconds}
            scripts.run(self._redis, "jobs/change", job=keys.job(job.job_id), fields=fields)

    def compare(self, job: Job) -> None:
        """Keep how long a Completed job took, as a multiple of what was forecast."""
        ended, started = job.completed_date, job.started_date
        if job.waited or not job.forecast_seconds or ended is None or started is None or job.resumed_date is not None:
            return
        ratio = (ended - started).total_seconds() / job.forecast_seconds
        key = _ratios(job.org_id, job.job_type)
        pipe = self._redis.pipeline(transaction=False)
        pipe.lpush(key, f"{ratio:.4f}")
        pipe.ltrim(key, 0, RATIOS - 1)
        pipe.expire(key, RATIOS_KEPT_FOR)
        pipe.execute()

    def ratios(self, org_id: str, job_type: str) -> list[float]:
        """Return the actual seconds of the last jobs, as multiples of what was forecast."""
        return [float(ratio) for ratio in self._redis.items(_ratios(org_id, job_type))]

    def plan_calls(self, org_id: str, job_type: str, *, dry_run: bool) -> int | None:
        """Return how many calls the last plan has sent beside those that read the ids. None: there was none."""
        found = self._redis.value(_plan_calls(org_id, job_type, dry_run=dry_run))
        return None if found is None else int(found)


def _key(org_id: str, job_type: str, clause: str) -> str:
    asked = hashlib.sha256(f"{job_type}\0{clause}".encode()).hexdigest()[:32]
    return keys.jobs_of(org_id, f"forecast:{asked}")


def _plan_calls(org_id: str, job_type: str, *, dry_run: bool) -> str:
    return keys.jobs_of(org_id, f"plan-calls:{job_type}{':dry' if dry_run else ''}")


def _ratios(org_id: str, job_type: str) -> str:
    return keys.jobs_of(org_id, f"forecasts:{job_type}")
