"""Jobs and their results on the wire. Class names become schema names in openapi.yaml."""

from __future__ import annotations

import dataclasses
from typing import Any

from marshmallow import RAISE, fields, post_dump, post_load, validate

from api.wire.dryrun import PlannedSchema
from api.wire.explained import ExplanationSchema, code_version, explain
from api.wire.fields import (
    NULLABLE,
    CamelCase,
    Instant,
    OneOrMore,
    TrueOrFalse,
    commit_by,
    cursor,
    described,
    id_in_query,
    job_id_in_body,
    keep_api_calls,
    known_job_type,
    name,
    name_of_job_type,
    text,
    true_or_false_in_query,
    whole_number,
    word,
    zoned_time_in_query,
)
from api.wire.given import given_parameters
from quotejob.jobs.conditions import MOST_PARENTS
from quotejob.jobs.job import MAX_NAME_LENGTH, DependsOnOutcome, Status
from quotejob.jobs.listing import JobFilter, Order, Sort
from quotejob.jobtypes.sample_data import DEFAULT_OPPORTUNITIES, MAX_OPPORTUNITIES
from quotejob.run.receipt import Outcome
from quotejob.run.waves import PageState
from quotejob.salesforce.clause import MAX_LENGTH

MOST_CODES = 50
_A_CODE = "should be a code as the job's results have it, without blanks"
_CODES = f"should be 1 to {MOST_CODES} codes of the job's results; leave it out to retry all that failed"
_SEVERAL_VALUES = "Only these. For several values, repeat the parameter, or separate them by commas"


class BatchExecutionRequestSchema(CamelCase):
    """Which Opportunities to price."""

    class Meta:
        unknown = RAISE  # and the document says so: nobody may think that a "limit" sent along limits the job

    soql_where_clause = fields.String(
        required=True,
        error_messages={
            "required": "is missing; send the condition after WHERE",
            "invalid": "should be a text",
            "null": "should be a text",
        },
        validate=validate.Length(
            1, MAX_LENGTH, error=f"should have 1 to {MAX_LENGTH:,} characters; for all Opportunities send Id != null"
        ),
        metadata=described(
            "The condition of a SOQL query on Opportunity, without the word WHERE. Semi-joins are allowed, other "
            "clauses (ORDER BY, LIMIT, FOR VIEW ...) are not. Percent-encoded, as it is sent to the org, it may have "
            "at most 15,000 bytes.",
            example="Name LIKE 'Sample Opportunity%' AND CloseDate = THIS_YEAR",
        ),
    )

    name = name("A name for people; several jobs may have the same", "Quotes of the week")
    depends_on = fields.List(
        job_id_in_body("Id of a job of this org", required=False),
        validate=validate.Length(0, MOST_PARENTS, error=f"should be at most {MOST_PARENTS} job ids"),
        error_messages={"invalid": "should be a list of job ids", "null": "should be a list of job ids"},
        metadata=described(f"At most {MOST_PARENTS} jobs of this org that must end before this one runs"),
    )
    depends_on_outcome = word(
        DependsOnOutcome,
        "How they must end: Completed, or Finished (any end)",
        load_default=DependsOnOutcome.COMPLETED,
    )
    not_before = fields.AwareDateTime(
        format="iso",
        error_messages=dict.fromkeys(
            ("invalid", "invalid_awareness", "null"),
            "should be a time in ISO 8601 with a zone, such as 2026-01-31T22:00:00+01:00",
        ),
        metadata=described("The job does not run before this time", example="2026-01-31T22:00:00+01:00"),
    )

    dry_run = TrueOrFalse(
        load_default=False,
        error_messages=dict.fromkeys(("invalid", "null"), "should be true or false"),
        metadata=described(
            "true: plan, read and price everything, and write nothing. getDryRun says what would be written, and "
            "runAfterDryRun writes it"
        ),
    )
    keep_api_calls = keep_api_calls()
    commit_by = commit_by()


