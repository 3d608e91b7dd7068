"""Attacks on the console, in a real browser: each is refused, changes nothing, and the person reads what to do.

The foreign pages are real ones: of another host (evil.example), and of another port of the console's own host. A
browser takes the second for the same site, and sends its cookies along.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from html import escape
from urllib.parse import urlencode, urlsplit

import pytest
import requests
from _browser import SignIn, Window
from playwright.sync_api import Browser, Page, expect

from harness.api import Api
from harness.stack import Stack

EXPECTED = ("401", "403", "404", "frame-ancestors")  # a browser notes each such answer as an error
AWAY = (
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example/",
    "/console/..//evil.example",
    "javascript:alert(1)",
)


@pytest.fixture
def evil(org: str) -> str:
    """The address of a host that is nobody's: the org's server answers there, but nobody told the console."""
    return org.replace("127.0.0.1", "evil.example")


@pytest.fixture
def visitor(signed_in: SignIn, org: str, evil: str) -> Iterator[Window]:
    """An operator who is signed in, and looks at pages of others too."""
    made = signed_in("operator", org, org.replace("127.0.0.1", "localhost"), evil)
    yield made
    made.context.close()
    assert [each for each in made.wrong if not any(code in each for code in EXPECTED)] == []


def sends(page: Page, host: str, action: str, fields: dict[str, str], target: str = "") -> None:
    """Let a page of this host send a form, into the window or into a frame of the page."""
    page.goto(f"{host}/services/data")
    inputs = "".join(f'<input type="hidden" name="{name}" value="{escape(text)}">' for name, text in fields.items())
    page.set_content(
        f'<iframe name="frame" width="900" height="500"></iframe><form method="post" action="{action}" '
        f'target="{target}">{inputs}<button>You have won</button></form>'
    )
    page.get_by_role("button", name="You have won").click()


def is_signed_in(page: Page) -> bool:
    page.goto("/console")
    return urlsplit(page.url).path == "/console"


# -- changes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["other site", "same site"])
def test_a_form_of_a_foreign_page_changes_nothing(
    visitor: Window, api: Api, stack: Stack, held: list[str], org: str, evil: str, host: str
) -> None:
    """Not even with the right token, and what the foreign page has written is not shown."""
    page = visitor.page
    token = str(page.locator('input[name="csrf"]').first.input_value())
    for fields in ({}, {"csrf": token}):
        sent = fields | {"name": "Call 555-0100", "back": "/console"}
        sends(page, evil if host == "other site" else org, f"{stack.web_url}/console/jobs/{held[0]}/abort", sent)
        expect(page.get_by_text("A page of another site has sent this. Nothing was changed.")).to_be_visible()
        expect(page.get_by_text("555-0100")).to_have_count(0)
        assert api.job(held[0])["status"] == "Holding"
    page.get_by_role("link", name="To the overview").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


@pytest.mark.parametrize("token", [None, "", "0" * 64])
def test_a_change_without_the_token_of_its_session_is_refused(
    visitor: Window, api: Api, held: list[str], token: str | None
) -> None:
    """The same form of our own page, with its token taken out or changed: the person keeps what was typed."""
    page = visitor.page
    change = "each.remove()" if token is None else f"each.value = '{token}'"
    spoil = f"for (const each of document.querySelectorAll('input[name=csrf]')) {change}"
    page.goto(f"/console/jobs/{held[0]}")
    page.evaluate(spoil)
    page.get_by_role("button", name="Abort…").click()
    page.get_by_role("button", name="Abort the job").click()
    expect(page.get_by_text("This change did not come from a page of this session. Load it again.")).to_be_visible()
    assert api.job(held[0])["status"] == "Holding"
    page.goto("/console/submit")
    page.get_by_label("Condition").fill("Name = 'long and hard to type'")
    page.evaluate(spoil)
    page.get_by_role("button", name="Price them").click()
    expect(page.get_by_text("Name = 'long and hard to type'")).to_be_visible()


def test_a_script_without_the_token_changes_nothing(visitor: Window, api: Api, held: list[str]) -> None:
    """The queue's move as its script sends it, but for the token."""
    page = visitor.page
    page.goto("/console/queue")
    page.evaluate("document.getElementById('queue').dataset.csrf = '0'.repeat(64)")
    page.locator(f"#q-{held[3]} input").fill("1")
    page.locator(f"#q-{held[3]} input").press("Enter")
    expect(page.locator("#refusal")).to_contain_text("Not moved. This change did not come from a page of this session.")
    assert [job["jobId"] for job in api.get("/api/flexqueue")["jobs"] if job["jobId"] in held] == held


