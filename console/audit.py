"""The audit: who did what to which job or schedule, and who is signed in."""

from __future__ import annotations

from flask import Response, request, url_for

from console.ids import that_begin, typed
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
    client, org_id, after = services().client, session().org_id, request.args.get("after") or None
    asked = typed(request.args.get("of", ""))[:200]
    ids = _meant(asked) if asked else []
    found: list[audit.Entry] = []
    older = None
    if not asked or len(ids) == 1:
        found, older = audit.entries(client, org_id, concerns=ids[0] if ids else None, limit=ROWS, cursor=after)
    people = [] if asked or after else sessions().people(org_id)
    concerns = ids[0] if len(ids) == 1 else asked
    shown = {"entries": found, "older": older, "after": after, "concerns": concerns, "several": len(ids) > 1}
    return page("audit.html", **shown, actions=ACTIONS, people=people)


def _meant(asked: str) -> list[str]:
    """Return the id that was asked for, or those with an entry that begin so."""
    if keys.is_id(asked):
        return [asked]
    every, _ = audit.entries(services().client, session().org_id, limit=audit.MOST)
    return that_begin(asked, (each for entry in every for each in (entry.job_id, entry.schedule_id) if each))


@blueprint.post("/people/end")
def end_session() -> Response:
    """End the session of a person of this org."""
    ended = sessions().end_of(session().org_id, request.form.get("id", ""))
    said = "That session is ended." if ended else "That session had ended already."
    return told(url_for("console.audit_trail"), said)
