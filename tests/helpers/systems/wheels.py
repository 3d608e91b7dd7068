"""Wheels that only one test reads, so that they are not installed for all."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


def downloaded(requirements: Path, folder: Path) -> zipfile.ZipFile:
    """Return the one wheel that this file pins. If pip cannot get it, the test is skipped, and fails in CI."""
    words = ["download", "-q", "--no-deps", "-d", str(folder), "-r", str(requirements)]
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True)
    if done.returncode != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"pip cannot download it: {done.stderr[-1000:]}")
    [wheel] = folder.glob("*.whl")
    return zipfile.ZipFile(wheel)
