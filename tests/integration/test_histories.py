"""Histories by seed: everything that can fail does, in an order that the seed draws, and every Quote is right."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.process import ROOT

COUNT = 100  # `bin/histories` runs 2,000
SEED = 96  # the rarest of the following is found by the second history from here
FOUND_SOON = [
    "unique keys of the org",
    "the sweep",
    "the look-up of a refused duplicate",
    "the wait for all pages of a wave",
    "the first receipt wins",
]
# A machine on which a thousand times as much time passes. Its Redis must have no deadlines of its own.
SLOW_MACHINE = """
import os, sys, time
real, times = time.monotonic, int(sys.argv[1])
time.monotonic = time.perf_counter = lambda: times * real()
import redis
from harness.histories.run import run
for verdict in run(range(1, 9)):
    print(verdict.seed, *verdict.wrong, *verdict.trace, sep="\\n")
    there = redis.Redis.from_url(os.environ["REDIS_URL"])
    print("deadlines of Redis:", sum(there.pttl(key) != -1 for key in there.keys()))
"""


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the checkout's modules."""
    command, given = [sys.executable, "-P", *arguments], {"PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)


def histories(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run bin/histories on one process: the other one is a test's, too."""
    return python("-m", "harness.histories.run", "--processes", "1", *arguments, **environment)


@pytest.fixture(scope="module")
def found() -> list[str]:
    """What is said of each protection that is missing."""
    without = (word for name in FOUND_SOON for word in ("--without", name))
    done = histories(
        "--seed", str(SEED), "--count", "60", *without, PYTHONHASHSEED="0"
    )  # else it would begin by starting itself again
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.timeout(600)
def test_every_history_ends_well() -> None:
    done = histories("--count", str(COUNT), PYTHONHASHSEED="0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{COUNT} histories in " in done.stdout


@pytest.mark.timeout(600)
def test_protections_that_are_missing_are_found(found: list[str]) -> None:
    for name, line in zip(FOUND_SOON, found, strict=True):
        assert line.startswith(f"Without {name}: history ")


@pytest.mark.timeout(600)
def test_a_seed_gives_the_same_history_again(found: list[str]) -> None:
    """A history that is one of many, and the same one by itself, whatever the environment says of hashes."""
    seed = found[-1].partition("history ")[2].partition(" ")[0]
    again = histories("--seed", seed, "--count", "1", "--without", FOUND_SOON[-1], PYTHONHASHSEED="7")
    assert again.stdout.splitlines() == found[-1:]


@pytest.mark.timeout(600)
def test_the_time_of_the_machine_plays_no_part() -> None:
    """A slow machine gives the same histories: no clock but the world's is read, and no key ends by Redis's own."""
    usual, slow = (python("-c", SLOW_MACHINE, times, PYTHONHASHSEED="0") for times in ("1", "1000"))
    assert usual.returncode == 0, usual.stderr
    assert usual.stdout.count("deadlines of Redis: 0") == 8
    assert slow.stdout == usual.stdout
