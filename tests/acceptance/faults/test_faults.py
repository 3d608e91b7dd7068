"""One thing breaks while a job runs, and the org has every Quote of the job once. All at once: test_chaos.py."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
import requests
from celery import Celery

from harness.api import Api
from harness.org_reader import OrgReader
from harness.process import ROOT
from harness.stack import CELERY, Stack
from harness.verdict import check_job

ALL = "Name LIKE 'Opportunity %'"  # two pages


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Web, beat, and an org with 400 Opportunities, for one test after the other: each judges its own job."""
    with Stack(tmp_path_factory.mktemp("faults"), extra={"REMAP_SIGTERM": "SIGQUIT"}) as stack:
        stack.start_redis()
        stack.start_org(0, "--opportunities", "400", "--lines", "2")
        stack.start_web()
        stack.start_beat()
        yield stack


@pytest.fixture
def system(running: Stack) -> Stack:
    """Nothing is broken, and the only worker is worker1 with one thread."""
    fault(running, clear=True)
    workers = [process.name for process in running.processes if process.name.startswith("worker")]
    if workers != ["worker1"]:
        for name in workers:
            running.kill(name)
        running.start_worker(1, "-c", "1")
    running.wait_ready()
    return running


def api_of(stack: Stack) -> tuple[Api, OrgReader]:
    assert stack.org
    reader = OrgReader(stack.org)
    return Api(stack.web_url, stack.org, reader.username()), reader


def fault(stack: Stack, **spec: object) -> None:
    assert stack.org
    OrgReader(stack.org)._post("/localorg/faults", spec)


@pytest.mark.timeout(240)
def test_a_page_that_kills_its_worker_is_given_up(system: Stack) -> None:
    """Three times, and then its records failed with that reason; the rest of the job is done."""
    api, reader = api_of(system)
    before = reader.count("SELECT COUNT() FROM Quote")
    fault(system, kind="slow", match={"resource": "query"}, seconds=1.0)
    client = redis.Redis.from_url(system.redis_url or "")
    job_id = api.submit(ALL)
    killed: set[bytes | str] = set()
    deadline = time.monotonic() + 120
    while (job := api.job(job_id))["status"] not in ("Completed", "Failed") and time.monotonic() < deadline:
        holder = (client.hget(f"quotejob:job:{job_id}:leases", "page 0 0") or b"sent").split()[0]
        # Somebody new works on it; the fourth gives it up.
        if len(killed) < 3 and holder not in killed | {b"sent", b"wait"}:
            system.kill("worker1")
            system.start_worker(1, "-c", "1")
            killed.add(holder)
        time.sleep(0.1)
    assert (job["status"], job["records"]["failed"], job["records"]["succeeded"]) == ("Completed", 200, 200), job
    reasons = {(result["code"], "3 times" in result["message"]) for result in api.results(job_id, "failed")}
    assert reasons == {("WORKER_LOST", True)}
    assert len(killed) == 3
    assert reader.count("SELECT COUNT() FROM Quote") == before + 200


def test_a_job_goes_on_within_15_seconds_of_the_death_of_every_worker(system: Stack) -> None:
    """Killed while it held the only batches there are; a new worker starts at once."""
    api, reader = api_of(system)
    fault(system, kind="slow", match={"resource": "composite/graph"}, seconds=2.0, count=2)
    job_id = api.submit(ALL)
    while api.job(job_id)["records"]["succeeded"] == 0 and not _leases(system, job_id, b"batch"):
        time.sleep(0.05)
    system.kill("worker1")
    killed = time.monotonic()
    system.start_worker(1, "-c", "1")
    until(lambda: api.job(job_id)["records"]["succeeded"] > 0)
    print(f"It went on after {time.monotonic() - killed:.1f} s")
    assert time.monotonic() - killed < 15
    assert api.follow(job_id, quiet=40)["status"] == "Completed"
    assert check_job(reader, job_id, ALL).differences == []


