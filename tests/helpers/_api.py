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
    """The job's id from a 202."""
    assert response.status_code == 202, response.text
    body = response.get_json()
    assert list(body) == ["jobId"]
    return str(uuid.UUID(body["jobId"]))


def refused(response: TestResponse, status: int, code: str | None = None) -> dict[str, Any]:
    """The error's body, after checking that it is one of ours."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/json"
    body: dict[str, Any] = response.get_json()
    assert list(body) == ["code", "message", "details"]
    assert code in (None, body["code"])
    return body


def submit(client: FlaskClient, headers: dict[str, str], clause: str = CLAUSE) -> TestResponse:
    return client.post("/api/executebatch", json={"soqlWhereClause": clause}, headers=headers)
