"""The console in a real browser: every page, by mouse and by keys, while jobs run and the queue moves."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _browser import SignIn, Window, install_axe
from playwright.sync_api import Browser, Page, Request, expect

from harness.api import Api, Json
from harness.org_reader import OrgReader
from harness.stack import Stack

HTML = "<img src=x onerror=alert(1)><b>bold</b>"
PICTURES = Path(__file__).parents[3] / "docs" / "console" if os.environ.get("CONSOLE_PICTURES") else None


@pytest.fixture(scope="module")
def axe(optional_tool: Callable[[str], str]) -> None:
    """axe-core is there."""
    install_axe(optional_tool("npm"))


def ended(api: Api, job_id: str) -> Json:
    return api.follow(job_id, 60)


def test_a_job_goes_from_its_clause_to_its_end(page: Page, make_opportunity: Callable[..., str], name: str) -> None:
    """The org checks the clause while it is typed; the job's page shows its end without being loaded again."""
    for number in range(3):
        make_opportunity(f"{name} {number}")
    page.goto("/console/submit")
    clause = page.get_by_label("Condition")
    clause.fill("Nme = 'x'")
    expect(page.locator("#checked")).to_contain_text("No such column 'Nme' on entity 'Opportunity'")
    clause.fill(f"Name LIKE '{name}%'")
    expect(page.locator("#checked")).to_contain_text("3 Opportunities match")
    page.get_by_label("Name, if you like").fill(HTML)
    page.get_by_role("button", name="Price them").click()
    page.evaluate("window.notLoadedAgain = true")
    expect(page.get_by_role("heading", level=1)).to_have_text(HTML)
    expect(page.locator("#progress .sub")).to_contain_text("Completed")
    expect(page.locator("#progress")).to_contain_text("3 of 3 Opportunities")
    assert page.evaluate("window.notLoadedAgain")
    page.get_by_role("link", name="Run again…").click()
    expect(page.get_by_label("Name, if you like")).to_have_value(HTML)
    expect(page.locator("#checked")).to_contain_text("3 Opportunities match")


def test_failed_records_are_grouped_and_retried(
    page: Page, api: Api, reader: OrgReader, make_opportunity: Callable[..., str], name: str, tmp_path: Path
) -> None:
    """The reason as text whatever is in it, the records as CSV, and after they are mended a Quote for each."""
    bad = [make_opportunity(f"{name} {HTML} {number}") for number in range(2)]
    for each in bad:
        reader.update("Opportunity", each, {"CloseDate": "4000-12-31"})
    job = ended(api, api.submit(f"Name LIKE '{name}%'"))
    assert job["records"]["failed"] == 2
    page.goto(f"/console/jobs/{job['jobId']}")
    reason = page.locator("#why li")
    expect(reason).to_have_count(1)
    expect(reason.locator(".n")).to_have_text("2")
    expect(reason).to_contain_text(f"{name} {HTML} 0")
    with page.expect_download() as download:
        reason.get_by_role("link", name="CSV").click()
    download.value.save_as(tmp_path / "failed.csv")
    rows = list(csv.DictReader((tmp_path / "failed.csv").read_text().splitlines()))
    assert {row["recordId"] for row in rows} == set(bad)
    for each in bad:
        reader.update("Opportunity", each, {"CloseDate": "2027-01-31"})
    page.get_by_role("button", name="Retry these").click()
    expect(page.get_by_role("status").first).to_contain_text("This new job retries the failed records")
    expect(page.locator("#progress")).to_contain_text("2 of 2 Opportunities")
    expect(page.locator("#progress .sub")).to_contain_text("Completed")
    assert page.url != f"/console/jobs/{job['jobId']}"
    quotes = list(reader.query(f"SELECT OpportunityId FROM Quote WHERE Opportunity.Name LIKE '{name}%'"))
    assert sorted(quote["OpportunityId"] for quote in quotes) == sorted(bad)


def order(api: Api, held: list[str]) -> list[int]:
    """The numbers of the held jobs, in their order in the queue."""
    return [held.index(job["jobId"]) for job in api.get("/api/flexqueue")["jobs"] if job["jobId"] in held]


