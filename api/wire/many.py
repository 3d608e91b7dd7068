"""Many jobs changed at once, on the wire. Class names become schema names in openapi.yaml."""

from __future__ import annotations

from marshmallow import fields, validate

from api.wire.fields import NULLABLE, CamelCase, WholeNumber, cursor, described, whole_number, word
from api.wire.jobs import JobFilterQuerySchema
from quotejob.jobs.job import Status

MOST = 1_000_000
_AT_MOST = f"should be a whole number from 0 to {MOST:,}"


class JobsToChangeQuerySchema(JobFilterQuerySchema):
    """Which jobs to change, and how many there may be."""

    at_most = WholeNumber(
        validate=validate.Range(0, MOST, error=_AT_MOST),
        error_messages=dict.fromkeys(("invalid", "null"), _AT_MOST),
        metadata=described(
            "Change them, if no more than so many jobs match in all. Without it nothing is changed: the answer has the "
            "number that matches, and the jobs"
        ),
    )
    limit = whole_number(200, 200, "The most jobs to change in one request")
    cursor = cursor()


class ChangedJobSchema(CamelCase):
    """What became of one job."""

    job_id = fields.String(required=True, attribute="job.job_id", metadata=described("The job's id", format="uuid"))
    name = fields.String(
        required=True, allow_none=NULLABLE, attribute="job.name", metadata=described("Its name for people")
    )
    job_type = fields.String(required=True, attribute="job.job_type")
    soql_where_clause = fields.String(required=True, allow_none=NULLABLE, attribute="job.soql_where_clause")
    status = word(Status, "Its status now", required=True, attribute="job.status")
    changed = fields.Boolean(required=True, metadata=described("Whether this request has changed it"))
    code = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("Why it could not be changed, as a MACHINE_WORD")
    )
    message = fields.String(required=True, allow_none=NULLABLE, metadata=described("Why it could not be changed"))


class ChangedJobsSchema(CamelCase):
    """The jobs that match, and what became of each."""

    matched = fields.Integer(required=True, metadata=described("How many jobs matched in all, before this request"))
    changed = fields.Integer(required=True, metadata=described("How many of them this request has changed"))
    jobs = fields.List(fields.Nested(ChangedJobSchema), required=True)
    next_cursor = fields.String(
        required=True,
        allow_none=NULLABLE,
        metadata=described("Send it as cursor, with the same filters, for the next ones; null at the end"),
    )
