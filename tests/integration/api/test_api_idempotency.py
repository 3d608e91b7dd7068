"""An Idempotency-Key means one request of one org: the same request gives the same job, another one is refused."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from _api import CLAUSE, Headers, accepted, refused
from _callers import new_caller
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from harness.api import LocalOrg
from quotejob.errors import IdempotencyKeyReused
from quotejob.jobs import idempotency
from quotejob.jobs.job import BuiltIn
from quotejob.jobs.store import JobStore

BATCH, CREATE, DELETE = "/api/executebatch", "/api/data/create", "/api/data/delete"
LATE = "2099-01-31T21:00:00Z"
PARENT = "{parent}"  # in a body: the id of a job that exists

Request = tuple[str, dict[str, Any] | str | None]


def clause(text: str = CLAUSE, **more: Any) -> Request:
    return BATCH, {"soqlWhereClause": text, **more}


@pytest.fixture
def key() -> dict[str, str]:
    """A new key."""
    return {"Idempotency-Key": str(uuid.uuid4())}


def send(client: FlaskClient, request: Request, headers: dict[str, str], parent: str) -> TestResponse:
    path, body = request
    if isinstance(body, dict) and body.get("dependsOn"):
        body = {**body, "dependsOn": [parent if each == PARENT else each for each in body["dependsOn"]]}
    if isinstance(body, str):
        return client.post(path, data=body, content_type="application/json", headers=headers)
    return client.post(path, json=body, headers=headers)


@pytest.fixture
def parent(client: FlaskClient, headers: Headers) -> str:
    """A job that others may depend on."""
    return accepted(client.post(DELETE, headers=headers()))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (clause("Amount > 1"), clause("Amount > 2")),
        (clause("Name = 'a'"), clause("Name = 'A'")),
        (clause(), clause(notBefore=LATE)),
        (clause(notBefore=LATE), clause(notBefore="2099-01-31T21:00:01Z")),
        (clause(), clause(dependsOn=[PARENT])),
        (clause(dependsOn=[PARENT]), clause(dependsOn=[PARENT], dependsOnOutcome="Finished")),
        (clause(), (CREATE, None)),
        (clause(), (DELETE, None)),
        ((CREATE, None), (DELETE, None)),
        ((DELETE, None), (CREATE, None)),
        ((CREATE, None), clause()),
        ((CREATE, None), (f"{CREATE}?numberOfOpportunities=11", None)),
        ((f"{CREATE}?numberOfOpportunities=1000000", None), (f"{CREATE}?numberOfOpportunities=1", None)),
    ],
)
def test_the_same_key_with_another_request_is_refused(
    client: FlaskClient, headers: Headers, key: dict[str, str], parent: str, first: Request, second: Request
) -> None:
    """422 with the job of the first request; nothing is made of the second; the first can still be repeated."""
    made = accepted(send(client, first, headers(key), parent))
    before = client.get("/api/jobs", headers=headers()).get_json()["jobs"]
    body = refused(send(client, second, headers(key), parent), 422, "IDEMPOTENCY_KEY_REUSED")
    assert made in body["message"]
    assert [detail["field"] for detail in body["details"]] == ["Idempotency-Key"]
    assert len(client.get("/api/jobs", headers=headers()).get_json()["jobs"]) == len(before)
    assert accepted(send(client, first, headers(key), parent)) == made


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (clause(), clause()),
        (clause(), clause(f"  {CLAUSE}\n")),
        (clause(), clause(dependsOn=[], dependsOnOutcome="Completed")),
        (clause(dependsOn=[PARENT]), clause(dependsOn=[PARENT, PARENT], dependsOnOutcome="Completed")),
        (clause(notBefore=LATE), clause(notBefore="2099-01-31T22:00:00.000+01:00")),
        (
            (BATCH, '{"soqlWhereClause": "Amount > 1", "notBefore": "2099-01-31T21:00:00Z"}'),
            (BATCH, '{ "notBefore":"2099-01-31T21:00:00Z",\n"soqlWhereClause":"\\u0041mount > 1"}'),
        ),
        ((CREATE, None), (f"{CREATE}?numberOfOpportunities=10", None)),
        ((DELETE, None), (DELETE, {})),
    ],
)
def test_the_same_request_in_other_words_is_the_same_job(
    client: FlaskClient, headers: Headers, key: dict[str, str], parent: str, first: Request, second: Request
) -> None:
    """Order of fields, blanks, defaults, the zone of a time make no other request."""
    made = accepted(send(client, first, headers(key), parent))
    assert accepted(send(client, second, headers(key), parent)) == made


def test_the_order_of_parents_makes_no_other_request(
    client: FlaskClient, headers: Headers, key: dict[str, str], parent: str
) -> None:
    """The job waits for all of them."""
    other = accepted(client.post(DELETE, headers=headers()))
    one, again = (
        accepted(client.post(BATCH, json={"soqlWhereClause": CLAUSE, "dependsOn": parents}, headers=headers(key)))
        for parents in ([parent, other], [other, parent])
    )
    assert one == again


def test_the_job_may_have_ended_meanwhile(client: FlaskClient, headers: Headers, key: dict[str, str]) -> None:
    """The key still stands for its request."""
    made = accepted(client.post(DELETE, headers=headers(key)))
    client.post(f"/api/jobs/{made}/abort", headers=headers())
    refused(client.post(CREATE, headers=headers(key)), 422, "IDEMPOTENCY_KEY_REUSED")
    assert accepted(client.post(DELETE, headers=headers(key))) == made


def test_of_several_requests_at_once_one_has_the_key(
    app: Flask, client: FlaskClient, headers: Headers, key: dict[str, str]
) -> None:
    """The others are refused, or get its job when they ask for the same."""
    wanted = [number % 4 + 1 for number in range(16)]

    def ask(count: int) -> TestResponse:
        path = f"{CREATE}?numberOfOpportunities={count}"
        return app.test_client().post(path, headers=headers(key))

    with ThreadPoolExecutor(8) as several:
        answers = list(several.map(ask, wanted))
    taken = {count for count, answer in zip(wanted, answers, strict=True) if answer.status_code == 202}
    assert len(taken) == 1
    for count, answer in zip(wanted, answers, strict=True):
        assert answer.status_code == (202 if count in taken else 422), answer.text
    assert len({answer.get_json()["jobId"] for answer in answers if answer.status_code == 202}) == 1


def test_a_key_of_the_version_before_is_taken_as_before(
    client: FlaskClient, headers: Headers, key: dict[str, str], store_of_jobs: JobStore, local_org: LocalOrg
) -> None:
    """It kept the job's id only, so nobody knows what the request was."""
    made = accepted(client.post(DELETE, headers=headers()))
    name = idempotency.key_in_store(local_org.org_id, key["Idempotency-Key"])
    store_of_jobs._redis.set(name, made, ex=3600)
    assert accepted(client.post(CREATE, headers=headers(key))) == made


