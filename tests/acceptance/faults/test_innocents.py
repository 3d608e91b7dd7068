"""Worker processes die again and again: only a unit that alone explains it is given up."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import _deadly
import pytest
from _callers import new_caller

from harness.process import ROOT, Process
from harness.stack import Stack
from quotejob.jobs.job import Job
from quotejob.run.receipt import Outcome
from quotejob.services import Services
from quotejob.settings import current, load
from quotejob.store import keys
from quotejob.store.client import client

POOLS = [("processes", "2"), ("threads", "25")]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Redis and beat. Workers are started by each test, and again whenever one has ended."""
    helpers = os.pathsep.join([str(ROOT), str(Path(_deadly.__file__).parent)])
    with Stack(tmp_path_factory.mktemp("innocents"), extra={"PYTHONPATH": helpers, "SHORT_LEASES": "1"}) as stack:
        stack.start_redis()
        stack.start_beat()
        yield stack


@pytest.fixture
def services(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    for name in ("REDIS_URL", "QUOTEJOB_SECRET_KEY", "QUOTEJOB_LOCAL_ORG"):
        monkeypatch.setenv(name, stack.environment[name])
    current.cache_clear()
    yield Services(load(), client(stack.environment["REDIS_URL"], attempts=3))
    current.cache_clear()
    for process in [process for process in stack.processes if process.name.startswith("worker")]:
        process.kill()
        stack.processes.remove(process)


def submit(services: Services, clause: str) -> str:
    caller = new_caller()
    job, _ = services.jobs.submit(caller, "Deadly", soql_where_clause=clause)
    return job.job_id


def follow(stack: Stack, services: Services, job_id: str, workers: Callable[[], None]) -> Job:
    """Wait for the end of the job, while ``workers`` looks after the workers."""
    deadline = time.monotonic() + 500
    while not (job := services.jobs.get(job_id)).ended and time.monotonic() < deadline:
        workers()
        time.sleep(0.1)
    return job


def alive(services: Services) -> int:
    """Return how many worker processes have just given a sign of life."""
    seconds, micros = services.client.time()
    return services.client.zcount("quotejob:processes", seconds * 1000 + micros // 1000 - 900, "+inf")


def keep_running(stack: Stack, number: int, pool: tuple[str, str]) -> Process:
    """Start a worker, or start it again if it has ended."""
    running = [process for process in stack.processes if process.name == f"worker{number}"]
    if running and running[0].running:
        return running[0]
    for process in running:
        stack.processes.remove(process)
    kind, concurrency = pool
    command = [sys.executable, "-m", "celery", "-A", "_deadly", "worker", "--without-gossip", "--without-mingle"]
    options = ["-n", f"worker{number}@%h", "-P", kind, "-c", concurrency]
    return stack.start(f"worker{number}", [*command, *options])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("pool", POOLS, ids=["processes", "threads"])
def test_innocents_beside_a_unit_that_kills(stack: Stack, services: Services, pool: tuple[str, str]) -> None:
    """A page kills its process each time, with all threads of it. It fails, and none of the 20 others."""
    job_id = submit(services, "0.5 kill")
    job = follow(stack, services, job_id, lambda: (keep_running(stack, 1, pool), None)[1])
    results, _ = services.results.page(job_id)
    failed = {result.record_id: result.code for result in results if result.outcome is Outcome.FAILED}
    assert (job.status, job.succeeded, failed) == ("Completed", 20, {_deadly.DEADLY: "WORKER_LOST"})


@pytest.mark.timeout(600)
@pytest.mark.parametrize("pool", [("processes", "2"), ("threads", "4")], ids=["processes", "threads"])
@pytest.mark.parametrize("unit", ["plan", "page 0 3"])
def test_innocents_when_all_processes_are_killed(
    stack: Stack, services: Services, pool: tuple[str, str], unit: str
) -> None:
    """Four times, each time while the same unit is worked on: nothing is given up, and the job does not fail."""
    job_id = submit(services, f"1.0 slow {unit}")  # on a busy machine it takes seconds to see that all are there
    killed: set[bytes] = set()
    processes = 2 * (int(pool[1]) if pool[0] == "processes" else 1)

    def kill_all() -> None:
        workers = [keep_running(stack, number, pool) for number in (1, 2)]
        if alive(services) < processes:  # one that still starts would not be seen to die beside the others
            return
        holder = (services.client.hash(keys.job(job_id, "leases")).get(unit.encode()) or b"wait").split()[0]
        if len(killed) < 4 and holder not in killed | {b"wait", b"sent"}:
            killed.add(holder)
            for worker in workers:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.kill()

    job = follow(stack, services, job_id, kill_all)
    assert (len(killed), job.status, job.succeeded, job.failed) == (4, "Completed", 21, 0), job.extended_status
