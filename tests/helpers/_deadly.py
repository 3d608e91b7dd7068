"""A worker with a job type that needs no org. If asked to, its page 7 kills the process that works on it.

``celery -A _deadly worker`` starts it. Beside that page there are 20 innocent ones. Leases are short if SHORT_LEASES is
set.
"""

from __future__ import annotations

import os
import signal
import time

from quotejob.jobs.job import Job
from quotejob.jobtypes import registry
from quotejob.jobtypes.base import JobHandler
from quotejob.run import leases, processes
from quotejob.run.context import Run
from quotejob.run.receipt import Outcome, Receipt, Result
from tasks import sweep
from tasks.app import app as app

PAGES = 21
SLOW = 6.0  # seconds of a unit that is called slow
DEADLY = "7"


class Deadly(JobHandler):
    """One record a page. Its clause: the seconds that the plan and each page take; "kill"; "slow" and a unit."""

    name = "Deadly"

    def purpose(self, job: Job) -> str:
        """Say so."""
        return "to die"

    def plan(self, run: Run) -> None:
        """Take as long as a page does."""
        time.sleep(_seconds(run, "plan"))
        run.progress.store_plan(run.id, [[str(number)] for number in range(PAGES)], PAGES, lambda: 0)

    def work_page(self, run: Run, wave: int, page: int) -> None:
        """Work for a while, or die."""
        if str(page) == DEADLY and "kill" in (run.job.soql_where_clause or ""):
            time.sleep(_seconds(run) / 2)
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(_seconds(run, f"page {wave} {page}"))
        results = tuple(Result(record, Outcome.SUCCEEDED) for record in run.progress.page(run.id, page))
        run.record_page(wave, Receipt(str(page), results))


def _seconds(run: Run, unit: str = "") -> float:
    seconds, _, asked = (run.job.soql_where_clause or "").partition(" ")
    return SLOW if unit and asked == f"slow {unit}" else float(seconds)


registry.register(Deadly())
if os.environ.get("SHORT_LEASES"):
    leases.LEASE_LENGTH, leases.RENEWAL_INTERVAL, leases.RESEND_AFTER = 3.0, 1.0, 4.0
    processes.ALIVE_INTERVAL = 0.3
    sweep.SILENT_AFTER = 3.0