class RetryRequestSchema(CamelCase):
    """Which of the failed Opportunities to retry."""

    class Meta:
        unknown = RAISE

    codes = fields.List(
        fields.String(
            validate=validate.Regexp(r"^[!-~]{1,255}$", error=_A_CODE),
            error_messages=dict.fromkeys(("invalid", "null"), _A_CODE),
            metadata={"example": "UNABLE_TO_LOCK_ROW"},
        ),
        allow_none=NULLABLE,
        validate=validate.Length(1, MOST_CODES, error=_CODES),
        error_messages={"invalid": _CODES},
        metadata=described("Only those that failed with one of these codes; without it, all that failed"),
    )


class BatchExecutionResponseSchema(CamelCase):
    """The job was accepted. getJob gives its progress."""

    job_id = fields.String(required=True, metadata=described("The job's id", format="uuid"))


class DataJobResponseSchema(BatchExecutionResponseSchema):
    """The sample data job was accepted. getJob gives its progress."""


class RecordCountsSchema(CamelCase):
    """Numbers of Opportunities, by their result."""

    total = fields.Integer(required=True, metadata=described("All Opportunities of the job"))
    succeeded = fields.Integer(required=True, metadata=described("Those for which the job did its work"))
    skipped = fields.Integer(
        required=True, metadata=described("Those that were not changed; the results give the reason")
    )
    failed = fields.Integer(required=True, metadata=described("Those that failed; the results give the reason"))
    planned = fields.Integer(required=True, metadata=described("In a dry run: those that would have been written"))


class WaitingSchema(CamelCase):
    """What a job waits for: another job's end, a time, or a worker if none runs."""

    job_id = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("The job that it waits for", format="uuid")
    )
    not_before = Instant(required=True, allow_none=NULLABLE, metadata=described("The time that it waits for"))
    message = fields.String(required=True, metadata=described("The condition, as a sentence"))


