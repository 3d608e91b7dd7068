"""Watching and stopping jobs by the API: lists, figures, results, abort, resume, ready."""

from __future__ import annotations

import csv
import io
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from _api import CLAUSE, Headers, accepted, refused, submit
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api import create_app, health
from harness.api import LocalOrg
from harness.stack import Stack
from quotejob import clock
from quotejob.jobs.job import BuiltIn, Status
from quotejob.jobs.search import JobSearch
from quotejob.jobs.store import JobStore
from quotejob.run.progress import Progress
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.run.results import results_csv
from quotejob.run.waves import current_pages
from quotejob.salesforce import caller
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys
from tasks import workers

# -- watching and stopping ---------------------------------------------------------------------------------------------


@pytest.fixture
def foreign_job(store_of_jobs: JobStore, headers: Headers) -> Iterator[str]:
    """A job of another org."""
    header = headers(orgId=caller.to18("00D000000000099"))["x-client-context"]
    job, _ = store_of_jobs.submit(caller.from_header(header), BuiltIn.SAMPLE_DATA_DELETE)
    yield job.job_id
    store_of_jobs.abort(job.job_id)


@pytest.mark.parametrize("rest", ["", "/results", "/failures", "/abort", "/resume", "/retry"])
def test_another_orgs_job_is_as_good_as_none(
    client: FlaskClient, headers: Headers, store_of_jobs: JobStore, foreign_job: str, rest: str
) -> None:
    """404, and it goes on; so is a job that never was, and what is no id at all."""
    method = "POST" if rest in ("/abort", "/resume", "/retry") else "GET"
    for job_id in (foreign_job, str(uuid.uuid4()), "x", "*", foreign_job.upper(), foreign_job.replace("-", "")):
        refused(client.open(f"/api/jobs/{job_id}{rest}", method=method, headers=headers()), 404, "JOB_NOT_FOUND")
    assert store_of_jobs.get(foreign_job).status is Status.HOLDING


def test_jobs_are_listed_newest_first_a_page_at_a_time(client: FlaskClient, headers: Headers, foreign_job: str) -> None:
    """All of them once, and no one else's."""
    made = []
    for _ in range(5):
        made.append(accepted(client.post("/api/data/delete", headers=headers())))
        time.sleep(0.002)
    found: list[str] = []
    cursor = ""
    while len(found) < 5:
        body = client.get(f"/api/jobs?limit=2{cursor}", headers=headers()).get_json()
        found += [job["jobId"] for job in body["jobs"]]
        cursor = f"&cursor={body['nextCursor']}"
    assert found[:5] == made[::-1]
    assert foreign_job not in found


def test_jobs_are_listed_by_status_and_type(client: FlaskClient, headers: Headers) -> None:
    """Several of each, separated by commas or repeated."""
    waiting = accepted(client.post("/api/data/delete", headers=headers()))
    stopped = accepted(client.post("/api/data/create", headers=headers()))
    client.post(f"/api/jobs/{stopped}/abort", headers=headers())

    def listed(query: str) -> set[str]:
        answer = client.get(f"/api/jobs?limit=200&{query}", headers=headers())
        assert answer.status_code == 200, answer.text
        return {job["jobId"] for job in answer.get_json()["jobs"]} & {waiting, stopped}

    assert listed("status=Holding") == {waiting}
    assert listed("status=Holding,Aborted") == {waiting, stopped}
    assert listed("status=Holding&status=Aborted&jobType=SampleDataCreate") == {stopped}
    assert listed("jobType=BatchQuote") == set()


