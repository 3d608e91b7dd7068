"""An org that refuses or is away: status, code and sentence of the answer, and the same in the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from _api import Headers, refused
from _scripted import Reply, Server, error, serving
from flask.testing import FlaskClient

from quotejob.asking import proof

PAGE = b"<html><title>Scheduled maintenance</title></html>"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An org that answers as a test says; a caller is not kept waiting for the second try."""
    monkeypatch.setattr(proof, "RETRY_FOR", 0)
    with serving() as made:
        yield made


@pytest.mark.parametrize(
    ("reply", "status", "words"),
    [
        (error("INVALID_SESSION_ID", 401, "Session expired or invalid"), 401, "log in again"),
        (Reply(b"Bad_OAuth_Token", 403), 401, "log in again"),
        (Reply(b"Wrong_Org", 403), 403, "another org"),
        (error("API_DISABLED_FOR_ORG", 403), 403, "API Enabled"),
        (error("LOGIN_DURING_RESTRICTED_DOMAIN", 403), 403, "login IP ranges"),
        (Reply(PAGE, 503), 503, "in maintenance or overloaded"),
        (error("SERVER_UNAVAILABLE", 503), 503, "status.salesforce.com"),
        (Reply(PAGE, 429), 503, "too many requests"),
        (error("REQUEST_LIMIT_EXCEEDED", 403, "TotalRequests Limit exceeded."), 503, "are used up"),
        (Reply(PAGE, 403), 403, "firewall or proxy"),
        (Reply(PAGE, 404), 401, "orgDomainUrl"),
        (Reply(PAGE, 200), 503, "did not answer with JSON"),
        (Reply(reset=True), 503, "broke the connection"),
    ],
)
def test_the_cause_and_what_to_do(
    client: FlaskClient,
    headers: Headers,
    server: Server,
    caplog: pytest.LogCaptureFixture,
    reply: Reply,
    status: int,
    words: str,
) -> None:
    """A token is only spoken of when it is the cause."""
    logging.getLogger().addHandler(caplog.handler)
    server.script = [reply]
    body = refused(client.get("/api/jobs", headers=headers(orgDomainUrl=server.url)), status)
    assert words in body["message"]
    if status in (403, 503):
        assert "log in again" not in body["message"]
    [line] = [record.msg for record in caplog.records if isinstance(record.msg, dict) and "status" in record.msg]
    logged: Any = line
    assert (logged["status"], logged["code"], logged["reason"]) == (status, body["code"], body["message"])


def test_an_api_version_that_the_org_lacks_is_not_the_fault_of_the_clause(
    client: FlaskClient, headers: Headers
) -> None:
    """The org answers 404 then, to a clause that is right."""
    answer = client.post(
        "/api/executebatch", json={"soqlWhereClause": "Id != null"}, headers=headers(apiVersion="999.0")
    )
    assert "does not serve apiVersion 999.0" in refused(answer, 400)["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"soqlWhereClause": "Id != null", "dependOn": []}, "dependOn: is unknown; did you mean dependsOn?"),
        ({"soqlWhereClause": "Id != null", "not_before": "x"}, "not_before: is unknown; did you mean notBefore?"),
        ({"soqlWhereClause": "Id != null", "limit": 5}, "limit: is unknown; leave it out. Known here: soqlWhereClause"),
        ({"SoqlWhereClause": "Id != null"}, "SoqlWhereClause: is unknown; did you mean soqlWhereClause?"),
    ],
)
def test_an_unknown_field_names_the_one_that_was_meant(
    client: FlaskClient, headers: Headers, body: dict[str, Any], words: str
) -> None:
    """Or all that there are."""
    answer = client.post("/api/executebatch", json=body, headers=headers())
    assert words in refused(answer, 400, "INVALID_REQUEST")["message"]


def test_an_unknown_parameter_too(client: FlaskClient, headers: Headers) -> None:
    """In the address it is the same."""
    answer = client.get("/api/jobs?statuses=Failed", headers=headers())
    assert "statuses: is unknown; did you mean status?" in refused(answer, 400)["message"]
