"""Jobs have a name, and who made them has one too."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import requests
from _api import CLAUSE, Headers, accepted, refused
from flask.testing import FlaskClient

from harness.api import LocalOrg, read_body


def named(client: FlaskClient, headers: Headers, name: Any) -> str:
    body = {"soqlWhereClause": CLAUSE, "name": name}
    return accepted(client.post("/api/executebatch", json=body, headers=headers()))


def test_a_job_has_the_name_it_is_given(client: FlaskClient, headers: Headers) -> None:
    """Several may have the same; the list and the figures are filtered by a part of it, in any case."""
    wanted = [named(client, headers, name) for name in ("Wochenende Zürich", "WOCHENENDE ZÜRICH")]
    other = named(client, headers, "Monthly")
    assert client.get(f"/api/jobs/{other}", headers=headers()).get_json()["name"] == "Monthly"
    asked = {"query_string": {"name": "ende zü"}, "headers": headers()}
    listed = client.get("/api/jobs", **asked).get_json()["jobs"]
    assert {job["jobId"] for job in listed} == set(wanted)
    assert client.get("/api/jobs/summary", **asked).get_json()["total"] == 2


@pytest.mark.parametrize("name", ["", "x" * 81, 7, ["x"]])
def test_a_wrong_name_is_400(client: FlaskClient, headers: Headers, name: Any) -> None:
    """It is named as the field that is wrong, at the submission and in the filter."""
    body = {"soqlWhereClause": CLAUSE, "name": name}
    said = refused(client.post("/api/executebatch", json=body, headers=headers()), 400)
    assert [detail["field"] for detail in said["details"]] == ["name"]
    if isinstance(name, str):
        said = refused(client.get("/api/jobs", query_string={"name": name}, headers=headers()), 400)
        assert [detail["field"] for detail in said["details"]] == ["name"]


@pytest.mark.parametrize(
    "name", ["   ", "\t", "a\0b", "a\nb", "\x7f", "\u200b", "a\u202eb", "\u2066a", "a\u2028b", "\ue000"]
)
def test_a_name_that_nobody_can_read_is_400(client: FlaskClient, headers: Headers, name: str) -> None:
    """It has a visible character, is one line, and shows as it is stored; wherever a job or a schedule gets it."""
    schedule = {"cronExpression": "0 0 22 ? * MON", "soqlWhereClause": CLAUSE}
    asked = [
        ("POST", "/api/executebatch", {"soqlWhereClause": CLAUSE}),
        ("POST", "/api/jobs", {"jobType": "BatchQuote", "soqlWhereClause": CLAUSE}),
        ("POST", "/api/schedules", schedule),
        ("PATCH", f"/api/schedules/{uuid.uuid4()}", {}),
    ]
    for method, path, body in asked:
        said = refused(client.open(path, method=method, json=body | {"name": name}, headers=headers()), 400)
        assert [detail["field"] for detail in said["details"]] == ["name"]


@pytest.mark.parametrize("name", ["a", "夜间", "עברית", "👨‍👩‍👧", "e\u0301", " a "])
def test_a_name_may_be_in_any_language(client: FlaskClient, headers: Headers, name: str) -> None:
    job_id = named(client, headers, name)
    assert client.get(f"/api/jobs/{job_id}", headers=headers()).get_json()["name"] == name


def test_the_name_is_part_of_what_is_asked(client: FlaskClient, headers: Headers) -> None:
    """The same Idempotency-Key with another name is another request."""
    key = headers({"Idempotency-Key": "names"})
    first = client.post("/api/executebatch", json={"soqlWhereClause": CLAUSE, "name": "A"}, headers=key)
    again = client.post("/api/executebatch", json={"soqlWhereClause": CLAUSE, "name": "A"}, headers=key)
    assert accepted(first) == accepted(again)
    refused(client.post("/api/executebatch", json={"soqlWhereClause": CLAUSE, "name": "B"}, headers=key), 422)


def test_who_made_a_job_is_named_by_the_org(client: FlaskClient, headers: Headers, local_org: LocalOrg) -> None:
    """By the org's word, not by that of the header; the same from the kept answer of the org."""
    bearer = {"Authorization": f"Bearer {local_org.token}"}
    user = read_body(requests.get(f"{local_org.url}/services/oauth2/userinfo", headers=bearer, timeout=30))
    for _ in range(2):
        job = client.get(f"/api/jobs/{named(client, headers, 'x')}", headers=headers()).get_json()
        assert (job["createdById"], job["createdByName"]) == (local_org.user_id, user["name"])
        assert user["name"] != "ann@acme.example"
