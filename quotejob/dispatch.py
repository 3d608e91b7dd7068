"""Who may have an org's free slots: jobs of guaranteed schedules first, then the flex queue in its order.

From the reserve window on (QUOTEJOB_RESERVE_MINUTES before its fire time), one slot is kept free for each guaranteed
schedule. It is kept free earlier when running jobs are estimated to end after the fire time and only as many slots are
left as these schedules need. When such a schedule fires, its job goes past the flex queue into that slot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from quotejob import clock
from quotejob.errors import JobNotFound
from quotejob.forecast.org import Forecast
from quotejob.jobs.job import Job, Status
from quotejob.jobs.store import JobStore
from quotejob.settings import Settings
from quotejob.store import keys
from quotejob.store.client import RedisClient

EARLY_RESERVATION_HORIZON = timedelta(hours=24)  # how far ahead a fire time may reserve a slot because of running jobs


@dataclass(frozen=True, slots=True)
class Claims:
    """What an org's guaranteed schedules claim of its slots."""

    reserved: int  # slots, for fire times to come
    priority_job_ids: tuple[str, ...]  # Holding jobs, or jobs not submitted yet, that have fired; they go before others


class Dispatcher:
    """Gives the free slots of an org to its Holding jobs.

    In: the id of an org. Out: the ids of the jobs that are Queued now. ``now`` is the clock that fire times go by.
    Every method may raise StoreUnavailable when Redis does not answer.
    """

    def __init__(
        self,
        client: RedisClient,
        settings: Settings,
        jobs: JobStore,
        forecast: Forecast,
        now: Callable[[], datetime],
    ) -> None:
        self._redis = client
        self._settings = settings
        self._jobs = jobs
        self._forecast = forecast
        self._now = now

    def promote(self, org_id: str, now: datetime | None = None) -> list[str]:
        """Give the org's free slots to its Holding jobs. Returns the ids of those that became Queued in this call.

        Jobs of guaranteed schedules that have fired go first. Slots that guaranteed schedules claim stay free.
        """
        claims = self.claims(org_id, now)
        promoted = [
            job_id
            for priority_id in claims.priority_job_ids
            for job_id in self._jobs.promote(org_id, reserved=self._settings.active_jobs, first=priority_id)
        ]
        waiting = len(set(claims.priority_job_ids) - set(promoted))
        return promoted + self._jobs.promote(org_id, reserved=claims.reserved + waiting)

    def claims(self, org_id: str, now: datetime | None = None) -> Claims:
        """Return what the org's guaranteed schedules claim of its slots.

        A schedule that fires at this moment counts once: as a reserved slot or as a job that goes first.
        """
        now = now or self._now()
        pipe = self._redis.pipeline(transaction=True)
        until = clock.ms(now + EARLY_RESERVATION_HORIZON)
        pipe.zrangebyscore(keys.jobs_of(org_id, "guaranteed"), "-inf", until, withscores=True)
        pipe.zrange(keys.jobs_of(org_id, "first"), 0, -1)
        upcoming: list[tuple[bytes, float]]
        fired: list[bytes]
        upcoming, fired = pipe.execute()
        priority_job_ids = tuple(job_id for job_id in map(bytes.decode, fired) if self._still_waits(org_id, job_id))
        return Claims(self._reserved(org_id, [score / 1000 for _, score in upcoming], now), priority_job_ids)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _reserved(self, org_id: str, fire_times: list[float], now: datetime) -> int:
        """Return how many slots are kept free for these fire times (seconds since 1970, in order)."""
        window = now + timedelta(minutes=self._settings.reserve_minutes)
        reserved = sum(time <= window.timestamp() for time in fire_times)
        if reserved < len(fire_times):
            ends = self._forecast.estimated_ends(org_id, now)
            for needed in range(reserved + 1, len(fire_times) + 1):
                late = sum(_is_late(job, end, fire_times[needed - 1]) for job, end in ends)
                if late and late + needed >= self._settings.active_jobs:
                    reserved = needed
        return reserved

    def _still_waits(self, org_id: str, job_id: str) -> bool:
        """Return whether a job that has fired still waits for its slot. One that does not is removed from the list."""
        waits = False
        for _ in range(2):  # it may be submitted between the two reads
            try:
                waits = self._jobs.get(job_id).status is Status.HOLDING
                break
            except JobNotFound:
                if waits := any(member.endswith(job_id) for member in self._redis.ranked(keys.FIRED)):
                    break
        if not waits:
            self._redis.zrem(keys.jobs_of(org_id, "first"), job_id)
        return waits


def _is_late(job: Job, end: datetime | None, fire_time: float) -> bool:
    """Return whether a running job will still run at the fire time.

    Without an estimate, only a job that waits for the org's API allocation counts as late: its end is unknown.
    """
    return job.extended_status is not None if end is None else end.timestamp() > fire_time
