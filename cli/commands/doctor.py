"""doctor: look at everything that jobs need."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import click
from rich.console import Console

from cli import render
from cli.api import Json
from cli.options import Session, common, examples
from cli.problems import OK, CommandError

FOUND = 1  # the exit code if something is wrong
MOST_SKEW = 30  # seconds between the clocks of this machine and of the API


@click.command(epilog=examples("quotejob doctor", "quotejob doctor --json", "quotejob doctor && quotejob run ..."))
@common
def doctor(session: Session) -> int:
    """Look at everything that jobs need; each line says ok or what to do. Exit code 1: something is wrong."""
    try:
        response = session.api.request("GET", "/api/diagnosis")
        checks: list[Json] = [*session.api.read(response)["checks"], _clock(response.headers.get("Date", ""))]
    except CommandError as error:
        checks = [{"subject": "api", "ok": False, "message": error.message}]
    answer = {"ok": all(check["ok"] for check in checks), "checks": checks}
    session.show(answer, lambda screen: _print(screen, checks))
    return OK if answer["ok"] else FOUND


def _clock(said: str) -> Json:
    """Compare the clock of this machine with the Date of an answer."""
    try:
        skew = abs((datetime.now(UTC) - parsedate_to_datetime(said)).total_seconds())
    except (TypeError, ValueError):
        skew = 0.0
    wrong = f"The clocks of this machine and of the API differ by {skew:.0f} s: set both by NTP"
    ok = skew <= MOST_SKEW
    return {"subject": "clock", "ok": ok, "message": "This machine and the API have the same time" if ok else wrong}


def _print(screen: Console, checks: list[Json]) -> None:
    said = [(f"{'ok   ' if check['ok'] else 'wrong'}  {check['subject']}", check["message"]) for check in checks]
    render.fields(screen, said)
