"""dryrun: what a dry run would write, and the job that writes it."""

from __future__ import annotations

import click
from rich.console import Console

from cli import find, options, render
from cli.api import Json, new_key
from cli.commands.jobs import submitted
from cli.options import Session, common, examples
from cli.problems import OK

COLUMNS = (
    render.Column("BY"),
    render.Column("COUNT", 0, "right"),
    render.Column("LIST TOTAL", 1, "right"),
    render.Column("NET TOTAL", 0, "right"),
)


@click.command(
    epilog=examples(
        "quotejob run 'CloseDate = THIS_YEAR' --dry-run --wait 10",
        "quotejob dryrun --last",
        "quotejob dryrun --last --run --wait 10",
    )
)
@options.job_id
@click.option("--run", "write", is_flag=True, help="Write what it has shown, in a new job.")
@options.keep_calls
@options.wait
@common
def dryrun(session: Session, given: str, write: bool, keep_calls: int | None, wait: float | None) -> int:
    """Show what a dry run would write, or with --run write just that.

    A record for which something else would be written now is skipped, with CHANGED_SINCE_DRY_RUN.
    """
    if not write and (wait is not None or keep_calls is not None):
        raise click.UsageError("--wait and --keep-calls need --run.")
    job_id = find.job(session.api, given)
    if write:
        body: Json = {} if keep_calls is None else {"keepApiCalls": keep_calls}
        new = session.api.post(f"/api/jobs/{job_id}/run", body, headers=new_key())
        return submitted(session, new["jobId"], wait)
    found = session.api.get(f"/api/jobs/{job_id}/dryrun")
    session.show(found, lambda screen: _details(screen, found))
    return OK


def _details(screen: Console, found: Json) -> None:
    counts = ", ".join(f"{found[name]:,} {name}" for name in ("planned", "skipped", "failed"))
    pairs: list[tuple[str, object]] = [
        ("Dry run", found["jobId"]),
        ("Status", found["status"]),
        ("Records", counts),
        *(("Writes", f"{each['operation']} {each['count']:,} {each['object']}") for each in found["writes"]),
    ]
    render.fields(screen, pairs)
    rows = [("all", "", *_money(each)) for each in found["totals"]]
    rows += [(each["region"] or "-", _many(each["quotes"], "Quote"), *_money(each)) for each in found["byRegion"]]
    rows += [
        (f"{each['discount']:g} % off", _many(each["lines"], "line"), *_money(each)) for each in found["byDiscount"]
    ]
    if rows:
        screen.print()
        render.table(screen, COLUMNS, rows)


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else f'{noun}s'}"


def _money(part: Json) -> tuple[str, str]:
    unit = f" {part['currency']}" if part["currency"] else ""
    return f"{part['listTotal']:,.2f}{unit}", f"{part['netTotal']:,.2f}{unit}"
