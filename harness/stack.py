"""Redis, the local org, web, workers, beat and Flower as child processes: started in order, watched, stopped.

bin/demo and the acceptance tests use it. All files of a run are in one folder. Every process is the leader of its own
group, so Ctrl-C reaches only the process that started the stack. A process is stopped by its own id: first SIGTERM to
the process, then, after the grace time, SIGKILL to what is left of its group.
"""

from __future__ import annotations

import re
import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import requests
from cryptography.fernet import Fernet

from harness.api import LocalOrg
from harness.process import GRACE_SECONDS, START_SECONDS, Process, StackError, clean_environment, free_port
from quotejob.testing import redis_server

CELERY = (sys.executable, "-m", "celery", "-A", "tasks")
WORKER = (*CELERY, "worker", "--without-gossip", "--without-mingle")


class Stack:
    """The running system. Start what is wanted, in this order; leaving the ``with`` block stops everything.

    ``folder`` receives logs and data; the caller removes it. ``tell`` is called with each step as it begins. ``extra``
    are environment variables for every process.
    """

    def __init__(
        self,
        folder: Path,
        *,
        redis_url: str | None = None,
        extra: Mapping[str, str] | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder = folder
        self.processes: list[Process] = []
        self.redis_url = redis_url
        self.org: LocalOrg | None = None
        self.web_url = ""
        self.flower_url = ""
        self.redis_environment: Mapping[str, str] = {}  # more variables for redis-server, for example another clock
        self.tell = tell
        self.environment = {
            **clean_environment(),
            "PYTHONUNBUFFERED": "1",
            "QUOTEJOB_SECRET_KEY": Fernet.generate_key().decode(),
            "QUOTEJOB_LOCAL_ORG": "1",
            **(extra or {}),
        }
        if redis_url:
            self.environment["REDIS_URL"] = redis_url
            self.environment.setdefault("QUOTEJOB_REDIS_MAY_FORGET", "1")  # its settings are its owner's affair

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start_redis(self, port: int = 0) -> None:
        """Start a private Redis server with an append-only file, unless a server was given."""
        if self.redis_url:
            self.tell("Redis: the server of REDIS_URL")
            self._wait("The Redis server of REDIS_URL", lambda: redis_server.answers(self.redis_url or ""), None, 10)
            return
        port = self._port("Redis", port)
        data = self.folder / "redis"
        data.mkdir(parents=True, exist_ok=True)
        try:
            command = redis_server.command(port, data)
        except redis_server.ServerError as error:
            raise StackError(f"{error}; bin/quotejob up, bin/demo and bin/test do.") from None
        process = self.start("redis", command, self.redis_environment)
        url = f"redis://127.0.0.1:{port}/0"
        self._wait("Redis", lambda: redis_server.answers(url), process)
        self.redis_url = self.environment["REDIS_URL"] = url

    def start_org(self, port: int = 0, *options: str, seconds: float = START_SECONDS) -> LocalOrg:
        """Start the local org, which is also AppLink here. ``options`` are more options of `python -m localorg`.

        ``seconds``: the most that it may take; an org is filled before it answers.
        """
        port = self._port("Local org", port)
        process = self.start("localorg", [sys.executable, "-m", "localorg", "--port", str(port), *options])
        self.org = read_org(process, seconds)
        self.environment.setdefault("HEROKU_APPLINK_API_URL", f"{self.org.url}/localorg/applink")
        self.environment.setdefault("HEROKU_APPLINK_TOKEN", "local")  # it takes any
        return self.org

    def start_web(self, port: int = 0) -> None:
        """Start gunicorn with the API on loopback."""
        port = self._port("Web", port)
        command = [sys.executable, "-m", "gunicorn", "api.wsgi:app", "--bind", f"127.0.0.1:{port}"]
        self.web_url = f"http://127.0.0.1:{port}"
        process = self.start("web", command, {"PORT": str(port), **self._doors()})
        self._wait("Web", lambda: _answers(f"{self.web_url}/health"), process)

    def _doors(self) -> dict[str, str]:
        """Set up the local org as one whose people come into the console, and return the settings for it."""
        if self.org is None:
            return {}
        secret = secrets.token_urlsafe(24)
        with requests.Session() as session:
            session.trust_env = False  # no proxy between this machine and itself
            app = {"url": f"{self.web_url}/console/canvas", "consumerSecret": secret}
            session.post(f"{self.org.url}/localorg/canvas", json=app, timeout=10).raise_for_status()
        doors = {
            "URL": self.web_url, "LOGIN": self.org.url, "CLIENT_ID": "quotejob", "CLIENT_SECRET": secret,
            "CANVAS_SECRET": secret, "ORGS": self.org.org_id, "OPERATORS": "worker@quotejob.example",
        }  # fmt: skip
        settings = {f"QUOTEJOB_CONSOLE_{name}": value for name, value in doors.items()}
        return {name: value for name, value in settings.items() if name not in self.environment}

    def start_worker(self, number: int = 1, *options: str) -> Process:
        """Start one Celery worker, named worker<number>. The web process' /ready waits for it."""
        self.tell(f"Worker {number}")
        return self.start(f"worker{number}", [*WORKER, "-n", f"worker{number}@%h", *options])

    def start_clock(self) -> None:
        """Start the worker that serves the clock queue only."""
        self.tell("Worker of the clock")
        self.start("worker-clock", [*WORKER, "-Q", "clock", "-c", "1", "-n", "clock@%h"])

    def start_beat(self) -> None:
        """Start the scheduler."""
        self.tell("Scheduler")
        self.start("beat", [*CELERY, "beat"])

    def start_flower(self, port: int = 0) -> None:
        """Start Flower on loopback, without a password."""
        port = self._port("Flower", port)
        command = [*CELERY, "flower", f"--port={port}", "--address=127.0.0.1"]
        process = self.start("flower", command, {"FLOWER_UNAUTHENTICATED_API": "true"})
        self.flower_url = f"http://127.0.0.1:{port}"
        self._wait("Flower", lambda: _answers(f"{self.flower_url}/healthcheck"), process)

    def wait_ready(self) -> None:
        """Wait until the web process says that Redis and a worker answer. Every process must still be running."""
        self.tell("Waiting for a worker to answer")
        self._wait("The system", lambda: _answers(f"{self.web_url}/ready"), None)

    def start(self, name: str, command: Sequence[str], more: Mapping[str, str] | None = None) -> Process:
        """Start any other process with the system's environment."""
        self.folder.mkdir(parents=True, exist_ok=True)
        process = Process(name, command, self.folder, {**self.environment, **(more or {})})
        self.processes.append(process)
        return process

    def process(self, name: str) -> Process:
        """Return the newest process of that name."""
        return next(process for process in reversed(self.processes) if process.name == name)

    def began(self) -> dict[str, float]:
        """Return when each job became Processing: seconds since 1970 by job id, from the workers' logs."""
        text = "".join(process.log.read_text() for process in self.processes if process.name.startswith("worker"))
        said = [re.search(r"(\S+Z) .*Processing \d+ Opportunities.* job_id=(\S+)", line) for line in text.splitlines()]
        return {found[2]: datetime.fromisoformat(found[1]).timestamp() for found in said if found}

    def kill(self, name: str) -> None:
        """End the process of that name at once. It no longer counts as missing."""
        process = self.process(name)
        process.kill()
        self.processes.remove(process)

    def restart_redis(self, away: float) -> None:
        """Kill the private Redis server. Start it again after so many seconds, with the same port and data."""
        port = urlsplit(self.redis_url or "").port or 0
        self.kill("redis")
        time.sleep(away)
        self.redis_url = None  # otherwise it counts as a server that was given
        self.start_redis(port)

    def check(self) -> None:
        """Raise StackError when a process has ended by itself."""
        if not all(process.running for process in self.processes):
            raise StackError(self.obituaries().strip())

    def obituaries(self) -> str:
        """Return the last log lines of every process that has ended, or "" when all are running."""
        ended = (process for process in self.processes if not process.running)
        return "".join(f"\n{process.name} has ended. Its last words:\n{process.tail()}" for process in ended)

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """End everything: first what takes work, last Redis and the local org."""
        ground = {"redis", "localorg"}
        for group in (
            [p for p in self.processes if p.name not in ground],
            [p for p in self.processes if p.name in ground],
        ):
            for process in group:
                process.terminate()
            deadline = time.monotonic() + grace
            for process in group:
                process.finish(max(0.0, deadline - time.monotonic()))
        self.processes.clear()

    def _port(self, name: str, preferred: int) -> int:
        """Return a free port for this process, and tell which. If it is not the preferred one, say so."""
        port = free_port(preferred)
        taken = f" ({preferred} is taken by another program)" if preferred not in (0, port) else ""
        self.tell(f"{name} on port {port}{taken}")
        return port

    def _wait(
        self, what: str, ready: Callable[[], bool], process: Process | None, seconds: float = START_SECONDS
    ) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                words = "\n".join(f"-- {p.name}:\n{p.tail()}" for p in ([process] if process else self.processes))
                raise StackError(f"{what} did not answer within {seconds:.0f} s.\n{words}")
            time.sleep(0.1)


def read_org(process: Process, seconds: float = START_SECONDS) -> LocalOrg:
    """Return the org from the first line of `python -m localorg`: ``local org URL org ID user ID token TOKEN``."""
    words = process.first_line(seconds).split()
    if len(words) != 9 or words[:2] != ["local", "org"]:
        what = f"did not start within {seconds:.0f} s" if process.running else "has ended"
        raise StackError(f"The local org {what}. Its last words:\n{process.tail()}")
    named = dict(zip(words[3::2], words[4::2], strict=True))
    return LocalOrg(words[2], named["org"], named["user"], named["token"])


def _answers(url: str) -> bool:
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy between this machine and itself
            return session.get(url, timeout=5).status_code == 200
    except requests.RequestException:
        return False
