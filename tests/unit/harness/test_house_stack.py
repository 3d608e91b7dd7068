"""What harness/stack.py starts ends with whoever started it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.process import FOLLOW_PARENT, Process, StackError, clean_environment
from harness.stack import read_org


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


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit('none of that')", "has ended. Its last words:\\nnone of that"),
        ("import time; time.sleep(60)", "did not start within 2 s"),
    ],
)
def test_an_org_that_does_not_start_is_said_to_have_ended_or_not(tmp_path: Path, code: str, words: str) -> None:
    """Only one that still runs was not given enough time."""
    process = Process("localorg", [sys.executable, "-c", code], tmp_path, clean_environment())
    try:
        with pytest.raises(StackError, match=words):
            read_org(process, 2 if "sleep" in code else 30)
    finally:
        process.finish(0)
