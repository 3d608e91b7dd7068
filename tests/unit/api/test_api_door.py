"""The front door with nothing behind it: what it answers before Redis or an org is needed, and when they are away."""

from __future__ import annotations

import base64
import codecs
import gzip
import io
import json
import re
import socket
from typing import Any

import _api
import pytest
from cryptography.fernet import Fernet
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api import create_app
from quotejob import errors
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.version import VERSION

TOKEN = "00D000000000001!secret.token"
SETTINGS = Settings(redis_url="redis://127.0.0.1:1/0", secret_keys=(Fernet.generate_key().decode(),))
CLAUSE = {"soqlWhereClause": "Id != null"}


@pytest.fixture(autouse=True)
def _the_process_left_alone(monkeypatch: pytest.MonkeyPatch, logging_restored: None) -> None:
    """Logging and the process's Redis clients are afterwards what they were before."""
    monkeypatch.setattr(store, "_clients", {})


@pytest.fixture(scope="module")
def app(logging_restored_after_all: None) -> Flask:
    """One for all tests of the file: a request leaves nothing in it."""
    return create_app(SETTINGS)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def context(**changes: Any) -> dict[str, str]:
    """The header as the mesh sends it."""
    document = {
        "requestId": "request-1",
        "orgId": "00D000000000001",
        "orgDomainUrl": "https://acme.my.salesforce.com",
        "apiVersion": "66.0",
        "namespace": "",
        "accessToken": TOKEN,
        "userContext": {"userId": "005000000000001", "username": "ann@acme.example"},
        **changes,
    }
    return {"x-client-context": base64.b64encode(json.dumps(document).encode()).decode()}


def refused(response: TestResponse, status: int, code: str | None = None) -> dict[str, Any]:
    """The error's body, after checking that it is one of ours and tells no secret."""
    body = _api.refused(response, status, code)
    assert body["message"]
    assert TOKEN not in response.text
    assert "Traceback" not in response.text
    return body


def fields(body: dict[str, Any]) -> list[str]:
    return [detail["field"] for detail in body["details"]]


@pytest.mark.parametrize("path", ["/health", "/healthcheck"])
def test_health_asks_nobody(client: FlaskClient, path: str) -> None:
    """The process is up, whatever else is not; and which version it is."""
    assert client.get(path).get_json() == {"status": "ok", "version": VERSION}


def test_every_answer_has_its_headers_and_the_callers_request_id(client: FlaskClient) -> None:
    """Nothing is sniffed, framed or kept by caches; the request id comes back, unless it is not an id."""
    answer = client.get("/health", headers={"x-request-id": "r-1"})
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Request-Id"] == "r-1"
    assert client.get("/health", headers={"x-request-id": "<b> x"}).headers["X-Request-Id"] != "<b> x"


@pytest.mark.parametrize(
    "path", ["/index.html", "/api", "/api/nothing", "/api//jobs", "/docs/secret.txt", "/docs/..%2fstart.js"]
)
def test_an_unknown_address_is_404_in_json(client: FlaskClient, path: str) -> None:
    """Also where a web framework would redirect."""
    refused(client.get(path), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/executebatch"), ("DELETE", "/api/jobs"), ("POST", "/health"), ("OPTIONS", "/api/jobs"),
     ("TRACE", "/api/data/create"), ("PUT", "/api/jobs/x/abort")],
)  # fmt: skip
def test_a_wrong_method_is_405_in_json(client: FlaskClient, method: str, path: str) -> None:
    """The allowed ones are in a header, and in a sentence that says what to send."""
    answer = client.open(path, method=method)
    message = refused(answer, 405, "METHOD_NOT_ALLOWED")["message"]
    allowed = answer.headers["Allow"].split(", ")
    assert f"{method}; send {' or '.join(one for one in allowed if one != 'HEAD')}." in message


def test_each_operation_says_which_method_to_send(app: Flask, client: FlaskClient) -> None:
    """A GET of a POST operation, as a browser or a shell sends it by mistake, and the other way round."""
    allowed: dict[str, set[str]] = {}
    for rule in app.url_map.iter_rules():
        allowed.setdefault(str(rule), set()).update(rule.methods or ())
    assert len(allowed) > 20
    for path, methods in allowed.items():
        method = min({"GET", "POST", "PUT"} - methods)
        answer = client.open(re.sub("<.*>", "123e4567-e89b-12d3-a456-426614174000", path), method=method)
        refused(answer, 405, "METHOD_NOT_ALLOWED")
        assert set(answer.headers["Allow"].split(", ")) == methods


def test_a_head_request_has_no_body(client: FlaskClient) -> None:
    """HEAD is GET without the body."""
    answer = client.head("/health")
    assert (answer.status_code, answer.data) == (200, b"")


