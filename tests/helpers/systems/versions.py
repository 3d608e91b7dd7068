"""Other versions of quotejob beside this one: the last release, and one after this that keeps something new."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from harness.process import ROOT, Process, StackError, code_of
from harness.stack import WORKER, Stack
from quotejob.formats import FORMAT

# The last release, until it has a tag: docs/guides/upgrading.md promises to work beside it. CONTRIBUTING.md says when
# this changes.
LAST_RELEASE = "6ad60a5"
PARTS = ("api", "console", "quotejob", "tasks", "celeryconfig.py", "gunicorn.conf.py", "openapi.yaml", "pricing.yaml")


def last_release(folder: Path) -> Path:
    """The code of the last release, from git. Without its history the test is skipped, and fails in CI."""
    try:
        return code_of(LAST_RELEASE, folder, *PARTS)
    except StackError as lacking:
        message = f"{lacking}\nFetch the whole history."
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


def next_release(folder: Path, *fields: str) -> Path:
    """The code of this version as if it had brought these fields, which the version before must not ignore."""
    for name in PARTS:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, _parent(folder / name))
    formats = f"FORMAT = {FORMAT + 1}\nNEEDED_BY = {dict.fromkeys(fields, FORMAT + 1)}\n"
    file = folder / "quotejob" / "formats.py"
    file.write_text(file.read_text().replace("\ndef needed(", f"\n{formats}\ndef needed(", 1))
    (folder / "pyproject.toml").write_text('[project]\nversion = "999.0.0"\n')
    return folder


def _parent(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    return path


def start(stack: Stack, code: Path, name: str, *command: str) -> Process:
    """Start a process of that code."""
    return stack.start(name, ["env", "-C", str(code), *command], {"PYTHONPATH": f"{code}:{stack.folder}"})


def start_worker(stack: Stack, code: Path, name: str, *options: str) -> Process:
    """Start a worker of that code, with all queues, or those of the options."""
    return start(stack, code, name, *WORKER, "-n", f"{name}@%h", *options)


def start_web(stack: Stack, code: Path, name: str, port: int) -> str:
    """Start a web process of that code; its address. It may not answer yet."""
    gunicorn = [sys.executable, "-m", "gunicorn", "api.wsgi:app", "--bind", f"127.0.0.1:{port}"]
    start(stack, code, name, *gunicorn)
    return f"http://127.0.0.1:{port}"
