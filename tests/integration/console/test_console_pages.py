"""What the pages show and change: parts that cost one read, texts that stay texts, changes that reach the stores."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from _runs import caller_of
from flask.testing import FlaskClient

import api
import console
from console import health
from harness.api import LocalOrg
from quotejob.jobs.job import BuiltIn, Status
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import keys
from quotejob.store.client import RedisClient

HTML = "<img src=x onerror=alert(1)>"
Csrf = Callable[[FlaskClient], str]


@pytest.fixture
def job_id(services: Services, local_org: LocalOrg) -> str:
    """A Holding job whose name and clause have HTML in them."""
    clause = f"Name = '{HTML}'"
    context = caller_of(local_org)
    return services.jobs.submit(context, BuiltIn.BATCH_QUOTE, name=HTML, soql_where_clause=clause)[0].job_id


def parts(job_id: str) -> list[str]:
    return [f"/console/part/{what}" for what in (f"jobs?ids={job_id}", f"jobs/{job_id}/progress", "now", "queue")]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the commands that go to Redis."""
    sent: list[str] = []
    execute = RedisClient.execute_command

    def noted(client: RedisClient, *args: Any, **options: Any) -> Any:
        sent.append(args[0])
        return execute(client, *args, **options)

    monkeypatch.setattr(RedisClient, "execute_command", noted)
    return sent


def test_an_unchanged_part_costs_one_read(
    browser: FlaskClient, services: Services, local_org: LocalOrg, job_id: str, commands: list[str]
) -> None:
    """304, and a single command to Redis; any change of the org's jobs makes it new."""
    for path in parts(job_id):
        for _ in range(3):  # the tag has a quarter of a minute in it, which may end just now
            tag = browser.get(path).headers["HX-PTag"]
            commands.clear()
            again = browser.get(path, headers={"HX-PTag": tag})
            if again.status_code == 304:
                break
        assert (again.status_code, again.data, commands) == (304, b"", ["MGET"]), path
        services.jobs.submit(caller_of(local_org), BuiltIn.SAMPLE_DATA_DELETE)
        assert browser.get(path, headers={"HX-PTag": tag}).status_code == 200


@pytest.mark.parametrize("path", ["", "/jobs", "/queue", "/jobs/{job}"])
def test_what_people_wrote_is_shown_as_text(browser: FlaskClient, job_id: str, path: str) -> None:
    text = browser.get("/console" + path.format(job=job_id)).text
    assert "&lt;img src=x" in text
    assert "<img src=x" not in text


def test_a_job_of_another_org_is_not_there(browser: FlaskClient, services: Services, local_org: LocalOrg) -> None:
    """Neither its page nor a part of it, nor its results, nor a change."""
    stranger = replace(caller_of(local_org), org_id="00D000000000099EAA")
    foreign = services.jobs.submit(stranger, BuiltIn.SAMPLE_DATA_DELETE)[0].job_id
    for path in ("jobs/{}", "part/jobs/{}/progress", "part/jobs/{}/reasons", "jobs/{}/results.csv"):
        assert browser.get(f"/console/{path.format(foreign)}").status_code == 404, path
    assert foreign not in browser.get(f"/console/part/jobs?ids={foreign}").text
    services.jobs.abort(foreign)


def test_an_address_that_means_nothing_still_shows_jobs(browser: FlaskClient, job_id: str) -> None:
    assert job_id in browser.get("/console/jobs?show=x&type=y&when=z&q=").text
    assert browser.get(f"/console/jobs?q={job_id}").headers["Location"] == f"/console/jobs/{job_id}"
    assert browser.get("/console/jobs?after=x").status_code == 400


