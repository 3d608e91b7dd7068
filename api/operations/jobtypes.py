"""The operations on job types: which there are, and a job of any of them."""

from __future__ import annotations

from typing import Any

from api import caller
from api.blueprint import Blueprint
from api.operations.jobs import accept
from api.wire.jobs import BatchExecutionResponseSchema, IdempotencySchema
from api.wire.jobtypes import JobTypeListSchema, SubmitJobRequestSchema
from quotejob.asking.proof import check_clause_in_org
from quotejob.jobs.conditions import Conditions
from quotejob.jobs.job import BuiltIn
from quotejob.jobs.options import Options
from quotejob.jobtypes import registry

blueprint = Blueprint("jobtypes", __name__, url_prefix="/api", description="Job types, also those of your own")
blueprint.before_request(caller.require_context)


@blueprint.operation(
    "/jobs",
    method="POST",
    name="submitJob",
    body=SubmitJobRequestSchema,
    example={"jobType": "BatchQuote", "soqlWhereClause": "Name LIKE 'Sample Opportunity%'"},
    headers=IdempotencySchema,
    answer=BatchExecutionResponseSchema,
    status=202,
    says="The job was accepted",
    errors=(422, 429),
)
def submit_job(body: dict[str, Any], headers: dict[str, Any]) -> dict[str, str]:
    """Run a job of any type

    Submits a job by the name of its type: one that comes with quotejob, or one of your own. Its parameters are checked
    before the answer, and so is a WHERE clause for Opportunities, also by the org. A job may wait for other jobs and
    for a time, as in executeBatch.
    """
    context = caller.claimed()
    given = [(each["name"], each["value"]) for each in body.get("parameters", ())]
    job_type = body["job_type"]
    asked = registry.checked(job_type, body.get("soql_where_clause"), given)
    registry.check_commit_by(job_type, body.get("commit_by"))
    conditions = Conditions(tuple(body.get("depends_on", ())), body["depends_on_outcome"], body.get("not_before"))
    context = caller.authenticate(context)
    if job_type == BuiltIn.BATCH_QUOTE:
        check_clause_in_org(context, asked["soql_where_clause"], caller.services())
    options = Options(
        dry_run=body["dry_run"], keep_api_calls=body.get("keep_api_calls"), commit_by=body.get("commit_by")
    )
    return accept(context, job_type, headers, name=body.get("name"), conditions=conditions, options=options, **asked)


@blueprint.operation("/jobtypes", name="listJobTypes", answer=JobTypeListSchema, says="The job types of this app")
def list_job_types() -> dict[str, Any]:
    """List the job types

    Lists what submitJob can run: its object, its parameters, and what it may write.
    """
    caller.authenticated()
    return {"job_types": registry.abouts()}
