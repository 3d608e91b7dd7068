"""What the words that start a system share: what they print, how they stop, and what they note for the command line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from rich.console import Console

from cli.local import NOTE
from harness.api import LocalOrg
from harness.stack import Stack

console = Console(highlight=False)


def handle_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """Set the handler of every signal that asks to stop. A SIGHUP that is ignored (nohup) stays so."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def wait(stack: Stack, words: str) -> None:
    """Print the words, then wait until Ctrl-C or SIGTERM. Raise StackError when a process ends by itself."""
    console.print(f"\n{words}", soft_wrap=True)
    while True:
        stack.check()
        time.sleep(0.5)


def stopping() -> None:
    """Say that everything is being stopped. From here on no signal interrupts that, and no terminal is needed."""
    handle_signals(signal.SIG_IGN)
    with contextlib.suppress(OSError):  # the terminal may be lost
        console.print("\nStopping every process ...")


def failed(reason: str) -> int:
    """Print that it failed, and why. Return the exit code."""
    console.print(f"\n[bold red]Failed.[/] {escape(reason)}", soft_wrap=True)
    return 1


def clock() -> Callable[[str], None]:
    """Return a function that prints each step with the seconds since the start."""
    begun = time.monotonic()
    return lambda step: console.print(f"  [dim]{time.monotonic() - begun:5.1f} s[/]  {escape(step)}")


def addresses(about: dict[str, str]) -> None:
    """Print names with what belongs to them, in two columns."""
    width = max(len(name) for name in about)
    for name, value in about.items():
        console.print(f"  {name:<{width}} {escape(value)}", soft_wrap=True)


def celery_command(stack: Stack) -> dict[str, str]:
    """Return the command that asks the workers, unless Redis has a password: that is not for the screen."""
    if "@" in (stack.redis_url or ""):
        return {}
    return {"Workers": f"REDIS_URL={stack.redis_url} .venv/bin/celery -A tasks status"}


def write_note(folder: Path, about: dict[str, str]) -> None:
    """Write what the command line needs to know of this system. Only the owner can read the file."""
    handle = os.open(folder / NOTE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump({**about, "pid": str(os.getpid())}, file)


def write_org(folder: Path, org: LocalOrg, web_url: str) -> None:
    """Write the note of a system with a local org: the org's address and token, and the API's address."""
    about = {"url": org.url, "org_id": org.org_id, "user_id": org.user_id, "token": org.token}
    write_note(folder, {**about, "web_url": web_url})


def escape(text: str) -> str:
    """Escape square brackets, which rich reads as colours."""
    return text.replace("[", r"\[")
