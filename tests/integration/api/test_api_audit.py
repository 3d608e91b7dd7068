"""The audit: who did what to which job or schedule, and what was there before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from _api import CLAUSE, Headers, accepted, applink_of, refused, settings_of
from flask.testing import FlaskClient

from harness.api import LocalOrg
from quotejob import audit, clock
from quotejob.jobs.job import BuiltIn
from quotejob.jobs.store import JobStore
from quotejob.salesforce import caller
from quotejob.settings import Settings
from quotejob.store import keys


@pytest.fixture(scope="module")
def settings(redis_url: str, local_org: LocalOrg) -> Iterator[Settings]:
    """With the local org as AppLink."""
    with settings_of(redis_url, **applink_of(local_org), active_jobs=1) as settings:
        yield settings


@pytest.fixture(autouse=True)
def _nothing_noted(store_of_jobs: JobStore, local_org: LocalOrg) -> None:
    store_of_jobs._redis.delete(keys.jobs_of(local_org.org_id, "audit"))


@pytest.fixture
def seen(client: FlaskClient, headers: Headers) -> Any:
    """The entries of the caller's org, by the API."""

    def ask(**query: str) -> list[dict[str, Any]]:
        response = client.get("/api/audit", query_string=query, headers=headers())
        assert response.status_code == 200, response.text
        found: list[dict[str, Any]] = response.get_json()["entries"]
        return found

    return ask


def test_each_change_of_a_job_is_noted_with_what_was_before(
    client: FlaskClient, headers: Headers, seen: Any, local_org: LocalOrg
) -> None:
    first, job_id = (accepted(client.post("/api/data/delete", headers=headers())) for _ in range(2))
    asked = {"jobId": job_id}
    assert client.post("/api/flexqueue/moveJobToFront", json=asked, headers=headers()).get_json() == {"moved": True}
    assert client.post("/api/flexqueue/moveJobToFront", json=asked, headers=headers()).get_json() == {"moved": False}
    client.post(f"/api/jobs/{job_id}/abort", headers=headers())
    refused(client.post(f"/api/jobs/{job_id}/abort", headers=headers()), 409)
    client.post(f"/api/jobs/{job_id}/resume", headers=headers())
    found = seen(jobId=job_id)
    assert [(each["action"], each["before"]) for each in found] == [
        ("resumeJob", [{"field": "status", "value": "Aborted"}]),
        ("abortJob", [{"field": "status", "value": "Holding"}]),
        ("moveJob", [{"field": "position", "value": "1"}]),
    ]
    assert {(each["byId"], each["jobId"], each["scheduleId"]) for each in found} == {(local_org.user_id, job_id, None)}
    assert found[0]["byName"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found[0]["at"])
    assert seen(jobId=first) == []


def test_each_change_of_a_schedule_is_noted(client: FlaskClient, headers: Headers, seen: Any) -> None:
    body = {"name": "Nightly", "cronExpression": "0 0 22 ? * *", "soqlWhereClause": CLAUSE}
    made = client.post("/api/schedules", json=body, headers=headers())
    assert made.status_code == 201, made.text
    path = f"/api/schedules/{made.get_json()['scheduleId']}"
    client.patch(path, json={"misfire": "skip", "name": "Late"}, headers=headers())
    for what in ("pause", "resume"):
        assert client.post(f"{path}/{what}", headers=headers()).status_code == 200
    assert client.delete(path, headers=headers()).status_code == 200
    found = seen()
    assert [each["action"] for each in found] == [
        *("deleteSchedule", "resumeSchedule", "pauseSchedule", "updateSchedule", "createSchedule")
    ]
    changed = {one["field"]: one["value"] for one in found[3]["before"]}
    assert changed == {"name": "Nightly", "misfire": "runOnce"}
    assert {one["field"]: one["value"] for one in found[0]["before"]}["soqlWhereClause"] == CLAUSE
    assert found[2]["before"] == [{"field": "state", "value": "WAITING"}]


def test_pages_hold_while_entries_are_added(client: FlaskClient, headers: Headers, store_of_jobs: JobStore) -> None:
    org_id = store_of_jobs.get(accepted(client.post("/api/data/delete", headers=headers()))).org_id
    audit.acts("005000000000001AAA", "Ann")
    for number in range(7):
        audit.note(store_of_jobs._redis, org_id, "abortJob", name=f"job {number}")
    names, cursor = [], ""
    while True:
        answer = client.get(f"/api/audit?limit=3{cursor}", headers=headers()).get_json()
        names += [each["name"] for each in answer["entries"]]
        audit.note(store_of_jobs._redis, org_id, "abortJob", name="later")
        if answer["nextCursor"] is None:
            break
        cursor = f"&cursor={answer['nextCursor']}"
    assert names == [f"job {number}" for number in range(6, -1, -1)]


@pytest.mark.parametrize(
    "query", ["cursor=1-", "cursor=-1", "cursor=x", "cursor=1-2-3", "limit=0", "limit=501", "jobId=x", "of=1"]
)
def test_a_wrong_question_is_400(client: FlaskClient, headers: Headers, query: str) -> None:
    refused(client.get(f"/api/audit?{query}", headers=headers()), 400)


def test_another_org_sees_nothing_of_it(client: FlaskClient, headers: Headers, store_of_jobs: JobStore) -> None:
    """And hostile names stay text."""
    other = caller.from_header(headers(orgId=caller.to18("00D000000000099"))["x-client-context"])
    job, _ = store_of_jobs.submit(other, BuiltIn.SAMPLE_DATA_DELETE, name="\u202e<b>\x00")
    audit.acts("005000000000009AAA", "Eve\n")
    store_of_jobs.abort(job.job_id)
    assert client.get("/api/audit", headers=headers()).get_json() == {"entries": [], "nextCursor": None}
    found, _ = audit.entries(store_of_jobs._redis, other.org_id, concerns=job.job_id)
    assert [(each.by_name, each.name) for each in found] == [("Eve\n", "\u202e<b>\x00")]
    store_of_jobs._redis.delete(keys.jobs_of(other.org_id, "audit"))


def test_what_is_old_goes_and_nothing_grows_for_ever(
    store_of_jobs: JobStore, local_org: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, org_id = store_of_jobs._redis, local_org.org_id
    audit.acts("005000000000001AAA", "Ann")
    monkeypatch.setattr(audit, "MOST", 100)
    for number in range(400):
        audit.note(client, org_id, "abortJob", name=str(number))
    assert client.xlen(keys.jobs_of(org_id, "audit")) <= 200
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(days=91))
    audit.note(client, org_id, "abortJob", name="new")
    found, _ = audit.entries(client, org_id)
    assert [each.name for each in found] in ([], ["new"])
    assert 0 < client.ttl(keys.jobs_of(org_id, "audit")) <= audit.KEPT_FOR.total_seconds()
