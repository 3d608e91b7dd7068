"""Names as people give them: of another direction, or without anything to see."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from _runs import caller_of
from flask.testing import FlaskClient

from harness.api import LocalOrg
from quotejob.jobs.conditions import Conditions
from quotejob.jobs.job import BuiltIn
from quotejob.services import Services

Csrf = Callable[[FlaskClient], str]
TURNED = "\u202egnp.<b>"  # what follows is shown from right to left
BLANK = ("   ", "\u00a0\u2003", "\u200b\u200f", "\u3164", "\u2800", "\u202e", "\ufe0f")
LATER = Conditions(not_before=datetime(2099, 1, 1, tzinfo=UTC))
PAGES = ("", "/jobs", "/queue", "/jobs/{0}", "/part/jobs/{0}/family", "/audit")


def submitted(services: Services, org: LocalOrg, name: str, *after: str) -> str:
    conditions = Conditions(after) if after else LATER
    return services.jobs.submit(caller_of(org), BuiltIn.SAMPLE_DATA_DELETE, name=name, conditions=conditions)[0].job_id


def test_the_direction_of_a_name_is_its_own(
    browser: FlaskClient, csrf: Csrf, services: Services, local_org: LocalOrg
) -> None:
    """Wherever a page shows it, it is an element of its own; in a text it is between signs that end its direction."""
    parent = submitted(services, local_org, TURNED)
    child = submitted(services, local_org, TURNED, parent)
    browser.post(f"/console/jobs/{submitted(services, local_org, TURNED)}/abort", data={"csrf": csrf(browser)})
    for path in PAGES:
        text = browser.get("/console" + path.format(child)).text
        shown = re.sub(r'="[^"]*"|<title>.*?</title>', "", text)  # an attribute and a title stand alone
        assert "gnp.&lt;b&gt;" in shown, path
        shown = shown.replace("<bdi>\u202egnp.&lt;b&gt;</bdi>", "").replace("\u2068gnp.&lt;b&gt;\u2069", "")
        assert "gnp." not in shown, path


@pytest.mark.parametrize("name", BLANK)
def test_a_name_without_anything_to_see_is_said(
    browser: FlaskClient, csrf: Csrf, services: Services, local_org: LocalOrg, name: str
) -> None:
    """A link to the job can be seen."""
    parent = submitted(services, local_org, name)
    child = submitted(services, local_org, name, parent)
    browser.post(f"/console/jobs/{submitted(services, local_org, name)}/abort", data={"csrf": csrf(browser)})
    for path in PAGES:
        assert "<bdi>(no name)</bdi>" in browser.get("/console" + path.format(child)).text, path


@pytest.mark.parametrize(("name", "shown"), [(TURNED, "\u202egnp.&lt;b&gt;"), ("\u3164", "(no name)")])
def test_a_schedule_has_such_a_name_too(
    browser: FlaskClient, csrf: Csrf, services: Services, local_org: LocalOrg, name: str, shown: str
) -> None:
    made = services.schedules.create(
        caller_of(local_org), name, "0 0 6 1 * ?", authorization="worker", job_type="SampleDataDelete"
    )
    at = f"/console/schedules/{made.schedule_id}"
    for path in ("/console", "/console/schedules", at, f"{at}/edit"):
        assert f"<bdi>{shown}</bdi>" in browser.get(path).text, path
    assert f"&#34;<bdi>{shown}</bdi>&#34;?" in browser.get(at).text
    browser.post(f"{at}/delete", data={"csrf": csrf(browser)})
    assert re.search("\u2068.*\u2069&#34; is deleted", browser.get("/console/schedules").text)
