"""Which job types of users the living workers have, and in which version. Each worker says so every few seconds."""

from __future__ import annotations

from collections.abc import Mapping

from quotejob.errors import NoWorkerHas
from quotejob.jobs.workers import KEPT_FOR
from quotejob.store import keys, scripts
from quotejob.store.client import RedisClient

MOST_MINUTES = 10  # that a job waits for a worker that has its job type; then it is Failed


class Living:
    """The job types of all living workers. May raise StoreUnavailable."""

    def __init__(self, client: RedisClient) -> None:
        self._redis = client

    def note(self, versions: Mapping[str, str]) -> None:
        """Note that a worker with these job types lives: name -> version."""
        for name, version in versions.items():
            scripts.run(self._redis, "metrics/alive", workers=keys.JOB_TYPES, worker=f"{name} {version}")

    def has(self, name: str, version: str | None) -> bool:
        """Return whether a living worker has the job type in this version; None: in any."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.time()
        pipe.zrange(keys.JOB_TYPES, 0, -1, withscores=True)
        (seconds, _), found = pipe.execute()
        alive = [member.decode().split(" ") for member, at in found if seconds - at / 1000 <= KEPT_FOR]
        return any(name == each and version in (None, its) for each, its in alive)


def nobody_has(name: str, version: str | None) -> NoWorkerHas:
    """Return the error that says so, and what to do."""
    if version is None:
        what = f"the job type {name}. Start one with QUOTEJOB_JOBS set to its module"
    else:
        what = f"version {version} of the job type {name}, with which this job has begun. Start one with this version"
    return NoWorkerHas(
        f"No worker that runs has {what}: then the job goes on by itself. After {MOST_MINUTES} minutes without one it "
        "is Failed; it can be resumed, then with the version that runs",
        lacking=(name, version),
    )
