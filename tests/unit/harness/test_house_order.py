"""bin/test without arguments: what runs beside what, what is shown last, and what its exit code says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.process import ROOT

PASSES = "print('1 passed')"
FAILS = "raise SystemExit('it is wrong')"
# Ends as pytest does: on the first SIGTERM it stops what it has started.
PATIENT = """
import signal, sys, time
def end(*_): time.sleep(0.3); open(sys.argv[1], 'a').write('stopped\\n'); sys.exit(2)
signal.signal(signal.SIGTERM, end)
open(sys.argv[1], 'a').write('runs\\n')
time.sleep(60)
"""


# The signal comes while the last process is being started: it runs, and nobody has it yet.
INTERRUPTED = """
begin = checks.start
def start(command, output=None):
    process = begin(command, output)
    while not all(Path(note).is_file() and Path(note).read_text() for note in NOTES):
        if output: return process
    raise KeyboardInterrupt
checks.start = start
"""


def begun(folder: Path, acceptance: list[str], before: str = "", **checks: list[str]) -> subprocess.Popen[str]:
    """harness.checks with other commands, in a folder of its own. ``before``: a program that runs first."""
    program = (
        "import signal; from pathlib import Path; from harness import checks\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background processes ignore it
        f"checks.ROOT = Path({str(folder)!r}); checks.TEMPORARY = checks.ROOT / 'temporary'\n"
        f"checks.ACCEPTANCE = {acceptance!r}; checks.CHECKS = {checks!r}\n"
        f"{before}\n"
        "checks.main()\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize(
    ("acceptance", "check", "code"), [(PASSES, PASSES, 0), (PASSES, FAILS, 1), (FAILS, PASSES, 1), (FAILS, FAILS, 1)]
)
def test_any_failure_fails_the_whole(tmp_path: Path, acceptance: str, check: str, code: int) -> None:
    """All run. The acceptance tests' last line is the last one; above it stands what else failed."""
    with begun(tmp_path, ["-c", acceptance], first=["-c", check], second=["-c", "print('second runs')"]) as run:
        said, _ = run.communicate()
    assert run.returncode == code, said
    *lines, last = said.splitlines()
    assert last == ("1 passed" if acceptance == PASSES else "it is wrong")
    assert (lines[-1] == "FAILED: first (see above)") == (check == FAILS)
    assert "second runs" in lines


def test_what_runs_beside_the_acceptance_tests_gives_way_to_them(tmp_path: Path) -> None:
    """They have limits of time."""
    nice = "import os; print('nice', os.nice(0))"
    with begun(tmp_path, ["-c", nice], check=["-c", nice]) as run:
        said, _ = run.communicate()
    beside, acceptance = (int(line.split()[1]) for line in said.splitlines() if line.startswith("nice "))
    assert beside > acceptance


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_both_once_and_waits_for_them(tmp_path: Path, number: signal.Signals) -> None:
    notes = [tmp_path / "acceptance", tmp_path / "check"]
    commands = [["-c", PATIENT, str(note)] for note in notes]
    with begun(tmp_path, commands[0], check=commands[1]) as run:
        while not all(note.is_file() and note.read_text() for note in notes):
            assert run.poll() is None
            time.sleep(0.01)
        run.send_signal(number)
        said, _ = run.communicate()
    assert run.returncode == 130, said
    assert [note.read_text() for note in notes] == ["runs\nstopped\n"] * 2


def test_what_is_just_being_started_is_stopped_too(tmp_path: Path) -> None:
    notes = [tmp_path / "acceptance", tmp_path / "check"]
    commands = [["-c", PATIENT, str(note)] for note in notes]
    before = f"NOTES = {[str(note) for note in notes]!r}{INTERRUPTED}"
    with begun(tmp_path, commands[0], before, check=commands[1]) as run:
        said, _ = run.communicate()
    assert run.returncode == 130, said
    assert [note.read_text() for note in notes] == ["runs\nstopped\n"] * 2
