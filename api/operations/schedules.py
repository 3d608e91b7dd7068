"""The operations on schedules, in the words of CronTrigger."""

from __future__ import annotations

from typing import Any

import structlog

from api import caller
from api.blueprint import Blueprint
from api.wire.jobs import BatchExecutionResponseSchema
from api.wire.schedules import ScheduleChangeRequestSchema, ScheduleListSchema, ScheduleRequestSchema, ScheduleSchema
from quotejob.asking.proof import check_clause_in_org
from quotejob.errors import ScheduleNotFound
from quotejob.jobs.job import BuiltIn
from quotejob.jobtypes import registry
from quotejob.jobtypes.sample_data import DEFAULT_OPPORTUNITIES
from quotejob.salesforce.caller import CallerContext
from quotejob.schedules.schedule import Schedule
from quotejob.schedules.store import ScheduleStore
from quotejob.schedules.what import what_to_submit
from quotejob.store import keys
from tasks import workers

log = structlog.get_logger("api")
blueprint = Blueprint("schedules", __name__, url_prefix="/api/schedules", description="Submit jobs by the clock")
blueprint.before_request(caller.require_context)


@blueprint.operation(
    "",
    method="POST",
    name="createSchedule",
    body=ScheduleRequestSchema,
    example={
        "name": "Nightly quotes",
        "cronExpression": "0 0 22 ? * MON-FRI",
        "soqlWhereClause": "Name LIKE 'Sample Opportunity%'",
        "authorization": "worker",
    },
    answer=ScheduleSchema,
    status=201,
    says="The schedule, with its next five fire times",
    errors=(409, 429),
)
def create_schedule(body: dict[str, Any]) -> Schedule:
    """Submit a job by the clock

    Stores a schedule. It submits a job at each fire time of its cron expression. Its jobs work as the user of an
    AppLink authorization of this org: send its developer name. The authorization, the parameters and the WHERE clause
    are checked before the answer. The name of a schedule is unique in the org.
    """
    context = caller.claimed()
    what = _what(body)
    context = caller.authenticate(context)
    _check_in_org(context, body["job_type"], what["soql_where_clause"])
    authorization = caller.check_authorization(context, body.get("authorization"))
    schedule = _schedules().create(context, **{**body, **what, "authorization": authorization})
    log.info("Schedule created", schedule_id=schedule.schedule_id)
    return schedule


@blueprint.operation("", name="listSchedules", answer=ScheduleListSchema, says="The caller's org's schedules")
def list_schedules() -> dict[str, Any]:
    """List the org's schedules

    Lists the schedules of the caller's org, newest first.
    """
    return {"schedules": _schedules().list_for_org(caller.authenticated().org_id)}


@blueprint.operation(
    "/<scheduleId>", name="getSchedule", answer=ScheduleSchema, says="The schedule as it is now", errors=(404,)
)
def get_schedule(schedule_id: str) -> Schedule:
    """One schedule

    Gives a schedule, with its next and last fire times, and with the error if there is one.
    """
    return _schedules().get(_checked_id(schedule_id), caller.authenticated().org_id)


@blueprint.operation(
    "/<scheduleId>",
    method="PATCH",
    name="updateSchedule",
    body=ScheduleChangeRequestSchema,
    example={"misfire": "skip"},
    answer=ScheduleSchema,
    says="The schedule as it is now",
    errors=(404, 409),
)
def update_schedule(body: dict[str, Any], schedule_id: str) -> Schedule:
    """Change a schedule

    Changes the fields that are sent, after the checks of createSchedule. Its id, its counts and its last job stay, and
    so does its state; but a COMPLETE schedule that gets new fire times waits for them. A fire time that has passed and
    was not decided yet is lost if the times change.
    """
    context, changes = caller.authenticated(), dict(body)
    before = _schedules().get(_checked_id(schedule_id), context.org_id)
    if body.keys() & {"commit_by", "job_type", "soql_where_clause", "number_of_opportunities", "parameters"}:
        changes |= _what(_with_job_before(body, before))
    _check_in_org(context, changes.get("job_type", before.job_type), body.get("soql_where_clause"))
    if "authorization" in body:
        caller.check_authorization(context, body["authorization"])
    schedule = _schedules().change(schedule_id, context.org_id, changes)
    log.info("Schedule changed", fields=sorted(body))
    _with_slot_freed(before)
    return schedule


