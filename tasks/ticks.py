"""The schedules' clock: beat sends a tick every second, and each tick sends one more for each fire time that is near.

Any number of ticks may run, at once or late: each fire time is decided once, in Redis (:mod:`quotejob.schedules`). A
tick also dispatches the jobs whose time (notBefore) has come.
"""

from __future__ import annotations

import structlog

from quotejob.errors import StoreUnavailable
from tasks.app import app, services
from tasks.flow import dispatch
from tasks.housekeeping import is_late, turn

LOOK_AHEAD = 2.0  # seconds that a tick looks ahead; more than beat's interval, so that a tick may be late
EXPIRES_AFTER = 5.0  # seconds after its fire time at which a tick_at expires: beat's ticks have run by then

log = structlog.get_logger()


@app.task(name="quotejob.tick")
def tick() -> None:
    """Fire due schedules. Several ticks may run at once: each fire time is decided once."""
    try:
        if is_late(services().client, tick):
            return
        with turn(services().client, tick.name) as mine:
            # Seconds, not a time: a worker's clock may differ from Redis's.
            for seconds in services().firing.seconds_to_fire_times(LOOK_AHEAD):
                tick_at.apply_async(countdown=seconds, expires=LOOK_AHEAD + EXPIRES_AFTER)
            if _fire():
                mine.rest = 1  # that was no housekeeping
            for org_id in services().jobs.waking():
                dispatch(org_id=org_id)
    except StoreUnavailable as away:
        log.warning(f"The tick stops here, the next one goes on: {away}")


@app.task(name="quotejob.tick_at")
def tick_at() -> None:
    """Fire due schedules at the moment of a fire time."""
    try:
        _fire()
    except StoreUnavailable as away:
        log.warning(f"The tick stops here, the next one goes on: {away}")


def _fire() -> list[str]:
    orgs = services().firing.tick()
    for org_id in orgs:
        dispatch(org_id=org_id)
    return orgs
