"""executeBatchWithCallback: the same as executeBatch, and an address in the caller's own org."""

from __future__ import annotations

import pytest
from _api import CLAUSE, Headers, accepted, refused
from flask.testing import FlaskClient

from harness.api import LocalOrg
from quotejob.jobs.store import JobStore

PATH = "/api/executebatchwithcallback"


def test_the_address_stays_with_the_job(
    client: FlaskClient, headers: Headers, local_org: LocalOrg, store_of_jobs: JobStore
) -> None:
    url = f"{local_org.url}/services/callback/1"
    body = {"soqlWhereClause": CLAUSE, "callbackUrl": url, "name": "Told"}
    job = store_of_jobs.get(accepted(client.post(PATH, json=body, headers=headers())))
    assert (job.callback_url, job.name, job.soql_where_clause) == (url, "Told", CLAUSE)


@pytest.mark.parametrize("url", ["https://evil.example/x", "http://127.0.0.1:1/x", "x", "", None, 7, "https://x" * 500])
def test_another_address_is_refused(client: FlaskClient, headers: Headers, url: object) -> None:
    body = {"soqlWhereClause": CLAUSE, "callbackUrl": url}
    error = refused(client.post(PATH, json=body, headers=headers()), 400)
    assert "callbackUrl" in str(error)


def test_it_must_be_there_and_executebatch_takes_none(client: FlaskClient, headers: Headers) -> None:
    refused(client.post(PATH, json={"soqlWhereClause": CLAUSE}, headers=headers()), 400)
    body = {"soqlWhereClause": CLAUSE, "callbackUrl": "https://x.example/"}
    refused(client.post("/api/executebatch", json=body, headers=headers()), 400)
