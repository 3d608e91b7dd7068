"""The Lightning components in a real browser: with the base components, a real API, workers and the local org.

Set ORG_PICTURES to write the pictures of docs/org anew.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _browser import Window
from playwright.sync_api import Browser, Page, expect

from harness.api import Api
from harness.npm import ToolError
from harness.org_reader import OrgReader
from harness.orgside.bridge import bridge, build
from harness.process import ROOT
from harness.stack import Stack

expect.set_options(timeout=90_000)  # seconds; half a minute more if the org did not answer in time once
PICTURES = ROOT / "docs" / "org" if os.environ.get("ORG_PICTURES") else None
LATER = "2099-01-01T00:00:00Z"
pytestmark = pytest.mark.timeout(1000)  # the first test may have to install the packages


@pytest.fixture(scope="module")
def address(stack: Stack, api: Api, optional_tool: Callable[[str], str]) -> Iterator[str]:
    """Where the page with the components is."""
    optional_tool("npm")
    assert stack.org
    try:
        built = build(ROOT)
    except ToolError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    with bridge(built, ROOT, api, stack.org) as found:
        yield found


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """A window. Whatever it complains of fails the test."""
    window = Window(chromium, address, viewport={"width": 1100, "height": 900})
    yield window.page
    window.context.close()
    assert window.wrong == []


@pytest.fixture
def submit(api: Api) -> Iterator[Callable[..., str]]:
    """``submit(name, clause, notBefore=...)``: the id of a new job. Those that still wait are aborted afterwards."""
    made: list[str] = []

    def send(name: str, clause: str, **more: Any) -> str:
        body = {"name": name, "soqlWhereClause": clause, **more}
        made.append(str(api.post("/api/executebatch", body)["jobId"]))
        return made[-1]

    yield send
    for each in made:
        api.request("POST", f"/api/jobs/{each}/abort")


def until(true: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert true()


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.locator("main").screenshot(path=PICTURES / f"{name}.png")


def test_three_jobs_move_one_is_aborted_and_a_failed_one_says_why(
    page: Page, api: Api, reader: OrgReader, make_opportunity: Callable[..., str], submit: Callable[..., str], name: str
) -> None:
    """Nothing is loaded again by hand: events of the org move the list."""
    for number in range(3):
        make_opportunity(f"{name} {number}")
    reader.update("Opportunity", make_opportunity(f"{name} never"), {"CloseDate": "4000-12-31"})
    stays = submit(f"{name} waits", "Id != null", notBefore=LATER)
    its_end = {"dependsOn": [stays], "dependsOnOutcome": "Finished"}
    moving = [submit(f"{name} moves {n}", f"Name = '{name} {n}'", **its_end) for n in range(3)]
    page.goto("/")
    for job in [*moving, stays]:
        expect(page.locator(f"section[data-job='{job}']")).to_contain_text("Holding")
    page.locator(f"lightning-button[data-job='{stays}'][data-step='abort'] button").click()
    expect(page.locator(f"section[data-job='{stays}']")).to_contain_text("Aborted")
    for job in moving:
        section = page.locator(f"section[data-job='{job}']")
        expect(section).to_contain_text("Completed, pages 1 of 1, 1 succeeded")
        expect(section.locator("[role=progressbar]")).to_have_attribute("aria-valuenow", "100")
    assert [api.job(job)["status"] for job in [*moving, stays]] == ["Completed"] * 3 + ["Aborted"]
    failing = submit(f"{name} fails", f"Name = '{name} never'")
    follows = submit(f"{name} follows", "Id != null", dependsOn=[stays])
    expect(page.locator(f"section[data-job='{follows}']")).to_contain_text(str(api.job(follows)["extendedStatus"]))
    section = page.locator(f"section[data-job='{failing}']")
    section.get_by_role("button", name="Why did records fail?").click()
    expect(section.get_by_role("table", name="Reasons").locator("tbody")).to_contain_text("UNPRICEABLE: CloseDate")
    picture(page, "jobs")


def test_the_queue_is_reordered_by_buttons_and_keys(
    page: Page, api: Api, reader: OrgReader, submit: Callable[..., str], name: str
) -> None:
    """The queue of quotejob changes, and so do the records that the list is made of."""
    jobs = [submit(f"{name} {letter}", "Id != null", notBefore=LATER) for letter in "abc"]

    def order() -> list[str]:
        return [job["jobId"] for job in api.get("/api/flexqueue")["jobs"] if job["jobId"] in jobs]

    def records() -> list[str]:
        waiting = "SELECT JobId__c FROM QuoteJob__c WHERE Status__c = 'Holding' ORDER BY Position__c NULLS LAST"
        return [row["JobId__c"] for row in reader.query(waiting) if row["JobId__c"] in jobs]

    until(lambda: records() == jobs)
    page.goto("/#queue")
    expect(page.locator(f"li[data-job='{jobs[2]}']")).to_be_visible()
    page.locator(f"li[data-job='{jobs[2]}']").get_by_role("button", name="Move up").click()
    expect(page.locator("[aria-live]")).to_contain_text(f"{name} c is at position")
    assert order() == [jobs[0], jobs[2], jobs[1]]
    page.locator(f"li[data-job='{jobs[0]}']").press("Alt+ArrowDown")
    expect(page.locator("[aria-live]")).to_contain_text(f"{name} a is at position")
    assert order() == [jobs[2], jobs[0], jobs[1]]
    picture(page, "queue")
    expect(page.locator("li[data-job] > span").filter(has_text=name)).to_have_text(
        [f"{name} {letter}" for letter in "cab"]
    )
    until(lambda: records() == [jobs[2], jobs[0], jobs[1]])
