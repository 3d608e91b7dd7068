"""The callback on the wire: the request with its address, and what the org is told at the end."""

from __future__ import annotations

from marshmallow import fields, validate

from api.wire.fields import CamelCase, Instant, described, job_id_in_body
from api.wire.jobs import BatchExecutionRequestSchema
from quotejob.jobs.job import ENDED
from quotejob.notices.address import LONGEST


class CallbackRequestSchema(BatchExecutionRequestSchema):
    """Which Opportunities to price, and where to tell that it is done."""

    callback_url = fields.String(
        required=True,
        error_messages={
            "required": "is missing; send an address in your org",
            **dict.fromkeys(("invalid", "null"), "should be a text"),
        },
        validate=validate.Length(1, LONGEST, error=f"should have 1 to {LONGEST:,} characters"),
        metadata=described(
            "Where the end of the job is told: an https URL in the caller's own org. External Services fills it in",
            example="https://acme.my.salesforce.com/services/callback/1",
        ),
    )


class JobEndSchema(CamelCase):
    """How a job ended."""

    job_id = job_id_in_body("The job's id", required=True)
    status = fields.String(
        required=True,
        validate=validate.OneOf(sorted(ENDED)),
        metadata=described("How it ended"),
    )
    extended_status = fields.String(metadata=described("Why, if it is not Completed; or what users should know of it"))
    completed_date = Instant(metadata=described("When it ended"))
    total_job_items = fields.Integer(metadata=described("Its pages"))
    job_items_processed = fields.Integer(metadata=described("The pages that are done"))
    number_of_errors = fields.Integer(metadata=described("The pages with at least one failed Opportunity"))
    records_succeeded = fields.Integer(metadata=described("Opportunities that have a new Quote"))
    records_failed = fields.Integer(metadata=described("Opportunities that failed"))
    records_skipped = fields.Integer(metadata=described("Opportunities that need no Quote"))
