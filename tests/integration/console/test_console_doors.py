"""The doors at the org: the login, the tab, and who is signed in. The local org plays the other side."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import api
import console
from console import sessions
from harness.api import LocalOrg
from quotejob.services import Services
from quotejob.settings import Settings

SECRET = "the-tabs-secret"
OPERATOR, READER = "worker@quotejob.example", "reader@quotejob.example"
Csrf = Callable[[FlaskClient], str]


def cookie_of(answer: TestResponse, name: str = "quotejob_console") -> str:
    return next((line for line in answer.headers.getlist("Set-Cookie") if line.startswith(f"{name}=")), "")


def host(org: LocalOrg) -> str:
    return urlsplit(org.url).netloc


# -- the login ---------------------------------------------------------------------------------------------------------


def asked(browser: FlaskClient, org: LocalOrg) -> str:
    """Begin a login; the address to which the browser is sent."""
    answer = browser.get(f"/console/login/{host(org)}")
    assert answer.status_code == 303
    return answer.headers["Location"]


def approved(address: str, username: str) -> str:
    """Log in at the local org; the path to which it sends the browser back."""
    sent = {"username": username, "pw": "any"}
    answer = requests.post(address, data=sent, timeout=10, allow_redirects=False)
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["Location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == "http://localhost/console/login/back"
    return f"{back.path}?{back.query}"


@pytest.mark.parametrize(("username", "role"), [(OPERATOR, "operator"), (READER, "viewer")])
def test_a_person_logs_in_at_the_org(
    app: Flask, services: Services, local_org: LocalOrg, username: str, role: str
) -> None:
    """By a code with PKCE. What the person may do is by the setting, or by a permission in the org."""
    browser = app.test_client()
    address = asked(browser, local_org)
    said = parse_qs(urlsplit(address).query)
    assert address.startswith(f"{local_org.url}/services/oauth2/authorize?")
    assert (said["code_challenge_method"], said["response_type"]) == (["S256"], ["code"])
    answer = browser.get(approved(address, username))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console")
    assert {"HttpOnly", "SameSite=Lax", "Path=/console"} <= set(cookie_of(answer).split("; "))
    assert f"{username}, {role}" in browser.get("/console").text


@pytest.fixture
def permission(local_org: LocalOrg) -> Iterator[None]:
    """The reader has the custom permission of operators."""
    address, given = f"{local_org.url}/localorg/permissions", {"username": READER}
    for names in (["QuoteJobOperator"], []):
        requests.post(address, json=given | {"customPermissions": names}, timeout=10).raise_for_status()
        if names:
            yield


@pytest.mark.usefixtures("permission")
def test_a_permission_in_the_org_makes_an_operator(app: Flask, services: Services, local_org: LocalOrg) -> None:
    browser = app.test_client()
    browser.get(approved(asked(browser, local_org), READER))
    assert f"{READER}, operator" in browser.get("/console").text


def test_a_login_ends_where_it_began(app: Flask, services: Services, local_org: LocalOrg) -> None:
    """Not in another browser, not with another state, not a second time."""
    browser, other = app.test_client(), app.test_client()
    path = approved(asked(browser, local_org), OPERATOR)
    assert other.get(path).status_code == 403
    asked(other, local_org)
    assert other.get(path).status_code == 403
    assert browser.get(re.sub("state=[^&]+", "state=x", path)).status_code == 403
    assert browser.get(path).status_code == 303
    again = browser.get(path)
    assert (again.status_code, cookie_of(again)) == (403, "")


def test_a_code_of_another_login_is_refused(app: Flask, services: Services, local_org: LocalOrg) -> None:
    """The verifier of this browser does not fit to a code that somebody else was given."""
    browser, other = app.test_client(), app.test_client()
    mine, theirs = (parse_qs(urlsplit(approved(asked(each, local_org), OPERATOR)).query) for each in (browser, other))
    mixed = urlencode({"code": theirs["code"][0], "state": mine["state"][0]})
    answer = browser.get(f"/console/login/back?{mixed}")
    assert (answer.status_code, cookie_of(answer)) == (401, "")
    assert "invalid code verifier" in answer.text


def test_what_the_org_says_of_a_login_is_text(app: Flask, services: Services, local_org: LocalOrg) -> None:
    browser = app.test_client()
    state = parse_qs(urlsplit(asked(browser, local_org)).query)["state"][0]
    said = urlencode({"state": state, "error": "access_denied", "error_description": "<b>end-user denied</b>"})
    answer = browser.get(f"/console/login/back?{said}")
    assert "&lt;b&gt;end-user denied&lt;/b&gt;" in answer.text


@pytest.mark.parametrize("place", ["evil.example", "acme.my.salesforce.com.evil.example", "evil.example%2f", "back"])
def test_nobody_is_sent_to_another_place(app: Flask, place: str) -> None:
    answer = app.test_client().get(f"/console/login/{place}")
    assert "evil" not in answer.headers.get("Location", "")
    assert answer.status_code in (403, 404)


def other_app(settings: Settings, **changes: Any) -> Flask:
    made = api.create_app(replace(settings, doors=replace(settings.doors, **changes)))
    console.install(made)
    return made


@pytest.mark.usefixtures("logging_restored")
def test_an_org_that_is_not_listed_stays_outside(settings: Settings, services: Services, local_org: LocalOrg) -> None:
    """By each door, although the login and the signature are good."""
    app = other_app(settings, orgs=frozenset({"00D000000000000"}))
    browser = app.test_client()
    for answer in (browser.get(approved(asked(browser, local_org), OPERATOR)), post(app, tab(app, local_org))):
        assert (answer.status_code, cookie_of(answer)) == (403, "")
        assert f"not open to the org {local_org.org_id}" in answer.text


@pytest.mark.usefixtures("logging_restored")
def test_without_settings_these_doors_are_closed(settings: Settings, local_org: LocalOrg) -> None:
    client = other_app(settings, client_id=None, canvas_secret=None).test_client()
    assert client.get(f"/console/login/{host(local_org)}").status_code == 404
    assert client.post("/console/canvas", data={"signed_request": ""}).status_code == 404
    page = client.get("/console/door").text
    assert "Log in at" not in page
    assert "open the tab" not in page


def test_behind_https_the_cookie_is_secure(settings: Settings, services: Services, logging_restored: None) -> None:
    """Although a proxy speaks http with us."""
    client = other_app(settings, url="https://console.example").test_client()
    [login] = [each for each in settings.doors.logins if each.startswith("http:")]
    assert "Secure" in cookie_of(client.get(f"/console/login/{urlsplit(login).netloc}"), "quotejob_login").split("; ")


# -- the tab -----------------------------------------------------------------------------------------------------------


def tab(app: Flask, org: LocalOrg, username: str = OPERATOR) -> dict[str, Any]:
    """What the org says in the signed request of its tab."""
    requests.post(
        f"{org.url}/localorg/canvas",
        json={"url": "http://localhost/console/canvas", "consumerSecret": SECRET},
        timeout=10,
    ).raise_for_status()
    answer = requests.get(f"{org.url}/localorg/canvas", params={"username": username}, timeout=10).json()
    said: dict[str, Any] = json.loads(base64.b64decode(answer["signed_request"].partition(".")[2]))
    return said


def signed(said: object, secret: str = SECRET) -> str:
    payload = base64.b64encode(json.dumps(said).encode())
    return f"{base64.b64encode(hmac.digest(secret.encode(), payload, hashlib.sha256)).decode()}.{payload.decode()}"


def post(app: Flask, said: object, secret: str = SECRET) -> TestResponse:
    return app.test_client().post("/console/canvas", data={"signed_request": signed(said, secret)})


def test_the_tab_of_the_org_is_a_session(app: Flask, services: Services, local_org: LocalOrg) -> None:
    """Its cookie is for frames, and its pages may be framed by that org only."""
    said, browser = tab(app, local_org), app.test_client()
    answer = browser.post("/console/canvas", data={"signed_request": signed(said)})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console")
    assert {"HttpOnly", "Secure", "SameSite=None", "Partitioned"} <= set(cookie_of(answer).split("; "))
    page = browser.get("/console", base_url="https://localhost")
    assert f"{OPERATOR}, operator" in page.text
    assert page.headers["Content-Security-Policy"].endswith(f"frame-ancestors {local_org.url}")


def test_a_signed_request_works_once(app: Flask, services: Services, local_org: LocalOrg) -> None:
    """Also when its signature is written in another way, which base64 allows."""
    request = signed(tab(app, local_org))
    assert app.test_client().post("/console/canvas", data={"signed_request": request}).status_code == 303
    signature, _, payload = request.partition(".")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = signature[:-2] + letters[letters.index(signature[-2]) ^ 1] + "="
    for again in (request, f"{other}.{payload}"):
        answer = app.test_client().post("/console/canvas", data={"signed_request": again})
        assert (answer.status_code, cookie_of(answer)) == (401, "")
        assert "was used" in answer.text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"algorithm": "none"}, "another algorithm"),
        ({"algorithm": None}, "another algorithm"),
        ({"issuedAt": time.time() - 3600}, "too old"),
        ({"issuedAt": time.time() + 3600}, "too old"),
        ({"issuedAt": None}, "too old"),
        ({"issuedAt": True}, "too old"),
        ({"userId": "005000000000009"}, "not of the user"),
        ({"client": {}}, "another form"),
        ({"context": []}, "another form"),
    ],
)
def test_a_signed_request_that_is_not_right_is_refused(
    app: Flask, services: Services, local_org: LocalOrg, change: dict[str, Any], reason: str
) -> None:
    answer = post(app, tab(app, local_org) | change)
    assert (answer.status_code, cookie_of(answer)) == (401, "")
    assert reason in answer.text


def test_a_signature_cannot_be_made_up(app: Flask, services: Services, local_org: LocalOrg) -> None:
    said = tab(app, local_org)
    payload = signed(said).partition(".")[2]
    assert post(app, said, "another secret").status_code == 401
    for forged in (f".{payload}", f"AAAA.{payload}", payload, "", "ü.ü", signed([]), signed("x"), f"{signed(said)}A"):
        answer = app.test_client().post("/console/canvas", data={"signed_request": forged})
        assert (answer.status_code, cookie_of(answer)) == (401, ""), forged


def test_a_signed_request_sends_no_token_elsewhere(app: Flask, services: Services, local_org: LocalOrg) -> None:
    """The host of the org has to be an allowed one, and the org has to know the token."""
    said = tab(app, local_org)
    for url, status in (("https://evil.example", 403), ("http://127.0.0.1.evil.example", 403)):
        assert post(app, said | {"client": said["client"] | {"instanceUrl": url}}).status_code == status
    assert post(app, said | {"client": said["client"] | {"oauthToken": "00D!none"}}).status_code == 401


def test_the_tab_says_how_to_set_it_up(app: Flask) -> None:
    """An org sends GET if its users have to approve the app first."""
    answer = app.test_client().get("/console/canvas?_sfdc_canvas_authvalue=user_approval_required")
    assert "Permitted Users" in answer.text


@pytest.mark.parametrize(
    ("org", "frames"),
    [
        ("acme", "acme.lightning.force.com acme.my.salesforce-setup.com acme--c.vf.force.com"),
        (
            "acme--dev.sandbox",
            "acme--dev.sandbox.lightning.force.com acme--dev.sandbox.my.salesforce-setup.com "
            "acme--dev--c.sandbox.vf.force.com",
        ),
    ],
)
def test_only_the_orgs_own_hosts_frame_it(org: str, frames: str) -> None:
    own = f"https://{org}.my.salesforce.com"
    assert console.pages.hosts_of(own) == [own, *(f"https://{each}" for each in frames.split())]


def test_a_refusal_in_a_tab_can_be_read_there(app: Flask, settings: Settings, logging_restored: None) -> None:
    """In a frame of an org, whichever it is, and nowhere else; without a link, because no login works in a frame."""
    in_frame, alone = {"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Dest": "document"}
    for asked, links in ((in_frame, False), (alone, True)):
        answer = app.test_client().post("/console/canvas", data={"signed_request": "x"}, headers=asked)
        framed = answer.headers["Content-Security-Policy"].partition("frame-ancestors ")[2].split()
        assert ("https://*.lightning.force.com" in framed) != links
        assert (framed == ["'none'"]) == links
        assert ("Log in at" in answer.text) == links
    deployed = other_app(settings, url="https://console.example")
    deployed.extensions["quotejob"] = replace(settings, local_org=False)
    answer = deployed.test_client().get("/console/door", headers=in_frame)
    framed = answer.headers["Content-Security-Policy"].partition("frame-ancestors ")[2].split()
    assert "https://*.my.salesforce.com" in framed
    assert not [each for each in framed if not each.startswith("https://*.")]
    no_tab = other_app(settings, canvas_secret=None).test_client().get("/console/door", headers=in_frame)
    assert no_tab.headers["Content-Security-Policy"].endswith("frame-ancestors 'none'")


# -- sessions ----------------------------------------------------------------------------------------------------------


def test_signing_out_of_the_tab_stays_in_the_tab(
    app: Flask, services: Services, local_org: LocalOrg, csrf: Csrf
) -> None:
    browser = app.test_client()
    browser.post("/console/canvas", data={"signed_request": signed(tab(app, local_org))})
    answer = browser.post("/console/leave", data={"csrf": csrf(browser)})
    assert "You are signed out." in answer.text
    assert answer.headers["Content-Security-Policy"].endswith(f"frame-ancestors {local_org.url}")
    assert browser.get("/console").status_code == 303


def test_an_operator_ends_the_session_of_another(
    app: Flask, browser: FlaskClient, viewer: FlaskClient, csrf: Csrf
) -> None:
    """At once. A viewer cannot, and an id that is made up does nothing."""
    page = browser.get("/console/audit").text
    people = re.findall(r'name="id" value="([0-9a-f]{64})"', page)
    assert "viewer, by a link" in page
    for each in ("x", "0" * 64):
        browser.post("/console/people/end", data={"csrf": csrf(browser), "id": each})
    assert viewer.post("/console/people/end", data={"csrf": csrf(viewer), "id": people[0]}).status_code == 403
    assert viewer.get("/console").status_code == browser.get("/console").status_code == 200
    mine = hashlib.sha256(browser.get_cookie("quotejob_console", path="/console").value.encode()).hexdigest()  # type: ignore[union-attr]
    for each in set(people) - {mine}:
        assert browser.post("/console/people/end", data={"csrf": csrf(browser), "id": each}).status_code == 303
    assert viewer.get("/console").headers["Location"] == "/console/door"
    assert "viewer, by a link" not in browser.get("/console/audit").text


def test_a_session_does_not_last_for_ever(
    browser: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hours after the last page, twelve after it began; polling does not count."""
    cookie = browser.get_cookie("quotejob_console", path="/console")
    assert cookie
    key = f"quotejob:console:session:{hashlib.sha256(cookie.value.encode()).hexdigest()}"
    services.client.expire(key, 60)
    browser.get("/console/part/now", headers={"HX-Request": "true"})
    assert int(services.client.ttl(key)) <= 60
    browser.get("/console")
    assert sessions.LASTS - 60 < int(services.client.ttl(key)) <= sessions.LASTS
    real = time.time()
    monkeypatch.setattr("console.sessions.time.time", lambda: real + sessions.LONGEST - 30)
    browser.get("/console")
    assert int(services.client.ttl(key)) <= 30
    services.client.delete(key)
    assert browser.get("/console").headers["Location"] == "/console/door"
    assert browser.get("/console/part/now", headers={"HX-Request": "true"}).status_code == 401
