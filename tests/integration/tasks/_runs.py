"""Jobs run to their end in this process, in an org of their own; what the sweep would send to workers runs at once."""

from __future__ import annotations

from cli.local import LocalOrg
from quotejob.jobs.job import Job
from quotejob.run.outstanding import outstanding
from quotejob.salesforce import API_VERSION
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from tasks import flow
from tasks.app import app


def caller_of(org: LocalOrg) -> CallerContext:
    """The org's user."""
    return CallerContext(
        request_id="r", org_id=org.org_id, org_domain_url=org.url, api_version=API_VERSION, namespace="",
        access_token=org.token, user_id=org.user_id, username="u@x.org",
    )  # fmt: skip


def run_to_end(services: Services, job_id: str) -> Job:
    """Run a job until it has ended. A step that has to wait fails the test."""
    flow.dispatch(org_id=services.jobs.get(job_id).org_id)
    for _ in range(100):
        job = services.jobs.get(job_id)
        if job.ended:
            return job
        for lacking in outstanding(job, services.progress):
            for message in flow.signatures(job, lacking).values():
                app.tasks[message.task](**message.kwargs)
    raise AssertionError(services.jobs.get(job_id))
