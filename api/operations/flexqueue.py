"""The operations on the flex queue, in the words of the platform's FlexQueue class."""

from __future__ import annotations

from functools import partial
from typing import Any

import structlog

from api import caller
from api.blueprint import Blueprint
from api.wire.flexqueue import (
    FlexQueueSchema,
    MoveBesideJobRequestSchema,
    MoveJobRequestSchema,
    MoveJobResponseSchema,
    MoveToPositionRequestSchema,
)
from quotejob.jobs.flexqueue import QueuePlace
from tasks import workers

log = structlog.get_logger("api")
blueprint = Blueprint("flexqueue", __name__, url_prefix="/api/flexqueue", description="See and change who runs next")
blueprint.before_request(caller.require_context)
_HOLDING = "the id of a Holding job, from getFlexQueue"
_ONE = {"jobId": _HOLDING}
_TWO = {"jobToMoveId": _HOLDING, "jobInQueueId": _HOLDING}
move = partial(
    blueprint.operation,
    method="POST",
    answer=MoveJobResponseSchema,
    says="Whether the job was moved; false if it was there already",
    errors=(404, 409),
)


@blueprint.operation("", name="getFlexQueue", answer=FlexQueueSchema, says="The Holding jobs, the next one first")
def get_flex_queue() -> dict[str, Any]:
    """List the flex queue

    Lists the Holding jobs of the caller's org in their order. A job that has waitingFor lets others pass. The times at
    which jobs will start and end are estimates, from the order of the queue and the run times of earlier jobs.
    """
    org_id = caller.authenticated().org_id
    jobs = caller.services().flexqueue.jobs(org_id)
    return {"jobs": workers.with_outlook(caller.services(), org_id, jobs)}


@move("/moveJobToFront", name="moveJobToFront", body=MoveJobRequestSchema, example=_ONE)
def move_job_to_front(body: dict[str, Any]) -> dict[str, bool]:
    """Make a Holding job the next one

    Moves a job to the front of its org's flex queue. It needs the id of a Holding job; getFlexQueue gives them.
    """
    return _move(body["job_id"], QueuePlace.FRONT)


@move("/moveJobToEnd", name="moveJobToEnd", body=MoveJobRequestSchema, example=_ONE)
def move_job_to_end(body: dict[str, Any]) -> dict[str, bool]:
    """Make a Holding job the last one

    Moves a job to the end of its org's flex queue. It needs the id of a Holding job; getFlexQueue gives them.
    """
    return _move(body["job_id"], QueuePlace.END)


@move("/moveBeforeJob", name="moveBeforeJob", body=MoveBesideJobRequestSchema, example=_TWO)
def move_before_job(body: dict[str, Any]) -> dict[str, bool]:
    """Move a Holding job before another

    Moves a job directly before another one of its org's flex queue. It needs the ids of two Holding jobs; getFlexQueue
    gives them.
    """
    return _move(body["job_to_move_id"], QueuePlace.BEFORE, body["job_in_queue_id"])


@move("/moveAfterJob", name="moveAfterJob", body=MoveBesideJobRequestSchema, example=_TWO)
def move_after_job(body: dict[str, Any]) -> dict[str, bool]:
    """Move a Holding job after another

    Moves a job directly after another one of its org's flex queue. It needs the ids of two Holding jobs; getFlexQueue
    gives them.
    """
    return _move(body["job_to_move_id"], QueuePlace.AFTER, body["job_in_queue_id"])


@move("/moveToPosition", name="moveToPosition", body=MoveToPositionRequestSchema, example={**_ONE, "position": 0})
def move_to_position(body: dict[str, Any]) -> dict[str, bool]:
    """Move a Holding job to a position

    Moves a job to a position of its org's flex queue. Position 0 is the front. A position past the end is the end.
    """
    org_id, queue = _org_of(body["job_id"]), caller.services().flexqueue
    return _said(queue.move_to(org_id, body["job_id"], body["position"]), str(body["position"]))


def _move(job_id: str, place: QueuePlace, *other: str) -> dict[str, bool]:
    org_id = _org_of(*other, job_id)
    return _said(caller.services().flexqueue.move(org_id, job_id, place, *other), place)


def _org_of(*job_ids: str) -> str:
    """Return the caller's org. Raises JobNotFound if it does not have all of the jobs."""
    context = caller.authenticated()
    for job_id in job_ids:
        caller.get_own_job(context, job_id)
    return context.org_id


def _said(moved: bool, place: str) -> dict[str, bool]:
    log.info("Job moved" if moved else "Job was there already", place=place)
    return {"moved": moved}
