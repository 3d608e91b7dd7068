"""The schedules' clock: a tick every second from beat, and one at the very moment of each fire time that comes.

Any number of ticks may run, at once or late: what is due is decided once, in Redis (:mod:`quotejob.schedules`). A tick
also has those jobs go whose time (notBefore) has come.
"""

from __future__ import annotations

import structlog

from quotejob.errors import StoreUnavailable
from tasks.app import app, services
from tasks.flow import dispatch

AHEAD = 2.0  # seconds a tick looks ahead; more than beat's interval, so that a tick may be late
LATE = 5.0  # seconds after its moment a tick of its own is of no use any more: those of beat have been there

log = structlog.get_logger()


@app.task(name="quotejob.tick")
def tick() -> None:
    """Let the schedules fire that are due. Twice, or several at once, is harmless: a fire time is decided once."""
    try:
        for seconds in services().firing.seconds_to_fire_times(
            AHEAD
        ):  # how far off: a worker's clock may be another than Redis's
            tick_at.apply_async(countdown=seconds, expires=AHEAD + LATE)
        _fire()
        for org_id in services().jobs.waking():
            dispatch(org_id=org_id)
    except StoreUnavailable as away:
        log.warning(f"The tick stops here, the next one goes on: {away}")


@app.task(name="quotejob.tick_at")
def tick_at() -> None:
    """A tick at the moment of a fire time."""
    try:
        _fire()
    except StoreUnavailable as away:
        log.warning(f"The tick stops here, the next one goes on: {away}")


def _fire() -> None:
    for org_id in services().firing.tick():
        dispatch(org_id=org_id)
