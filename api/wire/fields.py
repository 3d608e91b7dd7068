"""What goes over the wire: marshmallow schemas in camelCase. Class names become schema names in openapi.yaml."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, post_load, validate

from quotejob.jobs.conditions import MOST_PARENTS
from quotejob.jobs.job import DependsOnOutcome, JobType, Status
from quotejob.jobs.listing import JobFilter, Order, Sort
from quotejob.run.receipt import Outcome
from quotejob.schedules.cron import LONGEST
from quotejob.schedules.schedule import Misfire, Overlap, State
from quotejob.schedules.store import LONGEST_NAME
from quotejob.store import keys

MAX_OPPORTUNITIES = 1_000_000
_NULL = True  # allow_none, so that the document says nullable
_SEVERAL = "Only these; repeat the parameter, or separate them by commas"


class CamelCase(Schema):
    """Python names inside, camelCase outside."""

    class Meta:
        unknown = EXCLUDE  # an answer may get more fields later: the document must not say there are no others

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        first, *others = (field_obj.data_key or field_name).split("_")
        field_obj.data_key = first + "".join(other.title() for other in others)


class Instant(fields.DateTime):
    """ISO 8601, UTC, to the millisecond, as ``2026-01-31T09:05:00.120Z``."""

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:  # noqa: ARG002
        if value is None:
            return None
        return value.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


class WholeNumber(fields.Integer):
    """Digits only: Python's int() would take ``1_000``, blanks and the digits of every script too."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class JsonNumber(WholeNumber):
    """Of a body: a number and nothing that could be read as one."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class TrueOrFalse(fields.Boolean):
    """Of a body: these two and nothing that could be read as one of them."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


class OneOrMore(fields.List[Any]):
    """Several values of a query parameter: separated by commas, or the parameter repeated."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> list[Any]:
        several = [part for item in value for part in item.split(",")]
        return super()._deserialize(several, attr, data, **kwargs)


def _described(text: str, **more: Any) -> dict[str, Any]:
    return {"description": text, **more}


def _word(words: type[Enum], text: str = "", **options: Any) -> fields.Enum[Any]:
    """One of an enumeration's words."""
    told = {"description": text} if text else {}
    return fields.Enum(words, by_value=True, metadata={"type": "string", **told}, **options)


def _job_type() -> fields.String:
    """The name of a job's type, as it is stored: an answer shows also a type that only another version knows."""
    return fields.String(required=True, metadata={"enum": list(JobType)})


def _job_id(text: str, *, required: bool = True) -> fields.String:
    """A job's id in a body; whether there is such a job is asked later."""
    wrong = "should be a job's id"
    said: dict[str, Any] = {"invalid": wrong, "null": wrong, "required": "is missing; send a job's id"}
    return fields.String(required=required, error_messages=said, metadata=_described(text, format="uuid"))


def _whole_number(longest: int, default: int, text: str, kind: type[WholeNumber] = WholeNumber) -> WholeNumber:
    message = f"should be a whole number from 1 to {longest:,}"
    return kind(
        load_default=default,
        validate=validate.Range(1, longest, error=message),
        error_messages={"invalid": message, "null": message},
        metadata=_described(text),
    )


class ErrorDetailSchema(CamelCase):
    """One thing that is wrong."""

    field = fields.String(required=True, metadata=_described("The field, parameter, header or part that is wrong"))
    message = fields.String(required=True, metadata=_described("What is wrong with it"))
    code = fields.String(metadata=_described("The org's own errorCode, when the org refused it"))


class ErrorSchema(CamelCase):
    """Every error has this form."""

    code = fields.String(required=True, metadata=_described("A MACHINE_WORD", example="INVALID_REQUEST"))
    message = fields.String(required=True, metadata=_described("A sentence that says what to do"))
    details = fields.List(fields.Nested(ErrorDetailSchema), required=True)


