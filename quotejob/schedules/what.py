"""What a schedule submits: the fields of its jobs, which have to fit the job type."""

from __future__ import annotations

from typing import Any

from quotejob.errors import InvalidRequest
from quotejob.jobs.job import JobType
from quotejob.salesforce.clause import FIELD, check_clause


def what_to_submit(job_type: str, clause: str | None, number_of_opportunities: int | None) -> dict[str, Any]:
    """Return the fields of the job to submit. Raises InvalidRequest if they do not fit the job type."""
    if job_type != JobType.BATCH_QUOTE and clause is not None:
        raise InvalidRequest.field(FIELD, f"has no meaning for {job_type}; leave it out")
    if job_type == JobType.BATCH_QUOTE and clause is None:
        raise InvalidRequest.field(FIELD, "is missing; send the condition after WHERE")
    return {
        "soql_where_clause": None if clause is None else check_clause(clause),
        "number_of_opportunities": number_of_opportunities if job_type == JobType.SAMPLE_DATA_CREATE else None,
    }
