"""One step of one job at work: what every room needs in its hand."""

from __future__ import annotations

from dataclasses import dataclass

from quotejob.errors import JobStopped
from quotejob.jobs import Jobs
from quotejob.life import Job
from quotejob.salesforce import Org, OrgAddress
from quotejob.settings import Settings


@dataclass(frozen=True, slots=True)
class Run:
    """A job as one step sees it, with the org it works for and the store of jobs."""

    job: Job
    jobs: Jobs
    org: Org
    settings: Settings

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.job_id

    def go_on(self) -> None:
        """Raise JobStopped when the job has ended meanwhile; asked between pages and between requests."""
        if self.jobs.get(self.id).ended:
            raise JobStopped(f"Job {self.id} has ended")


def begin(job_id: str, jobs: Jobs, settings: Settings) -> Run:
    """Take up a step of the job. JobStopped when it has ended, SessionExpired when its caller's session is gone."""
    job = jobs.get(job_id)
    if job.ended:
        raise JobStopped(f"Job {job_id} has ended: it is {job.status}")
    return Run(job, jobs, Org(OrgAddress.of(jobs.context(job_id))), settings)
