"""The API as an application in this process, with the real Redis and the real local org behind it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from _api import Headers, settings_of
from flask import Flask
from flask.testing import FlaskClient

from api import create_app
from harness.api import LocalOrg
from quotejob.jobs.search import JobSearch
from quotejob.jobs.store import JobStore
from quotejob.jobs.workers import NEEDED, Workers
from quotejob.settings import Settings
from quotejob.store import client as store


@pytest.fixture(scope="module")
def settings(redis_url: str) -> Iterator[Settings]:
    """One job of an org runs at a time."""
    with settings_of(redis_url, active_jobs=1, holding_jobs=100) as settings:
        yield settings


@pytest.fixture(scope="module")
def app(settings: Settings, logging_restored_after_all: None) -> Flask:
    return create_app(settings)


@pytest.fixture
def client(app: Flask, store_of_jobs: JobStore, local_org: LocalOrg) -> Iterator[FlaskClient]:
    """A client of the API. Whatever jobs a test leaves open are aborted."""
    yield app.test_client()
    for job in JobSearch(store_of_jobs._redis, store_of_jobs).recent(local_org.org_id, limit=200)[0]:
        if not job.ended:
            store_of_jobs.abort(job.job_id)


@pytest.fixture(scope="module")
def store_of_jobs(settings: Settings) -> JobStore:
    return JobStore(store.connect(settings), settings)


@pytest.fixture(autouse=True)
def _a_worker_runs(redis_url: str) -> None:
    """So it seems to the API."""
    Workers(store.client(redis_url, attempts=0)).note(NEEDED)


@pytest.fixture
def headers(local_org: LocalOrg) -> Headers:
    """The caller's context as the mesh sends it, with changes, and further headers."""

    def make(extra: dict[str, str] | None = None, **changes: Any) -> dict[str, str]:
        document = {
            "requestId": "request-1",
            "orgId": local_org.org_id,
            "orgDomainUrl": local_org.url,
            "apiVersion": "66.0",
            "namespace": "",
            "accessToken": local_org.token,
            "userContext": {"userId": local_org.user_id, "username": "ann@acme.example"},
            **changes,
        }
        return {"x-client-context": base64.b64encode(json.dumps(document).encode()).decode(), **(extra or {})}

    return make