@pytest.mark.parametrize("path", ["/api/executebatch", "/api/data/create", "/api/data/delete"])
def test_a_body_over_64_kib_is_413(client: FlaskClient, path: str) -> None:
    """Wherever it is sent to, also without a length, and before anything else is looked at."""
    for size in (64 * 1024 + 1, 64 * 1024 + 2, 1_000_000):
        refused(client.post(path, data=b" " * size), 413, "REQUEST_ENTITY_TOO_LARGE")
        chunked = client.post(
            path, input_stream=io.BytesIO(b" " * size), environ_overrides={"wsgi.input_terminated": True}
        )
        refused(chunked, 413, "REQUEST_ENTITY_TOO_LARGE")


def test_a_body_of_64_kib_is_read(client: FlaskClient) -> None:
    """And judged by what is in it."""
    body = json.dumps(CLAUSE)
    padded = body + " " * (64 * 1024 - len(body))
    answer = client.post("/api/executebatch", data=padded, content_type="application/json")
    refused(answer, 401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        ("", "application/json"),
        ("{", "application/json"),
        ("soqlWhereClause=Id", "application/x-www-form-urlencoded"),
        (json.dumps(CLAUSE), "text/plain"),
        (json.dumps(CLAUSE), ""),
        ("[]", "application/json"),
        ('"Id != null"', "application/json"),
        ("null", "application/json"),
        ("[" * 60_000, "application/json"),
        ('{"soqlWhereClause": NaN}', "application/json"),
        (b'{"soqlWhereClause": "\xff"}', "application/json"),
        ('{"soqlWhereClause": "\\ud800"}', "application/json"),
    ],
)
def test_what_is_not_a_json_object_is_400(client: FlaskClient, data: str | bytes, content_type: str) -> None:
    """The sentence says what is expected, with the field's name."""
    body = refused(client.post("/api/executebatch", data=data, content_type=content_type, headers=context()), 400)
    assert fields(body) == ["body"]
    assert "soqlWhereClause" in body["message"]


def test_a_body_may_begin_with_a_byte_order_mark(client: FlaskClient) -> None:
    """Editors and shells of Windows write it."""
    data = codecs.BOM_UTF8 + json.dumps({"soqlWhereClause": ""}).encode()
    answer = client.post("/api/executebatch", data=data, content_type="application/json", headers=context())
    assert fields(refused(answer, 400)) == ["soqlWhereClause"]


@pytest.mark.parametrize(
    ("data", "headers", "words"),
    [
        (json.dumps(CLAUSE).encode("utf-16"), {}, "UTF-8"),
        ('{"soqlWhereClause": "Name = \'é\'"}'.encode("latin-1"), {}, "UTF-8"),
        (gzip.compress(json.dumps(CLAUSE).encode(), mtime=0), {"Content-Encoding": "gzip"}, "compressed"),
    ],
)
def test_a_body_in_another_coding_is_400_and_says_so(
    client: FlaskClient, data: bytes, headers: dict[str, str], words: str
) -> None:
    """It may well be JSON."""
    sent = {**context(), **headers, "Content-Type": "application/json"}
    body = refused(client.post("/api/executebatch", data=data, headers=sent), 400)
    assert fields(body) == ["body"]
    assert words in body["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "soqlWhereClause"),
        ({"soqlWhereClause": None}, "soqlWhereClause"),
        ({"soqlWhereClause": 5}, "soqlWhereClause"),
        ({"soqlWhereClause": ["Id != null"]}, "soqlWhereClause"),
        ({"soqlWhereClause": ""}, "soqlWhereClause"),
        ({"soqlWhereClause": "  "}, "soqlWhereClause"),
        ({"soqlWhereClause": "a" * 20_001}, "soqlWhereClause"),
        ({"soqlWhereClause": "Name='a') OR (Name != null"}, "soqlWhereClause"),
        ({"soqlWhereClause": "Name != null LIMIT 5"}, "soqlWhereClause"),
        ({"soqlWhereClause": "Name = 'a"}, "soqlWhereClause"),
        ({**CLAUSE, "limit": 5}, "limit"),
    ],
)
def test_a_bad_body_is_400_with_the_field_named(client: FlaskClient, body: dict[str, Any], field: str) -> None:
    """In the details and in the sentence."""
    found = refused(client.post("/api/executebatch", json=body, headers=context()), 400, "INVALID_REQUEST")
    assert fields(found) == [field]
    assert found["message"].startswith(f"{field}: ")