def test_what_is_kept_of_a_key_goes_after_a_day(
    client: FlaskClient, headers: Headers, key: dict[str, str], store_of_jobs: JobStore, local_org: LocalOrg
) -> None:
    """All of it: the next version must not meet a fingerprint without its job."""
    accepted(client.post(DELETE, headers=headers(key)))
    name = idempotency.key_in_store(local_org.org_id, key["Idempotency-Key"])
    kept = list(store_of_jobs._redis.scan_iter(f"{name}*"))
    assert len(kept) == 2
    assert all(24 * 3600 - 60 < store_of_jobs._redis.ttl(each) <= 24 * 3600 for each in kept)


def test_orgs_do_not_share_keys(store_of_jobs: JobStore) -> None:
    """The same key and another request, of two orgs: two jobs."""
    one, other = new_caller(), new_caller()
    first, _ = store_of_jobs.submit(one, BuiltIn.BATCH_QUOTE, soql_where_clause="a", idempotency_key="k")
    second, new = store_of_jobs.submit(other, BuiltIn.BATCH_QUOTE, soql_where_clause="b", idempotency_key="k")
    assert new
    assert first.job_id != second.job_id
    with pytest.raises(IdempotencyKeyReused, match=first.job_id):
        store_of_jobs.submit(one, BuiltIn.BATCH_QUOTE, soql_where_clause="b", idempotency_key="k")
