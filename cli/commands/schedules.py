"""schedules: jobs by the clock."""

from __future__ import annotations

import functools
from typing import Any

import click
from rich.console import Console

from cli import find, options, render, times
from cli.api import Json
from cli.commands.jobs import submitted
from cli.options import F, Session, common, examples
from cli.problems import NAME, OK

COLUMNS = (
    render.Column("ID"),
    render.Column("NAME", 1, shrink=12),
    render.Column("STATE", 2),
    render.Column("NEXT", 2),
    render.Column("CRON", 4),
    render.Column("ZONE", 5),
    render.Column("FIRED", 6, "right"),
    render.Column("NEXT AT", 7),
)
WIRE_NAMES = {
    "name": "name",
    "cron": "cronExpression",
    "time_zone": "timeZone",
    "job_type": "jobType",
    "clause": "soqlWhereClause",
    "parameters": "parameters",
    "commit_by": "commitBy",
    "opportunities": "numberOfOpportunities",
    "start": "startTime",
    "end": "endTime",
    "misfire": "misfire",
    "overlap": "overlap",
    "guaranteed": "guaranteed",
    "authorization": "authorization",
}
_schedule = click.argument("given", metavar="ID|NAME")
_DEFINITION = (
    click.option("--cron", metavar="EXPR", help="Seconds Minutes Hours Day_of_month Month Day_of_week."),
    click.option("--time-zone", metavar="ZONE", help="IANA name of the zone whose clock counts; of a new one UTC."),
    click.option(
        "--type",
        "job_type",
        type=options.JobType(),
        metavar="TYPE",
        help=f"A job type of `{NAME} jobtypes`, or SampleDataCreate or SampleDataDelete; of a new one BatchQuote.",
    ),
    options.parameters,
    click.option("--clause", metavar="CLAUSE", help="The SOQL WHERE clause of its records."),
    options.commit_by,
    click.option(
        "--opportunities",
        type=click.IntRange(1, options.MOST_OPPORTUNITIES),
        metavar="N",
        help="How many a SampleDataCreate creates.",
    ),
    click.option("--start", type=times.Moment(future=True), help="Do not fire before this time."),
    click.option("--end", type=times.Moment(future=True), help="Do not fire after this time."),
    click.option(
        "--misfire",
        type=click.Choice(["runOnce", "skip"], case_sensitive=False),
        help="If fire times were missed: run once, or do not run.",
    ),
    click.option(
        "--overlap",
        type=click.Choice(["skip", "queue"]),
        help="If the job before has not ended: skip the fire time, or queue a job.",
    ),
    click.option("--authorization", metavar="NAME", help="AppLink authorization whose user the jobs work as."),
)


def _definition(command: F) -> F:
    """Add the options that say what a schedule runs, and when."""
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_DEFINITION), command)


@click.group(epilog=examples("quotejob schedules list", "quotejob schedules run 'Nightly quotes' --wait 10"))
def schedules() -> None:
    """Submit jobs by the clock."""


@schedules.command("list", epilog=examples("quotejob schedules list", "quotejob schedules list --json"))
@common
def list_schedules(session: Session) -> int:
    """List the org's schedules, the newest first."""
    answer = session.api.get("/api/schedules")
    if not answer["schedules"] and not session.as_json:
        click.echo("No schedules.", err=True)
        return OK
    session.show(answer, lambda screen: _table(screen, answer["schedules"]))
    return OK


def _table(screen: Console, known: list[Json]) -> None:
    ids = render.short([each["scheduleId"] for each in known])
    rows = [
        (
            ids[each["scheduleId"]] if screen.is_terminal else each["scheduleId"],
            each["name"],
            each["state"],
            times.relative(each["nextFireTime"]),
            each["cronExpression"],
            each["timeZone"],
            times.number(each["timesTriggered"]),
            times.local(each["nextFireTime"]),
        )
        for each in known
    ]
    render.table(screen, COLUMNS, rows)


@schedules.command(epilog=examples("quotejob schedules show 'Nightly quotes'"))
@_schedule
@common
def show(session: Session, given: str) -> int:
    """Show one schedule."""
    found = find.schedule(session.api, given)
    session.show(found, lambda screen: _details(screen, found))
    return OK


