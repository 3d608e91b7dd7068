"""queue: the jobs that wait, and their order."""

from __future__ import annotations

import click
from click.core import ParameterSource
from rich.console import Console

from cli import find, options, render, times
from cli.api import Json
from cli.options import Session, common, examples
from cli.problems import OK

COLUMNS = (
    render.Column("PLACE", 0, "right"),
    render.Column("ID"),
    render.Column("TYPE", 3),
    render.Column("STARTS", 1),
    render.Column("WAITS FOR", 2, shrink=28),
    render.Column("CREATED", 4),
    render.Column("CLAUSE", 5, shrink=16),
    render.Column("NAME", 3, shrink=12),
)


@click.group(invoke_without_command=True, epilog=examples("quotejob queue", "quotejob queue move 1f0c --front"))
@common
@click.pass_context
def queue(context: click.Context, session: Session) -> int:
    """Show the flex queue: the Holding jobs in order. Position 0 is the next one."""
    if context.invoked_subcommand:
        if any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in ("as_json", "org", "url")):
            raise click.UsageError(f"Write the options after `{context.invoked_subcommand}`.", context)
        return OK
    held = _held(session)
    if not held and not session.as_json:
        click.echo("The flex queue is empty.", err=True)
        return OK
    session.show({"jobs": held}, lambda screen: _table(screen, held))
    return OK


def _held(session: Session) -> list[Json]:
    jobs: list[Json] = session.api.get("/api/flexqueue")["jobs"]
    return jobs


def _table(screen: Console, held: list[Json]) -> None:
    ids = render.short([job["jobId"] for job in held])
    rows = [
        (
            times.number(job["position"]),
            ids[job["jobId"]] if screen.is_terminal else job["jobId"],
            job["jobType"],
            times.relative(job["estimatedStart"]),
            "; ".join(each["message"] for each in job["waitingFor"]) or "-",
            times.relative(job["createdDate"]),
            job["soqlWhereClause"] or "-",
            job["name"] or "-",
        )
        for job in held
    ]
    render.table(screen, COLUMNS, rows)


@queue.command(
    epilog=examples(
        "quotejob queue move 1f0c --front",
        "quotejob queue move --last --before 77ab",
        "quotejob queue move 1f0c --to 3",
    )
)
@options.job_id
@click.option("--front", is_flag=True, help="To position 0.")
@click.option("--end", is_flag=True, help="To the last position.")
@click.option("--before", metavar="ID", help="Directly before this job.")
@click.option("--after", metavar="ID", help="Directly after this job.")
@click.option("--to", type=click.IntRange(0), metavar="POSITION", help="To this position; 0 is the next one.")
@common
def move(
    session: Session, given: str, front: bool, end: bool, before: str | None, after: str | None, to: int | None
) -> int:
    """Move a Holding job to another position in the flex queue."""
    if sum((front, end, *(one is not None for one in (before, after, to)))) != 1:
        raise click.UsageError("Give one of --front, --end, --before, --after and --to.")
    job_id = find.job(session.api, given)
    if front:
        target, beside = "moveJobToFront", None
    elif end:
        target, beside = "moveJobToEnd", None
    elif to is not None:
        target, beside = "moveToPosition", None
    else:
        other = after if before is None else before
        target, beside = "moveAfterJob" if before is None else "moveBeforeJob", find.job(session.api, other or "")
    body: Json = {"jobToMoveId": job_id, "jobInQueueId": beside} if beside else {"jobId": job_id}
    if to is not None:
        body["position"] = to
    answer = session.api.post(f"/api/flexqueue/{target}", body)
    session.say(answer, f"Job {job_id} is moved." if answer["moved"] else f"Job {job_id} was there already.")
    return OK