def name_of(api: Api, job_id: str) -> str:
    return str(api.job(job_id)["name"])


def test_the_queue_is_reordered_by_mouse_keys_and_numbers(page: Page, api: Api, held: list[str]) -> None:
    """Each of the three ways, and Esc, which changes nothing."""
    page.goto("/console/queue")
    rows = [page.locator(f"#q-{job_id}") for job_id in held]
    place = int(rows[0].locator("input").input_value())

    def dragged(row: int, onto: int) -> None:
        rows[row].locator(".hnd").hover()
        page.mouse.down()
        box = rows[onto].bounding_box()
        assert box
        page.mouse.move(box["x"] + 20, box["y"] + box["height"] - 4, steps=20)
        expect(page.locator("#held")).to_be_visible()
        expect(page.locator(f"#q-{held[onto]} + #q-{held[row]}")).to_be_attached()

    dragged(0, 2)
    page.mouse.up()
    expect(page.locator("#live-region")).to_contain_text("is at place")
    assert order(api, held) == [1, 2, 0, 3]

    rows[3].locator(".hnd").focus()
    for key in ("Space", "ArrowUp", "ArrowUp", "Space"):
        page.keyboard.press(key)
    expect(page.locator("#live-region")).to_contain_text(f"is at place {place + 1} of")
    assert order(api, held) == [1, 3, 2, 0]
    expect(rows[3].locator(".hnd")).to_be_focused()

    for key in ("Space", "Home", "Escape"):
        page.keyboard.press(key)
    expect(page.locator("#live-region")).to_have_text("Left as it was")
    assert order(api, held) == [1, 3, 2, 0]

    rows[0].locator("input").fill(str(place))
    rows[0].locator("input").press("Enter")
    expect(page.locator("#live-region")).to_contain_text(f"is at place {place} of")
    assert order(api, held) == [0, 1, 3, 2]

    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#live-region")).to_contain_text(f"is at place {place + 3} of")
    assert order(api, held) == [1, 3, 2, 0]
    expect(page.locator("#undo")).to_be_hidden()

    rows[2].get_by_role("button", name="Make next").click()
    expect(page.locator("#undo")).to_contain_text(f"{name_of(api, held[2])} is moved.")
    page.keyboard.press("u")
    expect(page.locator("#undo")).to_be_hidden()
    expect(rows[2].locator(".hnd")).to_be_focused()
    expect(page.locator(f"#q-{held[3]} + #q-{held[2]}")).to_be_attached()
    assert order(api, held) == [1, 3, 2, 0]


def test_the_queue_moves_while_a_job_is_moved(window: Window, api: Api, held: list[str]) -> None:
    """What changes meanwhile is shown when the job is put down; a job that has left the queue is explained."""
    page = window.page
    page.goto("/console/queue")
    rows = [page.locator(f"#q-{job_id}") for job_id in held]
    rows[2].locator(".hnd").focus()
    page.keyboard.press("Space")
    api.post(f"/api/jobs/{held[3]}/abort")
    page.wait_for_timeout(3000)  # longer than it takes to ask again
    expect(rows[3]).to_be_visible()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    expect(rows[3]).to_have_count(0)
    assert order(api, held) == [0, 2, 1]
    page.keyboard.press("Space")
    api.post(f"/api/jobs/{held[2]}/abort")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    expect(page.locator("#refusal")).to_contain_text("Not moved: the queue was faster.")
    expect(page.locator("#refusal")).to_contain_text("is Aborted")
    expect(rows[2]).to_have_count(0)
    window.wrong = [each for each in window.wrong if "409" not in each]


