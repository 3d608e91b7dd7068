"""forecast: what a job would do and cost, before it is submitted."""

from __future__ import annotations

import click
from rich.console import Console

from cli import options, render, times
from cli.api import Json
from cli.asked import asked, given
from cli.options import Session, common, examples
from cli.problems import OK

BASES = {"earlierRuns": "by earlier runs", "latency": "by how long the org took to answer; earlier runs tell more"}


@click.command(
    epilog=examples(
        "quotejob forecast \"Name LIKE 'Sample Opportunity %'\"",
        "quotejob forecast --file clause.soql --keep-calls 20000",
        'quotejob forecast "IsWon = true" --type Renewals --parameter years=2',
    )
)
@asked
@options.keep_calls
@options.commit_by
@common
def forecast(
    session: Session,
    body: Json,
    keep_calls: int | None,
    commit_by: str | None,
) -> int:
    """Say what a job would do and cost. Nothing is submitted.

    CLAUSE is the condition after WHERE; `-` reads it from standard input.
    """
    found = session.api.post("/api/forecast", body | given(keepApiCalls=keep_calls, commitBy=commit_by))
    session.show(found, lambda screen: _details(screen, found))
    return OK


def _details(screen: Console, found: Json) -> None:
    calls, seconds, day = found["calls"], found["seconds"], found["allocation"]
    pairs: list[tuple[str, object]] = [
        ("Records", f"{found['records']:,} in {found['pages']:,} page{'' if found['pages'] == 1 else 's'}"),
        ("API calls", f"{calls['total']:,}: {calls['plan']:,} plan, {calls['read']:,} read, {calls['write']:,} write"),
        ("Of the day", "the org does not say" if day is None else _allocation(day)),
        ("Runs for", f"{_lasting(seconds['expected'])} ({_lasting(seconds['low'])} to {_lasting(seconds['high'])})"),
        ("Known", BASES.get(found["basis"], found["basis"])),
        ("Ends", times.both(found["estimatedEnd"]) if found["estimatedEnd"] else "not known"),
        ("Memory", f"{found['redisBytes'] / 1e6:,.1f} MB of Redis"),
        *(("Warning", each["message"]) for each in found["warnings"]),
    ]
    render.fields(screen, pairs)


def _allocation(day: Json) -> str:
    kept = f", {day['kept']:,} kept for others" if day["kept"] else ""
    share = f"{day['percent']:g} %" if day["percent"] >= 0.01 else "less than 0.01 %"
    return f"{share} of {day['limit']:,}; {day['used']:,} used{kept}, {max(0, day['left']):,} left"


def _lasting(seconds: float) -> str:
    """Return a length of time for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