class BatchExecutionRequestSchema(CamelCase):
    """Which Opportunities to price."""

    class Meta:
        unknown = RAISE  # and the document says so: nobody may think that a "limit" sent along limits the job

    soql_where_clause = fields.String(
        required=True,
        error_messages={
            "required": "is missing; send the condition that stands after WHERE",
            "invalid": "should be a text",
            "null": "should be a text",
        },
        validate=validate.Length(
            1, 20_000, error="should have 1 to 20,000 characters; to take every Opportunity say Id != null"
        ),
        metadata=_described(
            "The condition of a SOQL query on Opportunity: what stands after WHERE, without the word. Semi-joins are "
            "allowed, other clauses (ORDER BY, LIMIT, FOR VIEW ...) are not. Percent-encoded, as it travels to the "
            "org, it may take 15,000 bytes.",
            example="Name LIKE 'Sample Opportunity%' AND CloseDate = THIS_YEAR",
        ),
    )

    depends_on = fields.List(
        _job_id("Id of a job of this org", required=False),
        validate=validate.Length(0, MOST_PARENTS, error=f"should be at most {MOST_PARENTS} job ids"),
        error_messages={"invalid": "should be a list of job ids", "null": "should be a list of job ids"},
        metadata=_described(f"At most {MOST_PARENTS} jobs of this org that have to end before this one runs"),
    )
    depends_on_outcome = _word(
        DependsOnOutcome,
        "How they have to end: Completed, or Finished (any end will do)",
        load_default=DependsOnOutcome.COMPLETED,
    )
    not_before = fields.AwareDateTime(
        format="iso",
        error_messages=dict.fromkeys(
            ("invalid", "invalid_awareness", "null"), "should be ISO 8601 with a zone, as 2026-01-31T22:00:00+01:00"
        ),
        metadata=_described("The job does not run before this time", example="2026-01-31T22:00:00+01:00"),
    )


class BatchExecutionResponseSchema(CamelCase):
    """The job was accepted; ask getJob how far it is."""

    job_id = fields.String(required=True, metadata=_described("The job's id", format="uuid"))


class DataJobResponseSchema(BatchExecutionResponseSchema):
    """The sample data job was accepted; ask getJob how far it is."""


class RecordCountsSchema(CamelCase):
    """Opportunities by what became of them."""

    total = fields.Integer(required=True, metadata=_described("Opportunities the job is about"))
    succeeded = fields.Integer(required=True, metadata=_described("got what the job makes"))
    skipped = fields.Integer(required=True, metadata=_described("left alone, with a reason in the results"))
    failed = fields.Integer(required=True, metadata=_described("refused by the org, with its reason in the results"))


class WaitingSchema(CamelCase):
    """A condition that does not hold yet: another job's end, or a time."""

    job_id = fields.String(required=True, allow_none=_NULL, metadata=_described("The job waited for", format="uuid"))
    not_before = Instant(required=True, allow_none=_NULL, metadata=_described("The time waited for"))
    message = fields.String(required=True, metadata=_described("The same as a sentence"))


class JobSchema(CamelCase):
    """A job; the words are AsyncApexJob's: an item is a page of Opportunities."""

    job_id = fields.String(required=True, metadata=_described("The job's id", format="uuid"))
    job_type = _job_type()
    status = _word(Status, required=True)
    extended_status = fields.String(
        required=True, allow_none=_NULL, metadata=_described("Why it failed, or what else there is to say")
    )
    created_date = Instant(required=True)
    started_date = Instant(required=True, allow_none=_NULL)
    completed_date = Instant(required=True, allow_none=_NULL)
    estimated_start = Instant(
        required=True,
        allow_none=_NULL,
        metadata=_described("While Holding or Queued: when it will start, as far as that can be said"),
    )
    estimated_end = Instant(
        required=True,
        allow_none=_NULL,
        metadata=_described("While it has not ended: when it will, as far as that can be said"),
    )
    created_by_id = fields.String(required=True, metadata=_described("The submitting user's id"))
    soql_where_clause = fields.String(required=True, allow_none=_NULL)
    number_of_opportunities = fields.Integer(
        required=True, allow_none=_NULL, metadata=_described("How many sample Opportunities were asked for")
    )
    depends_on = fields.List(
        fields.String(metadata={"format": "uuid"}), required=True, metadata=_described("The jobs it depends on")
    )
    depends_on_outcome = _word(DependsOnOutcome, "How these have to end", required=True, allow_none=_NULL)
    not_before = Instant(required=True, allow_none=_NULL, metadata=_described("It does not run before this time"))
    waiting_for = fields.List(
        fields.Nested(WaitingSchema), required=True, metadata=_described("While Holding: what does not hold yet")
    )
    schedule_id = fields.String(
        required=True, allow_none=_NULL, metadata=_described("The schedule that submitted it", format="uuid")
    )
    total_job_items = fields.Integer(required=True, metadata=_described("Pages in all; 0 until the job is planned"))
    job_items_processed = fields.Integer(required=True)
    number_of_errors = fields.Integer(required=True, metadata=_described("Pages with at least one failed record"))
    records = fields.Nested(RecordCountsSchema, required=True)
    quotes_created = fields.Integer(required=True)
    api_calls = fields.Integer(required=True, metadata=_described("Requests made to the org so far"))

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """The record counts are a part of their own outside; inside they are fields of the job."""
        return obj if attr == "records" else super().get_attribute(obj, attr, default)


