"""Ask the process of this container how it is: exit code 0 if it is well, else 1 and the reason on standard error.

The web process and Flower are asked by HTTP. A worker notes a sign of life in Redis every two seconds; while Redis is
away it cannot, so that is no reason to restart it. The scheduler tells nobody: it is well as long as it runs.
"""

from __future__ import annotations

import os
import socket
import sys
import urllib.request
from pathlib import Path

import redis

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
MOST_SECONDS = 60.0  # since the last sign of life of a worker


def main(words: list[str]) -> int:
    """Check the named process, or that of process 1. Return the exit code."""
    line = Path("/proc/1/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    try:
        check(words[0] if words else kind(line))
    except (OSError, Unwell) as error:
        print(f"Not well: {error}", file=sys.stderr)
        return 1
    return 0


class Unwell(Exception):
    """The process is there, but does not do its work."""


def kind(line: str) -> str:
    """Return which process has this command line."""
    if "gunicorn" in line:
        return "web"
    if "localorg" in line:
        return "localorg"
    return next((name for name in ("worker", "flower", "beat") if f" {name}" in line), "other")


def check(name: str) -> None:
    """Raise Unwell or OSError if this process is not well."""
    if name == "web":
        answers(f"http://127.0.0.1:{os.environ.get('APP_PORT') or os.environ.get('PORT') or 8000}/health")
    elif name == "flower":
        answers(f"http://127.0.0.1:{os.environ.get('FLOWER_PORT') or 5555}/healthcheck")
    elif name == "localorg":
        answers("http://127.0.0.1:8025/services/data")
    elif name in ("worker", "clock"):
        works()


def answers(url: str) -> None:
    """Raise OSError if no 2xx comes from there."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(url, timeout=5).close()


def works() -> None:
    """Raise Unwell if a worker of this host has given no sign of life for too long."""
    from quotejob.errors import StoreUnavailable
    from quotejob.settings import redis_url
    from quotejob.store import keys
    from quotejob.store.client import client

    host = f"@{socket.gethostname()}".encode()
    try:
        with client(redis_url(), attempts=0, timeout=3, connections=1) as there:
            signs: list[tuple[bytes, float]] = there.zrange(keys.WORKERS, 0, -1, withscores=True)
            now = float(there.time()[0])
    except (StoreUnavailable, redis.RedisError):
        return
    ages = [now - score / 1000 for worker, score in signs if worker.endswith(host)]
    if not ages or min(ages) > MOST_SECONDS:
        last = f"the last one was {min(ages):.0f} s ago" if ages else "there was none"
        raise Unwell(f"a worker of this host should give a sign of life every 2 s, and {last}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