def test_jobs_are_listed_by_what_is_known_of_them(client: FlaskClient, headers: Headers) -> None:
    """By when they were created and ended, by the job they depend on, by a text in extendedStatus; sorted."""
    parent = accepted(submit(client, headers()))
    body = {"soqlWhereClause": CLAUSE, "dependsOn": [parent], "notBefore": "2999-01-01T00:00:00Z"}
    child = accepted(client.post("/api/executebatch", json=body, headers=headers()))
    client.post(f"/api/jobs/{child}/abort", headers=headers())
    asked = client.get(f"/api/jobs/{child}", headers=headers()).get_json()

    def listed(**query: str) -> list[str]:
        answer = client.get("/api/jobs", query_string={"limit": "200", **query}, headers=headers())
        assert answer.status_code == 200, answer.text
        return [job["jobId"] for job in answer.get_json()["jobs"] if job["jobId"] in (parent, child)]

    assert listed(parentId=parent) == [child]
    assert listed(parentId=child) == []
    assert listed(scheduleId=parent) == []
    assert listed(extendedStatus="aBORTED ON REQUEST", parentId=parent) == [child]
    assert listed(extendedStatus="\u0000%27 OR") == []
    assert listed(createdFrom=asked["createdDate"]) == [child]
    assert listed(createdTo=asked["createdDate"]) == [parent]
    assert listed(createdFrom=asked["createdDate"].replace("Z", "+00:00")) == [child]
    assert listed(completedFrom=asked["completedDate"]) == [child]
    assert listed(completedTo=asked["completedDate"]) == []
    assert listed(createdFrom="0001-01-01T00:00:00+14:00", createdTo="9999-12-31T23:59:59-12:00") == [child, parent]
    assert listed(order="asc") == [parent, child]
    assert listed(sort="completedDate") == listed(sort="completedDate", order="asc") == [child, parent]
    assert listed(sort="status", order="asc") == [parent, child]


def test_jobs_in_figures(
    client: FlaskClient, headers: Headers, store_of_jobs: JobStore, job_with_results: str, local_org: LocalOrg
) -> None:
    """Of the jobs that the filters of the list take: counts as lists, times in seconds, null where there is nothing."""
    redis = store.connect(store_of_jobs._settings)
    redis.hset(f"quotejob:job:{job_with_results}", "endGuess", "2000 3000")
    assert store_of_jobs.move(job_with_results, Status.COMPLETED, extendedStatus="FIELD_CUSTOM: a reason of its own")
    body = {"soqlWhereClause": CLAUSE, "dependsOn": [job_with_results]}
    held = accepted(client.post("/api/executebatch", json=body, headers=headers()))
    created = store_of_jobs.get(job_with_results).created_date
    for name, seconds in {"startedDate": 4, "completedDate": 16}.items():
        redis.hset(f"quotejob:job:{job_with_results}", name, (created + timedelta(seconds=seconds)).isoformat())
    ended = created + timedelta(seconds=16)

    def summary(query: str) -> dict[str, Any]:
        answer = client.get(f"/api/jobs/summary?{query}", headers=headers())
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.get_json()
        return body

    def same(value: float) -> dict[str, Any]:
        return {"count": 1, "mean": value} | dict.fromkeys(("p50", "p90", "p95", "p99", "max"), value)

    off = round(ended.timestamp() - 3, 3)  # the estimate was 3 s after the beginning of 1970
    found = summary(f"extendedStatus=a+reason+of+its+own&completedFrom={ended.isoformat().replace('+00:00', 'Z')}")
    assert [one for one in found["byStatus"] if one["jobs"]] == [{"status": "Completed", "jobs": 1}]
    assert [one["status"] for one in found["byStatus"]] == list(Status)
    assert found["byJobType"][0] == {"jobType": "BatchQuote", "jobs": 1}
    assert found["byStatusAndJobType"] == [{"status": "Completed", "jobType": "BatchQuote", "jobs": 1}]
    assert (found["total"], found["waitingSeconds"], found["runSeconds"]) == (1, same(4.0), same(12.0))
    assert found["recordsPerSecond"] == same(0.25)
    nothing = dict.fromkeys(("medianErrorSeconds", "p90ErrorSeconds", "medianErrorShare", "biasSeconds"))
    assert found["startEstimates"] == {"count": 0, **nothing}
    assert found["endEstimates"] == {
        "count": 1, "medianErrorSeconds": off, "p90ErrorSeconds": off, "medianErrorShare": 1.0, "biasSeconds": off,
    }  # fmt: skip
    waiting = summary(f"parentId={job_with_results}")
    assert waiting["total"] == 1
    assert waiting["runSeconds"] == {"count": 0} | dict.fromkeys(("mean", "p50", "p90", "p95", "p99", "max"))
    everything = client.get("/api/jobs?limit=200", headers=headers()).get_json()["jobs"]
    assert summary("")["total"] == len(everything)
    assert held in [job["jobId"] for job in everything]


