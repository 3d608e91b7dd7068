"""Jobs run to their end in this process, in an org of their own; what the sweep would send to workers runs at once."""

from __future__ import annotations

import time

from harness.api import LocalOrg
from quotejob.errors import LeaseLost
from quotejob.jobs.job import BuiltIn, Job, Status
from quotejob.run.context import Run, begin
from quotejob.run.outstanding import outstanding
from quotejob.salesforce import API_VERSION
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from quotejob.store import keys
from tasks import flow
from tasks.app import app


def caller_of(org: LocalOrg) -> CallerContext:
    """The org's user."""
    return CallerContext(
        request_id="r", org_id=org.org_id, org_domain_url=org.url, api_version=API_VERSION, namespace="",
        access_token=org.token, user_id=org.user_id, username="u@x.org",
    )  # fmt: skip


def being_planned(services: Services, caller: CallerContext) -> Run:
    """A job that has a slot and no plan yet, as one of its steps works on it."""
    job, _ = services.jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause="Name != null")
    services.jobs.promote(caller.org_id)
    services.jobs.move(job.job_id, Status.PREPARING)
    return begin(job.job_id, services.jobs, services.progress, services.leases, services.settings)


def run_to_end(services: Services, *job_ids: str) -> list[Job]:
    """Run jobs until they have ended, in step: each has its pages priced before the first writes. Return them.

    A step that has to wait for long fails the test.
    """
    for _ in range(100):
        jobs = services.jobs.get_many(job_ids)
        if all(job.ended for job in jobs):
            return jobs
        for job in jobs:
            if job.status is Status.HOLDING:
                flow.dispatch(org_id=job.org_id)
            elif not job.ended:
                _run_outstanding(services, job)
    raise AssertionError(services.jobs.get_many(job_ids))


def forget_org(services: Services, org: LocalOrg) -> None:
    """Delete what Redis has of the org's jobs. All local orgs have one id, so other tests would meet them."""
    for job in services.search.scan(org.org_id):
        if not job.ended:
            services.jobs.abort(job.job_id)
    for key in services.client.scan_iter(keys.jobs_of(org.org_id, "*")):
        services.client.delete(key)


def wait_for_lease(services: Services, job: Job, unit: str = "batch 0 0", *, after_end: bool = False) -> None:
    """Wait until the lease of the step that died has ended. Until then it could still be writing."""
    while True:
        try:
            services.leases.claim(job.job_id, unit, job.org_id, after_end=after_end).release()
        except LeaseLost:
            time.sleep(0.05)
            continue
        return


def _run_outstanding(services: Services, job: Job) -> None:
    for lacking in outstanding(job, services.progress):
        for message in flow.signatures(job, lacking).values():
            app.tasks[message.task](**message.kwargs)