def test_the_jobs_before_and_after_are_a_graph(page: Page, api: Api, held: list[str], name: str) -> None:
    """It shows what becomes of them without a reload, and leads to them; names stay text."""
    asked = {"soqlWhereClause": "Id = null", "name": HTML, "dependsOn": held[:2], "dependsOnOutcome": "Finished"}
    later = api.post("/api/executebatch", asked)["jobId"]
    page.goto(f"/console/jobs/{later}")
    expect(page.locator("#graph li")).to_have_count(3)
    expect(page.locator(f"#dep-{later}")).to_contain_text(f"after {name} 0 and {name} 1")
    expect(page.locator("#progress .al.in")).to_contain_text(f"Waits for job {name} 0")
    api.post(f"/api/jobs/{held[0]}/abort")
    expect(page.locator(f"#dep-{held[0]}")).to_contain_text("Aborted")
    page.locator("#graph").get_by_role("link", name=f"{name} 1").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{name} 1")
    expect(page.locator(f"#dep-{later}")).to_contain_text(f"{HTML}")
    api.post(f"/api/jobs/{later}/abort")


def test_ticked_jobs_are_aborted_after_a_question(page: Page, api: Api, held: list[str]) -> None:
    page.goto("/console/jobs?show=holding")
    for each in held[:2]:
        page.locator(f"#job-{each} input").check()
    expect(page.locator("#bulk")).to_contain_text("2 selected")
    page.get_by_role("button", name="Abort 2…").click()
    page.get_by_role("button", name="Let them run").click()
    assert api.job(held[0])["status"] == "Holding"
    page.get_by_role("button", name="Abort 2…").click()
    page.get_by_role("button", name="Abort the jobs").click()
    expect(page.get_by_role("status").first).to_contain_text("Aborted 2 of 2 jobs.")
    assert [api.job(each)["status"] for each in held] == ["Aborted", "Aborted", "Holding", "Holding"]
    assert page.url.endswith("show=holding")


def test_all_jobs_that_match_are_aborted_and_resumed(page: Page, api: Api, held: list[str], name: str) -> None:
    """The question has their number; if more match by then, nothing is changed."""
    page.goto(f"/console/jobs?q={name}")
    page.get_by_role("button", name="Abort all 4 that match…").click()
    more = api.post(
        "/api/executebatch", {"soqlWhereClause": "Id = null", "name": name, "notBefore": "2099-01-01T00:00:00Z"}
    )["jobId"]
    page.get_by_role("button", name="Abort 4", exact=True).click()
    expect(page.get_by_role("alert").last).to_contain_text("More jobs match now than the question said.")
    assert {api.job(each)["status"] for each in held} == {"Holding"}
    page.get_by_role("button", name="Abort all 5 that match…").click()
    page.get_by_role("button", name="Abort 5", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("Aborted 5 of 5 jobs.")
    page.get_by_role("button", name="Resume all 5 that match…").click()
    page.get_by_role("button", name="Resume 5", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("Resumed 5 of 5 jobs.")
    assert {api.job(each)["status"] for each in (*held, more)} == {"Holding"}
    api.post(f"/api/jobs/{more}/abort")


def test_a_schedule_from_its_first_to_its_last_day(page: Page, api: Api, name: str) -> None:
    """Created, changed, paused, resumed, run now, deleted."""
    page.goto("/console/schedules/new")
    page.get_by_label("Name", exact=True).fill(f"{name} {HTML}")
    page.get_by_label("Expression").fill("0 0 25 * * ?")
    expect(page.locator("#fires")).to_contain_text("Hours")
    page.get_by_label("Expression").fill("0 0 22 ? * MON-FRI")
    expect(page.locator("#fires .row2")).to_have_count(5)
    expect(page.locator("#fires")).to_contain_text("At 22:00, Monday through Friday")
    page.get_by_label("Opportunities WHERE").fill(f"Name LIKE '{name}%'")
    page.get_by_label("AppLink authorization").fill("worker")
    page.get_by_role("button", name="Create the schedule").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{name} {HTML}")
    page.get_by_role("link", name="Change").click()
    page.get_by_label("Expression").fill("0 30 21 ? * MON-FRI")
    page.get_by_role("button", name="Change the schedule").click()
    expect(page.locator("main dl.kv")).to_contain_text("At 21:30, Monday through Friday")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".sub")).to_contain_text("PAUSED")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".sub")).to_contain_text("WAITING")
    page.get_by_role("button", name="Run now").click()
    expect(page.locator("#progress .sub")).to_contain_text("Completed")
    page.goto("/console/schedules")
    expect(page.locator("tr", has_text=name)).to_contain_text("At 21:30, Monday through Friday")
    page.get_by_role("link", name=f"{name} {HTML}").click()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Delete the schedule").click()
    expect(page.get_by_role("status").first).to_contain_text("is deleted")
    assert not [each for each in api.get("/api/schedules")["schedules"] if each["name"].startswith(name)]


