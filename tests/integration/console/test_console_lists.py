"""What the lists of the console leave out and find: old jobs that still wait, ids as people type them, whole counts."""

from __future__ import annotations

import uuid
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


@pytest.fixture
def twins(services: Services, local_org: LocalOrg) -> tuple[str, str]:
    """The ids of two Holding jobs, the first and the other, which begin with the same eight characters."""
    begun = uuid.uuid4().hex[:8]
    ids = f"{begun}-0000-4000-8000-00000000000a", f"{begun}-1111-4000-8000-00000000000b"
    for job_id, name in zip(ids, ("the first", "the other"), strict=True):
        services.jobs.submit(caller_of(local_org), BuiltIn.SAMPLE_DATA_DELETE, name=name, job_id=job_id)
    return ids


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


@pytest.mark.parametrize("asked", [{}, {"show": "failed", "when": "1d"}])
def test_a_job_is_found_by_the_beginning_of_its_id(
    browser: FlaskClient, twins: tuple[str, str], asked: dict[str, str]
) -> None:
    """In any case, with blanks; also one that the filters leave out."""
    for text in (twins[0][:10], f" {twins[0][:13].upper()} ", twins[0], twins[0].upper()):
        answer = browser.get("/console/jobs", query_string={"q": text, **asked})
        assert answer.headers.get("Location") == f"/console/jobs/{twins[0]}", text


def test_a_beginning_of_several_ids_lists_them(
    browser: FlaskClient, services: Services, local_org: LocalOrg, twins: tuple[str, str]
) -> None:
    """A name goes before an id, and too short a beginning is none."""
    begun = twins[0][:8]
    text = browser.get(f"/console/jobs?q={begun}").text
    assert all(f'id="job-{each}"' in text for each in twins)
    for wrong in (begun[:3], f"{begun[:5]}z", f"{begun}*"):
        assert "No job is like this" in browser.get(f"/console/jobs?q={wrong}").text
    named = services.jobs.submit(caller_of(local_org), BuiltIn.SAMPLE_DATA_DELETE, name=f"of {begun}")[0].job_id
    text = browser.get(f"/console/jobs?q={begun}").text
    assert f'id="job-{named}"' in text
    assert f'id="job-{twins[0]}"' not in text


def test_the_audit_takes_ids_as_people_type_them(browser: FlaskClient, csrf: Csrf, twins: tuple[str, str]) -> None:
    """What names nothing shows nothing, and never everything."""
    for each in twins:
        browser.post(f"/console/jobs/{each}/abort", data={"csrf": csrf(browser)})
    one = twins[0]
    for asked in (one[:10], f" {one[:13].upper()} ", f" {one} ", one.upper()):
        text = browser.get("/console/audit", query_string={"of": asked}).text
        assert "the first" in text, asked
        assert "the other" not in text, asked
        assert f'value="{one}"' in text
    for asked in ("zzz", one[:3], "<u>", "-----", "9" * 300, str(uuid.uuid4())):
        text = browser.get("/console/audit", query_string={"of": asked}).text
        assert "Nothing is noted for" in text, asked
        assert "Aborted a job" not in text, asked
        assert "<u>" not in text
    assert "several jobs or schedules begin with" in browser.get(f"/console/audit?of={one[:8]}").text
    for asked in ("", "%20"):
        assert browser.get(f"/console/audit?of={asked}").text.count("Aborted a job") == 2


def test_what_needs_a_person_is_counted_whole(browser: FlaskClient, services: Services, local_org: LocalOrg) -> None:
    """Five are shown, and a link leads to all."""
    for number in range(7):
        services.jobs.submit(caller_of(local_org), BuiltIn.SAMPLE_DATA_DELETE, name=f"unlucky {number}")
        [job_id] = services.jobs.promote(local_org.org_id)
        services.jobs.move(job_id, Status.PREPARING)
        services.jobs.move(job_id, Status.FAILED)
    text = browser.get("/console").text.partition("Needs you")[2]
    assert text.startswith('</h2><span class="m">7</span>')
    assert text.count("failed</a>") == 5
    assert 'href="/console/jobs?show=failed"' in text
    assert "Failed <b>7</b>" in browser.get("/console/part/jobs/chips").text