def test_an_aborted_job_can_be_resumed(client: FlaskClient, headers: Headers) -> None:
    """It waits in the flex queue again; one that has not ended cannot be resumed."""
    job_id = accepted(submit(client, headers()))
    refused(client.post(f"/api/jobs/{job_id}/resume", headers=headers()), 409, "JOB_CONFLICT")
    client.post(f"/api/jobs/{job_id}/abort", headers=headers())
    answer = client.post(f"/api/jobs/{job_id}/resume", headers=headers())
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/jobs/{answer.get_json()['jobId']}"
    assert (answer.get_json()["status"], answer.get_json()["extendedStatus"]) == ("Holding", None)


def test_who_does_not_say_who_calls_is_told_that_first(client: FlaskClient) -> None:
    """401, whatever else is wrong with the request."""
    answer = client.post("/api/executebatch", data="no json", headers={"x-client-context": "???"})
    refused(answer, 401, "UNAUTHENTICATED")


def test_a_job_can_be_aborted_once(client: FlaskClient, headers: Headers) -> None:
    """The answer is the job as it then stands; a second time there is nothing to stop."""
    job_id = accepted(client.post("/api/data/delete", headers=headers()))
    answer = client.post(f"/api/jobs/{job_id}/abort", headers=headers())
    assert answer.status_code == 200
    assert answer.get_json()["status"] == "Aborted"
    assert answer.get_json()["completedDate"]
    refused(client.post(f"/api/jobs/{job_id}/abort", headers=headers()), 409, "JOB_CONFLICT")


RESULTS = (
    Result("006000000000001AAA", Outcome.SUCCEEDED, quote_id="0Q0000000000001AAA"),
    Result("006000000000002AAA", Outcome.SKIPPED, code="NO_LINES", message="The Opportunity has no lines"),
    Result(
        "006000000000003AAA", Outcome.FAILED, None, "FIELD_CUSTOM_VALIDATION_EXCEPTION", 'Say "why",\nplease', "Deal"
    ),
)


@pytest.fixture
def job_with_results(client: FlaskClient, headers: Headers, store_of_jobs: JobStore, local_org: LocalOrg) -> str:
    """A job of two pages with results, as workers leave it."""
    for job in JobSearch(store_of_jobs._redis, store_of_jobs).recent(local_org.org_id, limit=200)[0]:
        if not job.ended:
            store_of_jobs.abort(job.job_id)
    job_id = accepted(submit(client, headers()))
    assert store_of_jobs.promote(local_org.org_id) == [job_id]
    store_of_jobs.move(job_id, Status.PREPARING)
    Progress(store_of_jobs._redis).store_plan(
        job_id, [[RESULTS[0].record_id, RESULTS[1].record_id], [RESULTS[2].record_id]], 2, lambda: 1
    )
    store_of_jobs.move(job_id, Status.PROCESSING)
    Progress(store_of_jobs._redis).record_page(job_id, 0, Receipt("0", RESULTS[:2]))
    Progress(store_of_jobs._redis).record_page(job_id, 0, Receipt("1", RESULTS[2:]))
    return job_id


def test_results_are_given_by_outcome_and_a_page_at_a_time(
    client: FlaskClient, headers: Headers, job_with_results: str
) -> None:
    """Each with its key, its quote or its reason."""
    address = f"/api/jobs/{job_with_results}/results"
    whole = client.get(address, headers=headers()).get_json()
    assert whole["nextCursor"] is None
    assert whole["results"][0] == {
        "recordId": "006000000000001AAA",
        "outcome": "succeeded",
        "quoteId": "0Q0000000000001AAA",
        "writtenId": "0Q0000000000001AAA",
        "code": None,
        "message": None,
        "recordName": None,
    }
    assert [result["outcome"] for result in whole["results"]] == ["succeeded", "skipped", "failed"]
    failed = client.get(f"{address}?outcome=failed", headers=headers()).get_json()["results"]
    assert [result["code"] for result in failed] == ["FIELD_CUSTOM_VALIDATION_EXCEPTION"]
    first = client.get(f"{address}?limit=2", headers=headers()).get_json()
    second = client.get(f"{address}?limit=2&cursor={first['nextCursor']}", headers=headers()).get_json()
    assert first["results"] + second["results"] == whole["results"]