class JobListSchema(CamelCase):
    """Jobs, newest first or as asked."""

    jobs = fields.List(fields.Nested(JobSchema), required=True)
    next_cursor = fields.String(
        required=True, allow_none=_NULL, metadata=_described("Send it as cursor for the next ones; null at the end")
    )


class FlexQueueItemSchema(JobSchema):
    """A Holding job and its place."""

    position = fields.Integer(required=True, metadata=_described("Place in the flex queue; 0 is the next"))

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Of the place and the job."""
        position, job = obj
        return position if attr == "position" else super().get_attribute(job, attr, default)


class FlexQueueSchema(CamelCase):
    """The org's Holding jobs in the order in which they will run; those that wait for something let others pass."""

    jobs = fields.List(fields.Nested(FlexQueueItemSchema), required=True)


class MoveJobRequestSchema(CamelCase):
    """Which Holding job to move."""

    class Meta:
        unknown = RAISE

    job_id = _job_id("The Holding job to move")


class MoveBesideJobRequestSchema(CamelCase):
    """Which Holding job to move, and beside which."""

    class Meta:
        unknown = RAISE

    job_to_move_id = _job_id("The Holding job to move")
    job_in_queue_id = _job_id("The Holding job it is moved beside")


class MoveJobResponseSchema(CamelCase):
    """Whether the job had to be moved."""

    moved = fields.Boolean(required=True, metadata=_described("False when it stood there already"))


_ZONED = "should be ISO 8601 with a zone, as 2026-01-31T22:00:00+01:00"


def _text(text: str, longest: int, example: str, **options: Any) -> fields.String:
    """A text of at most so many characters."""
    said = f"should be a text of 1 to {longest:,} characters"
    return fields.String(
        validate=validate.Length(1, longest, error=said),
        error_messages=dict.fromkeys(("required", "null", "invalid"), said),
        metadata=_described(text, example=example),
        **options,
    )


def _moment(text: str) -> fields.AwareDateTime:
    """A time with its zone."""
    return fields.AwareDateTime(
        format="iso",
        error_messages=dict.fromkeys(("invalid", "invalid_awareness", "null"), _ZONED),
        metadata=_described(text, example="2026-01-31T22:00:00+01:00"),
    )


class ScheduleRequestSchema(CamelCase):
    """What to submit, and when."""

    class Meta:
        unknown = RAISE

    name = _text("What people call it; once in an org", LONGEST_NAME, "Nightly quotes", required=True)
    cron_expression = _text(
        "Seconds Minutes Hours Day_of_month Month Day_of_week [Year], as System.schedule takes it; one of the two day "
        "fields is ?. Lists, ranges and steps in every field; L, W, # and names where the platform has them.",
        LONGEST,
        "0 0 22 ? * MON-FRI",
        required=True,
    )
    time_zone = _text("IANA name of the zone whose clock counts", 64, "Europe/Zurich", load_default="UTC")
    job_type = _word(JobType, "What to run", load_default=JobType.BATCH_QUOTE)
    soql_where_clause = _text(
        "Of a BatchQuote, as executeBatch takes it", 20_000, "Name LIKE 'Sample Opportunity%'", load_default=None
    )
    number_of_opportunities = _whole_number(MAX_OPPORTUNITIES, 10, "Of a SampleDataCreate: how many", JsonNumber)
    start_time = _moment("No fire time before this")
    end_time = _moment("No fire time after this")
    misfire = _word(
        Misfire,
        "What becomes of fire times missed by more than a minute: one run makes all good, or they are skipped",
        load_default=Misfire.RUN_ONCE,
    )
    overlap = _word(
        Overlap,
        "What becomes of a fire time at which the job before has not ended",
        load_default=Overlap.SKIP,
    )
    guaranteed = TrueOrFalse(
        load_default=False,
        error_messages=dict.fromkeys(("invalid", "null"), "should be true or false"),
        metadata=_described("Whether a slot is kept free for it when its time comes"),
    )
    authorization = fields.String(
        validate=validate.Regexp(r"^[A-Za-z0-9_]{1,80}$", error="should be a developer name"),
        error_messages=dict.fromkeys(("invalid", "null"), "should be a developer name"),
        metadata=_described(
            "Developer name of the AppLink authorization of this org whose user the jobs work as; the app may have a "
            "default (QUOTEJOB_AUTHORIZATION)",
            example="worker",
        ),
    )


