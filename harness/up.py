"""`quotejob up`, inside .venv: everything on this machine, for the local org or a real one. The data stays.

A system has a folder ``.quotejob/ORG`` with the data of its own Redis, the local org, the key and the logs of the last
start. Only one system at a time has it. The web process and the local org have fixed ports, because jobs and links keep
their addresses. Redis and Flower take free ones.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

import click
from cryptography.fernet import Fernet

from cli import orgs
from cli.api import QuotejobApi
from cli.commands.up import up_options
from cli.local import NOTE, UPS
from cli.problems import OK, USAGE, CommandError, typed
from harness.process import StackError, free_port
from harness.stack import Stack
from harness.terminal import (
    addresses,
    celery_command,
    clock,
    console,
    escape,
    failed,
    handle_signals,
    stopping,
    wait,
    write_note,
    write_org,
)

FLOWER_PORT = 5555  # or the next free one
LOCAL = "local"
INTERRUPTED = 130
FAILED = 1
# The caller's settings reach this system, but for those that it makes itself.
PASSED_PREFIXES, PASSED = ("QUOTEJOB_", "HEROKU_APP"), ("LOG_LEVEL", "WEB_CONCURRENCY")
OWN = ("QUOTEJOB_SECRET_KEY", "QUOTEJOB_DEMO_ORG", "QUOTEJOB_REDIS_CA", "QUOTEJOB_REDIS_MAY_FORGET")
# What the command line reads is not for the processes.
OF_THE_CALLER = ("QUOTEJOB_URL", "QUOTEJOB_ORG", "QUOTEJOB_INSTANCE_URL", "QUOTEJOB_ACCESS_TOKEN", "QUOTEJOB_TYPED")


@click.command()
@up_options
def main(org: str, port: int, org_port: int, workers: int) -> NoReturn:
    """Run the system until Ctrl-C. The exit code is 0 then, 1 when a process failed, 2 when it cannot start so."""
    handle_signals(signal.default_int_handler)
    try:
        sys.exit(up(org, port, org_port, workers))
    except KeyboardInterrupt:  # before anything was started
        sys.exit(INTERRUPTED)
    except CommandError as error:
        print(f"Error: {' '.join(error.message.split())}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:  # the terminal, or the pipe, that was written to is lost; a disk is full
        with contextlib.suppress(OSError):
            print(f"Error: {error}", file=sys.stderr)
        sys.exit(FAILED)


def up(org: str, port: int, org_port: int, workers: int) -> int:
    """Start everything, wait for the end, stop everything. Return the exit code. Raises CommandError."""
    local = org == LOCAL
    if not re.fullmatch(r"\w[\w.@+-]*", org):
        raise CommandError(f"{org!r} is not an alias of an org: correct --org.")
    with contextlib.ExitStack() as held:
        folder = held.enter_context(folder_of(org))
        check_ports({"--port": port} | ({"--org-port": org_port} if local else {}))
        extra = settings(folder, local)
        stack = held.enter_context(Stack(folder, extra=extra, tell=clock()))
        held.callback((folder / NOTE).unlink, missing_ok=True)
        if not local:
            orgs.header(org, f"http://127.0.0.1:{port}")  # the org knows the token of the sf command, or says why not
        return run(stack, org, partial(start, stack, org, port, org_port, workers))


def run(stack: Stack, org: str, start_all: Callable[[], None]) -> int:
    """Start, show the addresses and wait for Ctrl-C. Return the exit code; if it is 1, the reason is printed."""
    running = False
    try:
        start_all()
        look_around(stack, org)
        running = True
        wait(stack, "Running. Ctrl-C stops everything; the data stays.")
    except KeyboardInterrupt:
        return OK if running else INTERRUPTED
    except (StackError, CommandError) as error:
        return failed(f"{error}\nThe logs are in {stack.folder}.")
    finally:
        stopping()
    return OK


def start(stack: Stack, org: str, port: int, org_port: int, workers: int) -> None:
    """Start every process in the order in which they need each other."""
    console.print(f"[bold]Starting[/] with the org {escape(org)}; the data is in {escape(str(stack.folder))}")
    stack.start_redis()
    if org == LOCAL:
        stack.start_org(org_port, "--db", str(stack.folder / "org.db"))
    stack.start_web(port)
    if stack.org:
        write_org(stack.folder, stack.org, stack.web_url)
    else:
        write_note(stack.folder, {"alias": org, "web_url": stack.web_url})
    for number in range(1, workers + 1):
        stack.start_worker(number)
    stack.start_clock()
    stack.start_beat()
    stack.start_flower(FLOWER_PORT)
    stack.wait_ready()


def look_around(stack: Stack, org: str) -> None:
    """Print where the system is, and what to type next."""
    command, url = typed("quotejob"), stack.web_url
    console.print(f"\n[bold]Running at {url}[/]")
    addresses(
        {
            "Console": QuotejobApi(url, orgs.header(org, url)).post("/console/link")["url"],
            "Swagger UI": f"{url}/docs",
            "Flower": stack.flower_url,
            **({"Local org": stack.org.url} if stack.org else {}),
            "Logs": str(stack.folder),
            **celery_command(stack),
        }
    )
    console.print(f"The link to the console works once; `{command} console` makes another.")
    console.print("In another shell:")
    where = "" if url == orgs.DEFAULT_URL else f" --url {url}"
    if stack.org:
        console.print(f"  {command} data create 100 --wait 5{where}", soft_wrap=True)
    console.print(f"  {command} doctor{where}", soft_wrap=True)


@contextlib.contextmanager
def folder_of(org: str) -> Iterator[Path]:
    """Hold the folder of this org's system for the length of the block. Raises CommandError when another one has it."""
    folder = UPS / org
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"{typed('quotejob')} up runs already with the org {org}.", USAGE, "RUNS_ALREADY"
            ) from None
        for log in folder.glob("*.log"):
            log.unlink()
        yield folder
    finally:
        os.close(handle)


def settings(folder: Path, local: bool) -> dict[str, str]:
    """Return the variables of every process: the caller's own settings, and those of this system."""
    given = {
        name: value
        for name, value in os.environ.items()
        if (name.startswith(PASSED_PREFIXES) or name in PASSED) and name not in (*OWN, *OF_THE_CALLER)
    }
    usual = {"QUOTEJOB_LOCAL_ORG": "1" if local else "0"}
    own = {"QUOTEJOB_SECRET_KEY": secret_key(folder / "key")} | (
        {"QUOTEJOB_DEMO_ORG": str(folder / NOTE)} if local else {}
    )
    return usual | given | own


def secret_key(file: Path) -> str:
    """Return the key that encrypts access tokens. The first start makes it; only the owner can read it."""
    with contextlib.suppress(FileExistsError):
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as new:
            new.write(Fernet.generate_key().decode() + "\n")
    key = file.read_text().strip()
    try:
        Fernet(key)
    except ValueError:
        raise CommandError(
            f"{file} does not hold a key. Put the old one back, or remove the file; jobs that wait then need a resume.",
            USAGE,
        ) from None
    return key


def check_ports(wanted: dict[str, int]) -> None:
    """Raise CommandError if one of these ports, by option, is taken or is there twice."""
    for option, port in wanted.items():
        if free_port(port) != port:
            raise CommandError(
                f"Port {port} is taken by another program: stop it, or use {option}.", USAGE, "PORT_TAKEN"
            )
    if len(set(wanted.values())) < len(wanted):
        raise CommandError("--port and --org-port should differ.")


if __name__ == "__main__":
    main()
