"""Schedules by the real clock, with real processes: on time while the queue is full, and once whatever is killed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import redis

from harness.api import Api
from harness.org_reader import OrgReader
from harness.stack import Stack

FIRES, EVERY = 10, 2  # fire times, one in so many seconds
NOTHING = "Name = 'there is none'"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Web, two workers (one for the clock alone), beat, and an org with 400 Opportunities that plays AppLink too."""
    with Stack(tmp_path_factory.mktemp("schedules")) as stack:
        stack.start_redis()
        stack.start_org(0, "--opportunities", "400", "--lines", "2")
        stack.start_web()
        stack.start_worker(1, "-c", "2")
        stack.start_worker(2, "-c", "1", "-Q", "clock")
        stack.start_beat()
        stack.wait_ready()
        yield stack


@pytest.fixture
def api(system: Stack) -> Api:
    assert system.org
    return Api(system.web_url, system.org, OrgReader(system.org).username())


def create(api: Api, name: str, cron: str, **what: Any) -> str:
    body = {"name": name, "cronExpression": cron, "soqlWhereClause": NOTHING, "authorization": "worker", **what}
    return str(api.post("/api/schedules", body)["scheduleId"])


def wait_for(api: Api, schedule_id: str, fires: int) -> dict[str, Any]:
    deadline = time.monotonic() + 10 + 3 * fires
    while (schedule := api.get(f"/api/schedules/{schedule_id}"))["timesTriggered"] < fires:
        assert time.monotonic() < deadline, schedule
        time.sleep(0.2)
    return schedule


def test_a_guaranteed_job_starts_on_time_while_the_queue_is_full(api: Api, system: Stack) -> None:
    """Every two seconds: it is Processing less than a second after its fire time."""
    schedule_id = create(api, "Guaranteed", f"0/{EVERY} * * * * ?", guaranteed=True, overlap="queue")
    first = datetime.fromisoformat(api.get(f"/api/schedules/{schedule_id}")["nextFireTime"]).timestamp()
    deadline = time.monotonic() + 60 + 4 * FIRES
    while api.get(f"/api/schedules/{schedule_id}")["timesTriggered"] < FIRES:
        assert time.monotonic() < deadline
        if len(api.jobs(status="Holding")) < 20:
            api.submit("Name LIKE 'Opportunity %'")
        time.sleep(0.1)
    holding = len(api.jobs(status="Holding"))
    api.request("DELETE", f"/api/schedules/{schedule_id}")
    jobs = api.jobs(scheduleId=schedule_id, order="asc")
    assert {api.follow(job["jobId"])["status"] for job in jobs} == {"Completed"}
    at = system.began()
    late = sorted(at[job["jobId"]] - first - EVERY * place for place, job in enumerate(jobs))
    print(f"{len(late)} fires, {holding} Holding: median {statistics.median(late):.3f} s, most {late[-1]:.3f} s")
    assert holding > 10
    assert len(late) >= FIRES
    assert statistics.median(late) < 1
    for job in api.jobs(status="Holding,Queued,Preparing,Processing"):
        api.request("POST", f"/api/jobs/{job['jobId']}/abort")


def test_every_second_counts_whatever_is_killed(api: Api, system: Stack) -> None:
    """Beat, then Redis, is killed and started again: every fire time made one job, no more and no less."""
    schedule_id = create(api, "Every second", "* * * * * ?", overlap="queue")
    first = datetime.fromisoformat(api.get(f"/api/schedules/{schedule_id}")["nextFireTime"])
    wait_for(api, schedule_id, 3)
    system.kill("beat")
    time.sleep(4)
    system.start_beat()
    wait_for(api, schedule_id, 12)
    system.restart_redis(away=2)
    wait_for(api, schedule_id, 24)
    system.check()
    end = api.post(f"/api/schedules/{schedule_id}/pause")
    seconds = (datetime.fromisoformat(end["previousFireTime"]) - first).total_seconds() + 1
    time.sleep(2)
    made = api.jobs(scheduleId=schedule_id)
    assert end["timesTriggered"] == seconds == len(made)
    assert end["timesSkipped"] == 0
    assert {api.follow(job["jobId"])["status"] for job in made} == {"Completed"}


def test_a_schedule_whose_authorization_fails_says_so(api: Api, system: Stack) -> None:
    """The job is Failed with the reason, the schedule in ERROR; it is taken up again when the authorization is back."""
    schedule_id = create(api, "Revoked", "0 0 0 1 1 ?")
    client = redis.Redis.from_url(system.redis_url or "")
    client.hset(f"quotejob:schedule:{schedule_id}", "authorization", "revoked")
    job = api.follow(api.post(f"/api/schedules/{schedule_id}/run")["jobId"])
    assert job["status"] == "Failed"
    assert "AUTHORIZATION_FAILED" in job["extendedStatus"]
    schedule = api.get(f"/api/schedules/{schedule_id}")
    assert schedule["state"] == "ERROR"
    assert "revoked" in schedule["extendedStatus"]
    assert api.request("POST", f"/api/schedules/{schedule_id}/resume").status_code == 400
    client.hset(f"quotejob:schedule:{schedule_id}", "authorization", "worker")
    assert api.post(f"/api/schedules/{schedule_id}/resume")["state"] == "WAITING"
