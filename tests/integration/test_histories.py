"""Histories by seed: everything that can fail does, in an order that the seed draws, and every Quote is right."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.process import ROOT

COUNT = 200
FOUND_SOON = [
    "unique keys of the org",
    "the sweep",
    "the look-up of a refused duplicate",
    "the wait for all pages of a wave",
    "the first receipt wins",
]


def histories(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run bin/histories on one process: the other one is a test's, too."""
    command = [sys.executable, "-P", "-m", "harness.histories.run", "--processes", "1", *arguments]
    return subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)


@pytest.mark.timeout(600)
def test_every_history_ends_well() -> None:
    done = histories("--count", str(COUNT))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{COUNT} histories in " in done.stdout


@pytest.mark.timeout(600)
def test_protections_that_are_missing_are_found() -> None:
    done = histories("--count", "60", *(word for name in FOUND_SOON for word in ("--without", name)))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_seed_gives_the_same_history_again() -> None:
    """A history that is one of many, and the same one by itself."""
    first = histories("--seed", "1", "--count", "60", "--without", FOUND_SOON[0])
    seed = first.stdout.partition("history ")[2].partition(" ")[0]
    assert histories("--seed", seed, "--count", "1", "--without", FOUND_SOON[0]).stdout == first.stdout
