"""Thousands of jobs of many orgs in simulated time, every event checked by a plain model; more: bench/scheduler.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.scheduler import Setting, costs
from bench.simulated import simulate


@pytest.mark.timeout(600)
def test_caps_order_and_slots_are_kept_at_every_event() -> None:
    """No org starves, none has more than its share, every guaranteed start is on time, every job ends."""
    found = simulate(jobs=2000, orgs=40, seed=7)
    assert found.submitted == 2000
    assert found.late == 0
    # The load reaches what it is to test.
    assert (found.most_active, found.most_holding) == (5, 100)
    assert min(found.refused, found.moved, found.guaranteed, found.scheduled) > 50
    assert set(found.ended) == {"Completed", "Failed", "Aborted"}


def test_a_promotion_takes_as_many_commands_however_many_wait() -> None:
    """In its own org and in others; so does a submission."""
    few, many, others = Setting(1, 10), Setting(1, 300), Setting(40, 10)
    found = costs([few, many, others], times=41)
    for step in ("promotion", "submission"):
        assert found[few][step].commands == found[many][step].commands == found[others][step].commands


def test_the_benchmark_prints_its_tables() -> None:
    """Its figures are not looked at."""
    command = [sys.executable, "bench/scheduler.py", "--jobs", "100", "--orgs", "5", "--most", "10"]
    done = subprocess.run(command, cwd=Path(__file__).resolve().parents[3], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "100 submitted" in done.stdout
    assert done.stdout.count("\n| 10 |") == 3
