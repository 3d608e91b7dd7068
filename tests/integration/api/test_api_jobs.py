"""The API on a real Redis and a real local org, through Flask's test client: the real app, without the socket."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import replace
from typing import Any

import pytest
import requests
from _api import CLAUSE, Headers, accepted, refused, submit
from _messages import sent
from flask import Flask
from flask.testing import FlaskClient
from redis.connection import AbstractConnection

from api import create_app
from harness.api import LocalOrg
from quotejob.salesforce import caller
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys

# -- submitting --------------------------------------------------------------------------------------------------------


def test_a_clause_becomes_a_job(client: FlaskClient, headers: Headers, local_org: LocalOrg) -> None:
    """202 with an id at once; the job waits in the flex queue with everything that was said."""
    job_id = accepted(submit(client, headers(), f"  {CLAUSE}\n"))
    job = client.get(f"/api/jobs/{job_id}", headers=headers()).get_json()
    created = job.pop("createdDate")
    assert created.endswith("Z")
    assert job.pop("estimatedStart").endswith("Z")  # a slot is free
    assert job.pop("createdByName")
    assert job == {
        "jobId": job_id,
        "name": None,
        "position": 0,
        "jobType": "BatchQuote",
        "status": "Holding",
        "extendedStatus": None,
        "startedDate": None,
        "completedDate": None,
        "estimatedEnd": None,
        "createdById": local_org.user_id,
        "soqlWhereClause": CLAUSE,
        "numberOfOpportunities": None,
        "parameters": [],
        "dependsOn": [],
        "dependsOnOutcome": None,
        "notBefore": None,
        "waitingFor": [],
        "scheduleId": None,
        "retryOf": None,
        "dryRun": False,
        "afterDryRun": None,
        "keepApiCalls": None,
        "commitBy": None,
        "codeVersion": None,
        "totalJobItems": 0,
        "jobItemsProcessed": 0,
        "numberOfErrors": 0,
        "records": {"total": 0, "succeeded": 0, "skipped": 0, "failed": 0, "planned": 0},
        "quotesCreated": 0,
        "apiCalls": 0,
    }


@pytest.mark.parametrize(
    ("query", "count"), [("", 10), ("?numberOfOpportunities=1", 1), ("?numberOfOpportunities=1000000", 1_000_000)]
)
def test_sample_data_is_a_job_too(client: FlaskClient, headers: Headers, query: str, count: int) -> None:
    """Ten by default, up to a million."""
    job_id = accepted(client.post(f"/api/data/create{query}", headers=headers()))
    job = client.get(f"/api/jobs/{job_id}", headers=headers()).get_json()
    assert (job["jobType"], job["numberOfOpportunities"]) == ("SampleDataCreate", count)


@pytest.mark.parametrize("body", ["", "{}", "null"])
def test_so_is_its_removal(client: FlaskClient, headers: Headers, body: str) -> None:
    """Without a body, or with one that says nothing."""
    job_id = accepted(client.post("/api/data/delete", headers=headers(), data=body))
    assert client.get(f"/api/jobs/{job_id}", headers=headers()).get_json()["jobType"] == "SampleDataDelete"


@pytest.mark.parametrize(
    ("clause", "code", "says"),
    [
        ("Bacon__c = 1", "INVALID_FIELD", "No such column 'Bacon__c'"),
        ("Amount = 'x'", "INVALID_FIELD", "Amount"),
        ("Name = 'a' AND", "MALFORMED_QUERY", "(Perhaps: it ends with AND; add what follows, or remove it)"),
        ("Name == 'a'", "MALFORMED_QUERY", "(Perhaps: == at character 6 is no operator"),
        ("Name = 'a' AND Name = 'b' OR Name = 'c'", "MALFORMED_QUERY", "OR"),
        ("Id IN (SELECT Bacon__c FROM Quote)", "INVALID_FIELD", "Bacon__c"),
    ],
)
def test_a_clause_the_org_refuses_is_400_in_the_orgs_words(
    client: FlaskClient, headers: Headers, clause: str, code: str, says: str
) -> None:
    """Asked by a query plan of the very query; no job is made."""
    before = client.get("/api/jobs", headers=headers()).get_json()["jobs"]
    body = refused(submit(client, headers(), clause), 400, "INVALID_REQUEST")
    [detail] = body["details"]
    assert (detail["field"], detail["code"]) == ("soqlWhereClause", code)
    assert says in detail["message"]
    assert detail["message"] in body["message"]
    assert client.get("/api/jobs", headers=headers()).get_json()["jobs"] == before


@pytest.mark.parametrize(
    "clause",
    [
        "Id != null",
        "Id IN (SELECT OpportunityId FROM OpportunityLineItem WHERE Quantity > 1)",
        "(" * 40 + "Id != null" + ")" * 40,
        "NOT Name = 'x'",
        r"Account.BillingCountry IN ('Germany', 'O\'Land') AND CloseDate > LAST_N_DAYS:30",
        "Name IN (" + ",".join(f"'{number:010}'" for number in range(700)) + ")",
    ],
)
def test_what_the_text_check_takes_the_org_understands(client: FlaskClient, headers: Headers, clause: str) -> None:
    """In the parentheses it will stand in later."""
    accepted(submit(client, headers(), clause))


def test_the_same_idempotency_key_is_the_same_job(client: FlaskClient, headers: Headers) -> None:
    """However often it is sent; another key is another job."""
    key = {"Idempotency-Key": f"order 66/{uuid.uuid4()}"}
    first, again = (accepted(submit(client, headers(key))) for _ in range(2))
    other = accepted(submit(client, headers({"Idempotency-Key": str(uuid.uuid4())})))
    assert first == again != other


def test_a_full_flex_queue_is_429(settings: Settings, client: FlaskClient, headers: Headers) -> None:
    """The sentence says what to do."""
    small = create_app(replace(settings, active_jobs=1, holding_jobs=1)).test_client()
    answers = [small.post("/api/data/delete", headers=headers()) for _ in range(4)]
    assert {answer.status_code for answer in answers[:1]} == {202}
    assert "abort" in refused(answers[-1], 429, "FLEX_QUEUE_FULL")["message"]


# -- who is asking -----------------------------------------------------------------------------------------------------


def test_the_org_is_asked_once_whose_token_it_is(
    app: Flask, client: FlaskClient, headers: Headers, settings: Settings, local_org: LocalOrg
) -> None:
    """Its word is believed for five minutes, under a keyed hash: the token itself is not in Redis."""
    database = store.connect(settings)
    for key in database.scan_iter("quotejob:proof:*"):
        database.delete(key)
    before = _asked(local_org)
    for _ in range(3):
        assert client.get("/api/jobs", headers=headers()).status_code == 200
    assert _asked(local_org) == before + 1
    [proof] = database.scan_iter("quotejob:proof:*")
    assert 0 < database.ttl(proof) <= 300
    assert local_org.token.encode() not in proof + database.get(proof)


def test_the_org_is_asked_once_a_minute_about_a_clause(
    client: FlaskClient, headers: Headers, settings: Settings, local_org: LocalOrg
) -> None:
    """A clause that it has refused it is asked about again, and about the same clause for another token."""
    good, bad = (f"{field} = '{uuid.uuid4()}'" for field in ("Name", "Nonsense__c"))
    client.get("/api/jobs", headers=headers())
    before = _asked(local_org, "query/explain")
    accepted(submit(client, headers(), good))
    accepted(submit(client, headers(), good))
    assert _asked(local_org, "query/explain") == before + 1
    for _ in range(2):
        refused(submit(client, headers(), bad), 400)
    assert _asked(local_org, "query/explain") == before + 3
    database = store.connect(settings)
    kept = [key for key in database.scan_iter("quotejob:clause:*") if 0 < database.ttl(key) <= 60]
    assert kept
    assert not any(good.encode() in key or local_org.token.encode() in key for key in kept)
    database.delete(*kept)
    accepted(submit(client, headers(), good))
    assert _asked(local_org, "query/explain") == before + 4


def test_a_submission_asks_redis_few_times(
    client: FlaskClient, headers: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept of token and clause, the job itself, and whether a slot is free. What Redis says of itself is known.

    A free slot adds two: whether a worker runs, and the message to it.
    """
    accepted(submit(client, headers()))
    asked: list[object] = []
    send, here = AbstractConnection.send_packed_command, threading.get_ident()

    def counted(self: AbstractConnection, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == here:  # not what this process does besides
            asked.append(args)
        return send(self, *args, **kwargs)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(AbstractConnection, "send_packed_command", counted)
    counts = []
    for _ in range(5):  # a health check of a connection may fall into one of them
        asked.clear()
        accepted(submit(client, headers()))
        counts.append(len(asked))
    assert 3 <= min(counts) <= 5


def test_the_workers_are_told_only_when_a_job_may_go(settings: Settings, headers: Headers, local_org: LocalOrg) -> None:
    """Not while all slots are taken, and not of a job that waits for another one or for its time."""
    database = store.connect(settings)
    small = create_app(replace(settings, active_jobs=1)).test_client()

    def told() -> int:
        return sum(local_org.org_id in message["kwargsrepr"] for message in sent(database, "quotejob.dispatch"))

    slots = Services.connected(replace(settings, active_jobs=1))
    for job_id in slots.client.members(keys.jobs_of(local_org.org_id, "active")):
        slots.jobs.abort(job_id)
    before = told()
    first = accepted(submit(small, headers()))
    assert told() == before + 1
    slots.dispatcher.promote(local_org.org_id)
    assert len(slots.client.members(keys.jobs_of(local_org.org_id, "active"))) == 1
    accepted(submit(small, headers()))
    body = {"soqlWhereClause": "Id != null", "dependsOn": [first]}
    accepted(small.post("/api/executebatch", json=body, headers=headers()))
    assert told() == before + 1
    for job_id in slots.client.members(keys.jobs_of(local_org.org_id, "active")):
        slots.jobs.abort(job_id)  # the slots are free for the tests that follow


def _asked(org: LocalOrg, resource: str = "userinfo") -> int:
    return int(requests.get(f"{org.url}/localorg/stats", timeout=10).json()["requests"]["byResource"].get(resource, 0))


@pytest.mark.parametrize(
    "method_and_path", ["POST /api/data/delete", "GET /api/jobs", f"GET /api/jobs/{uuid.UUID(int=1)}"]
)
def test_a_token_the_org_does_not_know_is_401(client: FlaskClient, headers: Headers, method_and_path: str) -> None:
    """Whatever is asked for; the token is not repeated."""
    method, path = method_and_path.split()
    answer = client.open(path, method=method, headers=headers(accessToken="00D!forged.token"))
    refused(answer, 401)
    assert "forged" not in answer.text


@pytest.mark.parametrize(
    "changes",
    [{"orgId": caller.to18("00D000000000099")}, {"userContext": {"userId": caller.to18("005000000000099")}}],
)
def test_a_good_token_for_another_org_or_user_is_401(
    client: FlaskClient, headers: Headers, changes: dict[str, Any]
) -> None:
    """Also right after the token was proven for the true one."""
    assert client.get("/api/jobs", headers=headers()).status_code == 200
    refused(client.get("/api/jobs", headers=headers(**changes)), 401, "UNAUTHENTICATED")


def test_short_ids_are_the_same_org_and_user(client: FlaskClient, headers: Headers, local_org: LocalOrg) -> None:
    """15 or 18 characters: one org, one list of jobs."""
    job_id = accepted(client.post("/api/data/delete", headers=headers()))
    short = headers(orgId=local_org.org_id[:15], userContext={"userId": local_org.user_id[:15]})
    assert client.get(f"/api/jobs/{job_id}", headers=short).status_code == 200


def test_an_org_that_is_away_is_503(client: FlaskClient, headers: Headers) -> None:
    """With a sentence; nothing was accepted."""
    body = refused(submit(client, headers(orgDomainUrl="http://127.0.0.1:1")), 503)
    assert "127.0.0.1:1" in body["message"]


def test_redis_away_is_503(headers: Headers, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, not after a worker's patience of over a minute, and in our form; the org is not asked either."""
    monkeypatch.setattr(store, "_clients", {})
    lonely = create_app(replace(settings, redis_url="redis://127.0.0.1:1/0")).test_client()
    started = time.monotonic()
    refused(submit(lonely, headers()), 503, "STORE_UNAVAILABLE")
    assert time.monotonic() - started < 30