class ScheduleSchema(CamelCase):
    """A schedule; the words are CronTrigger's and CronJobDetail's."""

    schedule_id = fields.String(required=True, metadata=_described("The schedule's id", format="uuid"))
    name = fields.String(required=True)
    state = _word(State, required=True)
    extended_status = fields.String(
        required=True,
        allow_none=_NULL,
        metadata=_described("What is wrong, or why the last fire time was skipped"),
    )
    cron_expression = fields.String(required=True)
    time_zone = fields.String(required=True)
    next_fire_time = Instant(required=True, allow_none=_NULL)
    previous_fire_time = Instant(required=True, allow_none=_NULL)
    next_fire_times = fields.List(Instant(), required=True, metadata=_described("The next five"))
    times_triggered = fields.Integer(required=True)
    times_skipped = fields.Integer(required=True)
    start_time = Instant(required=True, allow_none=_NULL)
    end_time = Instant(required=True, allow_none=_NULL)
    job_type = _job_type()
    soql_where_clause = fields.String(required=True, allow_none=_NULL)
    number_of_opportunities = fields.Integer(required=True, allow_none=_NULL)
    misfire = _word(Misfire, required=True)
    overlap = _word(Overlap, required=True)
    guaranteed = fields.Boolean(required=True)
    authorization = fields.String(required=True)
    last_job_id = fields.String(required=True, allow_none=_NULL, metadata=_described("Its last job", format="uuid"))
    created_date = Instant(required=True)
    created_by_id = fields.String(required=True, metadata=_described("The creating user's id"))


class ScheduleListSchema(CamelCase):
    """The org's schedules, newest first."""

    schedules = fields.List(fields.Nested(ScheduleSchema), required=True)


def _number(text: str) -> fields.Float:
    return fields.Float(required=True, allow_none=_NULL, metadata=_described(text))


class JobStatusCountSchema(CamelCase):
    """How many jobs have a status."""

    status = _word(Status, required=True)
    jobs = fields.Integer(required=True)


class JobTypeCountSchema(CamelCase):
    """How many jobs are of a type."""

    job_type = _job_type()
    jobs = fields.Integer(required=True)


class JobStatusTypeCountSchema(CamelCase):
    """How many jobs of a type have a status."""

    status = _word(Status, required=True)
    job_type = _job_type()
    jobs = fields.Integer(required=True)


class FiguresSchema(CamelCase):
    """A distribution; all null when there is nothing. Each percentile is a value that occurred."""

    count = fields.Integer(required=True, metadata=_described("Of so many jobs"))
    mean = _number("The mean")
    p50 = _number("The median")
    p90 = _number("Nine in ten do not exceed it")
    p95 = _number("95 in a hundred do not exceed it")
    p99 = _number("99 in a hundred do not exceed it")
    max = _number("The largest")


class EstimateQualitySchema(CamelCase):
    """How far the first estimate of each job was from what came true; all null when there is nothing to compare."""

    count = fields.Integer(required=True, metadata=_described("Of so many jobs"))
    median_error_seconds = _number("The median of what they were off by, too early or too late")
    p90_error_seconds = _number("Nine in ten were not off by more")
    median_error_share = _number(
        "The median error as a part of the time that was still ahead when the estimate was made"
    )
    bias_seconds = _number("The median with its sign: positive when things came later than estimated")


class JobSummarySchema(CamelCase):
    """Jobs in figures."""

    total = fields.Integer(required=True, metadata=_described("Jobs in all"))
    by_status = fields.List(
        fields.Nested(JobStatusCountSchema), required=True, metadata=_described("In the order of a job's life")
    )
    by_job_type = fields.List(fields.Nested(JobTypeCountSchema), required=True)
    by_status_and_job_type = fields.List(
        fields.Nested(JobStatusTypeCountSchema), required=True, metadata=_described("Those of which there are any")
    )
    waiting_seconds = fields.Nested(FiguresSchema, required=True)
    run_seconds = fields.Nested(FiguresSchema, required=True)
    records_per_second = fields.Nested(FiguresSchema, required=True)
    start_estimates = fields.Nested(EstimateQualitySchema, required=True)
    end_estimates = fields.Nested(EstimateQualitySchema, required=True)


