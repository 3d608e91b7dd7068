"""Job types on the wire, and jobs that are submitted by the name of their type.

External Services reads no maps and no ``oneOf``. So parameters are a list of names and texts.
"""

from __future__ import annotations

from typing import Any

from marshmallow import RAISE, fields, validate

from api.wire.fields import NULLABLE, CamelCase, described
from api.wire.jobs import BatchExecutionRequestSchema
from quotejob.salesforce.clause import MAX_LENGTH

MAX_PARAMETERS = 200
MAX_TEXT = 4_000  # characters of a parameter
_A_NAME = "should be the name of a job type; listJobTypes has them"


def job_type_in_body(text: str = "What to run: a name of listJobTypes", **options: object) -> fields.String:
    """Return a field for the name of a job type, built in or of the user's own. It does not check that there is one."""
    return fields.String(
        validate=validate.Regexp(r"^[A-Za-z][A-Za-z0-9_]{0,79}$", error=_A_NAME),
        error_messages={"required": "is missing; listJobTypes has the names", "invalid": _A_NAME, "null": _A_NAME},
        metadata=described(text, example="BatchQuote"),
        **options,  # type: ignore[arg-type]  # those of marshmallow's fields
    )


class ParameterRequestSchema(CamelCase):
    """A parameter of a job, as text."""

    class Meta:
        unknown = RAISE

    name = fields.String(
        required=True,
        validate=validate.Length(1, 80, error="should be a text of 1 to 80 characters"),
        error_messages={
            "required": "is missing; send the name of the parameter",
            **dict.fromkeys(("invalid", "null"), "should be a text"),
        },
        metadata=described("Its name; listJobTypes has them. A parameter that is a list comes once for each value"),
    )
    value = fields.String(
        required=True,
        validate=validate.Length(0, MAX_TEXT, error=f"should have at most {MAX_TEXT:,} characters"),
        error_messages={
            "required": "is missing; send the value as text",
            **dict.fromkeys(("invalid", "null"), "should be a text; send numbers, dates and booleans as text too"),
        },
        metadata=described("Its value as text, such as 24, true, or 2027-01-31"),
    )


def parameters_in_body() -> fields.List[Any]:
    """Return a field for the parameters of a job."""
    wrong = "should be a list of objects with name and value"
    return fields.List(
        fields.Nested(ParameterRequestSchema, error_messages={"type": wrong}),
        validate=validate.Length(0, MAX_PARAMETERS, error=f"should be at most {MAX_PARAMETERS} parameters"),
        error_messages={"invalid": wrong, "null": wrong},
        metadata=described("What listJobTypes says that the job type takes"),
    )


class SubmitJobRequestSchema(BatchExecutionRequestSchema):
    """Which job to run, on which records, with which parameters."""

    job_type = job_type_in_body(required=True)
    soql_where_clause = fields.String(
        error_messages=dict.fromkeys(("invalid", "null"), "should be a text"),
        validate=validate.Length(
            1, MAX_LENGTH, error=f"should have 1 to {MAX_LENGTH:,} characters; for all records send Id != null"
        ),
        metadata=described(
            "The condition of a SOQL query on the object of the job type, without the word WHERE, as in executeBatch. "
            "A job type that chooses its records itself does not need it",
            example="EndDate = NEXT_90_DAYS",
        ),
    )
    parameters = parameters_in_body()


class ParameterSchema(CamelCase):
    """A parameter that a job type takes."""

    name = fields.String(required=True)
    type = fields.String(
        required=True,
        metadata=described(
            "text, integer, number, boolean, date, datetime or time; with 'list of ' before it, if it may come "
            "several times"
        ),
    )
    required = fields.Boolean(required=True)
    default = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("Its value if it is left out, as text; null: none")
    )
    choices = fields.List(
        fields.String(), required=True, metadata=described("The only values that it takes; empty: any of its type")
    )
    description = fields.String(required=True, allow_none=NULLABLE)


class JobTypeSchema(CamelCase):
    """What can be run by submitJob."""

    name = fields.String(required=True, metadata=described("Send it as jobType"))
    description = fields.String(required=True, allow_none=NULLABLE)
    object = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("The object of its records; null: it reads none")
    )
    version = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("Of the code; null: it comes with quotejob")
    )
    needs_clause = fields.Boolean(
        required=True, metadata=described("Whether soqlWhereClause is required; if not, it may choose its records")
    )
    parameters = fields.List(fields.Nested(ParameterSchema), required=True)
    writes = fields.List(
        fields.String(),
        required=True,
        metadata=described("What it may write: insert, update, upsert or delete, and the object"),
    )


class JobTypeListSchema(CamelCase):
    """The job types of this app."""

    job_types = fields.List(fields.Nested(JobTypeSchema), required=True)
