"""The operations on jobs: read the request, call one thing, answer."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

import structlog
from flask import Response, request

from api import caller
from api.blueprint import Blueprint
from api.external_services import ALIASES
from api.wire.jobs import (
    BatchExecutionRequestSchema,
    BatchExecutionResponseSchema,
    DataCreateQuerySchema,
    DataJobResponseSchema,
    IdempotencySchema,
    JobFailuresSchema,
    JobFilterQuerySchema,
    JobListQuerySchema,
    JobListSchema,
    JobProgressSchema,
    JobResultsQuerySchema,
    JobResultsSchema,
    JobSchema,
    RetryRequestSchema,
)
from api.wire.status import JobStatusSchema
from api.wire.summary import JobSummarySchema
from quotejob.jobs.conditions import Conditions
from quotejob.jobs.job import BuiltIn, Job
from quotejob.jobs.listing import Sorting
from quotejob.jobs.options import Options
from quotejob.jobs.retry import Retry
from quotejob.jobs.store import JobStore
from quotejob.jobs.summary import FIELDS, Summary, summarise
from quotejob.notices.address import check_callback
from quotejob.run.failures import Failures, grouped
from quotejob.run.receipt import Outcome, Result
from quotejob.run.results.results_csv import as_csv
from quotejob.run.waves import current_pages
from quotejob.salesforce import OrgAddress
from quotejob.salesforce.caller import CallerContext
from quotejob.salesforce.clause import check_clause
from tasks import workers

log = structlog.get_logger("api")
blueprint = Blueprint("jobs", __name__, url_prefix="/api", description="Submit, watch and stop jobs")
blueprint.before_request(caller.require_context)

CSV = "text/csv"


@blueprint.operation(
    "/executebatch",
    method="POST",
    name="executeBatch",
    body=BatchExecutionRequestSchema,
    example={"soqlWhereClause": "Name LIKE 'Sample Opportunity%'"},
    headers=IdempotencySchema,
    answer=BatchExecutionResponseSchema,
    status=202,
    says="The job was accepted",
    errors=(422, 429),
)
def execute_batch(body: dict[str, Any], headers: dict[str, Any]) -> dict[str, str]:
    """Price Opportunities

    Prices every Opportunity that the WHERE clause matches, and writes one Quote with its lines for each. The clause is
    checked before the answer, also by the org. The work is done after the answer. A job may wait for other jobs
    (dependsOn) and for a time (notBefore). Until all conditions hold, it keeps its position in the flex queue and lets
    others pass. If a job that it depends on has another end than asked for, it is Aborted, and so are the jobs that
    depend on it. With dryRun nothing is written.
    """
    return submit_batch(body, headers)


def submit_batch(body: dict[str, Any], headers: dict[str, Any], callback_url: str | None = None) -> dict[str, str]:
    """Submit a job for Opportunities, whose end may be told to an address in the caller's org. Return its id."""
    context = caller.claimed()
    clause = check_clause(body["soql_where_clause"])
    conditions = Conditions(tuple(body.get("depends_on", ())), body["depends_on_outcome"], body.get("not_before"))
    if callback_url is not None:
        check_callback(callback_url, OrgAddress.of(context))
    context = caller.authenticate_with_clause(context, clause)
    options = Options(
        body["dry_run"],
        keep_api_calls=body.get("keep_api_calls"),
        commit_by=body.get("commit_by"),
        callback_url=callback_url,
    )
    asked = {"name": body.get("name"), "soql_where_clause": clause, "conditions": conditions, "options": options}
    return accept(context, BuiltIn.BATCH_QUOTE, headers, **asked)


@blueprint.operation(
    "/data/create",
    method="POST",
    name="datacreate",
    query=DataCreateQuerySchema,
    headers=IdempotencySchema,
    answer=DataJobResponseSchema,
    status=202,
    says="The job was accepted",
    errors=(422, 429),
)
def data_create(query: dict[str, Any], headers: dict[str, Any]) -> dict[str, str]:
    """Create sample Opportunities

    Creates Opportunities named Sample Opportunity 0, 1, 2 ... with two lines each. Each has a key in the field
    QuoteJobKey__c, by which datadelete finds it again.
    """
    count = query["number_of_opportunities"]
    return accept(caller.authenticated(), BuiltIn.SAMPLE_DATA_CREATE, headers, number_of_opportunities=count)


@blueprint.operation(
    "/data/delete",
    method="POST",
    name="datadelete",
    headers=IdempotencySchema,
    answer=DataJobResponseSchema,
    status=202,
    says="The job was accepted",
    errors=(422, 429),
)
def data_delete(headers: dict[str, Any]) -> dict[str, str]:
    """Delete the sample Opportunities

    Moves what datacreate made, and its lines and Quotes, to the recycle bin. It goes by the key in the field
    QuoteJobKey__c, never by a name.
    """
    return accept(caller.authenticated(), BuiltIn.SAMPLE_DATA_DELETE, headers)


