"""Whether a start can be guaranteed: no more schedules may fire within one window than the org has slots.

:mod:`quotejob.dispatch` keeps the slots free and gives them to the jobs that fire.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice, takewhile

from quotejob.schedules.schedule import Schedule
from quotejob.settings import Settings

CLASH_HORIZON = timedelta(days=400)  # how far ahead clashes are looked for
MAX_CLASH_CHECKS = 30_000  # of whether a schedule fires within a window; these take half a second
INSTANT = timedelta(milliseconds=1)


def clash(
    schedule: Schedule, others: Iterable[Schedule], settings: Settings, now: datetime
) -> tuple[datetime, list[str]] | None:
    """Return when this schedule would need a slot that the org does not have, and the names of the others then.

    None: never within 400 days of its first fire time. ``others``: the org's schedules that will fire.
    """
    others = [other for other in others if other.guaranteed and other.schedule_id != schedule.schedule_id]
    window, slots = timedelta(minutes=settings.reserve_minutes), settings.active_jobs
    first = schedule.fires_after(now)
    if first is None or len(others) < slots:
        return None
    looks = MAX_CLASH_CHECKS // len(others)
    own = list(islice(_windows(schedule, first, window), looks))
    # A schedule that fires all day is not checked for the whole year. So check the fire times of the others too.
    rest = [] if len(own) < looks else [islice(_windows(each, first, window), looks // len(others)) for each in others]
    for windows in (own, *rest):
        for moment in windows:
            near = [other for other in others if _fires_within(other, moment - window, moment + window)]
            if len(near) >= slots and (found := _crowded([schedule, *near], moment, window, slots)):
                return found
    return None


def _windows(schedule: Schedule, first: datetime, window: timedelta) -> Iterator[datetime]:
    """Yield the schedule's fire times of the next 400 days, at most one for each window."""
    moment = schedule.fires_after(first - INSTANT)
    while moment is not None and moment <= first + CLASH_HORIZON:
        yield moment
        following = schedule.fires_after(moment)
        dense = following is not None and following <= moment + window
        moment = schedule.fires_after(moment + window) if dense else following


def _crowded(
    schedules: Sequence[Schedule], fire: datetime, window: timedelta, slots: int
) -> tuple[datetime, list[str]] | None:
    """Find the first window around ``fire`` in which more than ``slots`` of these fire, the first one among them.

    Returns when it starts, and the names of the others that fire in it.
    """
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
