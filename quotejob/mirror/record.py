"""What the org is told of a job: the fields of QuoteJob__c and of QuoteJobProgress__e (force-app has both)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from quotejob.jobs.job import Job
from quotejob.salesforce.graphs import Part

RECORD, EVENT, KEY = "QuoteJob__c", "QuoteJobProgress__e", "JobId__c"
MOST_JOBS = 200  # in one request: the rows of a collection (REST API guide, "SObject Collections")
_REASON, _NAME, _CLAUSE = 255, 80, 32_768  # characters that the fields hold


def parts(jobs: Sequence[Job]) -> list[Part]:
    """Return one composite request for at most 200 jobs: an upsert of the records, and the events."""
    records = [{"attributes": {"type": RECORD}, **record(job)} for job in jobs]
    events = [{"attributes": {"type": EVENT}, KEY: job.job_id, **_progress(job)} for job in jobs]
    return [
        Part("records", "PATCH", f"composite/sobjects/{RECORD}/{KEY}", {"allOrNone": False, "records": records}),
        Part("events", "POST", "composite/sobjects", {"allOrNone": False, "records": events}),
    ]


def record(job: Job) -> dict[str, Any]:
    """Return the fields of a job's record. None empties a field."""
    return {
        KEY: job.job_id,
        "Name": (job.name or f"{job.job_type} {job.job_id[:8]}")[:_NAME],
        "JobType__c": job.job_type[:_NAME],
        "ExtendedStatus__c": None if job.extended_status is None else job.extended_status[:_REASON],
        "SoqlWhereClause__c": None if job.soql_where_clause is None else job.soql_where_clause[:_CLAUSE],
        "SubmittedBy__c": job.created_by_id if job.created_by_id.startswith("005") else None,
        "JobCreatedDate__c": _moment(job.created_date),
        "StartedDate__c": _moment(job.started_date),
        "CompletedDate__c": _moment(job.completed_date),
        "EstimatedStart__c": _moment(job.estimated_start),
        "EstimatedEnd__c": _moment(job.estimated_end),
        "Position__c": job.position,
        **_progress(job),
    }


def _progress(job: Job) -> dict[str, Any]:
    return {
        "Status__c": job.status.value,
        "JobItemsProcessed__c": job.job_items_processed,
        "TotalJobItems__c": job.total_job_items,
        "NumberOfErrors__c": job.number_of_errors,
        "RecordsSucceeded__c": job.succeeded,
        "RecordsFailed__c": job.failed,
        "RecordsSkipped__c": job.skipped,
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")
