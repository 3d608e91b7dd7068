"""Jobs have a name, and who made them has one too."""

from __future__ import annotations

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
