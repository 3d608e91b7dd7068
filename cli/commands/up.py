"""up: start everything on this machine. The program that does it is harness.up; here are its options."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from cli.local import ROOT
from cli.options import examples

WEB_PORT, ORG_PORT = 8000, 8025


def up_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `quotejob up`. They are the same in the command and in the program that it starts."""
    for option in (
        click.option(
            "--workers", default=1, show_default=True, type=click.IntRange(1, 32), metavar="N", help="Celery workers."
        ),
        click.option(
            "--org-port", default=ORG_PORT, show_default=True, type=_PORT, metavar="PORT", help="Port of the local org."
        ),
        click.option(
            "--port", default=WEB_PORT, show_default=True, type=_PORT, metavar="PORT", help="Port of API and console."
        ),
        click.option(
            "--org", default="local", show_default=True, metavar="ORG", help="An alias of the sf command, or `local`."
        ),
    ):
        command = option(command)
    return command


_PORT = click.IntRange(1, 65_535)


@click.command(epilog=examples("quotejob up", "quotejob up --org my-org", "quotejob up --port 8010 --org-port 8011"))
@up_options
def up(org: str, port: int, org_port: int, workers: int) -> NoReturn:
    """Start everything on this machine: Redis, API, console, workers, scheduler, Flower and the local org.

    Redis, its data, the local org and the key are in `.quotejob`. The next start goes on with them. Ctrl-C stops all.
    """
    words = ["--org", org, "--port", str(port), "--org-port", str(org_port), "--workers", str(workers)]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    program = [sys.executable, "-P", "-m", "harness.venv", "up", "harness.up", *words]
    os.execve(sys.executable, program, os.environ | {"PYTHONPATH": path})
