"""The short fault run: all is broken for a while, the org has every Quote once, and every fire time was decided once.

The long one is bin/chaos.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.process import ROOT


@pytest.mark.timeout(600)
def test_a_short_chaos() -> None:
    """Two rounds of bin/chaos, its clock jumping where it can be made to; its own words when it breaks."""
    command = [sys.executable, "-m", "harness.chaos.run", "--rounds", "2", "--seed", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert " pairs of a job and a fault" in done.stdout
