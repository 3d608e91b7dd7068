"""The web process' application in this process, with the real Redis and the real local org behind it."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterator

import pytest
from _runs import forget_org
from cryptography.fernet import Fernet
from flask import Flask
from flask.testing import FlaskClient

import api
import console
from console import jobs, outlook, overview
from harness.api import LocalOrg
from quotejob.doors import Doors
from quotejob.services import Services
from quotejob.settings import Settings

Link = Callable[..., str]


@pytest.fixture(scope="module")
def settings(redis_url: str, local_org: LocalOrg) -> Iterator[Settings]:
    """Settings for local orgs, with all doors; Celery reads the environment itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "REDIS_URL", redis_url)
        keys = (Fernet.generate_key().decode(),)
        doors = Doors(
            url="http://localhost",
            logins=(local_org.url, "https://acme.my.salesforce.com"),
            client_id="the-app",
            client_secret="the-apps-secret",
            canvas_secret="the-tabs-secret",
            orgs=frozenset({local_org.org_id[:15]}),
            operators=frozenset({"worker@quotejob.example"}),
        )
        yield Settings(
            redis_url=redis_url, secret_keys=keys, local_org=True, active_jobs=1, holding_jobs=100, doors=doors
        )


@pytest.fixture(scope="module")
def app(settings: Settings, logging_restored_after_all: None) -> Flask:
    made = api.create_app(settings)
    console.install(made)
    return made


@pytest.fixture
def services(settings: Settings, local_org: LocalOrg) -> Iterator[Services]:
    """The stores; nothing of the org is left afterwards."""
    made = Services.connected(settings)
    forget_org(made, local_org)
    outlook.read.cache_clear()  # the org's version begins anew
    for kept in (jobs._rows, jobs._counts, overview._read_night):
        kept.cache_clear()
    yield made
    forget_org(made, local_org)


@pytest.fixture
def header(local_org: LocalOrg) -> dict[str, str]:
    """The caller's context as the mesh sends it."""
    document = {
        "requestId": "r", "orgId": local_org.org_id, "orgDomainUrl": local_org.url, "apiVersion": "66.0",
        "accessToken": local_org.token, "userContext": {"userId": local_org.user_id, "username": "ann@acme.example"},
    }  # fmt: skip
    return {"x-client-context": base64.b64encode(json.dumps(document).encode()).decode()}


@pytest.fixture
def link(app: Flask, header: dict[str, str], services: Services) -> Link:
    """``link("viewer")``: the path of a link that was not used yet."""

    def make(role: str = "operator") -> str:
        answer = app.test_client().post(f"/console/link?role={role}", headers=header)
        assert answer.status_code == 201, answer.text
        return f"/console/enter/{answer.get_json()['url'].rpartition('/')[2]}"

    return make


@pytest.fixture
def browser(app: Flask, link: Link) -> FlaskClient:
    """An operator's browser, signed in."""
    return signed_in(app, link())


@pytest.fixture
def viewer(app: Flask, link: Link) -> FlaskClient:
    """A viewer's browser, signed in."""
    return signed_in(app, link("viewer"))


def signed_in(app: Flask, path: str) -> FlaskClient:
    client = app.test_client()
    assert client.get(path).status_code == 303
    return client


@pytest.fixture
def csrf() -> Callable[[FlaskClient], str]:
    """``csrf(browser)``: the token that its pages have."""

    def read(client: FlaskClient) -> str:
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', client.get("/console/health").text)
        assert found
        return found[1]

    return read
