"""Schedules on the wire. Class names become schema names in openapi.yaml."""

from __future__ import annotations

from typing import Any

from marshmallow import RAISE, ValidationError, fields, missing

from api.wire.fields import (
    NULLABLE,
    CamelCase,
    Instant,
    JsonNumber,
    TrueOrFalse,
    commit_by,
    described,
    name,
    name_of_job_type,
    text,
    whole_number,
    word,
    zoned_time,
)
from api.wire.given import given_parameters
from api.wire.jobtypes import job_type_in_body, parameters_in_body
from quotejob.jobs.job import BuiltIn
from quotejob.jobtypes.sample_data import DEFAULT_OPPORTUNITIES, MAX_OPPORTUNITIES
from quotejob.salesforce.clause import MAX_LENGTH
from quotejob.schedules.cron import MAX_EXPRESSION_LENGTH
from quotejob.schedules.schedule import Misfire, Overlap, State
from quotejob.settings import DEVELOPER_NAME, is_developer_name

_NOT_A_DEVELOPER_NAME = "should be the developer name of an AppLink authorization"


def _is_developer_name(name: str) -> None:
    if not is_developer_name(name):
        raise ValidationError(_NOT_A_DEVELOPER_NAME)


class ScheduleRequestSchema(CamelCase):
    """What to submit, and when."""

    class Meta:
        unknown = RAISE

    name = name("A name for people, unique in the org", "Nightly quotes", required=True)
    cron_expression = text(
        "Seconds Minutes Hours Day_of_month Month Day_of_week [Year], as System.schedule takes it; one of the two day "
        "fields is ?. Every field takes lists, ranges and steps. L, W, # and names work where the platform has them.",
        MAX_EXPRESSION_LENGTH,
        "0 0 22 ? * MON-FRI",
        required=True,
    )
    time_zone = text("IANA name of the zone whose clock counts", 64, "Europe/Zurich", load_default="UTC")
    job_type = job_type_in_body(
        "What to run: a name of listJobTypes, SampleDataCreate or SampleDataDelete", load_default=BuiltIn.BATCH_QUOTE
    )
    soql_where_clause = text(
        "Which records, as in submitJob. A BatchQuote needs it; sample data takes none",
        MAX_LENGTH,
        "Name LIKE 'Sample Opportunity%'",
        load_default=None,
    )
    number_of_opportunities = whole_number(
        MAX_OPPORTUNITIES, DEFAULT_OPPORTUNITIES, "How many Opportunities a SampleDataCreate creates", JsonNumber
    )
    parameters = parameters_in_body()
    commit_by = commit_by(load_default=None)
    start_time = zoned_time("There is no fire time before this")
    end_time = zoned_time("There is no fire time after this")
    misfire = word(
        Misfire,
        "If fire times were missed by more than a minute: run once (runOnce), or do not run (skip)",
        load_default=Misfire.RUN_ONCE,
    )
    overlap = word(
        Overlap,
        "If the job before has not ended at a fire time: submit no job (skip), or submit one (queue)",
        load_default=Overlap.SKIP,
    )
    guaranteed = TrueOrFalse(
        load_default=False,
        error_messages=dict.fromkeys(("invalid", "null"), "should be true or false"),
        metadata=described("Whether a slot is kept free for its fire time"),
    )
    authorization = fields.String(
        validate=_is_developer_name,
        error_messages=dict.fromkeys(("invalid", "null"), _NOT_A_DEVELOPER_NAME),
        metadata=described(
            "Developer name of an AppLink authorization of this org. The jobs work as its user. The app may have a "
            "default (QUOTEJOB_AUTHORIZATION)",
            pattern=DEVELOPER_NAME,
            example="worker",
        ),
    )


class ScheduleChangeRequestSchema(ScheduleRequestSchema):
    """What to change. What is left out stays as it is; null removes startTime or endTime."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Make the field one that may be left out."""
        super().on_bind_field(field_name, field_obj)
        field_obj.required, field_obj.load_default = False, missing
        if field_name in ("start_time", "end_time"):
            field_obj.allow_none = NULLABLE


class ScheduleSchema(CamelCase):
    """A schedule, in the words of CronTrigger and CronJobDetail."""

    schedule_id = fields.String(required=True, metadata=described("The schedule's id", format="uuid"))
    name = fields.String(required=True)
    state = word(State, required=True)
    extended_status = fields.String(
        required=True,
        allow_none=NULLABLE,
        metadata=described("The error, or why the last fire time was skipped"),
    )
    cron_expression = fields.String(required=True)
    time_zone = fields.String(required=True)
    next_fire_time = Instant(required=True, allow_none=NULLABLE)
    previous_fire_time = Instant(required=True, allow_none=NULLABLE)
    next_fire_times = fields.List(Instant(), required=True, metadata=described("The next five fire times"))
    times_triggered = fields.Integer(required=True)
    times_skipped = fields.Integer(required=True)
    start_time = Instant(required=True, allow_none=NULLABLE)
    end_time = Instant(required=True, allow_none=NULLABLE)
    job_type = name_of_job_type()
    soql_where_clause = fields.String(required=True, allow_none=NULLABLE)
    number_of_opportunities = fields.Integer(required=True, allow_none=NULLABLE)
    parameters = given_parameters()
    commit_by = commit_by(required=True, allow_none=NULLABLE)
    misfire = word(Misfire, required=True)
    overlap = word(Overlap, required=True)
    guaranteed = fields.Boolean(required=True)
    authorization = fields.String(required=True)
    last_job_id = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("The job of its last fire time", format="uuid")
    )
    created_date = Instant(required=True)
    created_by_id = fields.String(required=True, metadata=described("The creating user's id"))
    created_by_name = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("The creating user's name, as the org has it")
    )


class ScheduleListSchema(CamelCase):
    """The org's schedules, newest first."""

    schedules = fields.List(fields.Nested(ScheduleSchema), required=True)
