"""Two people change one schedule: nobody's change is lost without a word."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from _runs import caller_of
from flask import Flask
from flask.testing import FlaskClient

import api
import console
from console import schedules
from harness.api import LocalOrg
from quotejob.schedules.schedule import Overlap, Schedule
from quotejob.services import Services
from quotejob.settings import Settings

Csrf = Callable[[FlaskClient], str]
CLAUSE = "Name LIKE 'a%'\nAND Amount <= 5 AND Name != '\"<b>&'"


@pytest.fixture
def app(settings: Settings, local_org: LocalOrg, logging_restored: None) -> Flask:
    """The application with the local org as AppLink."""
    url = f"{local_org.url}/localorg/applink"
    app = api.create_app(replace(settings, authorization="worker", applink_api_url=url, applink_token="add-on token"))
    console.install(app)
    return app


@pytest.fixture
def made(services: Services, local_org: LocalOrg) -> Schedule:
    return services.schedules.create(
        caller_of(local_org), "Nightly", "0 0 22 ? * MON-FRI", soql_where_clause=CLAUSE, authorization="worker"
    )


def form_of(text: str) -> dict[str, str]:
    """What a browser sends of the form as it stands: every field, and the ends of lines as browsers write them."""
    text = text.partition('<form method="post" action="/console/schedules/')[2].partition("</form>")[0]
    sent: dict[str, str] = {}
    for tag in re.findall(r"<input [^>]*?(?:'[^']*'[^>]*)?>", text):
        name, value = re.search(r'name="(\w+)"', tag), re.search(r"""value=(?:"([^"]*)"|'([^']*)')""", tag)
        assert name
        if 'type="checkbox"' not in tag or " checked" in tag:
            sent[name[1]] = html.unescape((value[1] or value[2] or "") if value else "")
    for name, value in re.findall(r'<textarea [^>]*name="(\w+)"[^>]*>(.*?)</textarea>', text, re.DOTALL):
        sent[name] = html.unescape(value).replace("\n", "\r\n")
    for name, options in re.findall(r'<select [^>]*name="(\w+)">(.*?)</select>', text, re.DOTALL):
        sent[name] = re.findall(r"<option selected>(\w+)", options)[0]
    assert set(sent) >= {*schedules.FORM, "csrf", "shown"} - {"guaranteed"}
    return sent


def test_a_form_that_is_sent_as_it_is_changes_nothing(
    browser: FlaskClient, services: Services, local_org: LocalOrg, made: Schedule
) -> None:
    """Not even what somebody else has changed since."""
    at = f"/console/schedules/{made.schedule_id}/edit"
    form = form_of(browser.get(at).text)
    assert json.loads(form["shown"])["clause"] == CLAUSE
    other: dict[str, Any] = {"name": "Other", "soql_where_clause": "Id = null", "overlap": Overlap.QUEUE}
    other |= {"cron_expression": "0 0 5 * * ?", "time_zone": "Europe/Zurich", "guaranteed": True}
    after = services.schedules.change(made.schedule_id, local_org.org_id, other)
    assert browser.post(at, data=form).status_code == 303
    assert services.schedules.get(made.schedule_id) == after


def test_only_what_a_person_changed_is_changed(
    browser: FlaskClient, services: Services, local_org: LocalOrg, made: Schedule
) -> None:
    at = f"/console/schedules/{made.schedule_id}/edit"
    form = form_of(browser.get(at).text)
    services.schedules.change(made.schedule_id, local_org.org_id, {"soql_where_clause": "Id = null"})
    assert browser.post(at, data=form | {"cron": "0 0 5 * * ?", "guaranteed": "1"}).status_code == 303
    after = services.schedules.get(made.schedule_id)
    assert (after.soql_where_clause, after.cron_expression, after.guaranteed) == ("Id = null", "0 0 5 * * ?", True)


CHANGES: dict[str, tuple[str, str, Any]] = {  # a field of the form: what one gives, and what the other has stored
    "name": ("Mine", "name", "<b>Theirs"),
    "cron": ("0 0 5 * * ?", "cron_expression", "0 0 4 * * ?"),
    "time_zone": ("Asia/Tokyo", "time_zone", "Europe/Zurich"),
    "clause": ("Name = 'mine'", "soql_where_clause", "Name = '<b>theirs'"),
}


