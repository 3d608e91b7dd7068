"""Deploys in the middle of a job: each process gets SIGTERM and a new one takes its place, while callers call on.

``DEPLOYS=20`` in the environment makes it so many deploys.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from systems.redis_doors import HOST, door
from systems.waiting import responds, wait

from cli.api import ENDED
from harness.api import Api
from harness.org_reader import OrgReader
from harness.process import Process, free_port
from harness.stack import CELERY, Stack
from harness.verdict import check_job

DEPLOYS = int(os.environ.get("DEPLOYS", "3"))
RECORDS = 800
ALL, FEW = "Name LIKE 'Opportunity%'", "Name = 'Opportunity 7'"
HEALTH = b"GET /health HTTP/1.1\r\nHost: q\r\n\r\n"
IN_TIME = 30.0  # seconds that a platform gives a process after SIGTERM


class Callers:
    """Callers who never stop. ``errors``: every answer but a success, and every lost connection, in their words."""

    def __init__(self, api: Api) -> None:
        self.errors: list[str] = []
        self.calls: Counter[str] = Counter()
        self.jobs: list[str] = []  # that they have submitted
        self.leave = threading.Event()
        self._api = api
        self._threads: list[threading.Thread] = []

    def start(self, what: str, call: Callable[[Api], object]) -> None:
        """Let one more caller call again and again, on a connection that is kept."""

        def go_on() -> None:
            api = self._api.another()
            while not self.leave.is_set():
                try:
                    call(api)
                    self.calls[what] += 1
                except Exception as error:
                    self.errors.append(f"{what}: {error!r}")
                time.sleep(0.05)

        self._threads.append(threading.Thread(target=go_on, name=what))
        self._threads[-1].start()

    def submit(self, api: Api) -> None:
        """Submit a small job, and follow it to its end."""
        self.jobs.append(job_id := api.submit(FEW))
        while api.job(job_id)["status"] not in ENDED and not self.leave.is_set():
            time.sleep(0.1)

    def stop(self) -> None:
        """Let all of them end."""
        self.leave.set()
        for thread in self._threads:
            thread.join(60)


class Platform:
    """Runs one web process, one worker and one scheduler, and replaces them. ``address``: of the web process."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.number = 0
        self.current: dict[str, Process] = {}
        self.leaving: list[tuple[Process, float]] = []
        self.address = (HOST, 0)
        self.longest_stop = 0.0

    def deploy(self) -> None:
        """Replace all of them: the worker and the scheduler stop first, the web process when the new one answers."""
        self.number += 1
        self._stop("worker")
        self._stop("beat")
        port = free_port(0)
        gunicorn = (sys.executable, "-m", "gunicorn", "api.wsgi:app", "--bind", f"{HOST}:{port}")
        web = self.stack.start(f"web{self.number}", gunicorn, {"PORT": str(port)})
        worker = self.stack.start_worker(self.number, "-c", "2")
        beat = self.stack.start(f"beat{self.number}", [*CELERY, "beat"])
        wait(lambda: responds(f"http://{HOST}:{port}/health"))
        self.address = (HOST, port)  # from now on new connections lead there
        self._stop("web")
        self.current = {"web": web, "worker": worker, "beat": beat}
        wait(lambda: " ready" in worker.tail(100))
        self.see_off()

    def has_priced(self, job_id: str) -> bool:
        """Whether the newest worker has priced a page of the job."""
        lines = self.current["worker"].log.read_text().splitlines()
        return any("Priced a page" in line and job_id in line for line in lines)

    def see_off(self, *, all_of_them: bool = False) -> None:
        """Look at the processes that were told to stop: each must be gone in time."""
        for process, since in list(self.leaving):
            while all_of_them and process.running and time.monotonic() - since < IN_TIME:
                time.sleep(0.05)
            took = time.monotonic() - since
            assert not process.running or took < IN_TIME, f"{process.name} is still there:\n{process.tail()}"
            if not process.running:
                self.longest_stop = max(self.longest_stop, took)
                self.leaving.remove((process, since))
                self.stack.processes.remove(process)

    def _stop(self, kind: str) -> None:
        if process := self.current.pop(kind, None):
            os.killpg(process.pid, signal.SIGTERM)
            self.leaving.append((process, time.monotonic()))


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Everything runs, in its first version."""
    settings = {"REMAP_SIGTERM": "SIGQUIT", "QUOTEJOB_PAGE_SIZE": "5", "WEB_CONCURRENCY": "1"}
    with Stack(tmp_path_factory.mktemp("deploys"), extra=settings) as stack:
        stack.start_redis()
        stack.start_org(0, "--opportunities", str(RECORDS), "--lines", "2")
        made = Platform(stack)
        made.deploy()
        yield made


@pytest.mark.timeout(120 + 30 * DEPLOYS)
def test_no_caller_sees_a_deploy_and_no_quote_is_lost(platform: Platform) -> None:
    """All processes are replaced again and again within a job. No call fails, and each Quote is there once."""
    stack = platform.stack
    assert stack.org
    reader = OrgReader(stack.org)
    slow = {"kind": "slow", "match": {"resource": "query"}, "seconds": 1.5}
    with door(lambda: platform.address) as port:
        api = Api(f"http://{HOST}:{port}", stack.org, reader.username())
        wait(lambda: responds(f"{api.url}/ready"))
        callers = Callers(api)
        reader._post("/localorg/faults", slow)
        job_id = api.submit(ALL)
        for _ in range(2):
            callers.start("getJob", lambda api: api.job(job_id))
        callers.start("executeBatch", callers.submit)
        callers.start("listJobs", lambda api: api.get("/api/jobs"))
        began = time.monotonic()
        try:
            for _ in range(DEPLOYS):
                platform.deploy()
                wait(lambda: platform.has_priced(job_id))
                assert api.another().job(job_id)["status"] == "Processing"
            took = time.monotonic() - began
            platform.see_off(all_of_them=True)
            reader._post("/localorg/faults", {"clear": True})
            api.another().follow(job_id)
        finally:
            callers.stop()
        for each in (job_id, *callers.jobs):
            ended = api.another().follow(each)
            assert (ended["status"], ended["numberOfErrors"], ended["records"]["failed"]) == ("Completed", 0, 0), ended
            assert check_job(reader, each, ALL if each == job_id else FEW).differences == []
    print(f"{DEPLOYS} deploys in {took:.0f} s; calls: {dict(callers.calls)}, errors: {callers.errors}; "
          f"{len(callers.jobs)} more jobs; longest stop {platform.longest_stop:.1f} s")  # fmt: skip
    assert callers.errors == []


def test_a_web_process_that_ends_answers_who_is_connected(platform: Platform) -> None:
    """On a connection that was kept, one that is new, and one that it had not accepted yet; then it refuses others."""
    web = platform.current.pop("web")
    kept, new = socket.create_connection(platform.address), socket.create_connection(platform.address)
    kept.sendall(HEALTH)
    first = b""
    while not first.endswith(b"}\n"):
        first += kept.recv(65536)
    time.sleep(0.5)
    os.killpg(web.pid, signal.SIGSTOP)
    waiting = socket.create_connection(platform.address)
    waiting.sendall(HEALTH)
    os.killpg(web.pid, signal.SIGTERM)
    os.killpg(web.pid, signal.SIGCONT)
    time.sleep(0.5)
    for connection in (kept, new):
        connection.sendall(HEALTH)
    for connection in (kept, new, waiting):
        answer = b"".join(iter(lambda connection=connection: connection.recv(65536), b""))  # type: ignore[misc]
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert b"Connection: close" in answer
        connection.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(platform.address)
    wait(lambda: not web.running, IN_TIME)
    platform.stack.processes.remove(web)