@pytest.mark.parametrize(
    "query",
    ["numberOfOpportunities=" + value for value in
     ("0", "-1", "1000001", "ten", "", "1.5", "10.0", "1e3", "1_000", "%2B5", "%20%205", "٣", "9" * 30, "null")]
    + ["numberOfOpportunities=1&numberOfOpportunities=2"],
)  # fmt: skip
def test_a_bad_number_of_opportunities_is_400_with_the_field_named(client: FlaskClient, query: str) -> None:
    """A whole number from 1 to 1,000,000, given once."""
    found = refused(client.post(f"/api/data/create?{query}", headers=context()), 400, "INVALID_REQUEST")
    assert fields(found) == ["numberOfOpportunities"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/jobs?status=Sleeping", "status"),
        ("/api/jobs?status=Queued,", "status"),
        ("/api/jobs?jobType=batchquote", "jobType"),
        ("/api/jobs?limit=0", "limit"),
        ("/api/jobs?limit=201", "limit"),
        ("/api/jobs?cursor=%C2%B2:x", "cursor"),
        ("/api/jobs?cursor=", "cursor"),
        ("/api/jobs?state=Queued", "state"),
        ("/api/jobs?createdFrom=2031-05-01", "createdFrom"),
        ("/api/jobs?createdFrom=2031-05-01T12:00:00", "createdFrom"),
        ("/api/jobs?createdTo=2031-05-01T12:00:00+01:00", "createdTo"),  # a plain + is a blank
        ("/api/jobs?createdTo=2031-05-01T12:00:00%2B99:00", "createdTo"),
        ("/api/jobs?completedFrom=yesterday", "completedFrom"),
        ("/api/jobs?completedTo=" + "9" * 4000, "completedTo"),
        ("/api/jobs?completedTo=", "completedTo"),
        ("/api/jobs?createdFrom=2031-05-02T00:00:00Z&createdTo=2031-05-01T23:00:00Z", "createdFrom"),
        ("/api/jobs?completedFrom=2031-05-01T23:30:00Z&completedTo=2031-05-02T00:00:00%2B01:00", "completedFrom"),
        ("/api/jobs?scheduleId=nightly", "scheduleId"),
        ("/api/jobs?parentId=123e4567-e89b-12d3-a456-426614174000%0A", "parentId"),
        ("/api/jobs?extendedStatus=", "extendedStatus"),
        ("/api/jobs?extendedStatus=" + "a" * 201, "extendedStatus"),
        ("/api/jobs?sort=name", "sort"),
        ("/api/jobs?sort=status,jobType", "sort"),
        ("/api/jobs?order=DESC", "order"),
        ("/api/jobs/summary?status=Sleeping", "status"),
        ("/api/jobs/summary?limit=5", "limit"),
        ("/api/jobs/summary?createdFrom=2031-05-02T00:00:00Z&createdTo=2031-05-01T23:00:00Z", "createdFrom"),
        ("/api/jobs/123e4567-e89b-12d3-a456-426614174000/results?outcome=good", "outcome"),
        ("/api/jobs/123e4567-e89b-12d3-a456-426614174000/results?limit=1001", "limit"),
    ],
)
def test_a_bad_query_is_400_with_the_parameter_named(client: FlaskClient, path: str, field: str) -> None:
    """Unknown parameters too: a filter that is misspelt must not list everything."""
    assert fields(refused(client.get(path, headers=context()), 400, "INVALID_REQUEST")) == [field]


@pytest.mark.parametrize("key", ["", "a" * 256, "a\tb", "schlüssel"])
def test_a_bad_idempotency_key_is_400(client: FlaskClient, key: str) -> None:
    """1 to 255 printable characters."""
    answer = client.post("/api/data/delete", headers={**context(), "Idempotency-Key": key})
    assert fields(refused(answer, 400, "INVALID_REQUEST")) == ["Idempotency-Key"]


ROUTES = [
    ("POST", "/api/executebatch"),
    ("POST", "/api/data/create"),
    ("POST", "/api/data/delete"),
    ("GET", "/api/jobs"),
    ("GET", "/api/jobs/summary"),
    ("GET", "/api/jobs/123e4567-e89b-12d3-a456-426614174000"),
    ("GET", "/api/jobs/123e4567-e89b-12d3-a456-426614174000/results"),
    ("POST", "/api/jobs/123e4567-e89b-12d3-a456-426614174000/abort"),
    ("POST", "/api/jobs/123e4567-e89b-12d3-a456-426614174000/retry"),
]
NOT_A_CONTEXT = {
    "missing": None,
    "empty": "",
    "not base64": "{}",
    "not JSON": base64.b64encode(b"hello").decode(),
    "not an object": base64.b64encode(b"[]").decode(),
    "no token": context(accessToken=None)["x-client-context"],
    "a token that would end our header": context(accessToken="a\r\nX-Evil: 1")["x-client-context"],
    "no user": context(userContext=None)["x-client-context"],
    "an org id that is none": context(orgId="00D00")["x-client-context"],
    "a wrong checksum": context(orgId="00D000000000001ZZZ")["x-client-context"],
    "an API version that is a path": context(apiVersion="66.0/../../x")["x-client-context"],
}