def test_the_pace_is_given_by_time(
    client: FlaskClient, headers: Headers, job_with_results: str, store_of_jobs: JobStore
) -> None:
    """Each record once, in seconds; with more than 60 spans, each two become one, and nothing is lost."""
    address, key = f"/api/jobs/{job_with_results}/progress", keys.job(job_with_results, "pace")
    pace = client.get(address, headers=headers()).get_json()
    assert pace["spanSeconds"] == 1
    assert sum(span["records"] for span in pace["spans"]) == 3
    begun = datetime.fromisoformat(pace["spans"][0]["startDate"])
    assert abs(begun - clock.now()) < timedelta(seconds=30)
    now = int(begun.timestamp())
    store_of_jobs._redis.hset(key, mapping={str(now - 100 - n): 5 for n in range(60)})
    progress = Progress(store_of_jobs._redis)
    progress.record_page(job_with_results, 0, Receipt("2", RESULTS[:1]))
    pace = client.get(address, headers=headers()).get_json()
    assert pace["spanSeconds"] == 2
    assert 31 <= len(pace["spans"]) <= 34
    assert sum(span["records"] for span in pace["spans"]) == 304
    assert pace["spans"] == sorted(pace["spans"], key=lambda span: span["startDate"])
    store_of_jobs._redis.hset(key, mapping={str(n * 1000): 1 for n in range(200)})  # days without anything
    progress.record_page(job_with_results, 0, Receipt("3", RESULTS[:1]))
    assert len(progress.pace(job_with_results).spans) <= 60
    store_of_jobs.abort(job_with_results)
    assert store_of_jobs._redis.ttl(key) == store_of_jobs._redis.ttl(keys.job(job_with_results, "results"))


def test_the_pages_of_the_current_wave_are_told(
    client: FlaskClient, headers: Headers, job_with_results: str, store_of_jobs: JobStore
) -> None:
    """Each with how far it is; more than 200 are told in groups, by the least advanced; none of a Completed job."""
    address = f"/api/jobs/{job_with_results}/progress"
    pages = client.get(address, headers=headers()).get_json()["pages"]
    assert pages == [{"first": 0, "last": 0, "state": "done"}, {"first": 1, "last": 1, "state": "failed"}]
    job, progress = store_of_jobs.get(job_with_results), Progress(store_of_jobs._redis)
    large = msgspec.structs.replace(job, total_job_items=1002, waves=2)
    progress.record_page(job_with_results, 0, Receipt("2", to_write=1), b"priced")
    groups = current_pages(large, progress)  # of the first 501 pages
    assert len(groups) == 167
    assert (groups[0].first, groups[0].last, groups[0].state) == (0, 2, "priced")
    assert {group.state for group in groups[1:]} == {"planned"}
    assert groups[-1].last == 500
    progress.record_batch(job_with_results, 0, Receipt("0.0", RESULTS[:1], pages={2: (1, 0)}))
    assert current_pages(large, progress)[0].state == "failed"
    assert current_pages(msgspec.structs.replace(large, job_items_processed=501), progress)[0].first == 501
    store_of_jobs.move(job_with_results, Status.COMPLETED)
    assert client.get(address, headers=headers()).get_json()["pages"] == []


def test_failures_are_given_by_reason(client: FlaskClient, headers: Headers, job_with_results: str) -> None:
    """With the record's name and what to do; none of a job in which nothing failed."""
    answer = client.get(f"/api/jobs/{job_with_results}/failures", headers=headers()).get_json()
    [reason] = answer.pop("failures")
    assert answer == {"jobId": job_with_results, "failed": 1}
    assert "validation rule" in reason.pop("hint")
    assert reason == {
        "code": "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "message": 'Say "why",\nplease',
        "count": 1,
        "records": [{"recordId": "006000000000003AAA", "recordName": "Deal"}],
    }
    fresh = accepted(submit(client, headers()))
    answer = client.get(f"/api/jobs/{fresh}/failures", headers=headers()).get_json()
    assert answer == {"jobId": fresh, "failed": 0, "failures": []}


