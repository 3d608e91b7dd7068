"""The API of the flex queue and of conditions, on a real Redis and a real local org."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from _api import settings_of
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api import create_app
from harness.api import LocalOrg, facts
from quotejob import logs
from quotejob.jobs.job import BuiltIn, Status
from quotejob.jobs.listing import JobFilter
from quotejob.jobs.search import JobSearch
from quotejob.jobs.store import JobStore
from quotejob.salesforce import caller
from quotejob.settings import Settings
from quotejob.store import client as store


@pytest.fixture(scope="module")
def settings(redis_url: str) -> Iterator[Settings]:
    """Five jobs of an org run at a time, which is the default."""
    with pytest.MonkeyPatch.context() as patch, settings_of(redis_url) as settings:
        patch.setattr(logs, "configure", lambda *_: None)
        yield settings


@pytest.fixture(scope="module")
def client(settings: Settings, local_org: LocalOrg) -> FlaskClient:
    document = {
        "requestId": "r", "orgId": local_org.org_id, "orgDomainUrl": local_org.url, "apiVersion": "66.0",
        "namespace": "", "accessToken": local_org.token, "userContext": {"userId": local_org.user_id, "username": "u"},
    }  # fmt: skip
    made = create_app(settings).test_client()
    made.environ_base["HTTP_X_CLIENT_CONTEXT"] = base64.b64encode(json.dumps(document).encode()).decode()
    return made


@pytest.fixture(autouse=True)
def jobs(settings: Settings, local_org: LocalOrg) -> Iterator[JobStore]:
    """The store; whatever jobs there are in the org are aborted before and after."""
    made = JobStore(store.connect(settings), settings)

    def clear() -> None:
        for job in JobSearch(made._redis, made).recent(
            local_org.org_id, JobFilter(frozenset(Status) - {Status.COMPLETED}), limit=10_000
        )[0]:
            if not made.get(job.job_id).ended:
                made.abort(job.job_id)

    clear()
    yield made
    clear()


@pytest.fixture
def foreign(jobs: JobStore, client: FlaskClient) -> Iterator[str]:
    """A job of another org."""
    context = caller.from_header(client.environ_base["HTTP_X_CLIENT_CONTEXT"])
    job, _ = jobs.submit(replace(context, org_id=caller.to18("00D000000000099")), BuiltIn.SAMPLE_DATA_DELETE)
    yield job.job_id
    jobs.abort(job.job_id)


def submit(client: FlaskClient, **also: Any) -> str:
    answer = client.post("/api/executebatch", json={"soqlWhereClause": "Id != null", **also})
    assert answer.status_code == 202, answer.text
    return str(answer.get_json()["jobId"])


def refused(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.get_json()["code"]) == (status, code), answer.text
    body: dict[str, Any] = answer.get_json()
    return body


def move(client: FlaskClient, operation: str, *ids: str) -> TestResponse:
    if operation == "moveToPosition":
        return client.post(f"/api/flexqueue/{operation}", json={"jobId": ids[0], "position": int(ids[1])})
    names = ["jobId"] if len(ids) == 1 else ["jobToMoveId", "jobInQueueId"]
    return client.post(f"/api/flexqueue/{operation}", json=dict(zip(names, ids, strict=True)))


def queue(client: FlaskClient) -> list[str]:
    found = client.get("/api/flexqueue").get_json()["jobs"]
    assert [job["position"] for job in found] == list(range(len(found)))
    return [job["jobId"] for job in found]


def test_the_queue_is_shown_and_changed(client: FlaskClient) -> None:
    """Jobs with their position, 0 the next; true when moved, false when already there."""
    a, b, c = (submit(client) for _ in range(3))
    assert queue(client) == [a, b, c]
    for operation, ids, moved, then in (
        ("moveJobToFront", [c], True, [c, a, b]),
        ("moveJobToFront", [c], False, [c, a, b]),
        ("moveJobToEnd", [c], True, [a, b, c]),
        ("moveJobToEnd", [c], False, [a, b, c]),
        ("moveBeforeJob", [c, b], True, [a, c, b]),
        ("moveBeforeJob", [c, b], False, [a, c, b]),
        ("moveAfterJob", [a, c], True, [c, a, b]),
        ("moveAfterJob", [a, c], False, [c, a, b]),
        ("moveToPosition", [c, "1"], True, [a, c, b]),
        ("moveToPosition", [c, "1"], False, [a, c, b]),
        ("moveToPosition", [a, "9"], True, [c, b, a]),
        ("moveToPosition", [a, "2"], False, [c, b, a]),
        ("moveToPosition", [b, "0"], True, [b, c, a]),
    ):
        answer = move(client, operation, *ids)
        assert (answer.status_code, answer.get_json()) == (200, {"moved": moved})
        assert queue(client) == then
    first = client.get("/api/flexqueue").get_json()["jobs"][0]
    job = client.get(f"/api/jobs/{first['jobId']}").get_json()
    assert first["estimatedStart"] <= job["estimatedStart"]  # a slot is free: it will start now
    assert facts(first) == facts(job)
    listed = {job["jobId"]: job["position"] for job in client.get("/api/jobs").get_json()["jobs"]}
    assert [listed[job_id] for job_id in (b, c, a)] == [0, 1, 2]
    client.post(f"/api/jobs/{b}/abort")
    positions = [client.get(f"/api/jobs/{job_id}").get_json()["position"] for job_id in (b, c, a)]
    assert positions == [None, 0, 1]


@pytest.mark.parametrize(
    "operation", ["moveJobToFront", "moveJobToEnd", "moveBeforeJob", "moveAfterJob", "moveToPosition"]
)
def test_only_ones_own_holding_jobs_are_moved(
    client: FlaskClient, jobs: JobStore, local_org: LocalOrg, foreign: str, operation: str
) -> None:
    """409 for a job that is not Holding; 404 for another org's, an unknown one, and what is no id; in either place."""
    active = submit(client)
    jobs.promote(local_org.org_id)
    held = submit(client)

    def asked(job_id: str) -> list[TestResponse]:
        if operation.endswith("Job"):
            return [move(client, operation, job_id, held), move(client, operation, held, job_id)]
        return [move(client, operation, job_id, *(["0"] if operation == "moveToPosition" else []))]

    for answer in asked(active):
        assert "Queued" in refused(answer, 409, "JOB_CONFLICT")["message"]
    for job_id in (foreign, str(uuid.uuid4()), "x", f"{held}:context", held.upper()):
        for answer in asked(job_id):
            refused(answer, 404, "JOB_NOT_FOUND")
    assert queue(client) == [held]


