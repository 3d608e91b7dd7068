"""A run: one job in the hands of one step, with the stores and the org it works with."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import cached_property

from quotejob.errors import JobStopped, SessionExpired
from quotejob.jobs.job import Job
from quotejob.jobs.store import JobStore
from quotejob.run.leases import Lease, Leases
from quotejob.run.progress import Progress
from quotejob.salesforce import OrgAddress, OrgClient, applink
from quotejob.salesforce.caller import CallerContext
from quotejob.settings import Settings


@dataclass(frozen=True)
class Run:
    """A job as one step sees it."""

    job: Job
    jobs: JobStore
    progress: Progress
    leases: Leases
    settings: Settings
    lease: Lease | None = None  # of the unit this step works on; steps that only send others have none

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.job_id

    @cached_property
    def org(self) -> OrgClient:
        """The org the job works for, opened at first use: a step that only sends others never needs it.

        Raises SessionExpired when the caller's session is gone, AuthorizationFailed and OrgUnreachable when AppLink
        gives a scheduled job none.
        """
        context = session(self.job, self.jobs, self.settings)
        return OrgClient(OrgAddress.of(context), read_timeout=self.settings.org_timeout)

    def go_on(self) -> None:
        """Renew the lease, and rest when the org is to be spared; called before every request that writes.

        Raises JobStopped when the job has ended, LeaseLost when somebody else has taken this unit over.
        """
        if self.lease is not None:
            self.lease.go_on()

    def slow_down(self, seconds: float) -> None:
        """Have everybody who works for this org rest before the next request."""
        self.leases.slow_down(self.job.org_id, seconds)


def begin(
    job_id: str, jobs: JobStore, progress: Progress, leases: Leases, settings: Settings, unit: str | None = None
) -> Run:
    """Take up a step of the job, and the lease of ``unit`` with it. Nothing is asked of the org or of AppLink.

    Raises JobStopped when the job has ended, LeaseLost when somebody else works on the unit.
    """
    job = jobs.get(job_id)
    if job.ended:
        raise JobStopped(f"Job {job_id} has ended: it is {job.status}")
    lease = leases.claim(job_id, unit, job.org_id) if unit else None
    return Run(job, jobs, progress, leases, settings, lease)


def session(job: Job, jobs: JobStore, settings: Settings) -> CallerContext:
    """Return whom the job works as: its caller, or, of a scheduled job, whom its authorization stands for."""
    if job.authorization is None:
        return jobs.context(job.job_id)
    with contextlib.suppress(SessionExpired):
        context = jobs.context(job.job_id)
        if context.access_token:
            return context
    context = applink.session(job.authorization, job.org_id, settings)
    jobs.renew_context(job.job_id, context)
    return context
