"""Schedules of users' own job types on the console's pages: listed, shown, changed, and refused with the form kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from _runs import caller_of
from flask.testing import FlaskClient
from marshmallow import Schema, fields

import api
import console
from console import schedules
from harness.api import LocalOrg
from quotejob import JobType, Row, clock, updates
from quotejob.jobs.job import CommitBy
from quotejob.jobs.search import JobSearch
from quotejob.jobtypes import registry
from quotejob.services import Services
from quotejob.settings import Settings

Csrf = Callable[[FlaskClient], str]


class Account(Row, frozen=True, kw_only=True):
    Name: str


class Parameters(Schema):
    months = fields.Integer(required=True)


class YearlyRenewals(JobType[Account]):
    parameters = Parameters
    writes = (updates("Account", "Rating"),)

    def start(self, context):  # type: ignore[no-untyped-def]
        return context.where or "Name != null"

    def execute(self, records: Sequence[Account], context):  # type: ignore[no-untyped-def]
        return (one.update(Rating="Hot") for one in records)


@pytest.fixture
def app(settings: Settings, local_org: LocalOrg, logging_restored: None, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """The application with the local org as AppLink, and with a job type of a user."""
    monkeypatch.setattr(registry, "_HANDLERS", dict(registry._HANDLERS))
    registry.add(YearlyRenewals)
    url = f"{local_org.url}/localorg/applink"
    made = api.create_app(replace(settings, authorization="worker", applink_api_url=url, applink_token="add-on token"))
    console.install(made)
    return made


def test_a_schedule_of_a_job_type_of_ones_own(
    browser: FlaskClient, csrf: Csrf, services: Services, local_org: LocalOrg
) -> None:
    """It is made and changed with parameters; what does not fit stays in the form."""
    assert "<option>YearlyRenewals" in browser.get("/console/schedules/new").text
    assert "YearlyRenewals" in browser.get("/console/jobs").text
    form = {"name": "Yearly", "cron": "0 0 6 1 * ?", "job_type": "YearlyRenewals", "misfire": "skip", "overlap": "skip"}
    form |= {"number": "10", "csrf": csrf(browser)}
    for wrong, said in [("months", "should be NAME=VALUE"), ("weeks=1", "parameters.weeks"), ("months=x", "integer")]:
        answer = browser.post("/console/schedules", data=form | {"parameters": wrong})
        assert said in answer.text
        assert f">{wrong}</textarea>" in answer.text
    assert browser.post("/console/schedules", data=form | {"parameters": " months = 24 \n\n"}).status_code in (302, 303)
    [made] = services.schedules.list_for_org(local_org.org_id)
    assert (made.job_type, made.parameters) == ("YearlyRenewals", (("months", "24"),))
    at = f"/console/schedules/{made.schedule_id}"
    assert "months=24" in browser.get(at).text
    edit = browser.get(f"{at}/edit").text
    assert "<option selected>YearlyRenewals" in edit
    assert ">months=24</textarea>" in edit
    assert browser.post(f"{at}/edit", data=form | {"parameters": "months=36"}).status_code in (302, 303)
    assert services.schedules.get(made.schedule_id).parameters == (("months", "36"),)


@pytest.mark.parametrize("kind", ["YearlyRenewals", "SampleDataDelete"])
def test_another_job_type_does_not_keep_how_quotes_are_written(
    browser: FlaskClient, csrf: Csrf, services: Services, local_org: LocalOrg, kind: str
) -> None:
    """Only a BatchQuote has a choice."""
    what: dict[str, Any] = {"soql_where_clause": "Id != null", "commit_by": CommitBy.BULK, "authorization": "worker"}
    made = services.schedules.create(caller_of(local_org), f"To {kind}", "0 0 6 1 * ?", job_type="BatchQuote", **what)
    form = {"name": made.name, "cron": made.cron_expression, "misfire": "skip", "overlap": "skip", "number": "10"}
    form |= {"csrf": csrf(browser), "authorization": "worker"}
    at = f"/console/schedules/{made.schedule_id}/edit"
    for job_type, more, expected in (("BatchQuote", {"clause": "Id != null"}, CommitBy.BULK), (kind, {}, None)):
        more = {"parameters": "months=1"} if job_type == "YearlyRenewals" else more
        assert browser.post(at, data=form | more | {"job_type": job_type}).status_code in (302, 303)
        assert services.schedules.get(made.schedule_id).commit_by == expected


def test_the_list_has_the_last_runs_of_each_schedule(
    browser: FlaskClient, csrf: Csrf, services: Services, local_org: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As bars, the latest at the right, from one read of jobs for all schedules."""
    form = {"cron": "0 0 6 1 * ?", "job_type": "BatchQuote", "misfire": "skip", "overlap": "skip", "number": "10"}
    for name in ("<b>often", "once", "never"):
        answer = browser.post(
            "/console/schedules", data=form | {"name": name, "clause": "Id = null", "csrf": csrf(browser)}
        )
        assert answer.status_code == 303
    often, never, once = sorted(services.schedules.list_for_org(local_org.org_id), key=lambda each: each.name)
    for each in (often,) * 12 + (once,):
        job_id = services.firing.run_now(each.schedule_id, local_org.org_id)
        if each is often:
            services.jobs.abort(job_id)
    reads: list[str] = []
    scan = JobSearch.scan

    def counted(self: JobSearch, *given: Any, **named: Any) -> Any:
        reads.append("scan")
        return scan(self, *given, **named)

    monkeypatch.setattr(JobSearch, "scan", counted)
    schedules._runs.cache_clear()
    text = browser.get("/console/part/schedules").text
    assert reads == ["scan"]
    row = {
        each.name: text.partition(f'id="s-{each.schedule_id}"')[2].partition("</tr>")[0]
        for each in (often, once, never)
    }
    assert "The last runs: 10 Aborted." in row["<b>often"]
    assert row["<b>often"].count("h8V24z") == 10
    assert "The last runs: 1 not ended." in row["once"]
    assert "not yet" in row["never"]
    assert "spark" not in row["never"]
    assert "<b>often" not in text


