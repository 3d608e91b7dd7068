"""The flex queue: who is next, when, waiting for what; and moving a job in it.

A move names the neighbour and never an index, because the queue moves meanwhile. The answer is the whole list.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import Response, make_response, render_template, request

from console.outlook import holding
from console.pages import blueprint, current_tag, look_anew, page, part, proven, services, session
from console.words import apart, names_of_open_jobs, title
from quotejob import clock
from quotejob.errors import InvalidRequest, JobConflict, JobNotFound
from quotejob.jobs.flexqueue import QueuePlace
from quotejob.store import keys


@blueprint.get("/queue")
def queue() -> Response:
    """Show the flex queue."""
    return page("queue.html", **_queue())


@part("/queue")
def queue_rows() -> str:
    """Show the flex queue as it is now."""
    return render_template("parts/queue.html", **_queue())


@blueprint.post("/queue/move")
def move() -> Response:
    """Move a job. Answers the whole list, also when the queue was faster."""
    context, said = proven(), ""
    job_id, place, other = (request.form.get(name, "") for name in ("job", "place", "other"))
    if place not in list(QueuePlace) or not keys.is_id(job_id) or (other and not keys.is_id(other)):
        raise InvalidRequest.field("place", f"should be {', '.join(QueuePlace)}, with the ids of jobs")
    status = HTTPStatus.OK
    try:
        services().flexqueue.move(context.org_id, job_id, QueuePlace(place), other)
    except (JobConflict, JobNotFound) as refusal:
        status, said = HTTPStatus.CONFLICT, _faster(refusal, job_id, other)
    look_anew()
    response = make_response(render_template("parts/queue.html", refusal=said, **_queue()), status)
    response.headers["HX-PTag"] = current_tag()
    return response


def _faster(refusal: JobConflict | JobNotFound, *named: str) -> str:
    """Say which job has left the queue, and what it does now."""
    for job in services().jobs.get_many([each for each in named if each]):
        if job.org_id == session().org_id and job.status != "Holding":
            since = (clock.now() - (job.completed_date or job.started_date or clock.now())).total_seconds()
            return (
                f'Not moved: the queue was faster. "{apart(title(job))}" is {job.status} since {max(0, int(since))} s.'
            )
    return f"Not moved. {refusal.message}"


def _queue() -> dict[str, Any]:
    settings = services().settings
    return {
        "jobs": holding(),
        "names": names_of_open_jobs(),
        "most": settings.holding_jobs,
        "slots": settings.active_jobs,
    }