def _details(screen: Console, schedule: Json) -> None:
    number = schedule["numberOfOpportunities"]
    following = [("Then" if index else "Fires", times.both(at)) for index, at in enumerate(schedule["nextFireTimes"])]
    pairs: list[tuple[str, object]] = [
        ("Schedule", schedule["scheduleId"]),
        ("Name", schedule["name"]),
        ("State", schedule["state"]),
        ("Reason", schedule["extendedStatus"]),
        ("Cron", schedule["cronExpression"]),
        ("Time zone", schedule["timeZone"]),
        ("Type", schedule["jobType"]),
        ("Clause", schedule["soqlWhereClause"]),
        ("Parameters", options.said(schedule.get("parameters", []))),
        ("Commits by", schedule.get("commitBy")),
        ("Opportunities", "" if number is None else times.number(number)),
        *following,
        ("Fired last", times.both(schedule["previousFireTime"]) if schedule["previousFireTime"] else ""),
        ("Fired", f"{schedule['timesTriggered']:,} times, {schedule['timesSkipped']:,} skipped"),
        ("Start", times.both(schedule["startTime"]) if schedule["startTime"] else ""),
        ("End", times.both(schedule["endTime"]) if schedule["endTime"] else ""),
        ("Misfire", schedule["misfire"]),
        ("Overlap", schedule["overlap"]),
        ("Guaranteed", "yes" if schedule["guaranteed"] else "no"),
        ("Authorization", schedule["authorization"]),
        ("Last job", schedule["lastJobId"]),
        ("Created by", schedule["createdByName"]),
    ]
    render.fields(screen, pairs)


@schedules.command(
    epilog=examples(
        "quotejob schedules create Nightly --cron '0 0 22 ? * MON-FRI' --time-zone Europe/Zurich "
        "--clause 'IsClosed = false' --authorization worker",
        "quotejob schedules create Renewals --cron '0 0 6 1 * ?' --type Renewals --parameter months=24",
    )
)
@click.argument("name")
@_definition
@click.option("--guaranteed", is_flag=True, default=None, help="Keep a slot free for its fire time.")
@common
def create(session: Session, **values: Any) -> int:
    """Create a schedule."""
    if values["cron"] is None:
        raise click.UsageError("Give --cron EXPR: Seconds Minutes Hours Day_of_month Month Day_of_week.")
    body = {WIRE_NAMES[name]: value for name, value in values.items() if value is not None}
    made = session.api.post("/api/schedules", body)
    session.show(made, lambda screen: _details(screen, made))
    return OK


@schedules.command(
    epilog=examples(
        "quotejob schedules edit Nightly --cron '0 30 22 ? * MON-FRI'",
        "quotejob schedules edit Nightly --name Weekly --no-end",
    )
)
@_schedule
@click.option("--name", metavar="NAME", help="Its new name.")
@_definition
@click.option("--no-start", is_flag=True, help="Remove the start time.")
@click.option("--no-end", is_flag=True, help="Remove the end time.")
@click.option("--guaranteed/--not-guaranteed", default=None, help="Keep a slot free for its fire time, or do not.")
@common
def edit(session: Session, given: str, no_start: bool, no_end: bool, **values: Any) -> int:
    """Change a schedule. What you do not give stays, and so does its history."""
    if (no_start and values["start"]) or (no_end and values["end"]):
        raise click.UsageError("Give --start or --no-start, and --end or --no-end.")
    body: Json = {WIRE_NAMES[name]: value for name, value in values.items() if value is not None}
    body |= {"startTime": None} if no_start else {}
    body |= {"endTime": None} if no_end else {}
    if not body:
        raise click.UsageError("Give what to change, such as --cron EXPR or --name NAME.")
    changed = session.api.patch(f"/api/schedules/{find.schedule(session.api, given)['scheduleId']}", body)
    session.show(changed, lambda screen: _details(screen, changed))
    return OK


def _change(session: Session, given: str, verb: str) -> int:
    """Pause, resume or delete a schedule, and say its new state."""
    path = f"/api/schedules/{find.schedule(session.api, given)['scheduleId']}"
    changed = session.api.delete(path) if verb == "delete" else session.api.post(f"{path}/{verb}")
    state = "deleted" if verb == "delete" else changed["state"]
    session.say(changed, f"Schedule {changed['name']} ({changed['scheduleId']}) is {state}.")
    return OK


@schedules.command(epilog=examples("quotejob schedules pause Nightly"))
@_schedule
@common
def pause(session: Session, given: str) -> int:
    """Stop a schedule from firing. Its jobs continue."""
    return _change(session, given, "pause")


@schedules.command(epilog=examples("quotejob schedules resume Nightly"))
@_schedule
@common
def resume(session: Session, given: str) -> int:
    """Let a paused schedule fire again."""
    return _change(session, given, "resume")


@schedules.command(epilog=examples("quotejob schedules delete Nightly"))
@_schedule
@common
def delete(session: Session, given: str) -> int:
    """Delete a schedule. Its jobs stay, and continue."""
    return _change(session, given, "delete")


@schedules.command(epilog=examples("quotejob schedules run Nightly --wait 10"))
@_schedule
@options.wait
@common
def run(session: Session, given: str, wait: float | None) -> int:
    """Submit a schedule's job now."""
    path = f"/api/schedules/{find.schedule(session.api, given)['scheduleId']}/run"
    return submitted(session, session.api.post(path)["jobId"], wait)
