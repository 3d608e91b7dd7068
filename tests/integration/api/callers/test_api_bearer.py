"""Callers outside AppLink: a token of the org, and its address."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from flask.testing import FlaskClient

from harness.api import LocalOrg
from quotejob.settings import Settings
from quotejob.store.client import connect


@pytest.fixture
def bearer(local_org: LocalOrg, settings: Settings) -> Iterator[dict[str, str]]:
    yield {"Authorization": f"Bearer {local_org.token}", "x-org-url": local_org.url}
    for key in connect(settings).scan_iter("quotejob:whose:*"):
        connect(settings).delete(key)


def test_a_token_and_the_address_are_enough(client: FlaskClient, bearer: dict[str, str], local_org: LocalOrg) -> None:
    """The org says who it is; it is asked once."""
    asked = {"soqlWhereClause": "Id != null", "notBefore": "2099-01-01T00:00:00Z"}
    job = client.post("/api/executebatch", json=asked, headers=bearer)
    assert job.status_code == 202, job.text
    before = requests.get(f"{local_org.url}/localorg/stats", timeout=10).json()
    shown = client.get(f"/api/jobs/{job.json['jobId']}", headers=bearer)  # type: ignore[index]
    after = requests.get(f"{local_org.url}/localorg/stats", timeout=10).json()
    assert shown.json["createdById"] == local_org.user_id  # type: ignore[index]
    assert before == after


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"x-org-url": ""}, 401, "x-org-url"),
        ({"x-org-url": "https://evil.example"}, 403, "QUOTEJOB_ORG_HOSTS"),
        ({"x-org-url": "http://127.0.0.1.evil.example"}, 403, "QUOTEJOB_ORG_HOSTS"),
        ({"x-org-url": "no address"}, 403, "https"),
        ({"Authorization": "Bearer 00D!none"}, 401, ""),
        ({"Authorization": "Bearer "}, 401, ""),
        ({"Authorization": "Bearer two words"}, 401, ""),
        ({"Authorization": "Basic YTpi"}, 401, "Authorization: Bearer and x-org-url"),
    ],
)
def test_what_is_not_right_is_refused(
    client: FlaskClient, bearer: dict[str, str], change: dict[str, str], status: int, said: str
) -> None:
    answer = client.get("/api/jobs", headers=bearer | change)
    assert answer.status_code == status
    assert said in answer.text
    assert bearer["Authorization"].partition(" ")[2] not in answer.text


def test_the_context_of_the_mesh_comes_first(client: FlaskClient, bearer: dict[str, str]) -> None:
    """A token beside it changes nothing."""
    assert client.get("/api/jobs", headers=bearer | {"x-client-context": "e30="}).status_code == 401
