"""abort, resume: stop jobs and go on, one by its id or all that match."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console

from cli import find, options, render
from cli.api import Json
from cli.commands.jobs import submitted
from cli.filters import NAMES, Query, filters
from cli.options import F, Session, common, examples
from cli.problems import INTERRUPTED, OK, USAGE, CommandError

SHOWN = 10  # jobs before the question
COLUMNS = (
    render.Column("ID"),
    render.Column("STATUS", 1),
    render.Column("CHANGED", 2),
    render.Column("TYPE", 5),
    render.Column("CLAUSE", 6, shrink=16),
    render.Column("NAME", 4, shrink=12),
    render.Column("WHY NOT", 3, shrink=20),
)


def one_or_all(command: F) -> F:
    """Add an id, --last or --all with its filters; the command gets ``given``, None for all, and ``query``, ``yes``."""

    @functools.wraps(command)
    def wrapped(given: str | None, last: bool, all_of_them: bool, yes: bool, **values: Any) -> Any:
        if sum((given is not None, last, all_of_them)) != 1:
            raise click.UsageError("Give an ID, --last for the newest job, or --all.")
        context = click.get_current_context()
        typed = [name for name in NAMES if context.get_parameter_source(name) is not ParameterSource.DEFAULT]
        if (typed or yes) and not all_of_them:
            raise click.UsageError("Filters and --yes need --all.")
        return command(given=find.LAST if last else given, yes=yes, **values)

    for option in (
        click.option("--yes", is_flag=True, help="With --all: do not ask."),
        click.option("--all", "all_of_them", is_flag=True, help="All jobs that match the filters, in place of ID."),
        click.option("--last", is_flag=True, help="The newest job of the org, in place of ID."),
        filters,
        click.argument("given", metavar="[ID]", required=False),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]  # click's options keep the function


@click.command(
    epilog=examples(
        "quotejob abort 1f0c", "quotejob abort --last", "quotejob abort --all --status Holding --name Nightly --yes"
    )
)
@one_or_all
@common
def abort(session: Session, given: str | None, query: Query, yes: bool) -> int:
    """Stop a job, or all that match. Quotes that are written stay."""
    if given is None:
        return _all(session, "/api/abortjobs", "Abort", query, yes=yes)
    stopped = session.api.post(f"/api/jobs/{find.job(session.api, given)}/abort")
    session.say(stopped, f"Job {stopped['jobId']} is {stopped['status']}.")
    return OK


@click.command(
    epilog=examples(
        "quotejob resume 1f0c --wait 10", "quotejob resume --last", "quotejob resume --all --reason UNREACHABLE --yes"
    )
)
@one_or_all
@options.wait
@common
def resume(session: Session, given: str | None, query: Query, yes: bool, wait: float | None) -> int:
    """Continue a Failed or Aborted job, or all that match."""
    if given is None:
        if wait is not None:
            raise click.UsageError("--wait follows one job; leave it out with --all.")
        return _all(session, "/api/resumejobs", "Resume", query, yes=yes)
    resumed = session.api.post(f"/api/jobs/{find.job(session.api, given)}/resume")
    if wait is not None:
        return submitted(session, resumed["jobId"], wait)
    session.say(resumed, f"Job {resumed['jobId']} goes on; it is {resumed['status']}.")
    return OK


def _all(session: Session, path: str, verb: str, query: Query, *, yes: bool) -> int:
    """Count the jobs that match, ask, and change them. Returns 2 if one of them could not be changed."""
    wanted = query(session)
    ask = functools.partial(_page, session, path, wanted)
    seen = ask()
    matched = seen["matched"]
    if matched and not yes:
        _confirm(session, seen, f"{verb} {'this job' if matched == 1 else f'these {matched:,} jobs'}")
    jobs = _changed(ask, matched) if matched else []
    refused = sum(not one["changed"] for one in jobs)
    answer = {"matched": matched, "changed": len(jobs) - refused, "jobs": jobs}
    session.show(answer, lambda screen: _show(screen, answer, "aborted" if verb == "Abort" else "resumed"))
    if not refused:
        return OK
    render.error(f"{refused:,} of {len(jobs):,} jobs could not be changed; the list says why.")
    return USAGE


def _changed(ask: Callable[..., Json], matched: int) -> list[Json]:
    """Return all jobs and what became of each. An error says how many were changed before it."""
    jobs: list[Json] = []
    cursor = None
    while not jobs or cursor:
        try:
            done = ask(atMost=matched, cursor=cursor)
        except CommandError as error:
            if jobs:
                error.message += f" {sum(one['changed'] for one in jobs):,} jobs were changed before that."
            raise
        jobs += done["jobs"]
        cursor = done["nextCursor"]
        if not done["jobs"]:
            break
    return jobs


def _page(session: Session, path: str, wanted: Json, **more: Any) -> Json:
    given = {name: value for name, value in more.items() if value is not None}
    answer: Json = session.api.post(path, params={**wanted, **given})
    return answer


def _confirm(session: Session, seen: Json, question: str) -> None:
    """Show the first jobs and ask. Raise CommandError where nobody can answer."""
    if session.as_json or not (session.screen.is_terminal and sys.stdin.isatty()):
        raise CommandError(f"{question}? Nobody can be asked here: add --yes.", USAGE, "NOT_CONFIRMED")
    _table(session.screen, seen["jobs"][:SHOWN])
    if seen["matched"] > SHOWN:
        session.screen.print(f"... and {seen['matched'] - SHOWN:,} more")
    if not click.confirm(f"{question}?"):
        raise CommandError("Nothing was changed.", INTERRUPTED, "NOT_CONFIRMED")


def _show(screen: Console, answer: Json, done: str) -> None:
    if answer["jobs"]:
        _table(screen, answer["jobs"])
    noun = "job is" if answer["changed"] == 1 else "jobs are"
    screen.print(f"{answer['changed']:,} {noun} {done}." if answer["matched"] else "No job matches.", soft_wrap=True)


def _table(screen: Console, jobs: list[Json]) -> None:
    ids = render.short([one["jobId"] for one in jobs])
    rows = [
        (
            ids[one["jobId"]] if screen.is_terminal else one["jobId"],
            one["status"],
            "yes" if one["changed"] else "-",
            one["jobType"],
            one["soqlWhereClause"] or "-",
            one["name"] or "-",
            one["message"] or "-",
        )
        for one in jobs
    ]
    render.table(screen, COLUMNS, rows)
