"""Installs the npm packages of a folder's package-lock.json beside it: clients written by others, and checks."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from harness.venv import alone

PATIENCE = 900  # seconds


class ToolError(Exception):
    """A tool could not be installed; the message has its last words."""


def installed(folder: Path, npm: str = "npm") -> Path:
    """Return node_modules of a folder, installed anew if its lock file has changed. Raises ToolError."""
    modules = folder / "node_modules"
    note, wanted = modules / ".installed", hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    with alone(folder, "test run that installs npm packages"):
        if not (note.is_file() and note.read_text() == wanted):
            command = [npm, "ci", "--loglevel=error"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
            if done.returncode != 0:
                raise ToolError(f"npm ci failed in {folder}:\n{(done.stdout + done.stderr)[-2000:]}")
            note.write_text(wanted)
    return modules
