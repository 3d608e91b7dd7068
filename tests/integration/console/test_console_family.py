"""The graph of the jobs before and after one: chains and fans, what is left out, and hostile names."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from _runs import caller_of
from flask.testing import FlaskClient

from console.family import MOST
from harness.api import LocalOrg
from quotejob.jobs.conditions import Conditions
from quotejob.jobs.job import BuiltIn
from quotejob.services import Services

Make = Callable[..., str]


@pytest.fixture
def make(services: Services, local_org: LocalOrg) -> Make:
    """``make("name", parent, parent)``: a job that depends on these; gives its id."""
    context = caller_of(local_org)

    def submit(name: str, *parents: str) -> str:
        conditions = Conditions(parents)
        return services.jobs.submit(context, BuiltIn.SAMPLE_DATA_DELETE, name=name, conditions=conditions)[0].job_id

    return submit


def shown(browser: FlaskClient, job_id: str) -> str:
    return browser.get(f"/console/part/jobs/{job_id}/family").text


def rows(text: str) -> list[tuple[str, str]]:
    """The jobs of the graph in their order: the name and what it says of those before."""
    text = re.sub("</?bdi>", "", text)
    found = re.findall(r'<li id="dep-.*?class="nm".*?>(.*?)</(?:a|b)>.*?</li>', text, re.DOTALL)
    after = [re.search(r", after (.*?)</span>", each) for each in re.findall(r"<li id=.*?</li>", text, re.DOTALL)]
    return [(name, one[1] if one else "") for name, one in zip(found, after, strict=True)]


def columns(text: str) -> list[int]:
    """The place of each job from the left."""
    return [int(x) for x in re.findall(r'<circle[^>]* cx="(\d+)" cy="\d+" r="5"', text)]


def test_a_graph_of_several_levels(browser: FlaskClient, make: Make) -> None:
    """Two before, this one, a fan after it that comes together again: each line goes to the right."""
    first, second = make("first"), make("second")
    me = make("me", first, second)
    left, right = make("left", me), make("right", me, first)
    make("last", left, right)
    make("a stranger")
    text = shown(browser, me)
    assert rows(text) == [
        ("first", ""), ("second", ""), ("This job", "first and second"), ("left", "this job"),
        ("right", "this job and first"), ("last", "left and right"),
    ]  # fmt: skip
    one, two, three, four = sorted(set(columns(text)))
    assert columns(text) == [one, one, two, three, three, four]
    lines = re.findall(r'<path d="M(\d+) \d+H\d+.*?H(\d+)"', text)
    assert len(lines) == 7
    assert all(int(start) < int(end) for start, end in lines)


def test_names_stay_text(browser: FlaskClient, make: Make) -> None:
    me = make("<b>me")
    make('"><script>alert(1)</script>', me)
    for text in (shown(browser, me), browser.get(f"/console/jobs/{me}").text):
        assert "<b>me" not in text
        assert "<script>alert" not in text
    assert "&#34;&gt;&lt;script&gt;" in shown(browser, me)


def test_a_wide_and_a_long_graph_say_what_they_leave_out(browser: FlaskClient, make: Make) -> None:
    me = make("me")
    fan = [make(f"fan {number}", me) for number in range(MOST + 5)]
    text = shown(browser, me)
    assert len(rows(text)) == 1 + MOST
    assert "5 more jobs come after these." in text
    chain = [make("chain", *fan)]
    for _ in range(8):
        chain.append(make("chain", chain[-1]))
    assert len(rows(shown(browser, chain[0]))) == 1 + 3 + MOST  # before it the first ones of the fan
    assert "after 5 jobs not shown" in shown(browser, chain[0])
    middle = shown(browser, chain[4])
    assert len(rows(middle)) == 3 + 1 + 3
    assert "after 1 job not shown" in middle
    assert "1 more job comes after these." in middle


def test_a_graph_is_kept_as_it_is_now(browser: FlaskClient, make: Make, services: Services) -> None:
    """The page asks for the same jobs again; those of nobody are left out."""
    me = make("me")
    after = make("after", me)
    found = re.search(r'hx-get="(/console/part/jobs/[^"]*/family/now[^"]*)"', shown(browser, me))
    assert found
    again = found[1].replace("&amp;", "&")
    assert "Aborted" not in browser.get(again).text
    services.jobs.abort(after)
    text = browser.get(again, headers={"HX-PTag": "old"}).text
    assert "Aborted" in text
    assert rows(text) == [("This job", ""), ("after", "this job")]
    assert len(rows(browser.get(f"{again},{me[:-1]}0,x").text)) == 2


def test_a_job_alone_has_no_graph(browser: FlaskClient, make: Make) -> None:
    assert shown(browser, make("alone")).strip() == ""