@pytest.mark.timeout(240)
def test_the_record_of_a_job_is_right_after_every_death(system: Stack) -> None:
    """Half a minute after the last death the org's record says what the API says, and no event was published."""
    api, reader = api_of(system)
    assert system.org
    requests.post(f"{system.org.url}/localorg/limits", json={"hourlyPublishedPlatformEvents": 0}, timeout=10)
    fault(system, kind="slow", match={"resource": "query"}, seconds=0.5)
    job_id = api.submit(ALL)

    def record() -> list[Any]:
        fields = ("Status__c", "JobItemsProcessed__c", "RecordsSucceeded__c", "RecordsFailed__c")
        found = reader.query(f"SELECT {', '.join(fields)} FROM QuoteJob__c WHERE JobId__c = '{job_id}'")
        return [row[field] for row in found for field in fields]

    for number in range(2):
        time.sleep(3)
        system.kill(f"worker{number + 1}")
        system.start_worker(number + 2, "-c", "1")
    job = api.follow(job_id, quiet=90)
    system.kill("worker3")  # perhaps while it tells of the end
    system.start_worker(1, "-c", "1")
    ended, deadline = [job["status"], job["jobItemsProcessed"], job["records"]["succeeded"], 0], time.monotonic() + 30
    while record() != ended and time.monotonic() < deadline:
        time.sleep(0.5)
    assert record() == ended
    assert check_job(reader, job_id, ALL).differences == []
    requests.post(f"{system.org.url}/localorg/limits", json={"hourlyPublishedPlatformEvents": 50_000}, timeout=10)


def test_workers_that_die_while_the_org_works_on_their_bulk_jobs(system: Stack) -> None:
    """Killed twice: when its Quotes have no lines yet, and when the lines come. Another goes on with the same jobs."""
    api, reader = api_of(system)
    before = reader.count("SELECT COUNT() FROM Quote")
    fault(system, kind="slow", match={"resource": "jobs/ingest", "method": "GET"}, seconds=1.5, count=6)
    job_id = str(api.post("/api/executebatch", {"soqlWhereClause": ALL, "commitBy": "bulk"})["jobId"])
    for soql in ("SELECT COUNT() FROM Quote", "SELECT COUNT() FROM QuoteLineItem"):
        there = reader.count(soql)
        while reader.count(soql) == there:
            time.sleep(0.02)
        system.kill("worker1")
        system.start_worker(1, "-c", "1")
    assert api.follow(job_id, quiet=60)["status"] == "Completed"
    assert reader.count("SELECT COUNT() FROM Quote") == before + 400
    assert check_job(reader, job_id, ALL).differences == []


def test_everybody_outlives_a_redis_that_restarts(system: Stack) -> None:
    """Killed while a worker holds one message and asks for another: each process waits, and the job goes on."""
    api, reader = api_of(system)
    system.kill("worker1")
    system.start_worker(2, "-c", "2")
    fault(system, kind="slow", match={"resource": "query"}, seconds=4.0, count=2)
    job_id = api.submit(ALL)
    while not _leases(system, job_id, b"plan"):
        time.sleep(0.05)
    system.restart_redis(away=2)
    assert api.follow(job_id, quiet=40)["status"] == "Completed"
    system.check()
    assert check_job(reader, job_id, ALL).differences == []


def test_everybody_outlives_a_redis_that_becomes_a_replica(system: Stack) -> None:
    """As in a failover, in the middle of a job: no process ends, callers are told, and then the job goes on."""
    api, reader = api_of(system)
    fault(system, kind="slow", match={"resource": "query"}, seconds=4.0, count=2)
    job_id = api.submit(ALL)
    while not _leases(system, job_id, b"plan"):
        time.sleep(0.05)
    with redis.Redis.from_url(system.redis_url or "") as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        refused = api.request("POST", "/api/executebatch", json={"soqlWhereClause": ALL})
        log, deadline = system.process("worker1").log, time.monotonic() + 60
        while "read only replica" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(5)
        client.execute_command("REPLICAOF", "NO", "ONE")
    assert (refused.status_code, refused.json()["code"]) == (503, "STORE_UNAVAILABLE")
    assert "failover" in refused.json()["message"]
    assert api.follow(job_id, quiet=60)["status"] == "Completed"
    system.check()
    assert check_job(reader, job_id, ALL).differences == []


