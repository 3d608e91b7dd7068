"""Guaranteed start: a slot is free when the time of a guaranteed schedule comes.

From the reserve window on, as long before its fire time as QUOTEJOB_RESERVE_MINUTES says, one of the org's slots is
left free for each such schedule; earlier, when so many running jobs will not be done by then that only the slots it
needs are left. When it fires, its job goes past the flex queue into that slot. More schedules than there are slots may
not fire within one window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import cast

import redis

from quotejob import clock
from quotejob.errors import JobNotFound
from quotejob.forecast.org import Forecast
from quotejob.jobs.job import Job, Status
from quotejob.jobs.store import JobStore
from quotejob.schedules.schedule import Schedule
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys

LOOKED_AHEAD = timedelta(hours=24)  # for fire times that running jobs will not be done by
CHECKED_AHEAD = timedelta(days=400)  # for clashes
MOST_LOOKS = 30_000  # at whether a schedule fires within a window: half a second
INSTANT = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Claims:
    """What an org's guaranteed schedules claim of its slots."""

    reserved: int  # for fire times to come
    first: tuple[str, ...]  # jobs that have fired and go before all others


def claims(client: redis.Redis, settings: Settings, org_id: str, now: datetime) -> Claims:
    """What is claimed now. A schedule that fires this moment counts as one or the other, never as none."""
    with store.translated():
        pipe = client.pipeline(transaction=True)
        until = clock.ms(now + LOOKED_AHEAD)
        pipe.zrangebyscore(keys.jobs_of(org_id, "guaranteed"), "-inf", until, withscores=True)
        pipe.zrange(keys.jobs_of(org_id, "first"), 0, -1)
        coming, named = cast(tuple[list[tuple[bytes, float]], list[bytes]], pipe.execute())
    first = [job_id for job_id in (name.decode() for name in named) if _waits(client, settings, org_id, job_id)]
    window = now + timedelta(minutes=settings.reserve_minutes)
    times = [score / 1000 for _, score in coming]
    reserved = sum(time <= window.timestamp() for time in times)
    if reserved < len(times):
        ends = Forecast(client, settings).ends(org_id, now)
        for needed in range(reserved + 1, len(times) + 1):
            late = sum(_is_late(job, end, times[needed - 1]) for job, end in ends)
            if late and late + needed >= settings.active_jobs:
                reserved = needed
    return Claims(reserved, tuple(first))


def clash(
    schedule: Schedule, others: Iterable[Schedule], settings: Settings, now: datetime
) -> tuple[datetime, list[str]] | None:
    """When, and beside which of these schedules, this one would need a slot that is not there; None: never.

    Looks 400 days ahead of its first fire time.
    """
    others = [other for other in others if other.guaranteed and other.schedule_id != schedule.schedule_id]
    window, slots = timedelta(minutes=settings.reserve_minutes), settings.active_jobs
    first = schedule.fires_after(now)
    if first is None or len(others) < slots:
        return None
    looks = MOST_LOOKS // len(others)
    own = list(islice(_windows(schedule, first, window), looks))
    # One that fires all day is not looked at for all the year; so the others' fire times are looked at too.
    rest = [] if len(own) < looks else [islice(_windows(each, first, window), looks // len(others)) for each in others]
    for windows in (own, *rest):
        for moment in windows:
            near = [other for other in others if _fires_within(other, moment - window, moment + window)]
            if len(near) >= slots and (found := _crowded([schedule, *near], moment, window, slots)):
                return found
    return None


def _windows(schedule: Schedule, first: datetime, window: timedelta) -> Iterator[datetime]:
    """Its fire times of the next 400 days; of one that fires more often than the window is long, one a window."""
    moment = schedule.fires_after(first - INSTANT)
    while moment is not None and moment <= first + CHECKED_AHEAD:
        yield moment
        following = schedule.fires_after(moment)
        dense = following is not None and following <= moment + window
        moment = schedule.fires_after(moment + window) if dense else following


def _crowded(
    schedules: Sequence[Schedule], fire: datetime, window: timedelta, slots: int
) -> tuple[datetime, list[str]] | None:
    """The first window around the fire time in which the first of these fires and more than ``slots`` of all do."""
    first, end = fire - window, fire + window
    if not _fires_within(schedules[0], first, end):
        return None
    starts = sorted({
        start for each in schedules
        for start in islice(takewhile(lambda moment: moment <= end, each.fires(first - INSTANT)), 50)
    })  # fmt: skip
    for start in starts:
        firing = [each for each in schedules if _fires_within(each, start, start + window)]
        if schedules[0] in firing and len(firing) > slots:
            return start, [each.name for each in firing[1:]]
    return None


def _fires_within(schedule: Schedule, start: datetime, end: datetime) -> bool:
    found = schedule.fires_after(start - INSTANT)
    return found is not None and found <= end


def _waits(client: redis.Redis, settings: Settings, org_id: str, job_id: str) -> bool:
    """Whether a job that has fired still waits for its slot; one that does not leaves the list."""
    waits = False
    for _ in range(2):  # it may be submitted between the two questions
        try:
            waits = JobStore(client, settings).get(job_id).status is Status.HOLDING
            break
        except JobNotFound:
            with store.translated():
                fired = cast(list[bytes], client.zrange(keys.FIRED, 0, -1))
            if waits := any(member.endswith(job_id.encode()) for member in fired):
                break
    if not waits:
        with store.translated():
            client.zrem(keys.jobs_of(org_id, "first"), job_id)
    return waits


def _is_late(job: Job, end: datetime | None, time: float) -> bool:
    """Whether a running job will not be done by then; of one that waits for its org to have calls, who knows when."""
    return job.extended_status is not None if end is None else end.timestamp() > time