class JobSchema(CamelCase):
    """A job, in the words of AsyncApexJob. An item is a page of Opportunities."""

    job_id = fields.String(required=True, metadata=described("The job's id", format="uuid"))
    name = fields.String(
        required=True,
        allow_none=NULLABLE,
        metadata=described("Its name for people; that of its schedule, or of the job that it retries"),
    )
    job_type = name_of_job_type()
    status = word(Status, required=True)
    extended_status = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("Why it failed, or what it waits for")
    )
    created_date = Instant(required=True)
    started_date = Instant(required=True, allow_none=NULLABLE)
    completed_date = Instant(required=True, allow_none=NULLABLE)
    estimated_start = Instant(
        required=True,
        allow_none=NULLABLE,
        metadata=described("While Holding or Queued: when it will probably start; null: unknown"),
    )
    estimated_end = Instant(
        required=True,
        allow_none=NULLABLE,
        metadata=described("While it has not ended: when it will probably end; null: unknown"),
    )
    position = fields.Integer(
        required=True,
        allow_none=NULLABLE,
        metadata=described("While Holding: its position in the flex queue; 0 is the next one"),
    )
    created_by_id = fields.String(required=True, metadata=described("The submitting user's id"))
    created_by_name = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("The submitting user's name, as the org has it")
    )
    soql_where_clause = fields.String(required=True, allow_none=NULLABLE)
    number_of_opportunities = fields.Integer(
        required=True, allow_none=NULLABLE, metadata=described("How many sample Opportunities to create")
    )
    parameters = given_parameters()
    depends_on = fields.List(
        fields.String(metadata={"format": "uuid"}), required=True, metadata=described("The jobs it depends on")
    )
    depends_on_outcome = word(DependsOnOutcome, "How these must end", required=True, allow_none=NULLABLE)
    not_before = Instant(required=True, allow_none=NULLABLE, metadata=described("It does not run before this time"))
    waiting_for = fields.List(
        fields.Nested(WaitingSchema),
        required=True,
        metadata=described(
            "While Holding: the conditions that do not hold yet. Until it has ended: a worker, if none runs"
        ),
    )
    schedule_id = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("The schedule that submitted it", format="uuid")
    )
    retry_of = fields.String(
        required=True,
        allow_none=NULLABLE,
        metadata=described("The job whose failed Opportunities it retries", format="uuid"),
    )
    dry_run = fields.Boolean(required=True, metadata=described("true: it writes nothing"))
    code_version = code_version()
    after_dry_run = fields.String(
        required=True,
        allow_none=NULLABLE,
        metadata=described("The dry run whose plan it writes, and nothing else", format="uuid"),
    )
    keep_api_calls = fields.Integer(
        required=True,
        allow_none=NULLABLE,
        metadata=described("API calls of the org's day that it leaves for others; null: as many as the app keeps"),
    )
    commit_by = commit_by(required=True, allow_none=NULLABLE)
    total_job_items = fields.Integer(required=True, metadata=described("Pages in all; 0 until the job is planned"))
    job_items_processed = fields.Integer(required=True)
    number_of_errors = fields.Integer(required=True, metadata=described("Pages with at least one failed record"))
    records = fields.Nested(RecordCountsSchema, required=True)
    quotes_created = fields.Integer(required=True)
    api_calls = fields.Integer(required=True, metadata=described("Requests made to the org so far"))

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Read one field. The object ``records`` on the wire is a group of fields of the job."""
        return obj if attr == "records" else super().get_attribute(obj, attr, default)


class JobListSchema(CamelCase):
    """Jobs, newest first, or in the order asked for."""

    jobs = fields.List(fields.Nested(JobSchema), required=True)
    next_cursor = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("Send it as cursor for the next ones; null at the end")
    )


class JobResultSchema(CamelCase):
    """The result of one Opportunity."""

    record_id = fields.String(required=True, metadata=described("The Opportunity's id"))
    outcome = word(Outcome, required=True)
    quote_id = fields.String(required=True, allow_none=NULLABLE)
    written_id = fields.String(
        required=True,
        allow_none=NULLABLE,
        metadata=described("What was written for it: its Quote, or the first record that a job of your own wrote"),
    )
    code = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("A MACHINE_WORD or the org's errorCode")
    )
    message = fields.String(required=True, allow_none=NULLABLE)
    record_name = fields.String(
        required=True,
        allow_none=NULLABLE,
        metadata=described("The Opportunity's name; null if it succeeded, and where it is not known"),
    )
    planned = fields.Nested(PlannedSchema, metadata=described("Only in a dry run: what would be written"))

    explanation = fields.Nested(ExplanationSchema, metadata=described("With explain=true: how it got its prices"))

    @post_dump
    def _without_empty(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Leave out what only dry runs have, and what was not asked for."""
        return {
            name: value for name, value in data.items() if value is not None or name not in ("planned", "explanation")
        }


class JobResultsSchema(CamelCase):
    """Results of a job, one for each Opportunity."""

    results = fields.List(fields.Nested(JobResultSchema), required=True)
    next_cursor = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("Send it as cursor for the next ones; null at the end")
    )


class FailedRecordSchema(CamelCase):
    """An Opportunity that failed."""

    record_id = fields.String(required=True, metadata=described("The Opportunity's id"))
    record_name = fields.String(required=True, allow_none=NULLABLE, metadata=described("Its name; null: not known"))


class FailureGroupSchema(CamelCase):
    """One reason for which Opportunities failed."""

    code = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("A MACHINE_WORD or the org's errorCode")
    )
    message = fields.String(required=True, allow_none=NULLABLE, metadata=described("That of the first one"))
    hint = fields.String(
        required=True, allow_none=NULLABLE, metadata=described("What to do; null: only the message can say that")
    )
    count = fields.Integer(required=True, metadata=described("How many failed for it"))
    records = fields.List(
        fields.Nested(FailedRecordSchema), required=True, metadata=described("The first five of them")
    )


class JobFailuresSchema(CamelCase):
    """Why Opportunities of a job failed."""

    job_id = fields.String(required=True, metadata=described("The job's id", format="uuid"))
    failed = fields.Integer(required=True, metadata=described("How many failed in all"))
    failures = fields.List(fields.Nested(FailureGroupSchema, metadata={}), attribute="groups", required=True)


