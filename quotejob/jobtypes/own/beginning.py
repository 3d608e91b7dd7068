"""When a job began, by the clock of its org: what has a user's key and is older was there before the job.

Our hosts may have other clocks than the org, which says when a record was made.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from quotejob import clock
from quotejob.errors import JobNotFound
from quotejob.run.context import Run

_NOTE = "began by the org"


def keep(run: Run) -> None:
    """Keep the time of the org's last answer, before anything is written. The first one that is kept stays.

    A retry takes what its chain has written for its own, so it is as old as the first job of the chain.
    """
    began = run.org.now
    if began is None:
        return
    if run.job.first_job_id is not None:
        with suppress(JobNotFound):
            began -= clock.now() - run.jobs.get(run.job.first_job_id).created_date
    run.progress.first_note(run.id, _NOTE, began.isoformat())


def kept(run: Run) -> datetime:
    """Return what was kept. If a version before has made the plan, that is our own time of the submission."""
    noted = run.progress.note(run.id, _NOTE)
    return datetime.fromisoformat(noted) if noted else run.job.created_date
