"""The workers' signs of life: whether somebody would take the next message of a job."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from quotejob.jobs.job import Job, Waiting
from quotejob.store import keys
from quotejob.store.client import RedisClient

INTERVAL = 5.0  # seconds between two signs of a worker
KEPT_FOR = 16  # seconds that a sign counts: three may be missed
NEEDED = ("control", "pages")  # the queues that the steps of a job wait in
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

    def are_there(self) -> bool:
        """Return whether workers serve all the queues that the steps of a job wait in."""
        return self._redis.exists(*map(keys.worker, NEEDED)) == len(NEEDED)

    def with_lack(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs. If no worker runs, those that have not ended wait for one, and have no estimates."""
        if all(job.ended for job in jobs) or self.are_there():
            return list(jobs)
        return [job if job.ended else _lacking(job) for job in jobs]


def _lacking(job: Job) -> Job:
    return replace(job, waiting_for=(*job.waiting_for, NO_WORKER), estimated_start=None, estimated_end=None)