class ProgressSpanSchema(CamelCase):
    """A span of time."""

    start_date = Instant(required=True, attribute="start")
    records = fields.Integer(required=True, metadata=described("Opportunities that got their result in it"))


class PageGroupSchema(CamelCase):
    """Neighbouring pages."""

    first = fields.Integer(required=True, metadata=described("The number of the first page; 0 is the job's first"))
    last = fields.Integer(required=True, metadata=described("The number of the last page"))
    state = word(PageState, "How far the least advanced page is; failed: done, with failed records", required=True)


class JobProgressSchema(CamelCase):
    """How fast a job was, and how far its pages are."""

    span_seconds = fields.Integer(required=True, metadata=described("The length of each span"))
    spans = fields.List(fields.Nested(ProgressSpanSchema), required=True, metadata=described("In their order"))
    pages = fields.List(
        fields.Nested(PageGroupSchema), required=True, metadata=described("Those that the job works on now")
    )


class IdempotencySchema(CamelCase):
    """The header that makes a second POST harmless."""

    idempotency_key = fields.String(
        data_key="Idempotency-Key",
        validate=validate.Regexp(r"^[!-~]([ -~]{0,253}[!-~])?$", error="should be 1 to 255 printable ASCII characters"),
        metadata=described(
            "The same key and request from the same org give the same job, for 24 hours. The same key with "
            "another request is refused"
        ),
    )


class DataCreateQuerySchema(CamelCase):
    """How much sample data."""

    number_of_opportunities = whole_number(
        MAX_OPPORTUNITIES, DEFAULT_OPPORTUNITIES, "How many sample Opportunities to create"
    )


class JobFilterQuerySchema(CamelCase):
    """Which jobs."""

    status = OneOrMore(word(Status), metadata=described(_SEVERAL_VALUES))
    job_type = OneOrMore(known_job_type(), metadata=described(_SEVERAL_VALUES))
    created_from = zoned_time_in_query("Created at this time or later")
    created_to = zoned_time_in_query("Created before this time")
    completed_from = zoned_time_in_query("Ended at this time or later")
    completed_to = zoned_time_in_query("Ended before this time")
    schedule_id = id_in_query("Submitted by this schedule")
    parent_id = id_in_query("Jobs that depend on this job: it is in their dependsOn")
    name = text("A text in their name, in upper or lower case; such as Nightly", MAX_NAME_LENGTH)
    extended_status = fields.String(
        validate=validate.Length(1, 200, error="should be a text of 1 to 200 characters"),
        metadata=described("A text in their extendedStatus, such as ROW_LOCK, in upper or lower case"),
    )

    has_errors = true_or_false_in_query("Those in which an Opportunity failed (true), or none did (false)")

    @post_load
    def _as_filter(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Collect the filters in one value, ``wanted``."""
        several = {"statuses": frozenset(data.pop("status", ())), "job_types": frozenset(data.pop("job_type", ()))}
        rest = {field.name: data.pop(field.name) for field in dataclasses.fields(JobFilter) if field.name in data}
        asked: dict[str, Any] = several | rest
        return {"wanted": JobFilter(**asked), **data}


class JobListQuerySchema(JobFilterQuerySchema):
    """Which jobs, in which order."""

    sort = word(
        Sort,
        "Sort by this field. Jobs that do not have it yet come last. Statuses are in the order of a job's life",
        load_default=Sort.CREATED,
    )
    order = word(Order, "Largest and latest first, or smallest and earliest", load_default=Order.DESCENDING)
    limit = whole_number(200, 50, "The most entries in one answer")
    cursor = cursor()


class JobResultsQuerySchema(CamelCase):
    """Which results."""

    outcome = word(Outcome, "Only these")
    explain = explain()
    limit = whole_number(1_000, 1_000, "The most entries in one answer")
    cursor = cursor()
