"""jobtypes: what can be run."""

from __future__ import annotations

import click
from rich.console import Console

from cli import render
from cli.api import Json
from cli.options import Session, common, examples
from cli.problems import OK


@click.command(epilog=examples("quotejob jobtypes", "quotejob jobtypes --json"))
@common
def jobtypes(session: Session) -> int:
    """List the job types: what comes with quotejob, and what you have written."""
    answer = session.api.get("/api/jobtypes")
    session.show(answer, lambda screen: _print(screen, answer["jobTypes"]))
    return OK


def _print(screen: Console, found: list[Json]) -> None:
    for number, each in enumerate(found):
        if number:
            screen.print()
        version = f", version {each['version']}" if each["version"] else ""
        screen.print(render.plain(f"{each['name']}{version}"), style="bold")
        if each["description"]:
            screen.print(render.plain(each["description"]))
        clause = "" if each["needsClause"] else ", chooses them itself if no clause is given"
        if each["object"]:
            screen.print(f"  reads   {render.plain(each['object'])}{clause}")
        for write in each["writes"]:
            screen.print(f"  writes  {render.plain(write)}")
        for parameter in each["parameters"]:
            screen.print(f"  takes   {render.plain(_said(parameter))}")


def _said(parameter: Json) -> str:
    about = [parameter["type"]]
    if parameter["required"]:
        about.append("required")
    if parameter["default"] is not None:
        about.append(f"default {parameter['default']}")
    if parameter["choices"]:
        about.append(f"one of {', '.join(parameter['choices'])}")
    text = f"{parameter['name']}: {'; '.join(about)}"
    return f"{text}. {parameter['description']}" if parameter["description"] else text
