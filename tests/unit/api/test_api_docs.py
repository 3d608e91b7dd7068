"""Swagger UI at /docs, and the caller's context that it gets from the demo, and from nobody else."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from flask.testing import FlaskClient

from api import create_app
from quotejob.doors import asked_from_here
from quotejob.settings import Settings

SETTINGS = Settings(redis_url="redis://127.0.0.1:1/0", secret_keys=(Fernet.generate_key().decode(),))
ORG = {"url": "http://127.0.0.1:8025", "org_id": "00D1", "user_id": "0051", "token": "00D1!secret.token"}


@pytest.fixture(autouse=True)
def _logging_left_alone(logging_restored: None) -> None:
    """Creating an app configures the log."""


def client(folder: Path, **changes: str) -> FlaskClient:
    """A client of an API that a demo has started, with this org."""
    file = folder / "org.json"
    file.write_text(json.dumps({**ORG, **changes}))
    return create_app(replace(SETTINGS, demo_org=file)).test_client()


def test_the_context_of_the_demos_org(tmp_path: Path) -> None:
    """A browser on this machine gets the header; no cache keeps it."""
    answer = client(tmp_path).get("/docs/context", headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.headers["Cache-Control"] == "no-store"
    context = json.loads(base64.b64decode(answer.get_json()["x-client-context"]))
    assert (context["orgDomainUrl"], context["accessToken"]) == (ORG["url"], ORG["token"])


@pytest.mark.parametrize(
    "options",
    [
        {"environ_base": {"REMOTE_ADDR": "192.0.2.7"}},
        {"environ_base": {"REMOTE_ADDR": ""}},
        {"headers": {"Host": "evil.example"}},
        {"headers": {"Host": "127.0.0.1.evil.example:8000"}},
        {"headers": {"X-Forwarded-For": "192.0.2.7"}},
        {"headers": {"Forwarded": "for=192.0.2.7"}},
        {"headers": {"Via": "1.1 mesh"}},
        {"headers": {"X-Real-IP": "192.0.2.7"}},
        {"headers": {"X-Forwarded-Host": "quotejob.example"}},
        {"headers": {"Host": "[::1"}},
        {"headers": {"Sec-Fetch-Site": "cross-site"}},
        {"headers": {"Sec-Fetch-Site": "same-site"}},
    ],
)
def test_nobody_else_gets_it(tmp_path: Path, options: dict[str, Any]) -> None:
    """Another machine, a page of another name that leads here, a proxy: the answer is empty."""
    answer = client(tmp_path).get("/docs/context", **options)
    assert (answer.status_code, answer.data) == (204, b"")


def test_nobody_gets_it_through_the_mesh(tmp_path: Path) -> None:
    """Then every request comes from this machine."""
    client(tmp_path)
    app = create_app(replace(SETTINGS, demo_org=tmp_path / "org.json", behind_proxy=True))
    assert app.test_client().get("/docs/context").status_code == 204


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000"])
def test_this_machine_asks(address: str, host: str) -> None:
    """One function decides for /metrics, /docs/context and /console/link."""
    assert asked_from_here(address, host, ["Host", "Accept", "X-Request-Id"], behind_proxy=False)
    assert not asked_from_here(address, host, ["Host"], behind_proxy=True)
    for header in ("Forwarded", "X-Forwarded-For", "x-forwarded-proto", "X-Real-IP", "via"):
        assert not asked_from_here(address, host, ["Host", header], behind_proxy=False)
    for stranger in ("", "192.0.2.7", "::ffff:192.0.2.7", "evil.example"):
        assert not asked_from_here(stranger, host, [], behind_proxy=False)
        assert not asked_from_here(address, stranger, [], behind_proxy=False)


def test_no_other_org_than_a_local_one(tmp_path: Path) -> None:
    """Whatever the file says; and nothing without a demo, or before it has written the file."""
    strange = client(tmp_path, url="https://acme.my.salesforce.com").get("/docs/context")
    none = create_app(SETTINGS).test_client().get("/docs/context")
    early = create_app(replace(SETTINGS, demo_org=tmp_path / "later.json")).test_client().get("/docs/context")
    for answer in (strange, none, early):
        assert (answer.status_code, answer.data) == (204, b"")


def test_the_first_page() -> None:
    """A page for people, JSON for programs; what both point to is there; nothing is loaded from elsewhere."""
    client = create_app(SETTINGS).test_client()
    about = client.get("/").get_json()
    assert client.get("/", headers={"Accept": "application/json, */*"}).get_json() == about
    with client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}) as page:
        assert page.mimetype == "text/html"
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        text = page.get_data(as_text=True)
    assert "//" not in text
    links = re.findall(r'href="([^"]+)"', text)
    assert links == ["/docs", "/openapi.yaml", "/health", "/ready"]
    for address in {*links, *(value for value in about.values() if value.startswith("/"))}:
        with client.get(address) as answer:
            assert answer.status_code in (200, 401, 503), address  # 401: who calls? 503: there is no Redis here


def test_swagger_ui_is_served_from_here() -> None:
    """The page and all it loads are ours: no address of another host in it, and a policy that allows none."""
    browser = create_app(SETTINGS).test_client()
    page = browser.get("/docs")
    with page:
        text = page.text
        assert page.mimetype == "text/html"
        assert "'self'" in page.headers["Content-Security-Policy"]
    assert "//" not in text
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js", "favicon-32x32.png"):
        assert f"/docs/{name}" in text
        with browser.get(f"/docs/{name}") as asset:
            assert asset.status_code == 200
            assert asset.headers["X-Content-Type-Options"] == "nosniff"
            assert "max-age" in asset.headers["Cache-Control"]
