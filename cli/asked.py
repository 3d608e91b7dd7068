"""What a job is asked to do: the clause, the job type and its parameters, as `run` and `forecast` take them."""

from __future__ import annotations

import functools
import sys
from typing import Any, TextIO

import click

from cli import options
from cli.api import Json
from cli.options import F
from cli.problems import NAME, CommandError


def asked(command: F) -> F:
    """Add CLAUSE, --file, --type and --parameter; the command gets a ``body`` for the API in their place."""

    @functools.wraps(command)
    def wrapped(
        clause: str | None, file: TextIO | None, job_type: str | None, parameters: list[Json] | None, **values: Any
    ) -> Any:
        body: Json = {} if job_type and clause is None and file is None else {"soqlWhereClause": _clause(clause, file)}
        return command(body=body | _of_type(job_type, parameters), **values)

    for option in (
        options.parameters,
        click.option(
            "--type",
            "job_type",
            type=options.JobType(),
            metavar="NAME",
            help=f"A job type of `{NAME} jobtypes`.  [default: BatchQuote]",
        ),
        click.option("--file", type=click.File("r"), metavar="F", help="Read the clause from this file."),
        click.argument("clause", required=False),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]  # click's options keep the function


def given(**fields: object) -> Json:
    """Return those fields of a request that were given."""
    return {name: value for name, value in fields.items() if value is not None}


def _of_type(job_type: str | None, parameters: list[Json] | None) -> Json:
    """Return the fields of a request that name a job type and its parameters."""
    if job_type is None:
        if parameters:
            raise click.UsageError("--parameter needs --type.")
        return {}
    return {"jobType": job_type, "parameters": parameters or []}


def _clause(clause: str | None, file: TextIO | None) -> str:
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
