"""audit: who did what to which job or schedule."""

from __future__ import annotations

import itertools

import click
from rich.console import Console

from cli import find, render, times
from cli.api import Json
from cli.options import Session, common, examples
from cli.problems import OK

COLUMNS = (
    render.Column("WHEN"),
    render.Column("BY", 1, shrink=8),
    render.Column("ACTION"),
    render.Column("JOB", 1),
    render.Column("SCHEDULE", 3),
    render.Column("NAME", 2, shrink=8),
    render.Column("BEFORE", 4, shrink=16),
)


@click.command(epilog=examples("quotejob audit", "quotejob audit --job 1f0c", "quotejob audit --limit 500 --json"))
@click.option("--job", metavar="ID", help="Only what was done to this job.")
@click.option("--schedule", metavar="NAME", help="Only what was done to this schedule: its name or id.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="The most entries.")
@common
def audit(session: Session, job: str | None, schedule: str | None, limit: int) -> int:
    """Show who did what to the org's jobs and schedules, newest first. Entries are kept for 90 days."""
    if job is not None and schedule is not None:
        raise click.UsageError("Give --job or --schedule, not both.")
    asked: dict[str, str] = {}
    if job is not None:
        asked["jobId"] = find.job(session.api, job)
    if schedule is not None:
        asked["scheduleId"] = find.schedule(session.api, schedule)["scheduleId"]
    found = list(itertools.islice(session.api.pages("/api/audit", "entries", limit=min(limit, 500), **asked), limit))
    if not found and not session.as_json:
        click.echo("Nobody has changed a job or schedule yet.", err=True)
        return OK
    session.show({"entries": found}, lambda screen: _table(screen, found))
    return OK


def _table(screen: Console, found: list[Json]) -> None:
    ids = render.short([each[name] for each in found for name in ("jobId", "scheduleId") if each[name]])

    def said(full: str | None) -> str:
        return "-" if not full else ids[full] if screen.is_terminal else full

    rows = [
        (
            times.relative(each["at"]),
            each["byName"] or each["byId"],
            each["action"],
            said(each["jobId"]),
            said(each["scheduleId"]),
            each["name"] or "-",
            ", ".join(f"{one['field']} {one['value'] or '-'}" for one in each["before"]) or "-",
        )
        for each in found
    ]
    render.table(screen, COLUMNS, rows)
