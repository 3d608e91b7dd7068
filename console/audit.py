"""The audit: who did what to which job or schedule, and who is signed in."""

from __future__ import annotations

from flask import Response, request, url_for

from console.pages import blueprint, page, services, session, sessions, told
from quotejob import audit
from quotejob.store import keys

ROWS = 50
ACTIONS = {
    "abortJob": "Aborted a job",
    "resumeJob": "Resumed a job",
    "retryFailedRecords": "Retried failed records",
    "runAfterDryRun": "Ran what a dry run had shown",
    "moveJob": "Moved a job in the flex queue",
    "createSchedule": "Created a schedule",
    "updateSchedule": "Changed a schedule",
    "pauseSchedule": "Paused a schedule",
    "resumeSchedule": "Resumed a schedule",
    "runScheduleNow": "Ran a schedule now",
    "deleteSchedule": "Deleted a schedule",
}


@blueprint.get("/audit")
def audit_trail() -> Response:
    """Show the newest entries, or those of one job or schedule."""
    concerns, after = request.args.get("of", ""), request.args.get("after") or None
    found, older = audit.entries(
        services().client,
        session().org_id,
        concerns=concerns if keys.is_id(concerns) else None,
        limit=ROWS,
        cursor=after,
    )
    people = [] if concerns or after else sessions().people(session().org_id)
    return page(
        "audit.html", entries=found, older=older, after=after, concerns=concerns, actions=ACTIONS, people=people
    )


@blueprint.post("/people/end")
def end_session() -> Response:
    """End the session of a person of this org."""
    ended = sessions().end_of(session().org_id, request.form.get("id", ""))
    said = "That session is ended." if ended else "That session had ended already."
    return told(url_for("console.audit_trail"), said)