@blueprint.operation("/jobs/<jobId>", name="getJob", answer=JobSchema, says="The job as it is now", errors=(404,))
def get_job(job_id: str) -> Job:
    """One job

    Gives the state of a job, with estimates of its start and end.
    """
    return _with_estimates(job_id)


@blueprint.operation(
    "/jobs/<jobId>/status",
    name="getJobStatus",
    answer=JobStatusSchema,
    says="How the job is",
    errors=(404,),
    for_agents=True,
)
def get_job_status(job_id: str) -> Job:
    """How a job is, in a few fields

    Gives the status of a job, how much of it is done, and how many of its Opportunities succeeded, were skipped or
    failed. It is what getJob gives, in flat fields, for agents.
    """
    return _with_estimates(job_id)


@blueprint.operation(
    "/jobs", name="listJobs", query=JobListQuerySchema, answer=JobListSchema, says="The caller's org's jobs"
)
def list_jobs(query: dict[str, Any]) -> dict[str, Any]:
    """List the org's jobs, newest first

    Lists the jobs of the caller's org that match the filters, in the order asked for, one page at a time.
    """
    sorting = Sorting(query["sort"], query["order"])
    org_id = caller.authenticated().org_id
    found, cursor = caller.services().search.recent(
        org_id, query["wanted"], sorting, limit=query["limit"], cursor=query.get("cursor")
    )
    return {"jobs": workers.with_outlook(caller.services(), org_id, found), "next_cursor": cursor}


@blueprint.operation(
    "/jobs/summary",
    name="getJobSummary",
    query=JobFilterQuerySchema,
    answer=JobSummarySchema,
    says="Figures of the caller's org's jobs",
)
def get_job_summary(query: dict[str, Any]) -> Summary:
    """Summarise the org's jobs

    Counts the jobs of the caller's org that match the filters. waitingSeconds is the time from createdDate to
    startedDate, of jobs that have started. runSeconds is the time from startedDate to completedDate, of jobs that have
    ended. recordsPerSecond is the number of Opportunities with a result in one second of run time. runSeconds and
    recordsPerSecond are without resumed jobs, because the time before the resume would count too. startEstimates and
    endEstimates compare the first estimates of jobs with what happened: starts of jobs that had to wait, and ends of
    Completed jobs. A first estimate of the end is made when the pages are known. forecasts compares what forecastJob
    said with what the jobs did that were submitted within an hour after it.
    """
    return summarise(caller.services().search.scan(caller.authenticated().org_id, query["wanted"], FIELDS))


@blueprint.operation(
    "/jobs/<jobId>/results",
    name="getJobResults",
    query=JobResultsQuerySchema,
    answer=JobResultsSchema,
    says="One result for each Opportunity",
    errors=(404,),
)
def get_job_results(query: dict[str, Any], job_id: str) -> dict[str, Any] | Response:
    """List what happened to each Opportunity

    Gives the results that exist so far, one page at a time. With Accept: text/csv they come as CSV, with the columns
    recordId, outcome, quoteId, code, message and recordName: all of them as one stream, or one page if limit or cursor
    is sent. Then the header Link has the address of the next page, with rel="next". With explain=true each Quote that
    was priced says which rules, or which function, gave what for each line; in CSV in the column explanation.
    """
    caller.get_own_job(caller.authenticated(), job_id)
    results, wants_csv = caller.services().results, _wants_csv()
    outcome, explain = query.get("outcome"), query.get("explain", False)
    if wants_csv and not request.args.keys() & {"limit", ALIASES["limit"], "cursor"}:
        return _csv_answer(results.stream(job_id, outcome, explain=explain), explain=explain)
    found, cursor = results.page(job_id, outcome, query["limit"], query.get("cursor"), explain=explain)
    if not wants_csv:
        return {"results": found, "next_cursor": cursor}
    following = f"{request.path}?{urlencode({**request.args, 'cursor': cursor})}" if cursor else None
    return _csv_answer(found, following, explain=explain)


@blueprint.operation(
    "/jobs/<jobId>/progress",
    name="getJobProgress",
    answer=JobProgressSchema,
    says="How many Opportunities got their result in which time, and how far the pages are",
    errors=(404,),
)
def get_job_progress(job_id: str) -> dict[str, Any]:
    """How fast a job was, and how far its pages are

    Gives at most 60 spans of time of equal length, with the number of Opportunities that got their result in each. A
    span in which none did is left out. A span has 1 second first, and twice as many each time the job needs more spans.
    Gives also the pages of the wave that the job works on, in at most 200 groups. There are none before they are
    planned, and when the job is Completed.
    """
    job, progress = caller.get_own_job(caller.authenticated(), job_id), caller.services().progress
    pace = progress.pace(job_id)
    return {"span_seconds": pace.span_seconds, "spans": pace.spans, "pages": current_pages(job, progress)}