def test_results_come_as_csv_when_asked_for(
    client: FlaskClient, headers: Headers, job_with_results: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streamed, all of them, one line a record; JSON stays the answer for anybody else."""
    monkeypatch.setattr(results_csv, "CSV_CHUNK", 1)
    address = f"/api/jobs/{job_with_results}/results"
    answer = client.get(address, headers=headers({"Accept": "text/csv"}))
    assert answer.mimetype == "text/csv"
    assert "Content-Length" not in answer.headers
    rows = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert rows[0] == ["recordId", "outcome", "quoteId", "code", "message", "recordName"]
    assert rows[1] == ["006000000000001AAA", "succeeded", "0Q0000000000001AAA", "", "", ""]
    assert rows[3][4] == 'Say "why",\nplease'
    assert len(rows) == 4
    for accept in ("*/*", "application/json", "text/html", ""):
        assert client.get(address, headers=headers({"Accept": accept})).mimetype == "application/json"
    nobodys = f"/api/jobs/{uuid.uuid4()}/results"
    refused(client.get(nobodys, headers=headers({"Accept": "text/csv"})), 404, "JOB_NOT_FOUND")


def csv_rows(answer: TestResponse) -> list[list[str]]:
    """The rows below the headings."""
    assert answer.mimetype == "text/csv", answer.text
    return list(csv.reader(io.StringIO(answer.text, newline="")))[1:]


@pytest.mark.parametrize(
    ("query", "sizes"), [("", [3]), ("?limit=1", [1, 1, 1]), ("?limit=2", [2, 1]), ("?outcome=skipped&limit=1", [1])]
)
def test_csv_comes_in_pages_when_a_limit_is_sent(
    client: FlaskClient, headers: Headers, job_with_results: str, query: str, sizes: list[int]
) -> None:
    """The header Link leads from page to page, with the same filter, and all pages together are the whole."""
    asked = headers({"Accept": "text/csv"})
    following = f"/api/jobs/{job_with_results}/results{query}"
    pages = []
    while following:
        answer = client.get(following, headers=asked)
        pages.append(csv_rows(answer))
        link = re.fullmatch('<(.+)>; rel="next"', answer.headers.get("Link", ""))
        following = link[1] if link else ""
    assert [len(page) for page in pages] == sizes
    outcome = query.partition("&")[0] if "outcome" in query else ""
    whole = client.get(f"/api/jobs/{job_with_results}/results{outcome}", headers=asked)
    assert [row for page in pages for row in page] == csv_rows(whole)


# -- ready -------------------------------------------------------------------------------------------------------------


def test_ready_needs_a_worker(
    client: FlaskClient, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 names what is missing; with a worker it is 200; however often it is asked, the workers are asked rarely."""
    asked = 0

    def ask() -> bool:
        nonlocal asked
        asked += 1
        return workers.is_worker_running(within=1.0)

    monkeypatch.setattr(health, "worker_check", health.CachedCheck(ask, kept_for=600))
    body = refused(client.get("/ready"), 503, "NOT_READY")
    assert [detail["field"] for detail in body["details"]] == ["worker"]
    for _ in range(20):
        client.get("/ready")
    assert asked == 1
    monkeypatch.setattr(health, "worker_check", health.CachedCheck(ask, kept_for=0))
    with Stack(tmp_path, redis_url=settings.redis_url) as stack:
        stack.start_worker(1, "--pool", "solo")
        deadline = time.monotonic() + 60
        while (answer := client.get("/ready")).status_code != 200:
            assert time.monotonic() < deadline, stack.process("worker1").tail()
            stack.check()
            time.sleep(0.2)
    assert answer.get_json() == {"status": "ready", "redis": "ok", "worker": "ok"}


def test_no_token_is_in_redis_in_clear_or_in_the_log(
    settings: Settings, headers: Headers, local_org: LocalOrg, client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """Searched for in every value and every line."""
    loud = create_app(replace(settings, log_level="DEBUG")).test_client()
    accepted(submit(loud, headers()))
    refused(submit(loud, headers(), "Bacon__c = 1"), 400)
    out = "".join(capsys.readouterr())
    assert "Answered a request" in out
    secret = local_org.token.split("!")[1]
    assert secret not in out
    assert headers()["x-client-context"][-40:] not in out
    for value in _everything(store.connect(settings)):
        assert secret.encode() not in value


def _everything(database: redis.Redis) -> Iterator[bytes]:
    for key in database.scan_iter("*"):
        yield key
        yield database.dump(key) or b""
