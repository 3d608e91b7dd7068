"""bench/localorg.py runs and prints its table; how fast it finds the org is not looked at."""

from __future__ import annotations

import subprocess
import sys

from _server import CHECKOUT


def test_the_benchmark_prints_its_table() -> None:
    command = [sys.executable, "bench/localorg.py", "--scale", "0.02"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 11
    assert all(float(row[1].replace(",", "")) > 0 for row in rows[2:])
    assert "load" in done.stdout