def test_the_form_takes_what_the_api_takes(
    browser: FlaskClient, csrf: Csrf, services: Services, local_org: LocalOrg
) -> None:
    """The same number of sample Opportunities; and the field counts only for the job type that it is for."""
    form = {"name": "Samples", "cron": "0 0 6 1 * ?", "misfire": "skip", "overlap": "skip", "csrf": csrf(browser)}
    of_samples = form | {"job_type": "SampleDataCreate"}
    for wrong in ("", "0", "1000001", "1_000", "ten"):
        answer = browser.post("/console/schedules", data=of_samples | {"number": wrong})
        assert "should be a whole number from 1 to 1,000,000" in answer.text
    assert browser.post("/console/schedules", data=of_samples | {"number": "50000"}).status_code == 303
    [made] = services.schedules.list_for_org(local_org.org_id)
    at = f"/console/schedules/{made.schedule_id}/edit"
    assert 'value="50000"' in browser.get(at).text
    assert browser.post(at, data=of_samples | {"number": "1000000"}).status_code == 303
    assert services.schedules.get(made.schedule_id).number_of_opportunities == 1_000_000
    of_quotes = form | {"job_type": "BatchQuote", "clause": "Id = null"}
    assert browser.post(at, data=of_quotes | {"number": ""}).status_code == 303
    assert services.schedules.get(made.schedule_id).number_of_opportunities is None


@pytest.mark.parametrize(
    ("field", "wrong", "said"),
    [
        ("name", "x" * 81, "should be a text of 1 to 80 characters"),
        ("cron", "0 " * 200, "should be a text of 1 to 255 characters"),
        ("authorization", "../x", "should be the developer name of an AppLink authorization"),
    ],
)
def test_what_the_api_refuses_the_form_refuses(
    browser: FlaskClient, csrf: Csrf, services: Services, local_org: LocalOrg, field: str, wrong: str, said: str
) -> None:
    """In the same words; nothing is stored."""
    form = {"name": "One", "cron": "0 0 6 1 * ?", "misfire": "skip", "overlap": "skip", "csrf": csrf(browser)}
    form |= {"job_type": "BatchQuote", "clause": "Id = null"}
    assert said in browser.post("/console/schedules", data=form | {field: wrong}).text
    assert services.schedules.list_for_org(local_org.org_id) == []


def test_a_fire_time_of_another_year_has_its_year(
    browser: FlaskClient, csrf: Csrf, services: Services, local_org: LocalOrg
) -> None:
    """In the list, on its page, and while it is typed: five 29ths of February are in five years."""
    form = {"name": "Leap", "cron": "0 0 0 29 2 ?", "job_type": "BatchQuote", "misfire": "skip", "overlap": "skip"}
    form |= {"number": "10", "clause": "Id = null", "csrf": csrf(browser), "time_zone": "UTC"}
    assert browser.post("/console/schedules", data=form).status_code == 303
    [made] = services.schedules.list_for_org(local_org.org_id)
    first, *later = made.next_fire_times
    if first.year != clock.now().year:
        assert f">{first:%a} 29 Feb {first.year}, 00:00<" in browser.get("/console/part/schedules").text
    for text in (
        browser.get(f"/console/schedules/{made.schedule_id}").text,
        browser.post("/console/schedules/check", data=form).text,
    ):
        assert all(f" 29 Feb {each.year}, 00:00:00<" in text for each in later)