@blueprint.operation(
    "/jobs/<jobId>/failures",
    name="getJobFailures",
    answer=JobFailuresSchema,
    says="The reasons, the most frequent first",
    errors=(404,),
)
def get_job_failures(job_id: str) -> Failures:
    """List why Opportunities failed

    Gives each reason once, with the number of Opportunities that failed for it, the first five of them, and a hint what
    to do. Messages that differ only in ids and numbers are one reason. If there are more than 100 reasons, the rarest
    are left out.
    """
    caller.get_own_job(caller.authenticated(), job_id)
    return grouped(job_id, caller.services().results.stream(job_id, Outcome.FAILED))


@blueprint.operation(
    "/jobs/<jobId>/abort",
    method="POST",
    name="abortJob",
    answer=JobSchema,
    says="The job, aborted",
    errors=(404, 409),
)
def abort_job(job_id: str) -> Job:
    """Stop a job

    Stops a job between two pages or two writes. Quotes that are already written stay, and the results list them.
    """
    context = caller.authenticated()
    caller.get_own_job(context, job_id)
    job = _jobs().abort(job_id)
    workers.dispatch_org(caller.services(), context.org_id)  # its slot is free for the next one
    return job


@blueprint.operation(
    "/jobs/<jobId>/resume",
    method="POST",
    name="resumeJob",
    status=202,
    answer=JobSchema,
    says="The job, waiting in the flex queue again",
    errors=(404, 409, 429),
)
def resume_job(job_id: str) -> Job:
    """Continue a Failed or Aborted job

    Continues the job with this caller's session. Quotes that are already written are not written again.
    """
    context = caller.authenticated()
    caller.get_own_job(context, job_id)
    job = _jobs().resume(job_id, context)
    workers.dispatch_org(caller.services(), context.org_id)
    return job


@blueprint.operation(
    "/jobs/<jobId>/retry",
    method="POST",
    name="retryFailedRecords",
    body=RetryRequestSchema,
    example={},
    headers=IdempotencySchema,
    answer=JobSchema,
    status=202,
    says="The new job, with retryOf",
    errors=(404, 409, 422, 429),
)
def retry_failed_records(body: dict[str, Any], headers: dict[str, Any], job_id: str) -> Job:
    """Retry the failed records of a job

    Submits a new job for the Opportunities that failed in a job that has ended, or for those of them with one of the
    codes. It reads and prices them as they are now, with this caller's session. No Opportunity that has a Quote of the
    first job, or of another retry of it, gets a second one; it counts as succeeded with the Quote that it has.
    """
    context = caller.authenticated()
    retry = Retry(caller.get_own_job(context, job_id), frozenset(body.get("codes") or ()))
    job, new = caller.services().retries.submit(context, retry, headers.get("idempotency_key"))
    return dispatched(job, new=new)


def _with_estimates(job_id: str) -> Job:
    context = caller.authenticated()
    return workers.with_outlook(caller.services(), context.org_id, [caller.get_own_job(context, job_id)])[0]


def _jobs() -> JobStore:
    return caller.services().jobs


def accept(context: CallerContext, job_type: str, headers: dict[str, Any], **what: Any) -> dict[str, str]:
    """Submit a job, and return the answer of an operation that submits one."""
    job, new = _jobs().submit(context, job_type, idempotency_key=headers.get("idempotency_key"), **what)
    return {"job_id": dispatched(job, new=new).job_id}


def dispatched(job: Job, *, new: bool) -> Job:
    """Return a job that was submitted, after the workers were told, if it or one before it may start."""
    structlog.contextvars.bind_contextvars(job_id=job.job_id)
    if not new:
        log.info("Job was submitted before with this key", job_type=job.job_type)
    workers.dispatch_ready(caller.services(), job.org_id)
    return job


def _wants_csv() -> bool:
    return request.accept_mimetypes.best_match(["application/json", CSV]) == CSV


def _csv_answer(results: Iterable[Result], following: str | None = None, *, explain: bool = False) -> Response:
    """Return the results as CSV. ``following`` is the address of the next ones."""
    chunks = as_csv(results, explain=explain)
    first = next(chunks)  # read before the answer begins, so that a store that does not answer is a 503
    response = Response(itertools.chain([first], chunks), mimetype=CSV)
    if following:
        response.headers["Link"] = f'<{following}>; rel="next"'
    return response