@blueprint.operation(
    "/<scheduleId>/pause",
    method="POST",
    name="pauseSchedule",
    answer=ScheduleSchema,
    says="The schedule, paused",
    errors=(404, 409),
)
def pause_schedule(schedule_id: str) -> Schedule:
    """Pause a schedule

    It does not fire until it is resumed. Jobs that it has submitted continue.
    """
    return _with_slot_freed(_schedules().pause(_checked_id(schedule_id), caller.authenticated().org_id))


@blueprint.operation(
    "/<scheduleId>/resume",
    method="POST",
    name="resumeSchedule",
    answer=ScheduleSchema,
    says="The schedule, waiting for its next fire time",
    errors=(404, 409),
)
def resume_schedule(schedule_id: str) -> Schedule:
    """Resume a schedule

    A schedule in state PAUSED or ERROR fires again. Its authorization is checked again. Fire times that have passed
    meanwhile do not count.
    """
    context = caller.authenticated()
    schedule = _schedules().get(_checked_id(schedule_id), context.org_id)
    caller.check_authorization(context, schedule.authorization)
    return _schedules().resume(schedule_id, context.org_id)


@blueprint.operation(
    "/<scheduleId>/run",
    method="POST",
    name="runScheduleNow",
    answer=BatchExecutionResponseSchema,
    status=202,
    says="The job was accepted",
    errors=(404, 409, 429),
)
def run_schedule_now(schedule_id: str) -> dict[str, str]:
    """Run a schedule's job now

    Submits the schedule's job at once, in any state of the schedule. The next fire time does not change.
    """
    context = caller.authenticated()
    job_id = caller.services().firing.run_now(_checked_id(schedule_id), context.org_id)
    workers.dispatch_org(caller.services(), context.org_id)
    return {"job_id": job_id}


@blueprint.operation(
    "/<scheduleId>",
    method="DELETE",
    name="deleteSchedule",
    answer=ScheduleSchema,
    says="The schedule as it was, in state DELETED",
    errors=(404,),
)
def delete_schedule(schedule_id: str) -> Schedule:
    """Delete a schedule

    It does not fire again. Jobs that it has submitted stay, and continue.
    """
    return _with_slot_freed(_schedules().delete(_checked_id(schedule_id), caller.authenticated().org_id))


def _schedules() -> ScheduleStore:
    return caller.services().schedules


def _with_slot_freed(schedule: Schedule) -> Schedule:
    """Return the schedule. If it was guaranteed, its reserved slot is free now: dispatch the org's next job."""
    if schedule.guaranteed:
        workers.dispatch_org(caller.services(), schedule.org_id)
    return schedule


def _checked_id(schedule_id: str) -> str:
    """Return the id if it has the form of one. Raises ScheduleNotFound otherwise. Does not look the schedule up."""
    if not keys.is_id(schedule_id):
        raise ScheduleNotFound("There is no such schedule in this org; listSchedules gives the ids of all schedules")
    structlog.contextvars.bind_contextvars(schedule_id=schedule_id)
    return schedule_id


def _with_job_before(body: dict[str, Any], before: Schedule) -> dict[str, Any]:
    """Return the fields of the job to submit, with those of before where the caller sends none and they still fit."""
    kind = body.get("job_type", before.job_type)
    same = kind == before.job_type
    kept = {
        "soql_where_clause": before.soql_where_clause if same else None,
        "number_of_opportunities": before.number_of_opportunities or DEFAULT_OPPORTUNITIES,
        "parameters": [{"name": name, "value": value} for name, value in before.parameters] if same else [],
    }
    return {**kept, **body, "job_type": kind}


def _what(body: dict[str, Any]) -> dict[str, Any]:
    registry.check_commit_by(body["job_type"], body.get("commit_by"))
    given = [(each["name"], each["value"]) for each in body.get("parameters", ())]
    return what_to_submit(body["job_type"], body["soql_where_clause"], body["number_of_opportunities"], given)


def _check_in_org(context: CallerContext, job_type: str, clause: str | None) -> None:
    """Let the org check a clause for Opportunities. Other clauses are checked when their jobs are planned."""
    if clause and job_type == BuiltIn.BATCH_QUOTE:
        check_clause_in_org(context, clause, caller.services())
