"""Calls of the API, and what is expected of every answer."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

CLAUSE = "Name LIKE 'Sample Opportunity%'"
Headers = Callable[..., dict[str, str]]


def accepted(response: TestResponse) -> str:
    """The job's id from a 202, whose header Location has the job's address."""
    assert response.status_code == 202, response.text
    body = response.get_json()
    assert list(body) == ["jobId"]
    assert response.headers["Location"] == f"/api/jobs/{body['jobId']}"
    return str(uuid.UUID(body["jobId"]))


def refused(response: TestResponse, status: int, code: str | None = None) -> dict[str, Any]:
    """The error's body, after checking that it is one of ours."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/json"
    body: dict[str, Any] = response.get_json()
    assert list(body) == ["code", "message", "details"]
    assert code in (None, body["code"])
    check_headers(response)
    return body


def check_headers(response: TestResponse) -> None:
    """What the headers of a refusal say: when to try again, which methods there are, how to say who calls."""
    status, headers = response.status_code, response.headers
    assert ("Retry-After" in headers) == (status in (429, 503))
    assert int(headers.get("Retry-After", "1")) > 0
    assert ("Allow" in headers) == (status == 405)
    assert ("WWW-Authenticate" in headers) == (status == 401)


def submit(client: FlaskClient, headers: dict[str, str], clause: str = CLAUSE) -> TestResponse:
    return client.post("/api/executebatch", json={"soqlWhereClause": clause}, headers=headers)