# -- signed requests ---------------------------------------------------------------------------------------------------


def signed_by(org: str) -> str:
    """A good signed request of the org, for its operator."""
    answer = requests.get(f"{org}/localorg/canvas", params={"username": "worker@quotejob.example"}, timeout=10)
    return str(answer.json()["signed_request"])


def forged(good: str) -> dict[str, str]:
    """The same request as somebody can write it who does not know the secret."""
    signature, _, payload = good.partition(".")
    said = json.loads(base64.b64decode(payload))
    other = base64.b64encode(json.dumps(said | {"userId": "005000000000009AAA"}).encode()).decode()
    mine = base64.b64encode(hmac.digest(b"a guess", other.encode(), hashlib.sha256)).decode()
    return {"of another secret": f"{mine}.{other}", "changed": f"{signature}.{other}", "not signed": f".{payload}"}


def test_forged_signed_requests_are_refused(visitor: Window, stack: Stack, org: str, evil: str) -> None:
    """Whoever sends them, and in a tab of the org the person reads why."""
    page, door = visitor.page, f"{stack.web_url}/console/canvas"
    visitor.context.clear_cookies()
    for what, request in forged(signed_by(org)).items():
        sends(page, evil, door, {"signed_request": request})
        expect(page.get_by_role("alert").last, what).to_contain_text("The signature of the request is wrong")
        expect(page.get_by_text("In the org, open the tab of this console, or load it again.")).to_be_visible()
        sends(page, org.replace("127.0.0.1", "localhost"), door, {"signed_request": request}, "frame")
        frame = page.frame_locator("iframe")
        expect(frame.get_by_role("alert").last, what).to_contain_text("The signature of the request is wrong")
        expect(frame.get_by_role("link", name="Log in at")).to_have_count(0)
        assert not is_signed_in(page), what
    sends(page, evil, door, {"signed_request": forged(signed_by(org))["changed"]}, "frame")
    is_blocked(page)


def test_a_signed_request_cannot_be_replayed(visitor: Window, stack: Stack, org: str, evil: str) -> None:
    """The first tab works; a second window with the same request has no session, and the person reads what to do."""
    page, door, elsewhere = visitor.page, f"{stack.web_url}/console/canvas", org.replace("127.0.0.1", "localhost")
    visitor.context.clear_cookies()
    fields = {"signed_request": signed_by(elsewhere)}
    sends(page, elsewhere, door, fields, "frame")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Overview")).to_be_visible()
    visitor.context.clear_cookies()
    sends(page, elsewhere, door, fields, "frame")
    expect(frame.get_by_role("alert").last).to_contain_text("This signed request was used. Load the tab again.")
    for host in (org, evil):
        sends(page, host, door, fields)
        expect(page.get_by_role("alert").last).to_contain_text("This signed request was used. Load the tab again.")
    assert not is_signed_in(page)


def test_a_tab_whose_session_has_ended_says_what_to_do(visitor: Window, stack: Stack, org: str) -> None:
    """Not a grey frame: the org may show this page, although nobody is signed in."""
    elsewhere = org.replace("127.0.0.1", "localhost")
    visitor.page.goto(f"{elsewhere}/localorg/canvas")
    frame = visitor.page.frame_locator("iframe")
    expect(frame.get_by_text("Europe/Zurich").first).to_be_visible()  # it is loaded again when the zone is known
    visitor.context.clear_cookies()
    frame.get_by_role("link", name="Jobs", exact=True).click()
    expect(frame.get_by_text("In the org, open the tab of this console, or load it again.")).to_be_visible()
    expect(frame.get_by_role("link", name="Log in at")).to_have_count(0)
    visitor.page.reload()
    expect(frame.get_by_role("heading", name="Overview")).to_be_visible()


# -- frames and ways out -----------------------------------------------------------------------------------------------


def is_blocked(page: Page) -> None:
    """Wait until the browser has refused to show what is in the frame."""
    expect(page.locator("iframe")).to_be_visible()
    page.wait_for_function("frames.length === 1")
    page.wait_for_timeout(500)
    assert page.frames[-1].url.startswith("chrome-error:"), page.frames[-1].url


