"""The options that every command has, and what they become: a session with the API, the output and the exit code."""

from __future__ import annotations

import functools
import json
import math
import re
import shutil
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
from rich.console import Console

from cli import find, orgs, render
from cli.api import Json, QuotejobApi
from cli.problems import CommandError, as_typed

F = TypeVar("F", bound=Callable[..., Any])
MOST_OPPORTUNITIES = 1_000_000  # of one SampleDataCreate, as the API has it


class Session:
    """One command's options; the org is asked only when the API is first used."""

    def __init__(self, org: str | None, url: str | None, as_json: bool) -> None:
        self._org = org
        self._url = url
        self.as_json = as_json

    @functools.cached_property
    def url(self) -> str:
        """The API's address."""
        return orgs.api_url(self._url)

    @functools.cached_property
    def api(self) -> QuotejobApi:
        """The API, called as the org's user."""
        return QuotejobApi(self.url, orgs.header(self._org, self.url))

    @functools.cached_property
    def credentials(self) -> tuple[str, str]:
        """The org's address and an access token, for commands that call the org itself."""
        return orgs.credentials(self._org, self.url)

    @functools.cached_property
    def screen(self) -> Console:
        """Standard output."""
        return render.console()

    @functools.cached_property
    def side(self) -> Console:
        """Where progress goes: standard output, with --json standard error."""
        return render.console(stderr=True) if self.as_json else self.screen

    def show(self, answer: Json, human: Callable[[Console], None]) -> None:
        """Print the answer: one JSON object with --json, else what ``human`` prints."""
        if self.as_json:
            print_json(answer)
        else:
            human(self.screen)

    def say(self, answer: Json, *lines: str) -> None:
        """Print the answer as JSON, or the lines as they are."""

        def print_lines(screen: Console) -> None:
            for line in lines:
                render.sentence(screen, render.plain(line))

        self.show(answer, print_lines)


def print_json(answer: Json) -> None:
    """Print one JSON object; on a terminal with indents."""
    click.echo(json.dumps(answer, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def common(command: F) -> F:
    """Add --org, --url and --json; the command gets a ``session`` in their place."""

    @functools.wraps(command)
    def wrapped(org: str | None, url: str | None, as_json: bool, **values: Any) -> Any:
        return command(session=Session(org, url, as_json), **values)

    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON object."),
        click.option(
            "--url", envvar="QUOTEJOB_URL", metavar="URL", help="Address of the API.  [default: of the running system]"
        ),
        click.option("--org", metavar="ORG", help="An alias of the sf command, or `local`: the running local org."),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]  # click's options keep the function


def job_id(command: F) -> F:
    """Add an id, or --last in its place; the command gets ``given``, find.LAST for --last."""

    @functools.wraps(command)
    def wrapped(given: str | None, last: bool, **values: Any) -> Any:
        if last == (given is not None):
            raise click.UsageError("Give an ID, or --last for the newest job.")
        return command(given=find.LAST if last else given, **values)

    wrapped = click.option("--last", is_flag=True, help="The newest job of the org, in place of ID.")(wrapped)
    return click.argument("given", metavar="[ID]", required=False)(wrapped)  # type: ignore[return-value]


class JobType(click.ParamType[str]):
    """The name of a job type. Those that come with quotejob may be in upper or lower case; the API knows the others."""

    name = "job type"
    built_in = ("BatchQuote", "SampleDataCreate", "SampleDataDelete")

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002 (click's)
        """Return the name as the API has it."""
        return {each.lower(): each for each in self.built_in}.get(value.lower(), value)


def _pairs(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> list[Json] | None:
    """Return the parameters as the API takes them. None: none were given."""
    split = [each.partition("=") for each in values]
    if wrong := [name for name, equals, _ in split if not (name and equals)]:
        raise click.UsageError(f"--parameter {wrong[0]!r} should be NAME=VALUE.")
    return [{"name": name, "value": value} for name, _, value in split] or None


def said(parameters: list[Json]) -> str:
    """Return parameters as they are given here: NAME=VALUE."""
    return ", ".join(f"{each['name']}={each['value']}" for each in parameters)


parameters = click.option(
    "--parameter",
    "parameters",
    multiple=True,
    callback=_pairs,
    metavar="NAME=VALUE",
    help="For --type; repeat it for several.",
)

commit_by = click.option(
    "--commit-by",
    type=click.Choice(["graph", "bulk", "auto"]),
    help="Write Quotes by graphs, or by Bulk API 2.0 with few calls.",
)

keep_calls = click.option(
    "--keep-calls", type=click.IntRange(0), metavar="N", help="Keep so many of the org's daily API calls for others."
)


class Finite(click.FloatRange):
    """A number in a range. Python also reads nan and inf: no number compares with nan, so it is in every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


wait = click.option(
    "--wait",
    type=Finite(0, min_open=True),
    metavar="MINUTES",
    help="Follow the job until it has ended, for at most this time.",
)


def examples(*lines: str) -> str:
    """Return the epilog of a --help. A command that is too long for the terminal goes on in the next line."""
    width = min(shutil.get_terminal_size().columns, 80) - len("    ")
    return "\b\nExamples:\n" + "\n".join(f"  {part}" for line in lines for part in _broken(as_typed(line), width))


def _broken(command: str, width: int) -> list[str]:
    """Return the lines of a command for the shell, none of them longer than the width if its words allow it."""
    lines = [""]
    for word in re.findall(r"""(?:--[\w-]+ (?=[^-]))?(?:"[^"]*"|'[^']*'|[^\s"'])+""", command):
        if lines[-1] and len(f"{lines[-1]} {word} \\") > width:
            lines[-1] += " \\"
            lines.append(f"    {word}")
        else:
            lines[-1] += f" {word}" if lines[-1] else word
    return lines


def print_error(error: CommandError, as_json: bool) -> None:
    """Print the sentence to standard error; with --json the error object to standard output too."""
    render.error(" ".join(error.message.split()))  # the org draws arrows with spaces
    if as_json:
        about = {"jobId": error.job_id} if error.job_id else {}
        print_json({"error": {"code": error.code, "message": error.message, **about}})
