"""What a person sees when something is missing: Redis, the session, a right, or any job at all."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from _runs import caller_of
from flask import Flask
from flask.testing import FlaskClient

import api
import console
from console import assets
from harness.api import LocalOrg
from quotejob import clock
from quotejob.jobs.conditions import Conditions
from quotejob.jobs.job import BuiltIn, Status
from quotejob.jobs.workers import NEEDED
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import keys

CLAUSE = "Name = '<b>x'"
SHOWN = "Name = &#39;&lt;b&gt;x&#39;"


@pytest.fixture
def without_redis(settings: Settings, browser: FlaskClient, logging_restored: None) -> FlaskClient:
    """The same browser, before a web process whose Redis is stopped."""
    app = api.create_app(replace(settings, redis_url="redis://127.0.0.1:1/0"))
    console.install(app)
    kept, client = browser.get_cookie("quotejob_console", path="/console"), app.test_client()
    assert kept
    client.set_cookie("quotejob_console", kept.value, path="/console")
    return client


def test_without_redis_a_page_says_so(without_redis: FlaskClient) -> None:
    """A person gets a page that leads back to the same place, a part gets a sentence."""
    page = without_redis.get("/console/jobs?show=failed")
    assert page.status_code == 503
    assert "Redis does not answer" in page.text
    assert 'href="/console/jobs?show=failed"' in page.text
    part = without_redis.get("/console/part/now", headers={"HX-Request": "true"})
    assert (part.status_code, part.mimetype) == (503, "text/plain")


def test_without_redis_a_change_is_not_lost(without_redis: FlaskClient) -> None:
    """The answer says why nothing was changed, and shows what was typed, as text."""
    answer = without_redis.post("/console/submit", data={"csrf": "x", "back": "/console/submit", "clause": CLAUSE})
    assert answer.status_code == 503
    assert "Redis does not answer" in answer.text
    assert SHOWN in answer.text


@pytest.mark.parametrize("signed_in", [True, False])
def test_what_was_typed_outlives_a_session(browser: FlaskClient, services: Services, signed_in: bool) -> None:
    """The session ended, or the person has signed in anew in another tab and the form has the old token."""
    if not signed_in:
        browser.delete_cookie("quotejob_console", path="/console")
    answer = browser.post("/console/submit", data={"csrf": "old", "clause": CLAUSE})
    assert answer.status_code == (403 if signed_in else 401)
    assert ("Your session has ended. Sign in again." in answer.text) is not signed_in
    assert SHOWN in answer.text
    assert "old" not in answer.text.partition("<main")[2]


@pytest.mark.parametrize("path", ["", "/jobs", "/queue"])
def test_a_viewer_is_not_led_to_a_form(browser: FlaskClient, viewer: FlaskClient, path: str) -> None:
    assert "/console/submit" in browser.get(f"/console{path}").text
    assert "/console/submit" not in viewer.get(f"/console{path}").text


def test_a_list_without_jobs_says_why_and_sees_the_first_one(
    browser: FlaskClient, services: Services, local_org: LocalOrg
) -> None:
    """No job at all, or none with these filters; a job that comes meanwhile is offered."""
    part = "/console/part/jobs"
    assert "Make the first one" in browser.get("/console/jobs").text
    assert "Clear the filters" in browser.get("/console/jobs?q=nobody").text
    assert "Make the first one" in browser.get(part).text
    services.jobs.submit(caller_of(local_org), BuiltIn.SAMPLE_DATA_DELETE)
    assert '<a href="/console/jobs">1 to show</a>' in browser.get(part).text
    assert "Clear the filters" in browser.get(f"{part}?q=nobody").text


def test_the_overview_says_what_stops_jobs(browser: FlaskClient, services: Services, local_org: LocalOrg) -> None:
    """No worker, API calls that are nearly used up; each only while it is so."""
    host, path = local_org.url.partition("//")[2], "/console/part/now"
    services.client.hset(keys.API_CALLS, host, f"90 1000 {clock.ms()}")
    text = browser.get(path).text
    assert "No worker runs. Nothing is lost" in text
    assert "API calls are left" not in text
    services.workers.note(NEEDED)
    services.client.hset(keys.API_CALLS, host, f"901 1000 {clock.ms()}")
    text = browser.get(path).text
    assert "No worker runs" not in text
    assert "Only 99 of the org&#39;s 1,000 API calls are left today." in text
    services.client.hset(keys.API_CALLS, host, f"901 1000 {clock.ms() - 25 * 3_600_000}")
    assert "API calls are left" not in browser.get(path).text


def test_a_kept_slot_is_not_called_free(browser: FlaskClient, services: Services, local_org: LocalOrg) -> None:
    path, kept = "/console/part/now", "Kept free for a guaranteed schedule"
    assert kept not in browser.get(path).text
    services.client.set(keys.jobs_of(local_org.org_id, "reserved"), 1)
    assert kept in browser.get(path).text


def test_rows_are_what_was_asked_for_and_newer_ones_are_counted(
    browser: FlaskClient, services: Services, local_org: LocalOrg
) -> None:
    """Open and ended jobs in the order of the page; a newer one only if the filters take it."""

    def submit() -> str:
        return services.jobs.submit(caller_of(local_org), BuiltIn.SAMPLE_DATA_DELETE)[0].job_id

    first, second = submit(), submit()
    services.jobs.abort(first)
    part = f"/console/part/jobs?ids={second},{first}"
    text = browser.get(part).text
    assert 0 < text.index(f'id="job-{second}" data-status="Holding"') < text.index(f'id="job-{first}"')
    assert 'data-status="Aborted"' in text
    assert "newer, show" not in text
    submit()
    assert "1 newer, show" in browser.get(part).text
    assert "newer, show" not in browser.get(f"{part}&show=aborted").text


def test_a_zone_that_is_none_is_not_shown(browser: FlaskClient, services: Services, local_org: LocalOrg) -> None:
    """The browser names its zone in a cookie, and times have it in their titles."""
    services.jobs.submit(caller_of(local_org), BuiltIn.SAMPLE_DATA_DELETE)
    for said, shown in (("Europe/Zurich", " Europe/Zurich"), ('"><b>x', " UTC")):
        browser.set_cookie("quotejob_zone", said, path="/console")
        text = browser.get("/console/jobs").text
        assert f'{shown}" class="relative">' in text
        assert "<b>x" not in text


def test_a_job_is_in_the_last_hours_soon(browser: FlaskClient, services: Services, local_org: LocalOrg) -> None:
    """Whoever has just run the first job finds it there. Only with many jobs are they read once a minute."""

    def begun() -> str:
        return str(re.findall(r"Jobs begun</dt><dd class=.v.>(\d+)", browser.get("/console/part/night").text)[0])

    assert begun() == "0"
    services.jobs.submit(caller_of(local_org), BuiltIn.SAMPLE_DATA_DELETE)
    [job_id] = services.jobs.promote(local_org.org_id)
    services.jobs.move(job_id, Status.PREPARING)
    until = time.monotonic() + 10
    while begun() != "1":
        assert time.monotonic() < until
        time.sleep(0.2)


def test_what_a_job_waits_for_has_its_name(browser: FlaskClient, services: Services, local_org: LocalOrg) -> None:
    """In the queue, as a link; a time is on the reader's clock."""
    context, sample = caller_of(local_org), BuiltIn.SAMPLE_DATA_DELETE
    parent = services.jobs.submit(context, sample, name="<b>first")[0].job_id
    later = Conditions((parent,), not_before=datetime(2099, 1, 1, 12, tzinfo=UTC))
    services.jobs.submit(context, sample, name="second", conditions=later)
    browser.set_cookie("quotejob_zone", "Europe/Zurich", path="/console")
    text = browser.get("/console/part/queue").text
    assert (
        f'job <a href="/console/jobs/{parent}"><bdi>&lt;b&gt;first</bdi></a>, which is Holding, to be Completed' in text
    )
    assert "01 Jan 2099, 13:00" in text
    for path in ("/console", "/console/jobs"):
        text = browser.get(path).text
        assert "Waits for job \u2068&lt;b&gt;first\u2069, which is Holding" in text
        assert "Does not run before 01 Jan 2099, 13:00" in text