def test_nobody_else_frames_it(signed_in: SignIn, stack: Stack, evil: str, org: str) -> None:
    """Neither a page of a session, nor the door, nor a refusal is shown in a frame of another site."""
    window = signed_in("operator", evil, org)
    for host, paths in (
        (evil, ("/console", "/console/door", "/console/canvas", "/console/nowhere", "/docs")),
        (org, ("/console",)),  # its cookie is sent
    ):
        for path in paths:
            window.page.goto(f"{host}/services/data")
            window.page.set_content(f'<iframe src="{stack.web_url}{path}"></iframe>')
            is_blocked(window.page)
    window.context.close()
    assert len([each for each in window.wrong if "frame-ancestors" in each]) == 6


@pytest.mark.parametrize("away", AWAY)
def test_a_form_leads_to_no_other_place(visitor: Window, held: list[str], stack: Stack, away: str) -> None:
    """The way back of a form, changed by somebody."""
    page = visitor.page
    page.goto(f"/console/queue?back={away}")
    page.goto("/console/jobs?show=holding")
    page.evaluate(
        "(away) => { for (const each of document.querySelectorAll('input[name=back]')) each.value = away }", away
    )
    page.locator(f"#job-{held[0]} input").check()
    page.get_by_role("button", name="Abort 1…").click()
    page.get_by_role("button", name="Abort the jobs").click()
    expect(page.get_by_role("status").first).to_contain_text("Aborted 1 of 1 jobs.")
    assert page.url == f"{stack.web_url}/console"


def test_a_login_leads_to_no_other_place(chromium: Browser, stack: Stack, org: str) -> None:
    """Neither to a place that is not set, nor back to one that somebody adds, nor with somebody else's code."""
    window = Window(chromium, stack.web_url, org)
    page = window.page
    page.goto(f"/console/login/{urlsplit(org.replace('127.0.0.1', 'evil.example')).netloc}")
    expect(page.get_by_text("Nobody logs in there.")).to_be_visible()
    added = urlencode(dict.fromkeys(("back", "next", "redirect_uri", "state", "retURL", "startURL"), AWAY[0]))
    page.goto(f"/console/login/back?code=theirs&{added}")
    expect(page.get_by_role("alert").last).to_contain_text("This login did not begin in this browser")
    page.goto(f"/console/door?{added}")
    page.get_by_role("link", name="Log in at").click()
    page.get_by_label("Username").fill("worker@quotejob.example")
    page.get_by_label("Password").fill("any")
    page.get_by_role("button", name="Log In").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert page.url == f"{stack.web_url}/console"
    page.goto(f"/console/login/{urlsplit(org).netloc}?{added}")
    page.get_by_label("Username").fill("worker@quotejob.example")
    page.get_by_label("Password").fill("any")
    page.get_by_role("button", name="Log In").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert page.url == f"{stack.web_url}/console"
    window.context.close()
    assert [each for each in window.wrong if not any(code in each for code in EXPECTED)] == []


@pytest.mark.parametrize("path", ["//evil.example/console", "/console//evil.example/", "/\\evil.example/console/"])
def test_an_address_leads_to_no_other_place(visitor: Window, stack: Stack, path: str) -> None:
    visitor.page.goto(f"{stack.web_url}{path}")
    assert visitor.page.url.startswith(f"{stack.web_url}/")


def test_links_lead_to_the_console_and_to_the_org_only(
    visitor: Window, stack: Stack, api: Api, org: str, held: list[str]
) -> None:
    """On each page, with a job whose names and clause are links that somebody would like people to follow."""
    link = '"><a href="https://evil.example/">javascript:alert(1)</a>'
    clause = "Name = 'javascript:alert(1) https://evil.example/'"
    job = api.post("/api/executebatch", {"soqlWhereClause": clause, "name": link[:80], "dependsOn": [held[0]]})["jobId"]
    page = visitor.page
    for path in (
        "",
        "/jobs",
        f"/jobs/{job}",
        f"/jobs/{held[0]}",
        "/queue",
        "/schedules",
        "/health",
        "/audit",
        "/submit",
    ):
        page.goto(f"/console{path}", wait_until="networkidle")
        places = set(page.evaluate("[...document.links].map((each) => new URL(each.href).origin)"))
        assert places <= {stack.web_url, org, stack.flower_url}, path
        assert page.locator('[href*="evil.example" i], [href^="javascript" i]').count() == 0, path
    api.post(f"/api/jobs/{job}/abort")
