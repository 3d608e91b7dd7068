"""The order of an org's flex queue: its Holding jobs, first in, first out, unless a caller moves one.

The words come from the platform's FlexQueue class. ``store/lua/jobs/promote.lua`` decides which jobs leave the queue.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec.structs import replace

from quotejob import audit, rights
from quotejob.errors import JobConflict
from quotejob.jobs.job import Job, Status
from quotejob.jobs.store import JobStore
from quotejob.store import keys
from quotejob.store.client import RedisClient


class QueuePlace(StrEnum):
    """The place to move a job to."""

    FRONT = "front"
    END = "end"
    BEFORE = "before"
    AFTER = "after"


class FlexQueue:
    """The flex queues of all orgs. Every method may raise StoreUnavailable when Redis does not answer."""

    def __init__(self, client: RedisClient, jobs: JobStore) -> None:
        self._redis = client
        self._jobs = jobs

    def jobs(self, org_id: str) -> list[Job]:
        """Return the org's Holding jobs in their order, with their positions and what each still waits for."""
        job_ids = self._redis.ranked(keys.jobs_of(org_id, "holding"))
        found = [job for job in self._jobs.get_many(job_ids) if job.status is Status.HOLDING]
        return [replace(job, position=position) for position, job in enumerate(found)]

    def may_go(self, org_id: str, slots: int) -> bool:
        """Return whether a job of the org is ready while a slot is free. If not, whatever changes that dispatches."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.exists(keys.jobs_of(org_id, "ready"))
        pipe.scard(keys.jobs_of(org_id, "active"))
        ready, active = pipe.execute()
        return bool(ready) and active < slots

    def move(self, org_id: str, job_id: str, place: QueuePlace, other: str = "") -> bool:
        """Move a Holding job to the front or end, or before or after the Holding job ``other``.

        Returns False if the job is there already. Raises JobNotFound for a job that the org does not have, JobConflict
        for a job that is not Holding, NotAManager.
        """
        return self._reorder(org_id, job_id, place=place, other=other or None)

    def move_to(self, org_id: str, job_id: str, position: int) -> bool:
        """Move a Holding job to a position of the queue: 0 is the front, one past the end is the end.

        Returns and raises as move().
        """
        return self._reorder(org_id, job_id, position=position)

    def _reorder(self, org_id: str, job_id: str, **where: Any) -> bool:
        rights.check(self._jobs.settings)
        position = self._redis.zrank(keys.jobs_of(org_id, "holding"), job_id)
        answer = self._jobs.run("jobs/reorder", org=org_id, id=job_id, **where).decode()
        if answer in ("moved", "there"):
            if answer == "moved":
                before = {"position": position}
                audit.note(self._redis, org_id, "moveJob", job_id=job_id, before=before)
            return bool(answer == "moved")
        status = self._jobs.get(answer, org_id).status
        raise JobConflict(f"Only a Holding job has a position in the flex queue; job {answer} is {status}")
