"""run and data: submit jobs."""

from __future__ import annotations

import click

from cli import find, options, times
from cli.api import Json, new_key
from cli.asked import asked, given
from cli.commands.jobs import submitted
from cli.options import Session, common, examples
from cli.problems import NAME


@click.command(
    epilog=examples(
        "quotejob run \"Name LIKE 'Sample Opportunity %'\" --wait 10",
        "quotejob run --file clause.soql --name 'Quotes of the week' --not-before 2h",
        "quotejob run 'CloseDate = THIS_YEAR' --dry-run --wait 10",
        "quotejob run --type ContractRenewals --parameter months=24 --wait 10",
        "echo 'Amount > 10000' | quotejob run - --depends-on 1f0c",
    )
)
@asked
@click.option("--name", metavar="TEXT", help="A name for people, at most 80 characters.")
@click.option("--depends-on", multiple=True, metavar="ID", help="Run after this job; repeat it for several.")
@click.option(
    "--depends-on-outcome",
    type=click.Choice(["Completed", "Finished"], case_sensitive=False),
    help="How these jobs must end.",
)
@click.option("--not-before", type=times.Moment(future=True), help="Do not run before this time: ISO 8601, or 2h.")
@click.option("--dry-run", is_flag=True, help=f"Write nothing: price everything, and show it with `{NAME} dryrun`.")
@options.keep_calls
@options.commit_by
@options.wait
@common
def run(
    session: Session,
    body: Json,
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
    body |= given(
        name=name,
        dependsOn=[find.job(session.api, each) for each in depends_on] or None,
        dependsOnOutcome=depends_on_outcome,
        notBefore=not_before,
        dryRun=dry_run or None,
        keepApiCalls=keep_calls,
        commitBy=commit_by,
    )
    answer = session.api.post("/api/jobs" if "jobType" in body else "/api/executebatch", body, headers=new_key())
    return submitted(session, answer["jobId"], wait)


@click.group(epilog=examples("quotejob data create 1000 --wait 5", "quotejob data delete"))
def data() -> None:
    """Create and delete sample Opportunities."""


@data.command(epilog=examples("quotejob data create 50", "quotejob data create 1000 --wait 5"))
@click.argument("number", metavar="N", type=click.IntRange(1, options.MOST_OPPORTUNITIES))
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