def _send(client: FlaskClient, method: str, path: str, headers: dict[str, str]) -> TestResponse:
    body: dict[str, Any] = {"json": CLAUSE} if path.endswith("executebatch") else {}
    return client.open(path, method=method, headers=headers, **body)


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("header", NOT_A_CONTEXT.values(), ids=NOT_A_CONTEXT.keys())
def test_without_a_usable_context_every_route_is_401(
    client: FlaskClient, method: str, path: str, header: str | None
) -> None:
    """Missing, undecodable or incomplete; nothing of it is repeated."""
    answer = _send(client, method, path, {} if header is None else {"x-client-context": header})
    refused(answer, 401, "UNAUTHENTICATED")
    assert not header or header not in answer.text


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_an_org_on_a_host_that_is_not_allowed_is_403_and_never_called(
    client: FlaskClient, method: str, path: str
) -> None:
    """No connection is made to the address a stranger names."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        refused(_send(client, method, path, context(orgDomainUrl=url)), 403, "ORG_NOT_ALLOWED")
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize(
    "url",
    [
        "http://acme.my.salesforce.com",
        "https://evil.example",
        "https://my.salesforce.com.evil.example",
        "https://user@acme.my.salesforce.com",
        "https://acme.my.salesforce.com@evil.example",
        "https://acme.my.salesforce.com:8443",
        "https://evil.example#.my.salesforce.com",
        "https://evil.example/.my.salesforce.com",
        "https://169.254.169.254",
        "https://[::1]",
        "ftp://acme.my.salesforce.com",
        "acme.my.salesforce.com",
        "https://evil.example\\.my.salesforce.com",
        "https://acme.my.salesforce.com?x",
    ],
)
def test_only_https_on_an_allowed_host_is_an_org(client: FlaskClient, url: str) -> None:
    """Whatever shape the address takes."""
    refused(client.get("/api/jobs", headers=context(orgDomainUrl=url)), 403, "ORG_NOT_ALLOWED")


def test_without_redis_it_is_503(client: FlaskClient) -> None:
    """The caller reads that nothing was accepted, and that trying again helps."""
    refused(client.post("/api/data/delete", headers=context()), 503, "STORE_UNAVAILABLE")


def test_every_429_and_503_says_when_to_try_again() -> None:
    """And no other error does."""
    kinds, found = [errors.QuotejobError], set()
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        found.add(kind.status)
        assert (kind.retry_after is not None) == (kind.status in (429, 503)), kind
    assert {429, 503} <= found


def test_not_ready_without_redis(client: FlaskClient) -> None:
    """What is missing is named."""
    assert fields(refused(client.get("/ready"), 503, "NOT_READY")) == ["redis"]


def test_a_fault_of_ours_is_500_without_its_story(capsys: pytest.CaptureFixture[str]) -> None:
    """The story is in the log, under the request id the caller gets."""
    app = create_app(SETTINGS)

    @app.get("/fault")
    def fault() -> str:
        secret = TOKEN
        raise RuntimeError("the story" + secret[:0])

    answer = create_client_with_log(app).get("/fault", headers={"x-request-id": "r-500"})
    body = refused(answer, 500, "INTERNAL_ERROR")
    assert "the story" not in answer.text
    assert "r-500" in body["message"]
    log = capsys.readouterr().out
    assert "RuntimeError: the story" in log
    assert re.search(r"request_id='?r-500", log)
    assert TOKEN not in log


def create_client_with_log(app: Flask) -> FlaskClient:
    """Log lines go to the standard output of this moment."""
    from quotejob import logs

    logs.configure("INFO")
    return app.test_client()


def test_one_line_a_request_and_no_secret_in_it(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    """Operation, status, duration and request id; no header, no token."""
    client = create_client_with_log(app)
    client.post("/api/executebatch", json={"soqlWhereClause": ""}, headers={**context(), "x-request-id": "r-2"})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    for part in (
        "operation=executeBatch",
        "status=400",
        "code=INVALID_REQUEST",
        "reason=soqlWhereClause: should have",
        "seconds=",
        "request_id=r-2",
        "method=POST",
    ):
        assert part in lines[0].replace("'", "")
    assert TOKEN not in lines[0]
    assert context()["x-client-context"][:40] not in lines[0]
