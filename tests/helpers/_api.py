"""Calls of the API, and what is expected of every answer."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cryptography.fernet import Fernet
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from harness.api import LocalOrg
from quotejob.settings import Settings

CLAUSE = "Name LIKE 'Sample Opportunity%'"
Headers = Callable[..., dict[str, str]]


@contextmanager
def settings_of(redis_url: str, **others: Any) -> Iterator[Settings]:
    """Settings for local orgs; Celery reads the environment itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "REDIS_URL", redis_url)
        yield Settings(redis_url=redis_url, secret_keys=(Fernet.generate_key().decode(),), local_org=True, **others)


def applink_of(org: LocalOrg) -> dict[str, str]:
    """The settings for an org that is AppLink, too."""
    url = f"{org.url}/localorg/applink"
    return {"authorization": "worker", "applink_api_url": url, "applink_token": "add-on token"}


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
