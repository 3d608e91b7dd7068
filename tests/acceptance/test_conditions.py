"""Jobs that wait for jobs and for a time, with real workers and the scheduler: they run when all of it holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import requests

from harness.api import Api, Json
from harness.stack import Stack


def submit(api: Api, name: str, **conditions: object) -> str:
    body = {"soqlWhereClause": f"Name LIKE '{name}%'", **conditions}
    return str(api.post("/api/executebatch", body)["jobId"])


def ended(api: Api, job_id: str) -> Json:
    """The job, once it has ended."""
    deadline = time.monotonic() + 60
    while (job := api.job(job_id))["completedDate"] is None:
        assert time.monotonic() < deadline, job
        time.sleep(0.05)
    return job


def test_a_job_runs_after_two_others_and_not_before_its_time(
    api: Api, name: str, make_opportunity: Callable[..., str]
) -> None:
    """It starts soon after the last of these, and what nobody waits for runs meanwhile."""
    make_opportunity(f"{name} a")
    at = datetime.now(UTC) + timedelta(seconds=8)
    parents = [submit(api, name), submit(api, name)]
    child = submit(api, name, dependsOn=parents, notBefore=at.isoformat())
    grandchild = submit(api, name, dependsOn=[child], dependsOnOutcome="Finished")
    assert {one["jobId"] for one in api.job(child)["waitingFor"]} <= {None, *parents}
    behind = ended(api, submit(api, name))
    assert behind["status"] == "Completed"
    last = ended(api, grandchild)
    before = [ended(api, job_id) for job_id in parents]
    job = ended(api, child)
    assert {one["status"] for one in (*before, job, last)} == {"Completed"}
    started = datetime.fromisoformat(job["startedDate"])
    assert at <= started < at + timedelta(seconds=8)
    assert all(datetime.fromisoformat(one["completedDate"]) <= started for one in before)
    assert datetime.fromisoformat(behind["completedDate"]) < at
    assert last["startedDate"] >= job["completedDate"]
    assert job["waitingFor"] == []


def test_a_parent_that_a_worker_fails_takes_its_tree_along(stack: Stack, api: Api, name: str) -> None:
    """With the reason; nobody has to look after it."""
    assert stack.org
    faults = f"{stack.org.url}/localorg/faults"
    broken = {"match": {"resource": "query"}, "kind": "expire_session", "probability": 1}
    parent = submit(api, name, notBefore=(datetime.now(UTC) + timedelta(seconds=3)).isoformat())
    child = submit(api, name, dependsOn=[parent])
    grandchild = submit(api, name, dependsOn=[child])
    requests.post(faults, json=broken, timeout=10).raise_for_status()
    try:
        assert ended(api, parent)["status"] == "Failed"
    finally:
        requests.post(faults, json={"clear": True}, timeout=10).raise_for_status()
    jobs = [ended(api, job_id) for job_id in (child, grandchild)]
    assert [job["status"] for job in jobs] == ["Aborted", "Aborted"]
    assert jobs[0]["extendedStatus"].startswith(
        f"Aborted because job {parent}, which it depends on, is Failed (INVALID"
    )
    assert jobs[1]["extendedStatus"].startswith(f"Aborted because job {child}, which it depends on, is Aborted (")