def test_what_needs_all_jobs_comes_after_the_page(
    browser: FlaskClient, viewer: FlaskClient, services: Services, local_org: LocalOrg
) -> None:
    """The numbers of the chips, what can be done with all, and the jobs before and after one."""
    context, sample = caller_of(local_org), BuiltIn.SAMPLE_DATA_DELETE
    parent = services.jobs.submit(context, sample, name="<b>first")[0].job_id
    child = services.jobs.submit(context, sample, name="<b>second", conditions=Conditions((parent,)))[0].job_id
    assert "Holding <b>2</b>" in browser.get("/console/part/jobs/chips").text
    assert "Holding <b>1</b>" in browser.get("/console/part/jobs/chips?q=second").text
    assert "Abort all 1 that match" in browser.get("/console/part/jobs/chips?q=second").text
    assert "that match…" not in viewer.get("/console/part/jobs/chips").text
    for one, other in ((parent, child), (child, parent)):
        text = browser.get(f"/console/part/jobs/{one}/family").text
        assert f'href="/console/jobs/{other}"' in text
        assert "<b>" not in text
    services.jobs.abort(child)
    assert browser.get(f"/console/part/jobs/{services.jobs.submit(context, sample)[0].job_id}/family").text == ""
    assert "Aborted <b>1</b>" in browser.get("/console/part/jobs/chips").text


@pytest.mark.parametrize("path", ["nosuch/../console.css", "./console.css", "../vendor/x.css", "../static/console.css"])
def test_a_file_has_one_name(app: Flask, path: str) -> None:
    """Other spellings of its path are not there, and nothing is kept for them."""
    kept = assets._packed.cache_info().currsize
    for each in (path, f"{path}/", path.replace("../", "%2e%2e/"), path.upper(), f"vendor//{path}", "vendor"):
        answer = app.test_client().get(f"/console/static/{each}", headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 404, each
    assert assets._packed.cache_info().currsize == kept
    there = app.test_client().get("/console/static/console.css", headers={"Accept-Encoding": "gzip"})
    assert (there.status_code, there.headers["Content-Encoding"]) == (200, "gzip")
    there.close()
