"""What callers from Apex and Agentforce need: names that Apex takes as they are, null as absent, flat answers."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from _api import CLAUSE, Headers, accepted, refused
from flask.testing import FlaskClient

BATCH = "/api/executebatch"


def test_the_key_may_be_in_the_query(client: FlaskClient, headers: Headers) -> None:
    """The same key makes the same job, whichever way it comes. The header counts if both are sent."""
    key, other = str(uuid.uuid4()), str(uuid.uuid4())
    body = {"soqlWhereClause": CLAUSE}
    first = accepted(client.post(f"{BATCH}?idempotencyKey={key}", json=body, headers=headers()))
    assert first == accepted(client.post(BATCH, json=body, headers=headers({"Idempotency-Key": key})))
    both = client.post(f"{BATCH}?idempotencyKey={other}", json=body, headers=headers({"Idempotency-Key": key}))
    assert accepted(both) == first
    refused(client.post(f"{BATCH}?idempotencyKey={key}", json={"soqlWhereClause": "Id = null"}, headers=headers()), 422)


def test_the_key_may_be_beside_other_parameters(client: FlaskClient, headers: Headers) -> None:
    """Datacreate has a query of its own."""
    url = f"/api/data/create?numberOfOpportunities=3&idempotencyKey={uuid.uuid4()}"
    first = accepted(client.post(url, headers=headers()))
    assert accepted(client.post(url, headers=headers())) == first


@pytest.mark.parametrize(("name", "alias", "wrong"), [("limit", "pageSize", "0"), ("sort", "sortBy", "color")])
def test_a_parameter_by_its_alias(client: FlaskClient, headers: Headers, name: str, alias: str, wrong: str) -> None:
    """It means the same; a wrong value is named as it was sent. The name counts if both are sent."""
    jobs = {accepted(client.post(BATCH, json={"soqlWhereClause": CLAUSE}, headers=headers())) for _ in range(2)}
    good = {"limit": "1", "sort": "status"}[name]

    def listed(query: str) -> list[str]:
        found = client.get(f"/api/jobs?{query}", headers=headers()).get_json()["jobs"]
        return [job["jobId"] for job in found]

    by_name = listed(f"{name}={good}")
    assert listed(f"{alias}={good}") == listed(f"{alias}={wrong}&{name}={good}") == by_name
    assert len(by_name) == 1 if name == "limit" else jobs <= set(by_name)
    for sent in (name, alias):
        said = refused(client.get(f"/api/jobs?{sent}={wrong}", headers=headers()), 400)
        assert [detail["field"] for detail in said["details"]] == [sent]
    refused(client.get(f"/api/jobs?{alias}={good}&{alias}={good}", headers=headers()), 400)


def test_an_alias_of_a_header_is_no_parameter_of_a_list(client: FlaskClient, headers: Headers) -> None:
    """An unknown parameter is refused, as ever."""
    refused(client.get("/api/jobs?idempotencyKey=x", headers=headers()), 400)


def test_null_is_as_good_as_nothing(client: FlaskClient, headers: Headers) -> None:
    """The optional fields of a submission; the same request, so the same key gives the same job."""
    key = headers({"Idempotency-Key": str(uuid.uuid4())})
    empty: dict[str, Any] = dict.fromkeys(("name", "dependsOn", "dependsOnOutcome", "notBefore"))
    first = accepted(client.post(BATCH, json={"soqlWhereClause": CLAUSE, **empty}, headers=key))
    assert accepted(client.post(BATCH, json={"soqlWhereClause": CLAUSE}, headers=key)) == first
    refused(client.post(BATCH, json={"soqlWhereClause": None}, headers=headers()), 400)


def test_the_status_is_flat(client: FlaskClient, headers: Headers) -> None:
    """Texts and numbers only, none of them null; what getJob says, in fewer words."""
    job_id = accepted(client.post(BATCH, json={"soqlWhereClause": CLAUSE}, headers=headers()))
    job = client.get(f"/api/jobs/{job_id}", headers=headers()).get_json()
    status = client.get(f"/api/jobs/{job_id}/status", headers=headers()).get_json()
    assert status == {
        "jobId": job_id,
        "name": "",
        "status": job["status"],
        "message": job["extendedStatus"] or "",
        "percentDone": 0,
        **{name: job["records"][name] for name in ("total", "succeeded", "skipped", "failed")},
    } | ({"estimatedEnd": job["estimatedEnd"]} if job["estimatedEnd"] else {})
    refused(client.get(f"/api/jobs/{uuid.uuid4()}/status", headers=headers()), 404)
