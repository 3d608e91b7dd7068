"""The words in bin/: --help says what they do and exits with 0; a wrong use names the word as it was typed."""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path

import pytest

from harness.process import ROOT, clean_environment

WORDS = sorted(path.name for path in (ROOT / "bin").iterdir())
TAKES_ANY = {"test"}  # its arguments are pytest's


def run(*words: str, folder: Path = ROOT, path: str = "") -> subprocess.CompletedProcess[str]:
    """A command from a folder, with one more folder on PATH."""
    environment = clean_environment()
    environment["PATH"] = os.pathsep.join(filter(None, (path, environment["PATH"])))
    return subprocess.run(words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)


@pytest.mark.parametrize(("word", "option"), list(zip(WORDS, itertools.cycle(["--help", "-h"]), strict=False)))
def test_help_is_no_error_and_changes_nothing(word: str, option: str) -> None:
    """It names the word as one types it."""
    document = (ROOT / "openapi.yaml").stat().st_mtime_ns
    done = run(f"bin/{word}", option)
    assert done.returncode == 0, done.stderr
    assert f"bin/{word}" in done.stdout
    assert " -m " not in done.stdout
    assert (ROOT / "openapi.yaml").stat().st_mtime_ns == document


@pytest.mark.parametrize("word", [word for word in WORDS if word not in TAKES_ANY])
def test_a_wrong_use_names_what_was_typed(word: str) -> None:
    """From the checkout, and by PATH from another folder: never a module."""
    for typed, folder, path in ((f"bin/{word}", ROOT, ""), (word, ROOT / "docs", str(ROOT / "bin"))):
        done = run(typed, "--no-such-option", folder=folder, path=path)
        assert done.returncode == 2
        assert typed in done.stderr
        assert "harness" not in done.stderr
        assert "cli." not in done.stderr


def test_commands_in_help_and_hints_can_be_typed() -> None:
    """What bin/quotejob says to type begins as it was typed, in the examples and in errors."""
    said = run("bin/quotejob", "run", "--help").stdout
    assert "  bin/quotejob run --file clause.soql" in said
    assert "| bin/quotejob run -" in said
    assert "See `bin/quotejob job --help`." in run("bin/quotejob", "job").stderr
    assert "  quotejob run --file clause.soql" in run("quotejob", "run", "--help", path=str(ROOT / "bin")).stdout
