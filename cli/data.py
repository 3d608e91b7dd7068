"""data: sample Opportunities of a test org."""

from __future__ import annotations

import click

from cli import options
from cli.jobs import new_key, submitted
from cli.options import Session, common, examples


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