def test_a_person_logs_in_at_the_org(chromium: Browser, stack: Stack, org: str) -> None:
    """From the door to the org and back; a second login of the same browser is another session."""
    window = Window(chromium, stack.web_url, org)
    window.page.goto("/console/jobs")
    window.page.get_by_role("link", name="Log in at").click()
    window.page.get_by_label("Username").fill("worker@quotejob.example")
    window.page.get_by_label("Password").fill("any")
    window.page.get_by_role("button", name="Log In").click()
    expect(window.page.get_by_role("heading", name="Overview")).to_be_visible()
    window.page.goto("/console/audit")
    expect(window.page.get_by_text("operator, by a login at the org").first).to_be_visible()
    window.context.close()
    assert window.wrong == []


def test_the_console_is_a_tab_of_the_org(chromium: Browser, stack: Stack, org: str, held: list[str]) -> None:
    """In a frame of another site: its parts are polled, a change works, and signing out stays there."""
    elsewhere = org.replace("127.0.0.1", "localhost")
    window = Window(chromium, stack.web_url, elsewhere)
    window.page.goto(f"{elsewhere}/localorg/canvas")
    frame = window.page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Overview")).to_be_visible()
    with window.page.expect_response("**/console/part/now"):
        pass
    frame.get_by_role("link", name="Jobs", exact=True).click()
    frame.locator(f"#job-{held[0]} a.nm").click()
    frame.get_by_role("button", name="Abort…").click()
    frame.get_by_role("button", name="Abort the job").click()
    expect(frame.get_by_role("status").first).to_contain_text("Aborted. What was written stays.")
    frame.get_by_role("button", name="Sign out").click()
    expect(frame.get_by_text("You are signed out.")).to_be_visible()
    assert window.wrong == []
    window.context.close()


def test_a_session_that_ends_is_said(window: Window) -> None:
    """A tab that is still open says so by itself and asks no more."""
    other = window.context.new_page()
    other.goto("/console/health")
    other.get_by_role("button", name="Sign out").click()
    expect(other.get_by_role("heading", name="Sign in to the console")).to_be_visible()
    window.page.bring_to_front()
    expect(window.page.locator("#trouble")).to_contain_text("Your session has ended")
    expect(window.page.get_by_role("link", name="Sign in again")).to_be_visible()
    expect(window.page.get_by_role("button", name="Held still")).to_be_visible()
    window.wrong = [each for each in window.wrong if "401" not in each]


def test_the_keys_are_shown(page: Page) -> None:
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Keys")).to_be_hidden()


def test_a_viewer_sees_no_button_that_changes(signed_in: SignIn, held: list[str]) -> None:
    viewer = signed_in("viewer")
    for path in ("/console/queue", f"/console/jobs/{held[0]}", "/console/schedules", "/console/submit"):
        viewer.page.goto(path)
        assert viewer.page.locator("main button:visible").count() == 0, path
    viewer.context.close()
    assert viewer.wrong == []


PICTURED = {
    ("overview", "dark"),
    ("queue", "dark"),
    ("queue", "narrow"),
    ("overview", "narrow"),
}  # beside all light ones
OUTSIDE = """[...document.querySelectorAll("main .card *")].filter((each) => {
  if (each.closest("svg, .sr, .seg") || getComputedStyle(each.parentElement).overflowX !== "visible") return false;
  return each.getBoundingClientRect().right > each.parentElement.getBoundingClientRect().right + 1;
}).map((each) => `it is wider than what it is in: ${each.outerHTML.slice(0, 200)}`)"""
REFUSALS = {"refused", "nowhere"}  # they say so by 403 and 404
NO_HOST_NAMES = """for (const each of document.querySelectorAll("#health .pre"))
  each.textContent = each.textContent.replace(/@[\\w.-]+/g, "@host");"""
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1440, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1440, "height": 900}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
    "zoomed": {"color_scheme": "light", "viewport": {"width": 720, "height": 450}},  # 1440 pixels at 200 %
}


