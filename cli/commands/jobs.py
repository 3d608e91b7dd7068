"""jobs, job, retry: watch jobs, and try again what failed."""

from __future__ import annotations

import click
from rich.console import Console

from cli import find, options, render, times, wait
from cli.api import ENDED, Json, new_key
from cli.filters import Query, filters
from cli.options import Session, common, examples
from cli.problems import NAME, OK

SORTS = ("createdDate", "startedDate", "completedDate", "status", "jobType")
COLUMNS = (
    render.Column("ID"),
    render.Column("STATUS", 1),
    render.Column("TYPE", 4),
    render.Column("RECORDS", 2, "right"),
    render.Column("FAILED", 3, "right"),
    render.Column("CREATED", 2),
    render.Column("ENDS", 5),
    render.Column("CLAUSE", 6, shrink=16),
    render.Column("NAME", 3, shrink=12),
    render.Column("CREATED AT", 8),
)


def submitted(session: Session, job_id: str, minutes: float | None) -> int:
    """Say which job was accepted, and follow it if asked to. Returns the exit code."""
    if minutes is None:
        session.say({"jobId": job_id}, f"Job {job_id} is accepted. Look: {NAME} job {job_id[:8]}")
        return OK
    if not session.as_json:
        session.side.print(f"Job {job_id}", soft_wrap=True)
    return show_ended(session, wait.follow(session, job_id, minutes))


def show_ended(session: Session, job: Json) -> int:
    """Print the ended job, and to standard error what went wrong. Returns the exit code."""
    code, sentence = wait.verdict(job)
    session.show(job, lambda screen: details(screen, job))
    if sentence:
        render.error(sentence)
    return code


def details(screen: Console, job: Json) -> None:
    """Print one job."""
    records = job["records"]
    counts = f"{times.number(records['total'])} in all: " + ", ".join(
        f"{times.number(records[name])} {name}" for name in ("succeeded", "skipped", "failed")
    )
    if job.get("dryRun"):
        counts += f", {times.number(records['planned'])} planned"
    ended = job["status"] in ENDED
    pairs: list[tuple[str, object]] = [
        ("Job", job["jobId"]),
        ("Name", job["name"]),
        ("Status", job["status"]),
        ("Reason", job["extendedStatus"]),
        ("Type", job["jobType"]),
        ("Clause", job["soqlWhereClause"]),
        ("Parameters", options.said(job.get("parameters", []))),
        ("Retry of", job.get("retryOf")),
        ("Dry run", "nothing is written" if job.get("dryRun") else job.get("afterDryRun")),
        ("Keeps calls", "" if job.get("keepApiCalls") is None else f"{job['keepApiCalls']:,} for others"),
        ("Commits by", job.get("commitBy")),
        ("Opportunities", "" if job["numberOfOpportunities"] is None else f"{job['numberOfOpportunities']:,}"),
        ("Records", counts if records["total"] else ""),
        ("Pages", f"{job['jobItemsProcessed']:,} of {job['totalJobItems']:,}" if job["totalJobItems"] else ""),
        ("Quotes", f"{job['quotesCreated']:,}" if job["jobType"] == "BatchQuote" else ""),
        ("Org requests", f"{job['apiCalls']:,}"),
        ("Position", "" if job["position"] is None else times.number(job["position"])),
        ("Created", times.both(job["createdDate"])),
        ("Created by", job["createdByName"]),
        ("Started", times.both(job["startedDate"]) if job["startedDate"] else ""),
        ("Starts", times.both(job["estimatedStart"]) if job["estimatedStart"] and not ended else ""),
        ("Ends", times.both(job["estimatedEnd"]) if job["estimatedEnd"] and not ended else ""),
        ("Ended", times.both(job["completedDate"]) if job["completedDate"] else ""),
        *(("Waits for", each["message"]) for each in job["waitingFor"]),
        ("Depends on", ", ".join(job["dependsOn"])),
        ("Not before", times.both(job["notBefore"]) if job["notBefore"] else ""),
        ("Schedule", job["scheduleId"]),
    ]
    render.fields(screen, pairs)


def job_table(screen: Console, jobs: list[Json]) -> None:
    """Print jobs as a table; ids are whole in a pipe and short on a terminal."""
    ids = render.short([job["jobId"] for job in jobs])
    rows = [
        (
            ids[job["jobId"]] if screen.is_terminal else job["jobId"],
            job["status"],
            f"{job['jobType']}, dry" if job.get("dryRun") else job["jobType"],
            f"{wait.finished(job):,}/{job['records']['total']:,}" if job["records"]["total"] else "-",
            times.number(job["records"]["failed"]),
            times.relative(job["createdDate"]),
            times.relative(None if job["completedDate"] else job["estimatedEnd"]),
            job["soqlWhereClause"] or (f"retry of {job['retryOf'][:8]}" if job.get("retryOf") else "-"),
            job["name"] or "-",
            times.local(job["createdDate"]),
        )
        for job in jobs
    ]
    render.table(screen, COLUMNS, rows)


@click.command(
    epilog=examples(
        "quotejob jobs --status Failed --created-from 1d",
        "quotejob jobs --has-errors",
        "quotejob jobs --type BatchQuote --sort completedDate --limit 5",
        "quotejob jobs --json | jq -r '.jobs[].jobId'",
    )
)
@filters
@click.option(
    "--sort",
    type=click.Choice(SORTS, case_sensitive=False),
    metavar="FIELD",
    default="createdDate",
    show_default=True,
    help=f"{', '.join(SORTS)}.",
)
@click.option("--order", type=click.Choice(["desc", "asc"]), default="desc", show_default=True)
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="The most jobs to list."
)
@common
def jobs(session: Session, query: Query, limit: int, sort: str, order: str) -> int:
    """List the org's jobs, the newest first."""
    wanted = {**query(session), "sort": sort, "order": order}
    listed = list(session.api.pages("/api/jobs", "jobs", limit=limit, **wanted))
    if not listed and not session.as_json:
        click.echo("No jobs.", err=True)
        return OK
    session.show({"jobs": listed}, lambda screen: job_table(screen, listed))
    return OK


@click.command(epilog=examples("quotejob job --last", "quotejob job 1f0c --wait 10"))
@options.job_id
@options.wait
@common
def job(session: Session, given: str, wait: float | None) -> int:
    """Show one job."""
    found = find.job(session.api, given)
    if wait is not None:
        return submitted(session, found, wait)
    shown = session.api.get(f"/api/jobs/{found}")
    session.show(shown, lambda screen: details(screen, shown))
    return OK


@click.command(
    epilog=examples("quotejob retry 1f0c --wait 10", "quotejob retry --last --codes UNABLE_TO_LOCK_ROW,WORKER_LOST")
)
@options.job_id
@click.option("--codes", metavar="CODES", help="Only what failed with one of these codes, separated by commas.")
@options.wait
@common
def retry(session: Session, given: str, codes: str | None, wait: float | None) -> int:
    """Submit a new job for the failed records of a job that has ended."""
    body: Json = {} if codes is None else {"codes": [code.strip() for code in codes.split(",")]}
    job_id = find.job(session.api, given)
    new = session.api.post(f"/api/jobs/{job_id}/retry", body, headers=new_key())
    if wait is not None:
        return submitted(session, new["jobId"], wait)
    accepted = f"Job {new['jobId']} is accepted; it retries job {job_id}. Look: {NAME} job {new['jobId'][:8]}"
    session.say(new, accepted)
    return OK