class JobResultSchema(CamelCase):
    """What became of one Opportunity."""

    record_id = fields.String(required=True, metadata=_described("The Opportunity's id"))
    outcome = _word(Outcome, required=True)
    quote_id = fields.String(required=True, allow_none=_NULL)
    code = fields.String(required=True, allow_none=_NULL, metadata=_described("A MACHINE_WORD or the org's errorCode"))
    message = fields.String(required=True, allow_none=_NULL)


class JobResultsSchema(CamelCase):
    """Results of a job, one an Opportunity."""

    results = fields.List(fields.Nested(JobResultSchema), required=True)
    next_cursor = fields.String(
        required=True, allow_none=_NULL, metadata=_described("Send it as cursor for the next ones; null at the end")
    )


class IdempotencySchema(CamelCase):
    """The header that makes a repeated POST harmless."""

    idempotency_key = fields.String(
        data_key="Idempotency-Key",
        validate=validate.Regexp(r"^[!-~]([ -~]{0,253}[!-~])?$", error="should be 1 to 255 printable ASCII characters"),
        metadata=_described("The same key from the same org within 24 hours answers with the same job"),
    )


class DataCreateQuerySchema(CamelCase):
    """How much sample data."""

    number_of_opportunities = _whole_number(MAX_OPPORTUNITIES, 10, "How many sample Opportunities to create")


def _bound(text: str) -> fields.AwareDateTime:
    """An end of a span of time, in an address, where a plain + would be read as a blank."""
    wrong = "should be ISO 8601 with a zone, as 2026-01-31T21:00:00Z or 2026-01-31T22:00:00%2B01:00"
    return fields.AwareDateTime(
        format="iso",
        error_messages=dict.fromkeys(("invalid", "invalid_awareness", "null"), wrong),
        metadata=_described(text, example="2026-01-31T21:00:00Z"),
    )


def _id(text: str) -> fields.String:
    """An id in a query; whether there is such a thing is not asked."""
    return fields.String(validate=_is_id, metadata=_described(text, format="uuid"))


def _is_id(text: str) -> None:
    if not keys.is_id(text):
        raise ValidationError("should be an id, as 123e4567-e89b-12d3-a456-426614174000")


def _cursor() -> fields.String:
    return fields.String(
        validate=validate.Regexp(r"^[0-9a-f.:-]{1,100}$", error="is not one this API gave out"),
        metadata=_described("nextCursor of the answer before"),
    )


class JobFilterQuerySchema(CamelCase):
    """Which jobs."""

    status = OneOrMore(_word(Status), metadata=_described(_SEVERAL))
    job_type = OneOrMore(_word(JobType), metadata=_described(_SEVERAL))
    created_from = _bound("Created at this time or later")
    created_to = _bound("Created before this time")
    completed_from = _bound("Ended at this time or later")
    completed_to = _bound("Ended before this time")
    schedule_id = _id("Submitted by this schedule")
    parent_id = _id("Those that depend on this job: it stands in their dependsOn")
    extended_status = fields.String(
        validate=validate.Length(1, 200, error="should be a text of 1 to 200 characters"),
        metadata=_described("A text in their extendedStatus; upper and lower case are one", example="ROW_LOCK"),
    )

    @post_load
    def _as_filter(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """What is asked of the jobs becomes one value, ``wanted``."""
        several = {"statuses": frozenset(data.pop("status", ())), "job_types": frozenset(data.pop("job_type", ()))}
        rest = {field.name: data.pop(field.name) for field in dataclasses.fields(JobFilter) if field.name in data}
        asked: dict[str, Any] = several | rest
        return {"wanted": JobFilter(**asked), **data}


class JobListQuerySchema(JobFilterQuerySchema):
    """Which jobs, in which order."""

    sort = _word(
        Sort,
        "Sorted by this; jobs that do not have it yet come last. A status counts by its place in a job's life",
        load_default=Sort.CREATED,
    )
    order = _word(Order, "Largest and latest first, or smallest and earliest", load_default=Order.DESCENDING)
    limit = _whole_number(200, 50, "At most so many")
    cursor = _cursor()


class JobResultsQuerySchema(CamelCase):
    """Which results."""

    outcome = _word(Outcome, "Only these")
    limit = _whole_number(1_000, 1_000, "At most so many")
    cursor = _cursor()
