"""An operator's window, and jobs that wait: for the tests of the console in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from _browser import SignIn, Window
from playwright.sync_api import Browser, Page, expect

from harness.api import Api
from harness.stack import Stack

expect.set_options(timeout=30_000)
LATER = "2099-01-01T00:00:00Z"


@pytest.fixture
def signed_in(chromium: Browser, stack: Stack, api: Api) -> SignIn:
    """``signed_in("viewer")``: a window after a one-time link. Whoever calls it closes it."""

    def make(role: str = "operator", *hosts: str, **options: object) -> Window:
        made = Window(chromium, stack.web_url, *hosts, **options)
        made.page.goto(api.post(f"/console/link?role={role}")["url"])
        expect(made.page.get_by_role("heading", name="Overview")).to_be_visible()
        return made

    return make


@pytest.fixture
def window(signed_in: SignIn) -> Iterator[Window]:
    """An operator's window, signed in. Whatever it complains of fails the test."""
    made = signed_in()
    yield made
    made.context.close()
    assert made.wrong == []


@pytest.fixture
def page(window: Window) -> Page:
    return window.page


@pytest.fixture
def org(stack: Stack) -> str:
    """The address of the org."""
    assert stack.org
    return stack.org.url


@pytest.fixture
def held(api: Api, name: str) -> Iterator[list[str]]:
    """Four jobs that wait for a time; aborted afterwards."""
    asked = [{"soqlWhereClause": "Id != null", "name": f"{name} {n}", "notBefore": LATER} for n in range(4)]
    made = [str(api.post("/api/executebatch", each)["jobId"]) for each in asked]
    yield made
    for each in made:
        api.request("POST", f"/api/jobs/{each}/abort")
