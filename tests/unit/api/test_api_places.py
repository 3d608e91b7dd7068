"""A field that is sent where an operation does not read it is refused, in every operation."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import yaml
from _api import refused
from cryptography.fernet import Fernet
from flask import Flask
from flask.testing import FlaskClient

from api import create_app, openapi
from quotejob.settings import Settings
from quotejob.store import client as store

SETTINGS = Settings(redis_url="redis://127.0.0.1:1/0", secret_keys=(Fernet.generate_key().decode(),), local_org=True)
JOB = "123e4567-e89b-12d3-a456-426614174000"
OPERATIONS = [
    (method, path.replace("{jobId}", JOB).replace("{scheduleId}", JOB), operation)
    for path, methods in yaml.safe_load(openapi.document())["paths"].items()
    for method, operation in methods.items()
    if method != "parameters"
]
BODILESS = [(method, path) for method, path, operation in OPERATIONS if "requestBody" not in operation]
CALLER = {
    "orgId": "00D000000000001",
    "orgDomainUrl": "http://127.0.0.1:1",
    "apiVersion": "66.0",
    "accessToken": "token",
    "userContext": {"userId": "005000000000001", "username": "ann"},
}


@pytest.fixture(scope="module")
def app(logging_restored_after_all: None) -> Flask:
    return create_app(SETTINGS)


@pytest.fixture
def client(app: Flask, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setattr(store, "_clients", {})
    made = app.test_client()
    made.environ_base["HTTP_X_CLIENT_CONTEXT"] = base64.b64encode(json.dumps(CALLER).encode()).decode()
    return made


def wrong(said: dict[str, Any]) -> dict[str, str]:
    return {detail["field"]: detail["message"] for detail in said["details"]}


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=[o["operationId"] for _, _, o in OPERATIONS])
def test_an_unknown_query_parameter_is_refused(
    client: FlaskClient, method: str, path: str, operation: dict[str, Any]
) -> None:
    """In every operation, and so is an alias of what it does not have."""
    known = {parameter["name"] for parameter in operation.get("parameters", ())}
    for name in {"zzz", "idempotencyKey", "pageSize", "sortBy"} - known:
        body: Any = {"json": {}} if "requestBody" in operation else {}
        assert name in wrong(refused(client.open(f"{path}?{name}=1", method=method.upper(), **body), 400))


@pytest.mark.parametrize(("method", "path"), BODILESS)
@pytest.mark.parametrize(
    ("sent", "field"),
    [(b'{"zzz": 1}', "zzz"), (b'{"zzz": null}', "zzz"), (b"[]", "body"), (b"0", "body"), (b'""', "body"),
     (b"dryRun=true", "body"), (b"\xff", "body"), (b"{", "body")],
)  # fmt: skip
def test_a_body_where_none_is_read_is_refused(
    client: FlaskClient, method: str, path: str, sent: bytes, field: str
) -> None:
    """Whatever its content type is."""
    for kind in ("application/json", "text/plain", None):
        said = refused(client.open(path, method=method.upper(), data=sent, content_type=kind), 400, "INVALID_REQUEST")
        assert field in wrong(said)


@pytest.mark.parametrize(("method", "path"), BODILESS)
def test_an_empty_one_is_none(client: FlaskClient, method: str, path: str) -> None:
    """Clients that cannot send a request without a body send these. What the operation then needs is away here."""
    for sent in (b"", b"{}", b" { }\n", b"null", b"\xef\xbb\xbf{}"):
        assert client.open(path, method=method.upper(), data=sent).status_code != 400


@pytest.mark.parametrize(
    ("method", "url", "body", "field", "says"),
    [
        ("POST", "/api/abortjobs?atMost=50", {"name": "Nightly"}, "name", "send name as a query parameter"),
        ("POST", "/api/resumejobs?atMost=50", {"status": ["Failed"]}, "status", "send status as a query parameter"),
        ("POST", "/api/executebatch?dryRun=true", {"soqlWhereClause": "Id != null"}, "dryRun", "in the JSON body"),
        ("POST", "/api/executebatch?dry_run=true", {"soqlWhereClause": "Id != null"}, "dry_run", "send dryRun in"),
        ("POST", "/api/data/create", {"numberOfOpportunities": 3}, "numberOfOpportunities", "as a query parameter"),
        ("DELETE", f"/api/schedules/{JOB}?dryRun=true", None, "dryRun", "is unknown; leave it out"),
        ("POST", "/api/data/delete?Idempotency-Key=x", None, "Idempotency-Key", "send Idempotency-Key as a header"),
    ],
)
def test_the_place_where_it_belongs_is_named(
    client: FlaskClient, method: str, url: str, body: Any, field: str, says: str
) -> None:
    """If another place of the operation knows it."""
    sent: Any = {} if body is None else {"json": body}
    assert says in wrong(refused(client.open(url, method=method, **sent), 400))[field]
