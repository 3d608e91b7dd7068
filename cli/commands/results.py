"""results and failures: the result of each record."""

from __future__ import annotations

import sys
from typing import Any

import click
import requests
from rich.console import Console

from cli import find, options, render
from cli.api import Json
from cli.options import Session, common, examples
from cli.problems import NAME, NOT_SERVED, OK, CommandError

SHOWN = 100  # rows of a table
COLUMNS = (
    render.Column("RECORD"),
    render.Column("NAME", 5, shrink=12),
    render.Column("OUTCOME", 1),
    render.Column("WRITTEN", 3),
    render.Column("CODE", 4, shrink=12),
    render.Column("MESSAGE", 2, shrink=20),
)


@click.command(
    epilog=examples(
        "quotejob results --last --outcome failed",
        "quotejob results --last --explain",
        "quotejob results 1f0c --csv > results.csv",
    )
)
@options.job_id
@click.option("--outcome", type=click.Choice(["succeeded", "skipped", "failed", "planned"], case_sensitive=False))
@click.option("--explain", is_flag=True, help="Say for each line which rule or function gave what.")
@click.option("--csv", "as_csv", is_flag=True, help="Print them as CSV: all, or with --limit at most 1,000.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help=f"The most results to show.  [default: {SHOWN} in a table, else all]",
)
@common
def results(session: Session, given: str, outcome: str | None, explain: bool, as_csv: bool, limit: int | None) -> int:
    """Show the result of each record of a job."""
    if as_csv and session.as_json:
        raise click.UsageError("Give --csv or --json, not both.")
    path = f"/api/jobs/{find.job(session.api, given)}/results"
    query = ({"outcome": outcome} if outcome else {}) | ({"explain": "true"} if explain else {})
    if as_csv:
        _print_csv(session, path, query | ({"limit": str(limit)} if limit else {}))
        return OK
    human = limit is None and not session.as_json and session.screen.is_terminal
    found = list(session.api.pages(path, "results", limit=SHOWN + 1 if human else limit, **query))
    more = human and len(found) > SHOWN
    show = _explained if explain else _table
    session.show({"results": found}, lambda screen: show(screen, found[:SHOWN] if more else found))
    if not session.as_json and (more or not found):
        text = f"The first {SHOWN}; --limit N shows more, --csv all." if more else "No results."
        click.echo(text, err=True)
    return OK


def _print_csv(session: Session, path: str, query: dict[str, Any]) -> None:
    stream = sys.stdout.buffer
    with session.api.request("GET", path, params=query, headers={"Accept": "text/csv"}, stream=True) as response:
        try:
            for chunk in response.iter_content(64 * 1024):
                stream.write(chunk)
        except requests.RequestException:
            message = "The API has stopped in the middle of its answer, so rows are missing: try again."
            raise CommandError(message, NOT_SERVED, "INCOMPLETE") from None
        finally:
            stream.flush()


def _table(screen: Console, found: list[Json]) -> None:
    names = ("recordId", "recordName", "outcome", "writtenId", "code")
    if found:
        render.table(screen, COLUMNS, [[*(each[name] or "-" for name in names), _message(each)] for each in found])


def _message(result: Json) -> str:
    planned = result.get("planned")
    if not planned:
        return str(result["message"] or "-")
    if "lines" not in planned:
        return ", ".join(f"{each['operation']} {each['count']:,} {each['object']}" for each in planned["writes"])
    unit = f" {planned['currency']}" if planned["currency"] else ""
    return f"{planned['lines']:,} lines, {planned['netTotal']:,.2f}{unit} instead of {planned['listTotal']:,.2f}"


def _explained(screen: Console, found: list[Json]) -> None:
    """Print each record with its lines: the sales price, the unit price on the Quote, and the reasons."""
    for each in found:
        words = (each["recordId"], each["outcome"], each["writtenId"], each["code"], each["message"])
        screen.print(render.plain("  ".join(word for word in words if word)), style="bold")
        for line in (each.get("explanation") or {"lines": []})["lines"]:
            discount = f", Discount {line['discount']} %" if line["discount"] else ""
            prices = f"{line['listUnitPrice']} -> {line['unitPrice']}{discount}"
            screen.print(render.plain(f"  {line['lineId']}  {prices}: {', '.join(line['reasons']) or 'no discount'}"))


@click.command(epilog=examples("quotejob failures --last", "quotejob failures 1f0c --json"))
@options.job_id
@common
def failures(session: Session, given: str) -> int:
    """Show why records of a job failed: each reason once, with its first records."""
    job_id = find.job(session.api, given)
    answer = session.api.get(f"/api/jobs/{job_id}/failures")
    if answer["failures"]:
        session.show(answer, lambda screen: _print_groups(screen, answer))
    else:
        session.say(answer, f"No record of job {job_id} failed.")
    return OK


def _print_groups(screen: Console, answer: Json) -> None:
    groups: list[Json] = answer["failures"]
    for number, group in enumerate(groups):
        if number:
            screen.print()
        screen.print(f"{_records(group['count'])}: {render.plain(group['code'] or '-')}", style="bold")
        screen.print(render.plain(group["message"] or "-"))
        for each in group["records"]:
            screen.print(f"  {render.plain(each['recordId'])}  {render.plain(each['recordName'] or '')}".rstrip())
        if group["count"] > len(group["records"]):
            screen.print("  ...")
        if group["hint"]:
            screen.print(f"What to do: {render.plain(group['hint'])}")
    others = answer["failed"] - sum(group["count"] for group in groups)
    if others:
        screen.print(f"\n{_records(others)} failed for other reasons: `{NAME} results ID --outcome failed`.")


def _records(count: int) -> str:
    return f"{count:,} record" if count == 1 else f"{count:,} records"
