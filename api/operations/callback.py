"""The operation that tells the caller's org when the job is done. For Apex, by External Services."""

from __future__ import annotations

from typing import Any

from api import caller
from api.blueprint import Blueprint
from api.operations.jobs import submit_batch
from api.wire.callback import CallbackRequestSchema, JobEndSchema
from api.wire.jobs import BatchExecutionResponseSchema, IdempotencySchema

PATH = "/api/executebatchwithcallback"
blueprint = Blueprint("callback", __name__, url_prefix="/api", description="Be told of the end of a job")
blueprint.before_request(caller.require_context)


@blueprint.operation(
    "/executebatchwithcallback",
    method="POST",
    name="executeBatchWithCallback",
    body=CallbackRequestSchema,
    example={
        "soqlWhereClause": "Name LIKE 'Sample Opportunity%'",
        "callbackUrl": "https://acme.my.salesforce.com/services/callback/1",
    },
    headers=IdempotencySchema,
    answer=BatchExecutionResponseSchema,
    status=202,
    says="The job was accepted",
    errors=(422, 429),
)
def execute_batch_with_callback(body: dict[str, Any], headers: dict[str, Any]) -> dict[str, str]:
    """Price Opportunities, and be called back

    Does the same as executeBatch. When the job has ended, its end is posted to callbackUrl, which must be in the
    caller's own org. It is tried for 24 hours, and an end never arrives twice. External Services supports this for
    Apex, not for Flow.
    """
    return submit_batch(body, headers, callback_url=body["callback_url"])


def describe(document: dict[str, Any]) -> None:
    """Add the callback to the document: one POST, with the answers that an org gives (Salesforce Help)."""
    answers = {
        "200": "The org has taken it",
        "404": "The org does not wait for it any more",
        "408": "The org did not take it in time; it is sent again",
        "500": "The org could not take it; it is sent again",
    }
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/JobEnd"}}}
    posted = {
        "summary": "The end of the job",
        "description": "quotejob sends it once, when the job is Completed, Failed or Aborted.",
        "requestBody": {"required": True, "content": content},
        "responses": {status: {"description": said} for status, said in answers.items()},
    }
    document["paths"][PATH]["post"]["callbacks"] = {"jobEnded": {"{$request.body#/callbackUrl}": {"post": posted}}}


def register(api: Any) -> None:
    """Register the routes, and the schema of what is sent."""
    api.register_blueprint(blueprint)
    api.spec.components.schema("JobEnd", schema=JobEndSchema)
