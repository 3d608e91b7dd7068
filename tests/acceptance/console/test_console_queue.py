"""The flex queue in a real browser when a move goes wrong, and where the focus and the person's choice stay."""

from __future__ import annotations

import pytest
from _browser import Window
from playwright.sync_api import Page, Route, expect

from harness.api import Api

MOVE = "**/console/queue/move"


def order_shown(page: Page, held: list[str]) -> list[int]:
    """The numbers of the held jobs in the order of the page."""
    shown = page.locator("#q li").evaluate_all("rows => rows.map((row) => row.dataset.job)")
    return [held.index(each) for each in shown if each in held]


def fails(how: int) -> object:
    """A route that answers with this status. 0: not at all."""

    def answer(route: Route) -> None:
        if how:
            kind = "text/html" if how == 502 else "text/plain"
            route.fulfill(status=how, content_type=kind, body="<b>gateway</b>" if how == 502 else "Out of touch.")
        else:
            route.abort()

    return answer


@pytest.mark.parametrize(
    ("how", "said"),
    [(0, "No answer came"), (503, "Not moved. Out of touch."), (401, "Not moved."), (502, "The answer was 502.")],
)
@pytest.mark.parametrize("way", ["keys", "place", "next"])
def test_a_move_that_failed_is_taken_back(window: Window, held: list[str], how: int, said: str, way: str) -> None:
    """The order is again what it was, and why is said until the next move."""
    page = window.page
    page.goto("/console/queue")
    page.route(MOVE, fails(how))  # type: ignore[arg-type]
    rows = [page.locator(f"#q-{job_id}") for job_id in held]
    if way == "keys":
        rows[3].locator(".hnd").focus()
        for key in ("Space", "Home", "Space"):
            page.keyboard.press(key)
    elif way == "place":
        rows[3].locator("input").fill("1")
        rows[3].locator("input").press("Enter")
    else:
        rows[3].get_by_role("button", name="Make next").click()
    expect(page.locator("#refusal")).to_contain_text(said)
    assert order_shown(page, held) == [0, 1, 2, 3]
    assert rows[3].locator("input").input_value() != "1"
    expect(page.locator("#undo")).to_be_hidden()
    with page.expect_response("**/console/part/queue"):
        pass
    expect(page.locator("#refusal")).to_contain_text(said)
    page.unroute(MOVE)
    place = int(rows[2].locator("input").input_value())
    rows[3].locator("input").fill(str(place))
    rows[3].locator("input").press("Enter")
    expect(page.locator("#refusal")).to_be_hidden()
    expect(page.locator("#live-region")).to_contain_text(f"is at place {place} of")
    assert order_shown(page, held) == [0, 1, 3, 2]
    window.wrong = [each for each in window.wrong if "Failed to load resource" not in each]


def test_a_refusal_stays_after_the_next_look(window: Window, api: Api, held: list[str]) -> None:
    page = window.page
    page.goto("/console/queue")
    page.locator(f"#q-{held[2]} .hnd").focus()
    page.keyboard.press("Space")
    api.post(f"/api/jobs/{held[2]}/abort")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    expect(page.locator("#refusal")).to_contain_text("the queue was faster")
    with page.expect_response("**/console/part/queue"):
        pass
    expect(page.locator("#refusal")).to_contain_text("the queue was faster")
    window.wrong = [each for each in window.wrong if "409" not in each]


def test_a_typed_place_that_is_left_is_no_place(page: Page, held: list[str]) -> None:
    page.goto("/console/queue")
    typed = page.locator(f"#q-{held[2]} input")
    place = typed.input_value()
    typed.fill("77")
    typed.press("Tab")
    expect(typed).to_have_value(place)
    assert order_shown(page, held) == [0, 1, 2, 3]


@pytest.mark.parametrize("control", [".hnd", "input", "[data-next]"])
def test_the_focus_stays_on_the_control_that_moved_a_job(page: Page, api: Api, held: list[str], control: str) -> None:
    """Then the same key can be pressed again."""
    page.goto("/console/queue")
    first = page.locator(f"#q-{held[0]} input").input_value()
    used = page.locator(f"#q-{held[3]} {control}")
    used.focus()
    if control == "input":
        used.fill(first)
    for key in ("Space", "Home", "Space") if control == ".hnd" else ("Enter",):
        page.keyboard.press(key)
    expect(page.locator("#live-region")).to_contain_text("is at place")
    expect(used).to_be_focused()
    api.post(f"/api/jobs/{held[1]}/abort")
    expect(page.locator(f"#q-{held[1]}")).to_have_count(0)  # the page is live again
    expect(used).to_be_focused()


@pytest.mark.parametrize("still", [True, False])
def test_what_a_person_has_held_still_stays_so(page: Page, held: list[str], still: bool) -> None:
    """A place field holds the page while it has the focus, and not for longer."""
    page.goto("/console/queue")
    if still:
        page.get_by_role("button", name="Live").click()
    page.locator(f"#q-{held[0]} input").focus()
    expect(page.locator("#live")).to_have_text("Held still")
    page.keyboard.press("Tab")
    expect(page.locator("#live")).to_have_text("Held still" if still else "Live")
    expect(page.locator("#live")).to_have_attribute("aria-pressed", "false" if still else "true")


def test_a_ticked_row_stays_marked(page: Page, api: Api, held: list[str]) -> None:
    """Also after a change of another one."""
    page.goto("/console/jobs?show=holding")
    row, box = page.locator(f"#job-{held[0]}"), page.locator(f"#job-{held[0]} input")
    box.check()
    expect(row).to_have_class("sel")
    api.post(f"/api/jobs/{held[1]}/abort")
    expect(page.locator(f"#job-{held[1]}")).to_contain_text("Aborted")
    expect(box).to_be_checked()
    expect(row).to_have_class("sel")
    box.uncheck()
    expect(row).not_to_have_class("sel")
