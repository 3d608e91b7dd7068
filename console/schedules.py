"""The schedules: when what runs next, in whose zone; create, pause, resume, run now, delete."""

from __future__ import annotations

import time
from functools import lru_cache
from itertools import islice
from typing import Any

from flask import Response, render_template, request, url_for

from console.pages import blueprint, page, part, proven, services, session, told
from console.submit import whole_number
from console.words import MOST_RUNS, apart, zone
from quotejob.asking import proof
from quotejob.errors import InvalidRequest, QuotejobError, ScheduleNotFound
from quotejob.jobs.job import MAX_NAME_LENGTH, BuiltIn, Job
from quotejob.jobs.listing import JobFilter
from quotejob.jobtypes import registry
from quotejob.jobtypes.sample_data import DEFAULT_OPPORTUNITIES
from quotejob.salesforce.caller import CallerContext
from quotejob.schedules.cron import MAX_EXPRESSION_LENGTH, Cron
from quotejob.schedules.schedule import Misfire, Overlap, Schedule
from quotejob.schedules.store import CHANGEABLE
from quotejob.schedules.what import what_to_submit
from quotejob.services import Services
from quotejob.settings import Settings, is_developer_name
from quotejob.store import keys
from tasks import workers

NEWEST = 2000  # jobs of the org that are read for the bars of all schedules
RUNS_KEPT_FOR = 10  # seconds
PLAIN = {
    "cron": "0 0 22 ? * MON-FRI",
    "number": str(DEFAULT_OPPORTUNITIES),
    "job_type": str(BuiltIn.BATCH_QUOTE),
    "misfire": "runOnce",
    "overlap": "skip",
}


@blueprint.get("/schedules")
def schedules() -> Response:
    """Show the org's schedules."""
    return page("schedules.html", **_all())


@part("/schedules")
def schedule_rows() -> str:
    """Show the schedules as they are now."""
    return render_template("parts/schedules.html", **_all())