@pytest.mark.parametrize("way", ["SIGTERM", "SIGTERM twice", "celery control shutdown"])
def test_a_worker_that_is_told_to_stop_does_so_in_time(system: Stack, way: str) -> None:
    """Gone within 30 s, the signal going to all its processes; the next worker goes on without an error or a double."""
    api, reader = api_of(system)
    fault(system, kind="slow", match={"resource": "composite/graph"}, seconds=3.0, count=1)
    job_id = api.submit(ALL)
    while not _leases(system, job_id, b"batch"):
        time.sleep(0.05)
    old = system.process("worker1")
    if way.startswith("celery"):
        shutdown = [*CELERY, "control", "shutdown", "-d", f"worker1@{socket.gethostname()}"]
        subprocess.run(shutdown, cwd=ROOT, env=system.environment, capture_output=True, timeout=60)
    else:
        for _ in range(2 if "twice" in way else 1):
            os.killpg(old.pid, signal.SIGTERM)
            time.sleep(0.5)
    system.start_worker(2, "-c", "1")
    asked = time.monotonic()
    while old.running and time.monotonic() - asked < 30:
        time.sleep(0.1)
    assert not old.running
    system.processes.remove(old)
    job = api.follow(job_id, quiet=40)
    assert (job["status"], job["numberOfErrors"]) == ("Completed", 0)
    assert check_job(reader, job_id, ALL).differences == []


def test_an_expired_session_fails_and_is_resumed(system: Stack) -> None:
    """Failed, saying so; resumed with a fresh context it completes, and nothing is written twice."""
    api, reader = api_of(system)
    fault(system, kind="expire_session", match={"resource": "composite/graph"}, count=1)
    job_id = api.submit(ALL)
    job = api.follow(job_id)
    assert job["status"] == "Failed"
    assert "session" in job["extendedStatus"]
    fault(system, clear=True)
    assert api.post(f"/api/jobs/{job_id}/resume")["status"] == "Holding"
    assert api.follow(job_id)["status"] == "Completed"
    assert check_job(reader, job_id, ALL).differences == []


def test_the_step_that_failed_its_job_is_shown_as_failed(system: Stack) -> None:
    """Celery says so, and why, which is what Flower shows. No chord fails, nothing is tried again or written twice."""
    api, reader = api_of(system)
    log = system.process("worker1").log
    size = log.stat().st_size
    with _events(system) as events:
        until(lambda: bool(events))  # the heartbeats of the worker
        fault(system, kind="expire_session", match={"resource": "composite/graph"}, count=1)
        job_id = api.submit(ALL)
        assert api.follow(job_id)["status"] == "Failed"
        fault(system, clear=True)
        api.post(f"/api/jobs/{job_id}/resume")
        assert api.follow(job_id)["status"] == "Completed"
        until(lambda: any(event["type"] == "task-failed" for event in events))
    [event] = [event for event in events if event["type"] == "task-failed"]
    assert "JobFailed" in event["exception"]
    assert "INVALID_SESSION_ID: The session expired; resume the job" in event["exception"]
    assert not [event for event in events if event["type"] in ("task-retried", "task-rejected", "task-revoked")]
    text = log.read_bytes()[size:].decode()
    assert "Job processing failed for Job ID" in text
    assert "Chord" not in text
    assert "Traceback" not in text
    assert check_job(reader, job_id, ALL).differences == []


def until(what: Callable[[], bool]) -> None:
    """Wait until it is true."""
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@contextlib.contextmanager
def _events(stack: Stack) -> Iterator[list[dict[str, Any]]]:
    """What the workers tell while the block runs, as Flower hears it."""
    heard: list[dict[str, Any]] = []
    celery = Celery(broker=stack.redis_url)
    with celery.connection_for_read() as connection:
        receiver = celery.events.Receiver(connection, handlers={"*": heard.append})
        listening = threading.Thread(target=receiver.capture, kwargs={"wakeup": False}, daemon=True)
        listening.start()
        celery.control.enable_events()  # as Flower asks for them
        try:
            yield heard
        finally:
            receiver.should_stop = True
            listening.join(30)


def test_a_job_waits_for_an_exhausted_org(system: Stack) -> None:
    """It says what it waits for, and goes on by itself when the org has calls again."""
    api, reader = api_of(system)
    spec = {"kind": "limit", "match": {"resource": "composite/graph"}, "message": "TotalRequests Limit exceeded."}
    fault(system, **spec)
    job_id = api.submit(ALL)
    while "Waiting" not in ((job := api.job(job_id))["extendedStatus"] or ""):
        assert job["status"] not in ("Completed", "Failed"), job
        time.sleep(0.1)
    fault(system, clear=True)
    job = api.follow(job_id)
    assert (job["status"], job["extendedStatus"]) == ("Completed", None)
    assert check_job(reader, job_id, ALL).differences == []


def _leases(stack: Stack, job_id: str, kind: bytes) -> bool:
    with redis.Redis.from_url(stack.redis_url or "") as client:
        return any(unit.startswith(kind) for unit in client.hkeys(f"quotejob:job:{job_id}:leases"))
