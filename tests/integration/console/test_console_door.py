"""The door of the console: links, sessions, roles, tokens of changes, and what its answers forbid a browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import api
import console
from harness.api import LocalOrg
from quotejob.services import Services
from quotejob.settings import Settings

PAGES = ["/console", "/console/jobs", "/console/queue", "/console/schedules", "/console/health", "/console/submit"]
Csrf = Callable[[FlaskClient], str]


def cookie_of(answer: TestResponse) -> str:
    return next(line for line in answer.headers.getlist("Set-Cookie") if line.startswith("quotejob_console="))


@pytest.mark.parametrize("path", PAGES)
def test_without_a_session_a_page_leads_to_the_door(app: Flask, path: str) -> None:
    answer = app.test_client().get(path)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/door")


def test_without_a_session_a_part_says_so(app: Flask) -> None:
    assert app.test_client().get("/console/part/now", headers={"HX-Request": "true"}).status_code == 401


def test_a_link_works_once(app: Flask, link: Callable[..., str]) -> None:
    path = link()
    assert app.test_client().head(path).status_code == 204  # a program looked at it
    first, second = app.test_client().get(path), app.test_client().get(path)
    assert (first.status_code, first.headers["Location"]) == (303, "/console")
    assert second.status_code == 403
    assert "Set-Cookie" not in second.headers


def test_the_cookie_is_for_the_browser_alone(app: Flask, link: Callable[..., str]) -> None:
    """Scripts do not see it, other sites do not send it with a change; over https it is Secure."""
    plain = cookie_of(app.test_client().get(link()))
    assert {"HttpOnly", "SameSite=Lax", "Path=/console"} <= set(plain.split("; "))
    assert "Secure" not in plain
    assert "Secure" in cookie_of(app.test_client().get(link(), base_url="https://localhost")).split("; ")


@pytest.mark.parametrize(
    "asked",
    [
        {"environ_overrides": {"REMOTE_ADDR": "10.0.0.7"}},
        {"base_url": "http://console.example"},
        {"base_url": "http://127.0.0.1.console.example"},
        {"environ_overrides": {"HTTP_X_REAL_IP": "10.0.0.7"}},
        {"environ_overrides": {"HTTP_X_FORWARDED_FOR": "10.0.0.7"}},
    ],
)
def test_links_are_for_this_machine_only(app: Flask, header: dict[str, str], asked: dict[str, object]) -> None:
    """Neither from another machine, through a proxy, nor by a name that a foreign name server gave this one."""
    answer = app.test_client().post("/console/link", headers=header, **asked)
    assert answer.status_code == 404


def test_there_are_no_links_where_local_orgs_are_not_allowed(
    settings: Settings, header: dict[str, str], logging_restored: None
) -> None:
    keep = {name: getattr(settings, name) for name in ("redis_url", "secret_keys")}
    app = api.create_app(Settings(**keep, local_org=False))
    console.install(app)
    assert app.test_client().post("/console/link", headers=header).status_code == 404


def test_a_link_needs_a_token_that_the_org_accepts(
    app: Flask, header: dict[str, str], local_org: LocalOrg, services: Services
) -> None:
    assert app.test_client().post("/console/link").status_code == 401
    wrong = {"x-client-context": header["x-client-context"][:-8]}
    assert app.test_client().post("/console/link", headers=wrong).status_code == 401
    assert app.test_client().post("/console/link?role=root", headers=header).status_code == 400


def test_a_session_can_be_ended(browser: FlaskClient, csrf: Csrf) -> None:
    """At once, also for a browser that kept the cookie."""
    kept = browser.get_cookie("quotejob_console", path="/console")
    assert kept
    assert browser.post("/console/leave", data={"csrf": csrf(browser)}).status_code == 303
    browser.set_cookie("quotejob_console", kept.value, path="/console")
    assert browser.get("/console/jobs").headers["Location"] == "/console/door"


def test_a_made_up_cookie_is_no_session(app: Flask, browser: FlaskClient) -> None:
    kept = browser.get_cookie("quotejob_console", path="/console")
    assert kept
    for value in ("", "x", kept.value[:-1] + "_", "00D000000000000EAA." + kept.value.partition(".")[2], "ü.y"):
        other = app.test_client()
        other.set_cookie("quotejob_console", value, path="/console")
        assert other.get("/console").status_code == 303


@pytest.mark.parametrize("token", ["", "0" * 64, "ü"])
def test_a_change_needs_the_token_of_its_session(browser: FlaskClient, services: Services, token: str) -> None:
    answer = browser.post("/console/submit/samples", data={"csrf": token, "number": "5"})
    assert answer.status_code == 403
    assert services.search.recent(services_org(services, browser))[0] == []


def services_org(services: Services, browser: FlaskClient) -> str:
    kept = browser.get_cookie("quotejob_console", path="/console")
    assert kept
    return kept.value.partition(".")[0]


def test_the_token_of_another_session_does_not_count(
    browser: FlaskClient, app: Flask, link: Callable[..., str], csrf: Csrf
) -> None:
    other = app.test_client()
    other.get(link())
    assert browser.post("/console/submit/samples", data={"csrf": csrf(other), "number": "5"}).status_code == 403


def test_a_viewer_looks_and_changes_nothing(viewer: FlaskClient, csrf: Csrf, services: Services) -> None:
    token = csrf(viewer)
    for path in PAGES:
        assert viewer.get(path).status_code == 200
    for path in ("/console/submit", "/console/submit/samples", "/console/jobs", "/console/queue/move"):
        assert viewer.post(path, data={"csrf": token}).status_code == 403
    assert "Price them" not in viewer.get("/console/submit").text


@pytest.mark.parametrize("path", [*PAGES, "/console/door", "/console/nowhere", "/console/static/console.css"])
def test_an_answer_forbids_what_it_does_not_need(browser: FlaskClient, path: str) -> None:
    """No code or style but our files, no frame around it, no other host."""
    with browser.get(path) as answer:
        headers = answer.headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "back",
    [
        "https://evil.example",
        "//evil.example",
        "/console\\evil",
        "/consoleevil",
        "javascript:evil",
        "/console/../evil",
        "/console/..//evil",
        "/console//evil",
    ],
)
def test_a_change_never_leads_to_another_place(browser: FlaskClient, csrf: Csrf, back: str) -> None:
    answer = browser.post("/console/submit/samples", data={"csrf": csrf(browser), "number": "no", "back": back})
    place = answer.headers.get("Location", "/console")
    assert place.startswith("/console")
    assert "evil" not in place


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_changes_nothing(
    browser: FlaskClient, csrf: Csrf, services: Services, site: str
) -> None:
    """Although it has the token; what it has written is not shown. A page of ours may send the same."""
    form, at = {"csrf": csrf(browser), "number": "5", "name": "Call 555-0100"}, "/console/submit/samples"
    answer = browser.post(at, data=form, headers={"Sec-Fetch-Site": site})
    assert answer.status_code == 403
    assert "A page of another site has sent this" in answer.text
    assert "555-0100" not in answer.text
    assert services.search.recent(services_org(services, browser))[0] == []
    assert browser.post(at, data=form, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303
    assert len(services.search.recent(services_org(services, browser))[0]) == 1


def test_an_unknown_page_is_a_page(browser: FlaskClient) -> None:
    answer = browser.get("/console/nowhere")
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
