"""bulk jobs, status, abort and delete: the Bulk jobs that are in the org."""

from __future__ import annotations

from collections.abc import Iterator

import click

from cli import render
from cli.commands.bulk.org import BASE, Json, Org
from cli.options import Session, common, examples
from cli.problems import OK

_SHOWN = 50
_KINDS = {"ingest": ("ingest", "V2Ingest"), "query": ("query", "V2Query"), "classic": ("ingest", "Classic")}
_COLUMNS = (
    render.Column("JOB"),
    render.Column("OBJECT", 1, shrink=10),
    render.Column("OPERATION", 2),
    render.Column("STATE", 0),
    render.Column("CREATED", 3),
    render.Column("CREATED BY", 4),
)
_NAMES = ("id", "object", "operation", "state", "createdDate", "createdById")


@click.command(epilog=examples("quotejob bulk jobs", "quotejob bulk jobs --type query --json"))
@click.option("--type", "kind", type=click.Choice(list(_KINDS)), default="ingest", show_default=True)
@click.option("--pk-chunking", is_flag=True, help="Only jobs with primary key chunking.")
@click.option(
    "--limit", type=click.IntRange(1), default=_SHOWN, show_default=True, metavar="N", help="The most jobs to list."
)
@common
def jobs(session: Session, kind: str, pk_chunking: bool, limit: int) -> int:
    """List Bulk jobs of the org, the newest first; of the type classic those of Bulk API 1.0."""
    there = sorted(_each(Org(session), kind, pk_chunking), key=lambda job: (job["createdDate"], job["id"]))
    found = there[: -limit - 1 : -1]
    rows = [[each.get(name) or "-" for name in _NAMES] for each in found]
    if not found and not session.as_json:
        session.say({}, f"The org has no Bulk job of the type {kind}.")
        return OK
    session.show({"jobs": found}, lambda screen: render.table(screen, _COLUMNS, rows))
    if len(found) < len(there):
        render.sentence(session.side, f"{len(found):,} of {len(there):,} jobs; --limit N shows more.")
    return OK


def _each(org: Org, kind: str, chunked: bool) -> Iterator[Json]:
    """Yield all jobs. No order of theirs is documented."""
    place, job_type = _KINDS[kind]
    query = {"jobType": job_type, **({"isPkChunkingEnabled": "true"} if chunked else {})}
    page = org.get(f"{BASE}/{place}", **query)
    while True:
        yield from page["records"]
        if page["done"]:
            return
        page = org.get(page["nextRecordsUrl"])


@click.command(epilog=examples("quotejob bulk status 750000000000001AAA"))
@click.argument("job_id", metavar="ID")
@common
def status(session: Session, job_id: str) -> int:
    """Show one Bulk job: its state, its counts and its times."""
    _, job = Org(session).job(job_id)
    session.show(job, lambda screen: render.fields(screen, _pairs(job)))
    return OK


def _pairs(job: Json) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = [
        ("Job", job["id"]),
        ("State", job["state"]),
        ("Object", job.get("object")),
        ("Operation", job["operation"]),
        ("Query", job.get("query")),
        ("Created", job["createdDate"]),
        ("Rows tried", f"{job.get('numberRecordsProcessed', 0):,}"),
        ("Rows failed", f"{job.get('numberRecordsFailed', 0):,}"),
        ("Time", f"{job.get('totalProcessingTime', 0) / 1000:,.1f} s"),
        ("Reason", job.get("errorMessage")),
    ]
    return pairs


@click.command(epilog=examples("quotejob bulk abort 750000000000001AAA"))
@click.argument("job_id", metavar="ID")
@common
def abort(session: Session, job_id: str) -> int:
    """Stop a Bulk job. Rows that are written stay written."""
    org = Org(session)
    path, _ = org.job(job_id)
    job = org.patch(path, "Aborted")
    session.say(job, f"Job {job['id']} is Aborted. Rows that it has written stay.")
    return OK


@click.command(epilog=examples("quotejob bulk delete 750000000000001AAA"))
@click.argument("job_id", metavar="ID")
@common
def delete(session: Session, job_id: str) -> int:
    """Delete a Bulk job and its result files, but not its rows. The org refuses it while the job is in work."""
    org = Org(session)
    path, job = org.job(job_id)
    org.send("DELETE", path).close()
    session.say({"id": job["id"], "deleted": True}, f"Job {job['id']} is deleted.")
    return OK
