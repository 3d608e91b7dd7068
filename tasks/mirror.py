"""The mirror: it tells each org of its jobs, as records and events of the org.

The sweep sends :func:`mirror` for each org that has to be told something. All jobs of the org go along in one request.
It is a task of its own, so it holds up no step and no sweep. When it dies, the next one has the same jobs to tell of.
"""

from __future__ import annotations

from datetime import timedelta

import structlog

from quotejob import clock
from quotejob.errors import OrgError, QuotejobError, StoreUnavailable
from quotejob.mirror.owed import LEASE, Owed
from quotejob.mirror.record import MOST_JOBS
from quotejob.mirror.telling import Answer, tell
from quotejob.settings import current
from tasks.app import app, services

log = structlog.get_logger()


@app.task(name="quotejob.mirror")
def mirror(org_id: str) -> None:
    """Tell an org of those of its jobs that have changed. May run twice, at any time."""
    with structlog.contextvars.bound_contextvars(task="mirror", org_id=org_id):
        notes = services().mirror
        try:
            owed = notes.of_org(org_id, MOST_JOBS)
            if _told(owed):
                return
        except StoreUnavailable as away:
            log.info(f"The mirror is tried again: {away}")
            return
        except OrgError as fault:
            log.info(f"The mirror is tried again: {fault}")
        except QuotejobError as error:
            log.warning(f"The org could not be told of its jobs: {error}")
        except Exception:
            log.exception("The mirror failed with an unexpected error; it is tried again")
        notes.later(org_id)


def _told(owed: Owed) -> bool:
    """Tell the org, and end the notes. Return False if it has to be told later."""
    made, began = services(), clock.now()
    request = made.mirror.begin(owed.org_id)
    found = made.jobs.get_many(list(owed.notes))
    jobs = made.forecast.with_estimates(owed.org_id, found)
    if clock.now() - began > timedelta(seconds=LEASE):
        return False  # this process stood still: somebody else may have told what is true now
    answer = tell(jobs, made.jobs, made.mirror, current()) if jobs else Answer.DONE
    if answer is Answer.ABSENT:
        made.mirror.off(owed)
    elif answer is not Answer.LATER:
        made.mirror.done(owed, {job.job_id: f"{job.api_calls} {job.job_items_processed}" for job in jobs}, request)
    return answer is not Answer.LATER