def _all() -> dict[str, Any]:
    org_id = session().org_id
    runs = _runs(services().settings, org_id, int(time.time() // RUNS_KEPT_FOR))
    return {"schedules": services().schedules.list_for_org(org_id), "runs": runs}


@lru_cache(maxsize=64)
def _runs(settings: Settings, org_id: str, _span: int) -> dict[str, list[Job]]:
    """Return the last runs of each schedule, the latest first: one read of the org's newest jobs, for all tabs."""
    runs: dict[str, list[Job]] = {}
    newest = Services.connected(settings).search.scan(org_id, fields=("scheduleId", "startedDate", "completedDate"))
    for job in islice(newest, NEWEST):
        if job.schedule_id and len(found := runs.setdefault(job.schedule_id, [])) < MOST_RUNS:
            found.append(job)
    return runs


@blueprint.get("/schedules/new")
def new_schedule() -> Response:
    """Show the form of a new schedule."""
    return page("schedule_new.html", given={**PLAIN, "time_zone": zone()}, **_words())


@blueprint.post("/schedules/check")
def check_times() -> str:
    """Show the next five fire times of an expression that is being typed, or what is wrong with it."""
    try:
        expression = Cron.parse(request.form.get("cron", ""), request.form.get("time_zone", "UTC"))
        times = expression.preview(services().schedules.now())
        return render_template("parts/fires.html", times=times, expression=expression.expression, error=None)
    except InvalidRequest as refusal:
        return render_template("parts/fires.html", times=[], error=refusal.message)


@blueprint.post("/schedules")
def create_schedule() -> Response:
    """Create a schedule. What is refused is kept in the form."""
    context, given = proven(), request.form.to_dict()
    try:
        made = services().schedules.create(context, **_checked(context, given))
    except QuotejobError as refusal:
        return page("schedule_new.html", given={**PLAIN, **given}, error=refusal.message, **_words())
    return told(url_for("console.schedule", schedule_id=made.schedule_id), f'"{apart(made.name)}" is created.')


@blueprint.get("/schedules/<schedule_id>/edit")
def edit_schedule(schedule_id: str) -> Response:
    """Show the form of a schedule as it is."""
    found = _own(schedule_id)
    given = {field: getattr(found, field) for field in CHANGEABLE}
    given |= {
        "cron": found.cron_expression,
        "clause": found.soql_where_clause or "",
        "number": found.number_of_opportunities or DEFAULT_OPPORTUNITIES,
        "parameters": "\n".join(f"{name}={value}" for name, value in found.parameters),
    }
    return page("schedule_new.html", given=given, schedule=found, **_words())


@blueprint.post("/schedules/<schedule_id>/edit")
def store_schedule(schedule_id: str) -> Response:
    """Change a schedule. Its history stays. What is refused is kept in the form."""
    context, found, given = proven(), _own(schedule_id), request.form.to_dict()
    try:
        made = services().schedules.change(schedule_id, context.org_id, _checked(context, given))
    except QuotejobError as refusal:
        given = {**PLAIN, **given}
        return page("schedule_new.html", given=given, schedule=found, error=refusal.message, **_words())
    workers.dispatch_org(services(), context.org_id)  # a slot may be kept no longer
    return told(url_for("console.schedule", schedule_id=schedule_id), f'"{apart(made.name)}" is changed.')


def _checked(context: CallerContext, given: dict[str, str]) -> dict[str, Any]:
    """Return the fields of the form, once the org has accepted its clause and its authorization."""
    fields = _fields(given)
    if fields["soql_where_clause"] and fields["job_type"] == BuiltIn.BATCH_QUOTE:
        proof.check_clause_in_org(context, fields["soql_where_clause"], services())
    name = proof.check_authorization(context, given.get("authorization") or None, services().settings)
    return {**fields, "authorization": name}


def _fields(given: dict[str, str]) -> dict[str, Any]:
    """Return the fields of the schedule that the form asks for. Raises InvalidRequest."""
    name, cron, kind = given.get("name", "").strip(), given.get("cron", "").strip(), given.get("job_type", "")
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise InvalidRequest.field("name", f"should be a text of 1 to {MAX_NAME_LENGTH} characters")
    if not 1 <= len(cron) <= MAX_EXPRESSION_LENGTH:
        raise InvalidRequest.field("cronExpression", f"should be a text of 1 to {MAX_EXPRESSION_LENGTH} characters")
    if given.get("authorization") and not is_developer_name(given["authorization"]):
        raise InvalidRequest.field("authorization", "should be the developer name of an AppLink authorization")
    return {
        "name": name,
        "cron_expression": cron,
        "time_zone": given.get("time_zone", "").strip() or "UTC",
        "job_type": kind,
        "misfire": _word(Misfire, "misfire", given.get("misfire", "")),
        "overlap": _word(Overlap, "overlap", given.get("overlap", "")),
        "guaranteed": bool(given.get("guaranteed")),
        **what_to_submit(
            kind,
            given.get("clause", "").strip() or None,
            whole_number(given.get("number", "")) if kind == BuiltIn.SAMPLE_DATA_CREATE else None,
            _parameters(given.get("parameters", "")),
        ),
    }


def _parameters(text: str) -> list[tuple[str, str]]:
    """Return the parameters of lines of NAME=VALUE. Raises InvalidRequest."""
    pairs = [line.strip().partition("=") for line in text.splitlines() if line.strip()]
    if wrong := [name for name, equals, _ in pairs if not (name and equals)]:
        raise InvalidRequest.field("parameters", f"{wrong[0][:80]!r} should be NAME=VALUE; one on each line")
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _word(words: Any, field: str, value: str) -> Any:
    try:
        return words(value)
    except ValueError:
        raise InvalidRequest.field(field, f"should be one of {', '.join(words)}") from None


def _words() -> dict[str, Any]:
    default = services().settings.authorization
    return {"types": registry.known(), "misfires": list(Misfire), "overlaps": list(Overlap), "default": default}


@blueprint.get("/schedules/<schedule_id>")
def schedule(schedule_id: str) -> Response:
    """Show one schedule, with its last jobs."""
    found = _own(schedule_id)
    runs, _ = services().search.recent(session().org_id, JobFilter(schedule_id=schedule_id), limit=MOST_RUNS)
    return page("schedule.html", schedule=found, runs=runs)


@blueprint.post("/schedules/<schedule_id>/<what>")
def change_schedule(schedule_id: str, what: str) -> Response:
    """Pause, resume or delete a schedule, or run its job now."""
    context, store, found = proven(), services().schedules, _own(schedule_id)
    here = url_for("console.schedule", schedule_id=schedule_id)
    if what == "pause":
        store.pause(schedule_id, context.org_id)
        answer = told(here, "Paused. It does not fire until it is resumed.")
    elif what == "resume":
        proof.check_authorization(context, found.authorization, services().settings)
        store.resume(schedule_id, context.org_id)
        answer = told(here, "Resumed.")
    elif what == "run":
        job_id = services().firing.run_now(schedule_id, context.org_id)
        answer = told(url_for("console.job", job_id=job_id), f'"{apart(found.name)}" runs now.')
    elif what == "delete":
        store.delete(schedule_id, context.org_id)
        answer = told(
            url_for("console.schedules"), f'"{apart(found.name)}" is deleted. Its jobs and their results stay.'
        )
    else:
        raise ScheduleNotFound(f"There is nothing named {what[:40]} to do with a schedule")
    workers.dispatch_org(services(), context.org_id)  # a new job, or a slot that is no longer kept
    return answer


def _own(schedule_id: str) -> Schedule:
    """Return a schedule of the person's org. Raises ScheduleNotFound."""
    if not keys.is_id(schedule_id):
        raise ScheduleNotFound("There is no such schedule in this org")
    return services().schedules.get(schedule_id, session().org_id)