@pytest.mark.parametrize("field", CHANGES)
def test_the_same_field_is_asked_about(
    browser: FlaskClient, services: Services, local_org: LocalOrg, made: Schedule, field: str
) -> None:
    """Both values are shown and nothing is stored. Sent again, it is."""
    at = f"/console/schedules/{made.schedule_id}/edit"
    form = form_of(browser.get(at).text)
    mine, name, theirs = CHANGES[field]
    theirs_all = {name: theirs, "overlap": Overlap.QUEUE}
    before = services.schedules.change(made.schedule_id, local_org.org_id, theirs_all)
    answer = browser.post(at, data=form | {field: mine})
    assert "Changed meanwhile." in answer.text
    assert f">{html.escape(theirs, quote=False).replace(chr(39), '&#39;')}</dd>" in answer.text
    assert "<b>theirs" not in answer.text.lower()
    assert services.schedules.get(made.schedule_id) == before
    again = form_of(answer.text)
    assert (again[field], again["overlap"]) == (mine, "queue")
    assert browser.post(at, data=again).status_code == 303
    after = services.schedules.get(made.schedule_id)
    assert (getattr(after, name), after.overlap) == (mine, Overlap.QUEUE)


def test_the_same_change_by_both_is_no_question(
    browser: FlaskClient, services: Services, local_org: LocalOrg, made: Schedule
) -> None:
    at = f"/console/schedules/{made.schedule_id}/edit"
    form = form_of(browser.get(at).text)
    services.schedules.change(made.schedule_id, local_org.org_id, {"name": "Same"})
    assert browser.post(at, data=form | {"name": " Same "}).status_code == 303


def test_a_refused_form_still_knows_what_it_had_shown(
    browser: FlaskClient, services: Services, local_org: LocalOrg, made: Schedule
) -> None:
    """The question comes after the refusal is mended; other fields are those of the other person."""
    at = f"/console/schedules/{made.schedule_id}/edit"
    form = form_of(browser.get(at).text)
    services.schedules.change(made.schedule_id, local_org.org_id, {"cron_expression": "0 0 4 * * ?", "name": "Theirs"})
    refused = browser.post(at, data=form | {"cron": "0 0 5 * * ?", "clause": "Nme = null"})
    assert "No such column" in refused.text
    again = form_of(refused.text)
    assert (again["cron"], again["clause"], again["name"]) == ("0 0 5 * * ?", "Nme = null", "Theirs")
    assert "Changed meanwhile." in browser.post(at, data=again | {"clause": "Name = null"}).text
    assert services.schedules.get(made.schedule_id).cron_expression == "0 0 4 * * ?"


def test_what_is_changed_while_the_org_is_asked_is_seen(
    browser: FlaskClient, services: Services, local_org: LocalOrg, made: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = f"/console/schedules/{made.schedule_id}/edit"
    form = form_of(browser.get(at).text)
    checked = schedules._checked

    def slow(*given: Any) -> dict[str, Any]:
        services.schedules.change(made.schedule_id, local_org.org_id, {"name": "Theirs"})
        return checked(*given)

    monkeypatch.setattr(schedules, "_checked", slow)
    assert "Changed meanwhile." in browser.post(at, data=form | {"name": "Mine"}).text
    assert services.schedules.get(made.schedule_id).name == "Theirs"


def test_another_job_type_takes_its_fields_along(
    browser: FlaskClient, csrf: Csrf, services: Services, made: Schedule
) -> None:
    """Also from a script that has seen no form."""
    at = f"/console/schedules/{made.schedule_id}/edit"
    form = form_of(browser.get(at).text) | {"job_type": "SampleDataCreate", "clause": ""}
    assert browser.post(at, data=form).status_code == 303
    after = services.schedules.get(made.schedule_id)
    assert (after.job_type, after.soql_where_clause, after.number_of_opportunities) == ("SampleDataCreate", None, 10)
    for wrong in ("", "x", "[]", '{"name": 1}'):
        asked = {**form, "shown": wrong, "number": "12", "csrf": csrf(browser)}
        assert browser.post(at, data=asked).status_code == 303, wrong
    assert services.schedules.get(made.schedule_id).number_of_opportunities == 12