def test_a_job_shows_its_pages_and_its_pace(
    browser: FlaskClient, services: Services, local_org: LocalOrg, job_id: str
) -> None:
    """A square for each page and a bar for each span of time; the same part says so in words."""
    assert services.jobs.promote(local_org.org_id) == [job_id]
    services.jobs.move(job_id, Status.PREPARING)
    services.progress.store_plan(job_id, [["a", "b"], ["c"], ["d"]], 4, lambda: 1)
    services.jobs.move(job_id, Status.PROCESSING)
    services.progress.record_page(job_id, 0, Receipt("0", tuple(Result(each, Outcome.SUCCEEDED) for each in "ab")))
    services.progress.record_page(job_id, 0, Receipt("1", (Result("c", Outcome.FAILED, code="X"),)))
    services.client.hset(keys.job(job_id, "pace"), str(int(time.time()) - 40), 300)
    text = browser.get(f"/console/part/jobs/{job_id}/progress").text
    assert "Pages 1 to 3: 1 to do, 1 done, 1 with failed records" in text
    assert "Records a second, at most 300" in text
    assert '<rect class="f" x="15"' in text


def test_a_move_names_a_neighbour(
    browser: FlaskClient, csrf: Csrf, services: Services, local_org: LocalOrg, job_id: str
) -> None:
    """The answer is the whole list; a neighbour that has left is explained with 409."""
    token = {"X-CSRF-Token": csrf(browser)}
    second = services.jobs.submit(caller_of(local_org), BuiltIn.SAMPLE_DATA_DELETE)[0].job_id
    moved = browser.post("/console/queue/move", data={"job": second, "place": "before", "other": job_id}, headers=token)
    assert moved.status_code == 200
    assert moved.text.index(f"q-{second}") < moved.text.index(f"q-{job_id}")
    services.jobs.abort(job_id)
    stale = browser.post("/console/queue/move", data={"job": second, "place": "after", "other": job_id}, headers=token)
    assert stale.status_code == 409
    assert "the queue was faster" in stale.text
    assert browser.post("/console/queue/move", data={"job": "x", "place": "up"}, headers=token).status_code == 400


def test_a_refused_clause_stays_in_the_form(browser: FlaskClient, csrf: Csrf, services: Services) -> None:
    """With the org's own words, as text."""
    answer = browser.post("/console/submit", data={"csrf": csrf(browser), "clause": f"Nme = '{HTML}'"})
    assert answer.status_code == 200
    assert "No such column" in answer.text
    assert "Nme = &#39;&lt;img" in answer.text


def test_the_audit_names_who_did_what(browser: FlaskClient, csrf: Csrf, services: Services, job_id: str) -> None:
    """With the values before; names stay texts; the entries of one job by its id."""
    browser.post(f"/console/jobs/{job_id}/abort", data={"csrf": csrf(browser)})
    for path in ("/console/audit", f"/console/audit?of={job_id}"):
        text = browser.get(path).text
        assert all(word in text for word in ("Aborted a job", "Holding", "&lt;img src=x")), path
        assert "<img src=x" not in text
    assert "Aborted a job" not in browser.get("/console/audit?of=00000000-0000-4000-8000-000000000000").text
    assert browser.get("/console/audit?after=x").status_code == 400


def test_a_form_that_is_sent_twice_makes_one_job(browser: FlaskClient, csrf: Csrf, services: Services) -> None:
    form = {"csrf": csrf(browser), "clause": "Id != null", "once": "key-1"}
    first, second = (browser.post("/console/submit", data=form) for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]


def test_health_says_what_the_doctor_says(
    browser: FlaskClient,
    services: Services,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    logging_restored: None,
) -> None:
    """One judge: no worker answers here. The org is asked once a minute, however often the page asks."""
    monkeypatch.setattr(health, "_kept", health._Kept())
    page = browser.get("/console/health").text
    assert "No worker answers: start one with: celery -A tasks worker" in page
    assert "The session works, the key fields are there" in page
    assert "Flower" not in page
    monkeypatch.setattr(health, "of_org", lambda *_: pytest.fail("the org was asked again"))
    browser.get("/console/part/health", headers={"HX-Request": "true"})
    linked = api.create_app(replace(settings, flower_url="https://flower.example"))
    console.install(linked)
    other = linked.test_client()
    kept = browser.get_cookie("quotejob_console", path="/console")
    assert kept
    other.set_cookie("quotejob_console", kept.value, path="/console")
    assert 'href="https://flower.example"' in other.get("/console/health").text
