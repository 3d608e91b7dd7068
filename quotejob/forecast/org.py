"""Estimates for the jobs of an org, and notes of them. getJobSummary compares the notes with what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from quotejob import clock
from quotejob.forecast.estimate import Estimate, Paces, PastRun, Slots, estimate
from quotejob.jobs.job import Job, Status
from quotejob.jobs.store import JobStore
from quotejob.settings import Settings
from quotejob.store import keys, scripts
from quotejob.store.client import RedisClient

MAX_ESTIMATED_HOLDING = 500  # Holding jobs of an org that get an estimate: the first ones in its queue
NOTE_STARTS_INTERVAL = 5000  # ms between two times that an org's estimated starts are noted


class Forecast:
    """Estimates when the jobs of all orgs start and end.

    In: the id of an org, or jobs. Out: jobs with estimates, or Estimate values. ``now`` is the clock of ``jobs``. Every
    method may raise StoreUnavailable when Redis does not answer.
    """

    def __init__(
        self, client: RedisClient, settings: Settings, jobs: JobStore, now: Callable[[], datetime] = clock.now
    ) -> None:
        self._redis = client
        self._settings = settings
        self._jobs = jobs
        self._now = now

    def with_estimates(self, org_id: str, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs. Those that have not ended have an estimated start and end; None: unknown."""
        open_jobs = [job for job in jobs if not job.ended]
        if not open_jobs:
            return list(jobs)
        if any(job.status is Status.HOLDING for job in open_jobs):
            found = self.open_jobs_with_estimates(org_id)[1]
        else:
            found = estimate(
                open_jobs, Slots(self._settings.active_jobs), self._history(org_id, open_jobs), self._now()
            )
        return [_with(job, found.get(job.job_id)) for job in jobs]

    def open_jobs_with_estimates(self, org_id: str) -> tuple[list[Job], dict[str, Estimate]]:
        """Return the org's open jobs and an estimate for each, by job id. Holding jobs are in queue order.

        Of the flex queue only the first MAX_ESTIMATED_HOLDING jobs are in it.
        """
        jobs, slots = self._open_jobs(org_id)
        return jobs, estimate(jobs, slots, self._history(org_id, jobs), self._now())

    def of_new_job(self, job: Job) -> tuple[datetime | None, float | None]:
        """Return when a job that is not submitted yet would start, and its seconds by earlier runs. None: unknown."""
        jobs, slots = self._open_jobs(job.org_id)
        history = self._history(job.org_id, [job, *jobs])
        found = estimate([*jobs, job], slots, history, self._now())[job.job_id]
        return found.start, Paces(history).seconds(job)

    def estimated_ends(self, org_id: str, now: datetime) -> list[tuple[Job, datetime | None]]:
        """Return the org's active jobs, each with the time at which it will end; None: unknown."""
        jobs = self._jobs.get_many(list(self._redis.members(keys.jobs_of(org_id, "active"))))
        paces = Paces(self._history(org_id, jobs))
        return [(job, paces.end(job, now)) for job in jobs]

    def note_starts(self, org_id: str) -> None:
        """Store the estimated start of each Holding job of the org that has no such note yet.

        Does so at most once in NOTE_STARTS_INTERVAL, so it stays cheap however often it is called.
        """
        if not self._redis.exists(keys.jobs_of(org_id, "holding")):
            return
        if not self._redis.set(keys.jobs_of(org_id, "looked"), 1, px=NOTE_STARTS_INTERVAL, nx=True):
            return
        jobs, found = self.open_jobs_with_estimates(org_id)
        new = [job.job_id for job in jobs if job.status is Status.HOLDING and job.start_guess is None]
        self._note("startGuess", Status.HOLDING, {job_id: found[job_id].start for job_id in new})

    def note_end(self, job: Job) -> None:
        """Store the estimated end of a job that has just become Processing. A note that exists stays."""
        if job.end_guess is None and job.resumed_date is None:
            end = Paces(self._history(job.org_id, [job])).end(job, self._now())
            self._note("endGuess", Status.PROCESSING, {job.job_id: end})

    def _open_jobs(self, org_id: str) -> tuple[list[Job], Slots]:
        pipe = self._redis.pipeline(transaction=False)
        pipe.zrange(keys.jobs_of(org_id, "holding"), 0, MAX_ESTIMATED_HOLDING - 1)
        pipe.smembers(keys.jobs_of(org_id, "active"))
        pipe.zrange(keys.jobs_of(org_id, "first"), 0, -1)
        pipe.get(keys.jobs_of(org_id, "reserved"))
        holding, active, first, reserved = pipe.execute()
        ranks = {job_id.decode(): rank for rank, job_id in enumerate(holding)}
        jobs = self._jobs.get_many(list(dict.fromkeys([*(job_id.decode() for job_id in active), *ranks])), ranks)
        priority_job_ids = {job_id.decode() for job_id in first}
        priority_job_ids &= {job.job_id for job in jobs if job.status is Status.HOLDING}
        slots = Slots(self._settings.active_jobs, max(0, int(reserved or 0) - len(priority_job_ids)), priority_job_ids)
        return jobs, slots

    def _note(self, field: str, status: Status, moments: Mapping[str, datetime | None]) -> None:
        made = clock.ms(self._now())
        notes = {
            keys.job(job_id): f"{made} {clock.ms(moment)}" for job_id, moment in moments.items() if moment is not None
        }
        if notes:
            scripts.run(self._redis, "jobs/guess", field=field, status=status, estimates=notes)

    def _history(self, org_id: str, jobs: Iterable[Job]) -> dict[str, list[PastRun]]:
        """Return the org's last Completed runs of the jobs' types, newest first."""
        job_types = list({job.job_type for job in jobs})
        pipe = self._redis.pipeline(transaction=False)
        for job_type in job_types:
            pipe.lrange(keys.jobs_of(org_id, f"runs:{job_type}"), 0, -1)
        found: list[list[bytes]] = pipe.execute()
        return {job_type: [_past_run(row) for row in rows] for job_type, rows in zip(job_types, found, strict=True)}


def _past_run(row: bytes) -> PastRun:
    records, milliseconds, schedule_id = row.decode().split(" ")
    return PastRun(int(records), int(milliseconds) / 1000, schedule_id or None)


def _with(job: Job, found: Estimate | None) -> Job:
    if found is None or job.ended:
        return job
    estimates: dict[str, Any] = {"estimated_start": found.start, "estimated_end": found.end}
    return replace(job, **estimates)