@pytest.mark.parametrize("body", [{}, {"jobId": 1}, {"jobId": None}, {"jobId": "x", "place": 1}, [], "x"])
def test_a_wrong_body_is_400(client: FlaskClient, body: Any) -> None:
    """With the field named."""
    refused(client.post("/api/flexqueue/moveJobToFront", json=body), 400, "INVALID_REQUEST")


@pytest.mark.parametrize("position", [-1, 1.5, "1", True, None, 10**30])
def test_a_wrong_position_is_400(client: FlaskClient, position: Any) -> None:
    """Also if it is missing."""
    job_id = submit(client)
    for body in ({"jobId": job_id, "position": position}, {"jobId": job_id}):
        said = refused(client.post("/api/flexqueue/moveToPosition", json=body), 400, "INVALID_REQUEST")
        assert [detail["field"] for detail in said["details"]] == ["position"]


def test_who_does_not_say_who_calls_is_told_that_first(client: FlaskClient) -> None:
    """401, whatever else is wrong."""
    for path in ("/api/flexqueue", "/api/flexqueue/moveJobToEnd"):
        method = client.get if path == "/api/flexqueue" else client.post
        refused(method(path, headers={"x-client-context": "?"}), 401, "UNAUTHENTICATED")


def test_a_job_says_what_it_waits_for(client: FlaskClient, jobs: JobStore, local_org: LocalOrg) -> None:
    """Its conditions as they were sent, times in UTC, and those that do not hold yet."""
    a, b = submit(client), submit(client)
    child = submit(client, dependsOn=[a, b], dependsOnOutcome="Finished", notBefore="2999-01-31T22:00:00+01:00")
    jobs.abort(a)
    job = client.get(f"/api/jobs/{child}").get_json()
    assert (job["dependsOn"], job["dependsOnOutcome"]) == ([a, b], "Finished")
    assert job["notBefore"] == "2999-01-31T21:00:00.000Z"
    assert job["waitingFor"] == [
        {"jobId": b, "notBefore": None, "message": f"Waits for job {b}, which is Holding, to end"},
        {"jobId": None, "notBefore": job["notBefore"], "message": "Does not run before 2999-01-31 21:00:00 UTC"},
    ]
    [listed] = [one for one in client.get("/api/jobs").get_json()["jobs"] if one["jobId"] == child]
    assert listed == job
    assert jobs.promote(local_org.org_id) == [b]


