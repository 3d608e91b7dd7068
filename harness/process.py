"""One process of a system: started in its own group, watched, and stopped by its id."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The developer's own settings, meant for another system, must not reach this one.
# Nor may the size and colours of the terminal that started us: a child has a terminal of its own, or a file.
OURS = ("REDIS_URL", "PORT", "APP_PORT", "WEB_CONCURRENCY", "LOG_LEVEL", "REMAP_SIGTERM", "CELERY_APP")
TERMINAL = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
OUR_PREFIXES = ("QUOTEJOB_", "HEROKU_APPLINK_", "FLOWER_", "GUNICORN_", "CELERY_")
START_SECONDS = 60.0  # for one process to answer; a busy two-core machine takes a while
PORTS_TRIED = 50  # from the preferred one on
_CLOSING_SECONDS = 5.0  # from the end of a process's output to its own
GRACE_SECONDS = 10.0  # between SIGTERM and SIGKILL

_reserved: dict[int, socket.socket] = {}  # by port


class StackError(Exception):
    """A process did not start or did not stay; the message holds its last log lines."""


class Process:
    """One child process: its own group, its output in a file of the run's folder."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.stdout: int | None = None
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-c", FOLLOW_PARENT, str(os.getpid()), *command],
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if name == "localorg" else log,  # its first line holds a token
                stderr=log,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    @property
    def running(self) -> bool:
        """Whether the process is still there."""
        return self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._popen.poll()

    def first_line(self, seconds: float) -> str:
        """Return the first line of its output without the line end, or "" when no line came in that time."""
        pipe = self._popen.stdout
        assert pipe is not None
        deadline, text = time.monotonic() + seconds, b""
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while b"\n" not in text and (left := deadline - time.monotonic()) > 0:
                if selector.select(left):
                    chunk = os.read(pipe.fileno(), 4096)
                    if not chunk:
                        with contextlib.suppress(subprocess.TimeoutExpired):
                            self._popen.wait(_CLOSING_SECONDS)  # it ends, or has only closed its output
                        return ""
                    text += chunk
        return text.decode().partition("\n")[0] if b"\n" in text else ""

    def tail(self, lines: int = 15) -> str:
        """Return the last lines of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:]) or "(it said nothing)"

    def terminate(self) -> None:
        """Ask the process to end. It must end its own children."""
        if self.running:
            self._popen.terminate()

    def kill(self) -> None:
        """End the process and its whole group at once, as when a machine fails."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def finish(self, seconds: float) -> None:
        """Wait for the end of the process, then make sure that nothing of its group is left."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(seconds)
        self.kill()
        if self._popen.stdout:
            self._popen.stdout.close()


# Run before the command itself, with the id of the process that starts it: on Linux a child then gets SIGTERM when that
# one dies, so that even `kill -9` on bin/demo leaves nothing behind. PR_SET_PDEATHSIG is 1; it is of no use when the
# parent has died before it was set, so that is looked at afterwards.
FOLLOW_PARENT = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the process that started this one has ended")
os.execvp(sys.argv[2], sys.argv[2:])
"""


def code_of(revision: str, folder: Path, *parts: str) -> Path:
    """Put the code of a revision of git, or these parts of it, into a new folder. Return the folder.

    Raises StackError if git does not have the revision.
    """
    archive = subprocess.run(["git", "archive", revision, *parts], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        raise StackError(f"git does not have {revision}: {archive.stderr.decode()}")
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what quotejob, Celery, Flower and gunicorn read, and its terminal."""
    left_out = {*OURS, *TERMINAL}
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {name: value for name, value in kept.items() if not name.startswith(OUR_PREFIXES)}


def free_port(preferred: int = 0) -> int:
    """Return ``preferred`` when nothing listens on that loopback port, otherwise the next free one. 0: any."""
    following = range(preferred, min(preferred + PORTS_TRIED, 65_536)) if preferred else ()
    for port in (*following, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            if port == 0 or _reserve(port):
                return int(probe.getsockname()[1])
    raise StackError("No free port on 127.0.0.1.")


def _reserve(port: int) -> bool:
    """Keep a port for this process. False: another one of ours has it, though what will listen there still starts.

    The name of a socket in Linux's abstract namespace belongs to one process, and goes with it.
    """
    if sys.platform == "linux" and port not in _reserved:
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0quotejob port {port}")
        except OSError:
            name.close()
            return False
        _reserved[port] = name
    return True
