"""Schedules on the wire. Class names become schema names in openapi.yaml."""

from __future__ import annotations

from marshmallow import RAISE, fields, validate

from api.wire.fields import (
    NULLABLE,
    CamelCase,
    Instant,
    JsonNumber,
    TrueOrFalse,
    described,
    name_of_job_type,
    text,
    whole_number,
    word,
    zoned_time,
)
from api.wire.jobs import MAX_OPPORTUNITIES
from quotejob.jobs.job import JobType
from quotejob.salesforce.clause import MAX_LENGTH
from quotejob.schedules.cron import MAX_EXPRESSION_LENGTH
from quotejob.schedules.schedule import Misfire, Overlap, State
from quotejob.schedules.store import MAX_NAME_LENGTH


class ScheduleRequestSchema(CamelCase):
    """What to submit, and when."""

    class Meta:
        unknown = RAISE

    name = text("What people call it; once in an org", MAX_NAME_LENGTH, "Nightly quotes", required=True)
    cron_expression = text(
        "Seconds Minutes Hours Day_of_month Month Day_of_week [Year], as System.schedule takes it; one of the two day "
        "fields is ?. Lists, ranges and steps in every field; L, W, # and names where the platform has them.",
        MAX_EXPRESSION_LENGTH,
        "0 0 22 ? * MON-FRI",
        required=True,
    )
    time_zone = text("IANA name of the zone whose clock counts", 64, "Europe/Zurich", load_default="UTC")
    job_type = word(JobType, "What to run", load_default=JobType.BATCH_QUOTE)
    soql_where_clause = text(
        "Of a BatchQuote, as executeBatch takes it", MAX_LENGTH, "Name LIKE 'Sample Opportunity%'", load_default=None
    )
    number_of_opportunities = whole_number(MAX_OPPORTUNITIES, 10, "Of a SampleDataCreate: how many", JsonNumber)
    start_time = zoned_time("No fire time before this")
    end_time = zoned_time("No fire time after this")
    misfire = word(
        Misfire,
        "If fire times were missed by more than a minute: run once (runOnce), or do not run (skip)",
        load_default=Misfire.RUN_ONCE,
    )
    overlap = word(
        Overlap,
        "What becomes of a fire time at which the job before has not ended",
        load_default=Overlap.SKIP,
    )
    guaranteed = TrueOrFalse(
        load_default=False,
        error_messages=dict.fromkeys(("invalid", "null"), "should be true or false"),
        metadata=described("Whether a slot is kept free for it when its time comes"),
    )
    authorization = fields.String(
        validate=validate.Regexp(r"^[A-Za-z0-9_]{1,80}$", error="should be a developer name"),
        error_messages=dict.fromkeys(("invalid", "null"), "should be a developer name"),
        metadata=described(
            "Developer name of the AppLink authorization of this org whose user the jobs work as; the app may have a "
            "default (QUOTEJOB_AUTHORIZATION)",
            example="worker",
        ),
    )


class ScheduleSchema(CamelCase):
    """A schedule; the words are CronTrigger's and CronJobDetail's."""

    schedule_id = fields.String(required=True, metadata=described("The schedule's id", format="uuid"))
    name = fields.String(required=True)
    state = word(State, required=True)
    extended_status = fields.String(
        required=True,
        allow_none=NULLABLE,
        metadata=described("What is wrong, or why the last fire time was skipped"),
    )
    cron_expression = fields.String(required=True)
    time_zone = fields.String(required=True)
    next_fire_time = Instant(required=True, allow_none=NULLABLE)
    previous_fire_time = Instant(required=True, allow_none=NULLABLE)
    next_fire_times = fields.List(Instant(), required=True, metadata=described("The next five"))
    times_triggered = fields.Integer(required=True)
    times_skipped = fields.Integer(required=True)
    start_time = Instant(required=True, allow_none=NULLABLE)
    end_time = Instant(required=True, allow_none=NULLABLE)
    job_type = name_of_job_type()
    soql_where_clause = fields.String(required=True, allow_none=NULLABLE)
    number_of_opportunities = fields.Integer(required=True, allow_none=NULLABLE)
    misfire = word(Misfire, required=True)
    overlap = word(Overlap, required=True)
    guaranteed = fields.Boolean(required=True)
    authorization = fields.String(required=True)
    last_job_id = fields.String(required=True, allow_none=NULLABLE, metadata=described("Its last job", format="uuid"))
    created_date = Instant(required=True)
    created_by_id = fields.String(required=True, metadata=described("The creating user's id"))


class ScheduleListSchema(CamelCase):
    """The org's schedules, newest first."""

    schedules = fields.List(fields.Nested(ScheduleSchema), required=True)