def test_an_aborted_parent_takes_its_tree_along(client: FlaskClient) -> None:
    """Seen by the API at once; a tree's jobs say why."""
    parent = submit(client)
    child = submit(client, dependsOn=[parent])
    grandchild = submit(client, dependsOn=[child])
    client.post(f"/api/jobs/{parent}/abort")
    for job_id, because in ((child, parent), (grandchild, child)):
        job = client.get(f"/api/jobs/{job_id}").get_json()
        assert (job["status"], job["waitingFor"]) == ("Aborted", [])
        assert job["extendedStatus"].startswith(f"Aborted because job {because}, which it depends on, is Aborted")
    refused(client.post(f"/api/jobs/{child}/resume"), 409, "JOB_CONFLICT")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"dependsOn": [str(uuid.uuid4())]}, "dependsOn"),
        ({"dependsOn": ["x"]}, "dependsOn"),
        ({"dependsOn": "x"}, "dependsOn"),
        ({"dependsOn": [None]}, "dependsOn"),
        ({"dependsOn": [str(uuid.uuid4()) for _ in range(21)]}, "dependsOn"),
        ({"dependsOnOutcome": "Failed"}, "dependsOnOutcome"),
        ({"notBefore": "2030-01-01T00:00:00"}, "notBefore"),
        ({"notBefore": "tomorrow"}, "notBefore"),
        ({"notBefore": 1893456000}, "notBefore"),
        ({"notBefore": "0001-01-01T00:00:00+14:00"}, "notBefore"),
        ({"notBefore": "9999-12-31T23:59:59-14:00"}, "notBefore"),
        ({"dependOn": []}, "dependOn"),
    ],
)
def test_a_condition_that_cannot_be_is_400(client: FlaskClient, wrong: dict[str, Any], field: str) -> None:
    """The field is named; no job is made."""
    before = queue(client)
    body = refused(
        client.post("/api/executebatch", json={"soqlWhereClause": "Id != null", **wrong}), 400, "INVALID_REQUEST"
    )
    assert {detail["field"] for detail in body["details"]} == {field}
    assert queue(client) == before


def test_another_orgs_parent_is_400(client: FlaskClient, foreign: str) -> None:
    """As an unknown one is, in the same words."""
    unknown = str(uuid.uuid4())
    said = [
        refused(
            client.post("/api/executebatch", json={"soqlWhereClause": "Id != null", "dependsOn": [job_id]}),
            400,
            "INVALID_REQUEST",
        )["message"].replace(job_id, "")
        for job_id in (foreign, unknown)
    ]
    assert said[0] == said[1]
