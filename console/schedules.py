"""The schedules: when what runs next, in whose zone; create, pause, resume, run now, delete."""

from __future__ import annotations

import time
from functools import lru_cache
from itertools import islice
from typing import Any

import orjson
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
FORM = {  # the fields of the form: how a person calls it, and the field of Schedule that it becomes
    "name": ("Name", "name"),
    "cron": ("Expression", "cron_expression"),
    "time_zone": ("Time zone", "time_zone"),
    "job_type": ("Job", "job_type"),
    "number": ("How many Opportunities", "number_of_opportunities"),
    "clause": ("WHERE", "soql_where_clause"),
    "parameters": ("Parameters", "parameters"),
    "misfire": ("If fire times were missed", "misfire"),
    "overlap": ("If its job before still runs", "overlap"),
    "authorization": ("Authorization", "authorization"),
    "guaranteed": ("Guaranteed", "guaranteed"),
}
OF_JOB_TYPE = ("number", "clause", "parameters")  # fields that another job type gives another meaning


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
    return page("schedule_new.html", given=_as_form(found), shown=_as_form(found), schedule=found, **_words())


@blueprint.post("/schedules/<schedule_id>/edit")
def store_schedule(schedule_id: str) -> Response:
    """Change the fields of a schedule that the person has changed. Its history stays.

    What is refused is kept in the form. So is a field that somebody else has changed since it was shown.
    """
    context, found = proven(), _own(schedule_id)
    given = {field: _plain(request.form.get(field, "")) for field in FORM}
    now = _as_form(found)
    shown = _shown(request.form.get("shown", "")) or now
    mine = {field: value for field, value in given.items() if value != shown[field]}
    form = {"schedule": found, "given": now | mine, **_words()}
    try:
        fields = _checked(context, now | mine)
        now = _as_form(_own(schedule_id))  # again: the org may have needed some time
        if both := [field for field in mine if now[field] not in (shown[field], mine[field])]:
            others = [(FORM[field][0], now[field]) for field in both]
            return page("schedule_new.html", **form | {"given": now | mine}, shown=now, others=others)
        changed = {*mine, *(OF_JOB_TYPE if "job_type" in mine else ())}
        names = [*(FORM[field][1] for field in changed), *fields.keys() & {"commit_by"}]  # there only to be removed
        made = services().schedules.change(schedule_id, context.org_id, {name: fields[name] for name in names})
    except QuotejobError as refusal:
        shown = now | {field: shown[field] for field in mine}
        return page("schedule_new.html", **form, shown=shown, error=refusal.message)
    workers.dispatch_org(services(), context.org_id)  # a slot may be kept no longer
    return told(url_for("console.schedule", schedule_id=schedule_id), f'"{apart(made.name)}" is changed.')


def _as_form(found: Schedule) -> dict[str, str]:
    """Return a schedule as the form shows it."""
    return {
        "name": _plain(found.name),
        "cron": found.cron_expression,
        "time_zone": found.time_zone,
        "job_type": found.job_type,
        "number": str(found.number_of_opportunities or DEFAULT_OPPORTUNITIES),
        "clause": _plain(found.soql_where_clause or ""),
        "parameters": _plain("\n".join(f"{name}={value}" for name, value in found.parameters)),
        "misfire": str(found.misfire),
        "overlap": str(found.overlap),
        "authorization": found.authorization,
        "guaranteed": "1" if found.guaranteed else "",
    }


def _plain(text: str) -> str:
    """Return a text of a form without what browsers change in it: the ends of its lines, and blanks around it."""
    return text.replace("\r\n", "\n").strip()


def _shown(text: str) -> dict[str, str] | None:
    """Return what the form had shown. None: whoever sends the form has seen none, such as a script."""
    try:
        shown = orjson.loads(text)
    except ValueError:
        return None
    return shown if isinstance(shown, dict) and all(isinstance(shown.get(field), str) for field in FORM) else None


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
