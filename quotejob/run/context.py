"""One step of one job at work: what every room needs in its hand."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from quotejob.errors import JobStopped, SessionExpired
from quotejob.jobs.job import Job
from quotejob.jobs.store import JobStore
from quotejob.run.leases import Lease, Leases
from quotejob.run.progress import Progress
from quotejob.salesforce import OrgAddress, OrgClient, applink
from quotejob.salesforce.caller import CallerContext
from quotejob.settings import Settings


@dataclass(frozen=True, slots=True)
class Run:
    """A job as one step sees it, with the org it works for and the stores it may use."""

    job: Job
    jobs: JobStore
    leases: Leases
    org: OrgClient
    settings: Settings
    lease: Lease | None = None  # of the unit this step works on; steps that only send others have none

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.job_id

    @property
    def work(self) -> Progress:
        """What the job's steps leave for each other."""
        return self.jobs.work

    def go_on(self) -> None:
        """Asked before every request that writes: renews the lease, rests when the org is to be spared.

        Raises JobStopped when the job has ended, LeaseLost when somebody else has taken this unit over.
        """
        if self.lease is not None:
            self.lease.go_on()

    def slow_down(self, seconds: float) -> None:
        """Have everybody who works for this org rest before the next request."""
        self.leases.slow_down(self.job.org_id, seconds)


def begin(job_id: str, jobs: JobStore, leases: Leases, settings: Settings, unit: str | None = None) -> Run:
    """Take up a step of the job, and the lease of ``unit`` with it.

    Raises JobStopped when the job has ended, LeaseLost when somebody else works on the unit, SessionExpired when the
    caller's session is gone, AuthorizationFailed and OrgUnreachable when AppLink gives a scheduled job none.
    """
    job = jobs.get(job_id)
    if job.ended:
        raise JobStopped(f"Job {job_id} has ended: it is {job.status}")
    context = session(job, jobs, settings)
    lease = leases.claim(job_id, unit, job.org_id) if unit else None
    org = OrgClient(OrgAddress.of(context), read_timeout=settings.org_timeout)
    return Run(job, jobs, leases, org, settings, lease)


def session(job: Job, jobs: JobStore, settings: Settings) -> CallerContext:
    """Whom the job works as: its caller, or, of a scheduled job, whom its authorization stands for."""
    if job.authorization is None:
        return jobs.context(job.job_id)
    with contextlib.suppress(SessionExpired):
        context = jobs.context(job.job_id)
        if context.access_token:
            return context
    context = applink.session(job.authorization, job.org_id, settings)
    jobs.renew_context(job.job_id, context)
    return context
