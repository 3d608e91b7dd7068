"""run and data: submit jobs."""

from __future__ import annotations

import sys
from typing import TextIO

import click

from cli import find, options, times
from cli.api import Json, new_key
from cli.commands.jobs import submitted
from cli.options import Session, common, examples
from cli.problems import CommandError


@click.command(
    epilog=examples(
        "quotejob run \"Name LIKE 'Sample Opportunity %'\" --wait 10",
        "quotejob run --file clause.soql --name 'Quotes of the week' --not-before 2h",
        "quotejob run 'CloseDate = THIS_YEAR' --dry-run --wait 10",
        "quotejob run --type ContractRenewals --parameter months=24 --wait 10",
        "echo 'Amount > 10000' | quotejob run - --depends-on 1f0c",
    )
)
@click.argument("clause", required=False)
@click.option("--file", type=click.File("r"), metavar="F", help="Read the clause from this file.")
@click.option("--type", "job_type", metavar="NAME", help="A job type of `quotejob jobtypes`.  [default: BatchQuote]")
@options.parameters
@click.option("--name", metavar="TEXT", help="A name for people, at most 80 characters.")
@click.option("--depends-on", multiple=True, metavar="ID", help="Run after this job; repeat it for several.")
@click.option(
    "--depends-on-outcome",
    type=click.Choice(["Completed", "Finished"], case_sensitive=False),
    help="How these jobs must end.",
)
@click.option("--not-before", type=times.Moment(future=True), help="Do not run before this time: ISO 8601, or 2h.")
@click.option("--dry-run", is_flag=True, help="Write nothing: price everything, and show it with `quotejob dryrun`.")
@options.keep_calls
@options.commit_by
@options.wait
@common
def run(
    session: Session,
    clause: str | None,
    file: TextIO | None,
    job_type: str | None,
    parameters: list[Json] | None,
    name: str | None,
    depends_on: tuple[str, ...],
    depends_on_outcome: str | None,
    not_before: str | None,
    dry_run: bool,
    keep_calls: int | None,
    commit_by: str | None,
    wait: float | None,
) -> int:
    """Price the Opportunities of a SOQL WHERE CLAUSE, or run another job type.

    CLAUSE is the condition after WHERE; `-` reads it from standard input. A job type of your own may not need one.
    """
    body: Json = {} if job_type and clause is None and file is None else {"soqlWhereClause": clause_of(clause, file)}
    body |= of_type(job_type, parameters)
    if name is not None:
        body["name"] = name
    if depends_on:
        body["dependsOn"] = [find.job(session.api, each) for each in depends_on]
    if depends_on_outcome:
        body["dependsOnOutcome"] = depends_on_outcome
    if not_before:
        body["notBefore"] = not_before
    if dry_run:
        body["dryRun"] = True
    if keep_calls is not None:
        body["keepApiCalls"] = keep_calls
    if commit_by is not None:
        body["commitBy"] = commit_by
    answer = session.api.post("/api/jobs" if job_type else "/api/executebatch", body, headers=new_key())
    return submitted(session, answer["jobId"], wait)


def of_type(job_type: str | None, parameters: list[Json] | None) -> Json:
    """Return the fields of a request that name a job type and its parameters."""
    if job_type is None:
        if parameters:
            raise click.UsageError("--parameter needs --type.")
        return {}
    return {"jobType": job_type, "parameters": parameters or []}


def clause_of(clause: str | None, file: TextIO | None) -> str:
    """Return the clause that was typed, or that is in a file or on standard input."""
    if (clause is None) == (file is None):
        raise click.UsageError("Give a CLAUSE, `-` for standard input, or --file.")
    if clause is not None and clause != "-":
        return clause
    try:
        text = (file or sys.stdin).read().strip()
    except UnicodeDecodeError:
        raise CommandError("The clause is not UTF-8 text: save it as UTF-8.") from None
    if not text:
        raise click.UsageError("The clause is empty: write the condition after WHERE.")
    return text


@click.group(epilog=examples("quotejob data create 1000 --wait 5", "quotejob data delete"))
def data() -> None:
    """Create and delete sample Opportunities."""


@data.command(epilog=examples("quotejob data create 50", "quotejob data create 1000 --wait 5"))
@click.argument("number", metavar="N", type=click.IntRange(1, 1_000_000))
@options.wait
@common
def create(session: Session, number: int, wait: float | None) -> int:
    """Create N Opportunities named Sample Opportunity 0, 1, 2 ..."""
    path = f"/api/data/create?numberOfOpportunities={number}"
    return submitted(session, session.api.post(path, headers=new_key())["jobId"], wait)


@data.command(epilog=examples("quotejob data delete --wait 5"))
@options.wait
@common
def delete(session: Session, wait: float | None) -> int:
    """Move the sample Opportunities and their Quotes to the recycle bin."""
    return submitted(session, session.api.post("/api/data/delete", headers=new_key())["jobId"], wait)
