"""The operations on dry runs: what one has found, and the job that writes it."""

from __future__ import annotations

from typing import Any

from api import caller
from api.blueprint import Blueprint
from api.operations.jobs import dispatched
from api.wire.dryrun import DryRunSchema, RunRequestSchema
from api.wire.jobs import IdempotencySchema, JobSchema
from quotejob.jobs.job import Job
from quotejob.jobs.options import Options
from quotejob.run.dry_runs import DryRun

blueprint = Blueprint("dryrun", __name__, url_prefix="/api/jobs", description="See what a job would write")
blueprint.before_request(caller.require_context)


@blueprint.operation(
    "/<jobId>/dryrun", name="getDryRun", answer=DryRunSchema, says="What it has found so far", errors=(404, 409)
)
def get_dry_run(job_id: str) -> DryRun:
    """Show what a dry run has found

    Counts what would be written, and gives its totals by currency, by region and by discount. getJobResults has each
    record. A dry run knows what your rules decide. It does not know what only a write shows: validation rules,
    triggers, locks and duplicates.
    """
    return caller.services().dry_runs.summary(caller.get_own_job(caller.authenticated(), job_id))


@blueprint.operation(
    "/<jobId>/run",
    method="POST",
    name="runAfterDryRun",
    body=RunRequestSchema,
    example={},
    headers=IdempotencySchema,
    answer=JobSchema,
    status=202,
    says="The new job, with afterDryRun",
    errors=(404, 409, 422, 429),
)
def run_after_dry_run(body: dict[str, Any], headers: dict[str, Any], job_id: str) -> Job:
    """Write what a dry run has shown

    Submits a job for the records of a dry run that is Completed. It reads and decides them again. If something else
    would be written for a record than the dry run has shown, the record is skipped, with CHANGED_SINCE_DRY_RUN. So
    nothing is written that was not seen.
    """
    context = caller.authenticated()
    options = Options(after_dry_run=caller.get_own_job(context, job_id), keep_api_calls=body.get("keep_api_calls"))
    job, new = caller.services().dry_runs.run(context, options, headers.get("idempotency_key"))
    return dispatched(job, new=new)
