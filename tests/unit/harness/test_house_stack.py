"""What harness/stack.py starts ends with whoever started it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from harness.process import FOLLOW_PARENT


def started(by: int) -> str:
    """What a command says that is told that this process started it."""
    command = [sys.executable, "-c", FOLLOW_PARENT, str(by), sys.executable, "-c", "print('here')"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()


def test_a_command_runs_under_whoever_started_it() -> None:
    """The way every process of the stack is started."""
    assert started(os.getpid()) == "here"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
def test_a_command_whose_starter_died_meanwhile_does_not_run() -> None:
    """Killed before the child could ask to be told of it."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    assert started(ended.pid) == ""