@pytest.fixture
def schedule(api: Api, name: str) -> Iterator[str]:
    """A paused schedule that has run once; deleted afterwards."""
    made = api.post("/api/schedules", {
        "name": name, "cronExpression": "0 0 22 ? * MON-FRI", "timeZone": "UTC", "jobType": "BatchQuote",
        "soqlWhereClause": "Name = 'nobody'", "authorization": "worker",
    })["scheduleId"]  # fmt: skip
    ended(api, api.post(f"/api/schedules/{made}/run")["jobId"])
    yield made
    api.request("DELETE", f"/api/schedules/{made}")


def to_show(api: Api) -> str:
    """A job that ran for some seconds, for the picture."""
    made = ended(api, api.post("/api/data/create?numberOfOpportunities=5000")["jobId"])["jobId"]
    shown = {"soqlWhereClause": "Name LIKE 'Sample Opportunity%'", "name": "Samples, priced", "dependsOn": [made]}
    return str(ended(api, api.post("/api/executebatch", shown)["jobId"])["jobId"])


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.usefixtures("axe")
def test_every_page_can_be_used_by_everyone(
    signed_in: SignIn, api: Api, held: list[str], schedule: str, look: str
) -> None:
    """axe-core finds nothing, nothing has to be scrolled sideways, and nothing comes from elsewhere."""
    window = signed_in(**LOOKS[look])
    job_id = to_show(api) if PICTURES and look == "light" else held[0]
    after = [job_id]
    for each in ("Send approvals", "Archive", HTML + "W" * 40, "Report"):
        child = {"soqlWhereClause": "Id = null", "notBefore": "2099-01-01T00:00:00Z", "dependsOn": [after[-1]]}
        after.append(api.post("/api/executebatch", child | {"name": each})["jobId"])
    paths = {
        "overview": "/console", "jobs": "/console/jobs", "job": f"/console/jobs/{job_id}", "queue": "/console/queue",
        "schedules": "/console/schedules", "new-schedule": "/console/schedules/new", "health": "/console/health",
        "audit": "/console/audit", "submit": "/console/submit", "schedule": f"/console/schedules/{schedule}",
        "door": "/console/door", "refused": "/console/canvas", "nowhere": "/console/nowhere",
    }  # fmt: skip
    found: dict[str, list[str]] = {}
    for name, path in paths.items():
        window.page.goto(path, wait_until="networkidle" if name == "job" else "load")
        found[name] = window.findings()
        if window.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found[name].append("it has to be scrolled sideways")
        found[name] += window.page.evaluate(OUTSIDE)
        if PICTURES and name not in REFUSALS and (look == "light" or (name, look) in PICTURED):
            window.page.evaluate(NO_HOST_NAMES)
            window.page.screenshot(path=PICTURES / f"{name}-{look}.png")
    for each in after[:0:-1]:
        api.post(f"/api/jobs/{each}/abort")
    window.context.close()
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    assert [each for each in window.wrong if "403" not in each and "404" not in each] == []


def test_a_first_view_is_small(chromium: Browser, stack: Stack, api: Api) -> None:
    """With everything it needs, less than 150 KB come over the wire."""
    window = Window(chromium, stack.web_url)
    finished: list[Request] = []
    # Without the cookie the first page loads itself again, and nobody sees the end of some requests.
    at = f"{stack.web_url}/console"
    window.context.add_cookies([{"name": "quotejob_zone", "value": "Europe/Zurich", "url": at}])
    window.page.on("requestfinished", lambda request: finished.append(request))
    window.page.goto(api.post("/console/link")["url"], wait_until="networkidle")
    window.page.goto("/console/queue", wait_until="networkidle")
    sizes = [max(0, request.sizes()["responseBodySize"]) for request in finished]  # below 0: it came from the cache
    assert 60_000 < sum(sizes) < 150_000
    window.context.close()
