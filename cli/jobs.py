"""run, jobs, job, abort, resume: submit, watch and stop jobs."""

from __future__ import annotations

import sys
import uuid
from typing import Any, TextIO

import click
from rich.console import Console

from cli import find, options, render, times, wait
from cli.api import Json
from cli.options import Session, common, examples
from cli.problems import OK, CommandError

STATUSES = ("Holding", "Queued", "Preparing", "Processing", "Completed", "Failed", "Aborted")
JOB_TYPES = ("BatchQuote", "SampleDataCreate", "SampleDataDelete")
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
    render.Column("CREATED AT", 8),
)


def new_key() -> dict[str, str]:
    """Return the header that makes a submission that was sent twice one job."""
    return {"Idempotency-Key": str(uuid.uuid4())}


def submitted(session: Session, job_id: str, minutes: float | None) -> int:
    """Say which job was accepted, and follow it if asked to. Returns the exit code."""
    if minutes is None:
        session.say({"jobId": job_id}, f"Job {job_id} is accepted. Look: quotejob job {job_id[:8]}")
        return OK
    if not session.as_json:
        session.side.print(f"Job {job_id}", soft_wrap=True)
    return show_ended(session, wait.follow(session, job_id, minutes))


def show_ended(session: Session, job: Json) -> int:
    """Print the ended job, and to standard error what went wrong. Returns the exit code."""
    code, sentence = wait.verdict(job)
    session.show(job, lambda screen: details(screen, job))
    if sentence:
        click.echo(f"Error: {render.plain(sentence)}", err=True)
    return code


def details(screen: Console, job: Json) -> None:
    """Print one job."""
    records = job["records"]
    counts = f"{times.number(records['total'])} in all: " + ", ".join(
        f"{times.number(records[name])} {name}" for name in ("succeeded", "skipped", "failed")
    )
    ended = job["status"] in wait.ENDED
    pairs: list[tuple[str, object]] = [
        ("Job", job["jobId"]),
        ("Status", job["status"]),
        ("Reason", job["extendedStatus"]),
        ("Type", job["jobType"]),
        ("Clause", job["soqlWhereClause"]),
        ("Opportunities", "" if job["numberOfOpportunities"] is None else f"{job['numberOfOpportunities']:,}"),
        ("Records", counts if records["total"] else ""),
        ("Pages", f"{job['jobItemsProcessed']:,} of {job['totalJobItems']:,}" if job["totalJobItems"] else ""),
        ("Quotes", f"{job['quotesCreated']:,}" if job["jobType"] == "BatchQuote" else ""),
        ("Org requests", f"{job['apiCalls']:,}"),
        ("Created", times.both(job["createdDate"])),
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
            job["jobType"],
            f"{wait.finished(job):,}/{job['records']['total']:,}" if job["records"]["total"] else "-",
            times.number(job["records"]["failed"]),
            times.relative(job["createdDate"]),
            times.relative(None if job["completedDate"] else job["estimatedEnd"]),
            job["soqlWhereClause"] or "-",
            times.local(job["createdDate"]),
        )
        for job in jobs
    ]
    render.table(screen, COLUMNS, rows)


@click.command(
    epilog=examples(
        "quotejob run \"Name LIKE 'Sample Opportunity %'\" --wait 10",
        "quotejob run --file clause.soql --not-before 2h",
        "echo 'Amount > 10000' | quotejob run - --depends-on 1f0c",
    )
)
@click.argument("clause", required=False)
@click.option("--file", type=click.File("r"), metavar="F", help="Read the clause from this file.")
@click.option("--depends-on", multiple=True, metavar="ID", help="Run after this job; repeat it for several.")
@click.option(
    "--depends-on-outcome",
    type=click.Choice(["Completed", "Finished"], case_sensitive=False),
    help="How these jobs have to end.",
)
@click.option("--not-before", type=times.Moment(future=True), help="Do not run before this time: ISO 8601, or 2h.")
@options.wait
@common
def run(
    session: Session,
    clause: str | None,
    file: TextIO | None,
    depends_on: tuple[str, ...],
    depends_on_outcome: str | None,
    not_before: str | None,
    wait: float | None,
) -> int:
    """Price the Opportunities of a SOQL WHERE CLAUSE.

    CLAUSE is the condition that stands after WHERE; `-` reads it from standard input.
    """
    body: Json = {"soqlWhereClause": _clause(clause, file)}
    if depends_on:
        body["dependsOn"] = [find.job(session.api, _given(each)) for each in depends_on]
    if depends_on_outcome:
        body["dependsOnOutcome"] = depends_on_outcome
    if not_before:
        body["notBefore"] = not_before
    answer = session.api.post("/api/executebatch", body, headers=new_key())
    return submitted(session, answer["jobId"], wait)


