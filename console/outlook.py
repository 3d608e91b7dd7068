"""The open jobs of an org with their estimates: read once for all tabs, until something changes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from msgspec.structs import replace

from console.pages import current_tag, services, session
from quotejob.forecast.org import MAX_ESTIMATED_HOLDING
from quotejob.jobs.job import Job, Status
from quotejob.services import Services
from quotejob.settings import Settings
from tasks import workers


def open_jobs() -> list[Job]:
    """Return the jobs that have not ended: those with a slot, then the Holding ones that have estimates, in order."""
    return read(services().settings, session().org_id, current_tag())


@lru_cache(maxsize=64)
def read(settings: Settings, org_id: str, tag: str) -> list[Job]:  # noqa: ARG001 (a new tag is read anew)
    """Return the same for an org whose data has this tag."""
    made = Services.connected(settings)
    jobs, found = made.forecast.open_jobs_with_estimates(org_id)
    known = [
        replace(job, estimated_start=found[job.job_id].start, estimated_end=found[job.job_id].end)
        if job.job_id in found
        else job
        for job in jobs
    ]
    return made.workers.with_lack(known)


def with_outlook(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs as they are now, with their estimates."""
    known = {job.job_id: job for job in open_jobs()}
    if any(not job.ended and job.job_id not in known for job in jobs):  # far back in the flex queue, or quite new
        return workers.with_outlook(services(), session().org_id, jobs)
    return [job if job.ended else known[job.job_id] for job in jobs]


def holding() -> list[Job]:
    """Return all Holding jobs in their order, with their positions."""
    held = [job for job in open_jobs() if job.status is Status.HOLDING]
    if len(held) < MAX_ESTIMATED_HOLDING:
        return [replace(job, position=position) for position, job in enumerate(held)]
    org_id = session().org_id
    return workers.with_outlook(services(), org_id, services().flexqueue.jobs(org_id))
