"""What the lists of the console leave out and find: old jobs that still wait, ids as people type them, whole counts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from _runs import caller_of
from flask.testing import FlaskClient

from harness.api import LocalOrg
from quotejob import clock
from quotejob.jobs.job import BuiltIn, Status
from quotejob.services import Services
from quotejob.store import keys

Csrf = Callable[[FlaskClient], str]
Old = Callable[..., str]


@pytest.fixture
def old(services: Services, local_org: LocalOrg) -> Old:
    """``old("name", 8)``: a Holding job that was submitted 8 days ago."""

    def make(name: str, days: float) -> str:
        job_id = services.jobs.submit(caller_of(local_org), BuiltIn.SAMPLE_DATA_DELETE, name=name)[0].job_id
        moment = clock.now() - timedelta(days=days)
        services.client.hset(keys.job(job_id), "createdDate", moment.isoformat())
        services.client.zadd(keys.jobs_of(local_org.org_id, "jobs"), {job_id: clock.us(moment)})
        services.client.incr(keys.version(local_org.org_id))
        return job_id

    return make


def test_what_has_not_ended_is_shown_however_old_it_is(
    browser: FlaskClient, services: Services, local_org: LocalOrg, old: Old
) -> None:
    """By the chips of open jobs, with their numbers; other chips and a chosen span leave it out."""
    waits, ended, young = old("waits", 400), old("ended", 30), old("young", 0.1)
    services.jobs.abort(ended)
    [runs] = services.jobs.promote(local_org.org_id)
    assert runs == waits
    waits = old("waits too", 9)
    shown = {
        "show=active": {runs},
        "show=holding": {waits, young},
        "show=holding&when=7d": {young},
        "show=holding&when=any&q=too": {waits},
        "": {young},
        "when=any": {runs, waits, ended, young},
        "show=aborted": set[str](),
        "show=aborted&when=any": {ended},
    }
    for asked, expected in shown.items():
        text = browser.get(f"/console/jobs?{asked}").text
        assert {each for each in (runs, waits, ended, young) if f'id="job-{each}"' in text} == expected, asked
    chips = browser.get("/console/part/jobs/chips").text
    assert all(each in chips for each in ("All <b>1</b>", "Active <b>1</b>", "Holding <b>2</b>", "Aborted <b>0</b>"))
    assert 'href="/console/jobs?show=active"' in chips
    chips = browser.get("/console/part/jobs/chips?when=any").text
    assert all(each in chips for each in ("All <b>4</b>", "Active <b>1</b>", "Holding <b>2</b>", "Aborted <b>1</b>"))
    assert 'href="/console/jobs?show=aborted&amp;when=any"' in chips
    assert "Holding <b>1</b>" in browser.get("/console/part/jobs/chips?when=1d").text


def test_the_span_of_open_jobs_is_any_time(browser: FlaskClient, services: Services) -> None:
    for asked, span in {"show=holding": "any", "show=active": "any", "show=failed": "7d", "": "7d"}.items():
        assert f'<option value="{span}" selected>' in browser.get(f"/console/jobs?{asked}").text, asked


def test_all_that_match_has_old_jobs_too(browser: FlaskClient, csrf: Csrf, services: Services, old: Old) -> None:
    """Those that the list shows, and no others."""
    waits, young = old("waits", 30), old("young", 0.1)
    assert "Abort all 2 that match" in browser.get("/console/part/jobs/chips?show=holding").text
    assert "Abort all 1 that match" in browser.get("/console/part/jobs/chips").text
    form = {"csrf": csrf(browser), "what": "abort", "number": "2"}
    browser.post("/console/jobs/all", data=form)
    assert [services.jobs.get(each).status for each in (waits, young)] == [Status.HOLDING, Status.ABORTED]
    browser.post("/console/jobs/all?show=holding", data=form)
    assert services.jobs.get(waits).status == Status.ABORTED


def test_an_old_job_that_waits_again_is_told(
    browser: FlaskClient, services: Services, local_org: LocalOrg, old: Old
) -> None:
    """The empty list of Holding jobs says that there is one now."""
    waits = old("waits", 30)
    services.jobs.abort(waits)
    part = "/console/part/jobs?show=holding"
    assert "No job is like this" in browser.get(part).text
    services.jobs.resume(waits, caller_of(local_org))
    assert "1 to show" in browser.get(part).text