def _clause(clause: str | None, file: TextIO | None) -> str:
    if (clause is None) == (file is None):
        raise click.UsageError("Give a CLAUSE, `-` for standard input, or --file.")
    if clause is not None and clause != "-":
        return clause
    try:
        text = (file or sys.stdin).read().strip()
    except UnicodeDecodeError:
        raise CommandError("The clause is not UTF-8 text: save it as UTF-8.") from None
    if not text:
        raise click.UsageError("The clause is empty: write the condition that stands after WHERE.")
    return text


def _given(text: str) -> str:
    if not text.strip():
        raise click.UsageError("--depends-on needs an ID.")
    return text


@click.command(
    epilog=examples(
        "quotejob jobs --status Failed --created-from 1d",
        "quotejob jobs --type BatchQuote --sort completedDate --limit 5",
        "quotejob jobs --json | jq -r '.jobs[].jobId'",
    )
)
@click.option("--status", multiple=True, type=click.Choice(STATUSES, case_sensitive=False), help="Repeat for several.")
@click.option("--type", "job_type", multiple=True, type=click.Choice(JOB_TYPES, case_sensitive=False))
@click.option("--created-from", type=times.Moment(), help="This time or later: ISO 8601, or 2h for two hours ago.")
@click.option("--created-to", type=times.Moment(), help="Before this time.")
@click.option("--completed-from", type=times.Moment(), help="Ended at this time or later.")
@click.option("--completed-to", type=times.Moment(), help="Ended before this time.")
@click.option("--schedule", metavar="ID|NAME", help="Submitted by this schedule.")
@click.option("--parent", metavar="ID", help="Those that depend on this job.")
@click.option("--reason", metavar="TEXT", help="This text is in the job's reason (extendedStatus).")
@click.option("--sort", type=click.Choice(SORTS, case_sensitive=False), default="createdDate", show_default=True)
@click.option("--order", type=click.Choice(["desc", "asc"]), default="desc", show_default=True)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="At most so many.")
@common
def jobs(session: Session, limit: int, schedule: str | None, parent: str | None, **filters: Any) -> int:
    """List the org's jobs, the newest first."""
    query = {
        "status": filters["status"],
        "jobType": filters["job_type"],
        "createdFrom": filters["created_from"],
        "createdTo": filters["created_to"],
        "completedFrom": filters["completed_from"],
        "completedTo": filters["completed_to"],
        "extendedStatus": filters["reason"],
        "sort": filters["sort"],
        "order": filters["order"],
    }
    if schedule:
        query["scheduleId"] = find.schedule(session.api, schedule)["scheduleId"]
    if parent:
        query["parentId"] = find.job(session.api, parent)
    wanted = {name: value for name, value in query.items() if value}
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


@click.command(epilog=examples("quotejob abort 1f0c", "quotejob abort --last"))
@options.job_id
@common
def abort(session: Session, given: str) -> int:
    """Stop a job. What is written stays."""
    stopped = session.api.post(f"/api/jobs/{find.job(session.api, given)}/abort")
    session.say(stopped, f"Job {stopped['jobId']} is {stopped['status']}.")
    return OK


@click.command(epilog=examples("quotejob resume 1f0c --wait 10", "quotejob resume --last"))
@options.job_id
@options.wait
@common
def resume(session: Session, given: str, wait: float | None) -> int:
    """Go on with a Failed or Aborted job."""
    resumed = session.api.post(f"/api/jobs/{find.job(session.api, given)}/resume")
    if wait is not None:
        return submitted(session, resumed["jobId"], wait)
    session.say(resumed, f"Job {resumed['jobId']} goes on; it is {resumed['status']}.")
    return OK
