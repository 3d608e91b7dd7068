"""Tab completes commands and options in the real shells."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from harness.process import ROOT, clean_environment

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(_QUOTEJOB_COMPLETE=bash_source quotejob)"'),
    "zsh": (
        ["zsh", "-f", "-i"],
        'autoload -Uz compinit && compinit -u -D; eval "$(_QUOTEJOB_COMPLETE=zsh_source quotejob)"',
    ),
    "fish": (["fish", "--no-config", "-i"], "_QUOTEJOB_COMPLETE=fish_source quotejob | source"),
}


@contextmanager
def typing(command: list[str]) -> Iterator[Callable[[str, str], str]]:
    """Start a shell on a terminal. Yields ``type(keys, until)``: what the shell shows until that text comes."""
    process, terminal = pty.fork()
    if process == 0:
        path = f"{ROOT / 'bin'}:{os.environ['PATH']}"
        os.execvpe(command[0], command, clean_environment() | {"PATH": path, "TERM": "dumb", "HOME": "/nonexistent"})

    def keys(text: str, until: str) -> str:
        os.write(terminal, text.encode())
        shown, deadline = "", time.monotonic() + 60
        while not re.search(until, shown):
            assert time.monotonic() < deadline, shown
            if select.select([terminal], [], [], 0.2)[0]:
                shown += os.read(terminal, 4096).decode(errors="replace")
        return shown

    try:
        yield keys
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(terminal)


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes(shell: str, optional_tool: Callable[[str], str]) -> None:
    """The only command, and the only option, that begin so."""
    optional_tool(shell)
    command, load = SHELLS[shell]
    with typing(command) as keys:
        keys(f"{load}; echo loa''ded\n", r"loaded")
        assert keys("quotejob sch\t", r"sch\S*edules")
        assert keys("\x15quotejob up --org-\t", r"--org-port")
