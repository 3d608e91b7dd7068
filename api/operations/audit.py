"""The operation that says who did what."""

from __future__ import annotations

from typing import Any

from api import caller
from api.blueprint import Blueprint
from api.wire.audit import AuditQuerySchema, AuditSchema
from quotejob import audit
from quotejob.errors import InvalidRequest

blueprint = Blueprint("audit", __name__, url_prefix="/api/audit", description="See who did what")
blueprint.before_request(caller.require_context)


@blueprint.operation("", name="getAudit", query=AuditQuerySchema, answer=AuditSchema, says="What was done")
def get_audit(query: dict[str, Any]) -> dict[str, Any]:
    """List who did what

    Lists what people have done to the jobs and schedules of the caller's org, newest first: by which user, when, and
    the values before. The last 10,000 entries are kept, for 90 days. Submissions are not listed: each job says who
    created it.
    """
    context = caller.authenticated()
    job_id, schedule_id = query.get("job_id"), query.get("schedule_id")
    if job_id and schedule_id:
        raise InvalidRequest.field("scheduleId", "cannot be sent together with jobId")
    found, cursor = audit.entries(
        caller.services().client,
        context.org_id,
        concerns=job_id or schedule_id,
        limit=query["limit"],
        cursor=query.get("cursor"),
    )
    return {"entries": found, "next_cursor": cursor}
