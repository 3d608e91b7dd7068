"""The operations that change many jobs at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from api import caller
from api.operations import jobs as one
from api.wire.many import ChangedJobsSchema, JobsToChangeQuerySchema
from quotejob.jobs import many
from quotejob.jobs.job import Job
from tasks import workers

log = structlog.get_logger("api")
blueprint = one.blueprint
changes = partial(
    blueprint.operation,
    method="POST",
    query=JobsToChangeQuerySchema,
    answer=ChangedJobsSchema,
    says="The jobs that match, and what became of each",
    errors=(409,),
)


@changes("/abortjobs", name="abortJobs")
def abort_jobs(query: dict[str, Any]) -> many.Changes:
    """Stop all jobs that match

    Stops the jobs of the caller's org that match the filters of listJobs and have not ended, the newest first. Call it
    without atMost first: it changes nothing, and says how many match. Then send this number as atMost. If more match
    by then, nothing is changed. One request changes up to 200 jobs; nextCursor goes on.
    """
    org_id, jobs = caller.authenticated().org_id, caller.services().jobs
    return _changed(org_id, query, many.ABORT, jobs.abort)


@changes("/resumejobs", name="resumeJobs")
def resume_jobs(query: dict[str, Any]) -> many.Changes:
    """Continue all Failed and Aborted jobs that match

    Continues the jobs of the caller's org that match the filters of listJobs and are Failed or Aborted, the oldest
    first, with this caller's session. Call it without atMost first: it changes nothing, and says how many match. Then
    send this number as atMost. If more match by then, nothing is changed. One request changes up to 200 jobs;
    nextCursor goes on.
    """
    context, jobs = caller.authenticated(), caller.services().jobs
    return _changed(context.org_id, query, many.RESUME, lambda job_id: jobs.resume(job_id, context))


def _changed(org_id: str, query: dict[str, Any], kind: many.Kind, make: Callable[[str], Job]) -> many.Changes:
    at_most, cursor = query.get("at_most"), query.get("cursor")
    services = caller.services()
    done = many.change(
        services.search, org_id, query["wanted"], kind, make, at_most=at_most, limit=query["limit"], cursor=cursor
    )
    if done.changed:
        log.info(f"Changed {done.changed} jobs at once", matched=done.matched, at_most=at_most)
        workers.dispatch_org(services, org_id)
    return done
