"""The workers' signs of life: whether somebody would take the next message of a job."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from msgspec.structs import replace

from quotejob import formats
from quotejob.jobs.job import Job, Waiting
from quotejob.store import keys, scripts
from quotejob.store.client import RedisClient
from quotejob.version import VERSION

INTERVAL = 5.0  # seconds between two signs of a worker
KEPT_FOR = 16  # seconds that a sign counts: three may be missed
NEEDED = ("control", "pages")  # the queues that the steps of a job wait in
NEWER_WORKER = Waiting(
    "Waits for workers of a newer version, which alone understand this job: start some; then it goes on by itself"
)
NO_WORKER = Waiting("No worker runs: start one with `celery -A tasks worker`; then the job goes on by itself")


class Workers:
    """The signs of life of all workers, one for each queue. May raise StoreUnavailable."""

    def __init__(self, client: RedisClient) -> None:
        self._redis = client

    def note(self, queues: Iterable[str]) -> None:
        """Note that a worker serves these queues now."""
        pipe = self._redis.pipeline(transaction=False)
        for queue in queues:
            pipe.set(keys.worker(queue), 1, ex=KEPT_FOR)
        pipe.execute()
        scripts.run(self._redis, "metrics/alive", workers=keys.VERSIONS, worker=f"{VERSION} {formats.FORMAT}")

    def versions(self) -> dict[str, int]:
        """Return the versions of the workers that live, and the newest format that each understands."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.time()
        pipe.zrange(keys.VERSIONS, 0, -1, withscores=True)
        (seconds, _), found = pipe.execute()
        alive = [member.decode().split() for member, at in found if seconds - at / 1000 <= KEPT_FOR]
        return {version: int(number) for version, number in alive}

    def are_there(self, number: int = 1) -> bool:
        """Return whether workers serve all the queues that the steps of a job wait in. ``number``: its format."""
        return self._redis.exists(*(keys.worker(formats.queue(name, number)) for name in NEEDED)) == len(NEEDED)

    def with_lack(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs. If no worker runs, those that have not ended wait for one, and have no estimates.

        The same is true of those that only newer workers understand, if none of these runs. Their extendedStatus says
        so.
        """
        if all(job.ended for job in jobs):
            return list(jobs)
        if not self.are_there():
            return [job if job.ended else _lacking(job, NO_WORKER) for job in jobs]
        serve = cache(self.are_there)
        return [job if job.ended or serve(job.format) else _left(job) for job in jobs]

    def waiting_for_newer(self, org_id: str) -> int:
        """Return how many jobs of an org, Holding or with a slot, only workers of a newer version understand."""
        active = self._redis.members(keys.jobs_of(org_id, "active"))
        ids = [*self._redis.ranked(keys.jobs_of(org_id, "holding")), *active]
        found = [int(each) for each in self._redis.field_of_each(map(keys.job, ids), "format") if each]
        serve = cache(self.are_there)
        return sum(not serve(each) for each in found)


def _lacking(job: Job, lack: Waiting) -> Job:
    return replace(job, waiting_for=(*job.waiting_for, lack), estimated_start=None, estimated_end=None)


def _left(job: Job) -> Job:
    return replace(_lacking(job, NEWER_WORKER), extended_status=job.extended_status or NEWER_WORKER.message)
