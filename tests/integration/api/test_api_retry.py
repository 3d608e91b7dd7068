"""Jobs with failed records are found by the API, and their failed records retried."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _api import CLAUSE, Headers, accepted, refused, submit
from flask.testing import FlaskClient

from harness.api import LocalOrg
from quotejob.jobs.job import BuiltIn, Status
from quotejob.jobs.search import JobSearch
from quotejob.jobs.store import JobStore
from quotejob.run.progress import Progress
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.salesforce import caller
from quotejob.store import keys

Ended = Callable[..., str]
IDS = ("006000000000001AAA", "006000000000002AAA", "006000000000003AAA", "006000000000004AAA")
CODES = ("UNABLE_TO_LOCK_ROW", "FIELD_CUSTOM_VALIDATION_EXCEPTION", "UNABLE_TO_LOCK_ROW", None)


@pytest.fixture
def ended(store_of_jobs: JobStore, local_org: LocalOrg, headers: Headers) -> Iterator[Ended]:
    """``ended(Status.FAILED)``: a job that ended so, and whose records failed with CODES. Estimates ignore it."""

    def make(status: Status = Status.COMPLETED, codes: tuple[str | None, ...] = CODES) -> str:
        context = caller.from_header(headers()["x-client-context"])
        for job in JobSearch(store_of_jobs._redis, store_of_jobs).recent(local_org.org_id, limit=200)[0]:
            if not job.ended:
                store_of_jobs.abort(job.job_id)
        job_id = store_of_jobs.submit(context, BuiltIn.BATCH_QUOTE, name="First", soql_where_clause=CLAUSE)[0].job_id
        assert store_of_jobs.promote(local_org.org_id) == [job_id]
        progress = Progress(store_of_jobs._redis)
        store_of_jobs.move(job_id, Status.PREPARING)
        progress.store_plan(job_id, [list(IDS)], 2, lambda: 1)
        store_of_jobs.move(job_id, Status.PROCESSING)
        results = tuple(
            Result(record_id, Outcome.FAILED, code=code, message="why") if code else Result(record_id, Outcome.SKIPPED)
            for record_id, code in zip(IDS, codes, strict=True)
        )
        progress.record_page(job_id, 0, Receipt("0", results))
        assert store_of_jobs.move(job_id, status)
        return job_id

    yield make
    store_of_jobs._redis.delete(keys.jobs_of(local_org.org_id, f"runs:{BuiltIn.BATCH_QUOTE}"))


@pytest.fixture
def chosen(store_of_jobs: JobStore) -> Callable[[str], set[str]]:
    """The records of a retry."""
    return lambda job_id: set(Progress(store_of_jobs._redis).chosen(job_id))


def retry(client: FlaskClient, headers: dict[str, str], job_id: str, body: Any = None) -> dict[str, Any]:
    """The answer to an accepted retry."""
    answer = client.post(f"/api/jobs/{job_id}/retry", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/api/jobs/{answer.get_json()['jobId']}"
    job: dict[str, Any] = answer.get_json()
    return job


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.ABORTED])
def test_a_retry_is_a_new_job(
    client: FlaskClient, headers: Headers, ended: Ended, chosen: Callable[[str], set[str]], status: Status
) -> None:
    """However the first one ended; it says which that was, and has no clause of its own."""
    first = ended(status)
    job = retry(client, headers(), first)
    assert job["jobId"] != first
    assert {name: job[name] for name in ("retryOf", "name", "jobType", "status", "soqlWhereClause", "dependsOn")} == {
        "retryOf": first, "name": "First", "jobType": "BatchQuote", "status": "Holding", "soqlWhereClause": None,
        "dependsOn": [],
    }  # fmt: skip
    assert chosen(job["jobId"]) == set(IDS[:3])
    assert client.get(f"/api/jobs/{first}", headers=headers()).get_json()["status"] == status
    assert client.get(f"/api/jobs/{job['jobId']}", headers=headers()).get_json()["retryOf"] == first


@pytest.mark.parametrize("body", [{}, {"codes": None}, {"codes": ["UNABLE_TO_LOCK_ROW", CODES[1]]}])
def test_the_body_may_say_which_codes(
    client: FlaskClient, headers: Headers, ended: Ended, chosen: Callable[[str], set[str]], body: dict[str, Any]
) -> None:
    """Without codes all that failed; with some of them only those."""
    first = ended()
    assert chosen(retry(client, headers(), first, body)["jobId"]) == set(IDS[:3])
    one = retry(client, headers(), first, {"codes": ["FIELD_CUSTOM_VALIDATION_EXCEPTION", "NO_SUCH_CODE"]})
    assert chosen(one["jobId"]) == {IDS[1]}


@pytest.mark.parametrize(
    ("data", "content_type"), [("", ""), ("", "application/json"), ("{}", "application/json"), ("", "text/plain")]
)
def test_no_body_is_as_good_as_an_empty_one(
    client: FlaskClient, headers: Headers, ended: Ended, data: str, content_type: str
) -> None:
    """Whatever it is said to be."""
    path = f"/api/jobs/{ended()}/retry"
    assert client.post(path, data=data, content_type=content_type, headers=headers()).status_code == 202


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"codes": []}, "codes"),
        ({"codes": "UNABLE_TO_LOCK_ROW"}, "codes"),
        ({"codes": [""]}, "codes"),
        ({"codes": ["A CODE"]}, "codes"),
        ({"codes": [None]}, "codes"),
        ({"codes": [1]}, "codes"),
        ({"codes": [str(number) for number in range(51)]}, "codes"),
        ({"code": ["A"]}, "code"),
        ([], "body"),
        (None, "body"),
        ("all", "body"),
    ],
)
def test_a_bad_body_is_400(client: FlaskClient, headers: Headers, ended: Ended, body: Any, field: str) -> None:
    """With the field named; nothing is submitted. ``null`` is a body, and no object."""
    path = f"/api/jobs/{ended()}/retry"
    answer = client.post(path, data=client.application.json.dumps(body), content_type="application/json",
                         headers=headers())  # fmt: skip
    assert {detail["field"] for detail in refused(answer, 400, "INVALID_REQUEST")["details"]} == {field}


def test_when_nothing_is_to_be_retried(client: FlaskClient, headers: Headers, ended: Ended) -> None:
    """409 with the reason: it has not ended, nothing failed, not with these codes, it is sample data."""

    def reason(job_id: str, body: Any = None) -> str:
        answer = client.post(f"/api/jobs/{job_id}/retry", json=body, headers=headers())
        return str(refused(answer, 409, "JOB_CONFLICT")["message"])

    assert "No record of this job failed" in reason(ended(codes=(None,) * 4))
    assert "its codes are FIELD_CUSTOM_VALIDATION_EXCEPTION, UNABLE_TO_LOCK_ROW" in reason(ended(), {"codes": ["X"]})
    going = accepted(submit(client, headers()))
    assert "this one is Holding" in reason(going)
    client.post(f"/api/jobs/{going}/abort", headers=headers())
    assert "No record of this job failed" in reason(going)
    samples = accepted(client.post("/api/data/delete", headers=headers()))
    assert "SampleDataDelete jobs cannot be retried" in reason(samples)


def test_one_idempotency_key_is_one_retry(client: FlaskClient, headers: Headers, ended: Ended) -> None:
    """The same request gives the same job; other codes, another job or operation are refused."""
    first, key = ended(), {"Idempotency-Key": str(uuid.uuid4())}
    made = retry(client, headers(key), first)["jobId"]
    for same in ({}, {"codes": None}, None):
        assert retry(client, headers(key), first, same)["jobId"] == made
    paths = {
        f"/api/jobs/{first}/retry": {"codes": [CODES[0]]},
        f"/api/jobs/{ended()}/retry": {},
        "/api/data/delete": {},
    }
    for path, body in paths.items():
        refused(client.post(path, json=body, headers=headers(key)), 422, "IDEMPOTENCY_KEY_REUSED")


def test_jobs_with_failed_records_are_found(
    client: FlaskClient, headers: Headers, ended: Ended, store_of_jobs: JobStore
) -> None:
    """By the list and the summary, with other filters and in every order; by the words true and false only."""
    bad, good = ended(), ended(codes=(None,) * 4)

    def listed(query: str) -> set[str]:
        found = client.get(f"/api/jobs?limit=200&{query}", headers=headers()).get_json()["jobs"]
        return {job["jobId"] for job in found} & {bad, good}

    assert listed("hasErrors=true") == listed("hasErrors=true&status=Completed&sort=completedDate") == {bad}
    assert listed("hasErrors=false") == listed("hasErrors=false&sort=status&order=asc") == {good}
    assert listed("") == {bad, good}
    counts = [
        client.get(f"/api/jobs/summary?{query}", headers=headers()).get_json()["total"]
        for query in ("", "hasErrors=true", "hasErrors=false")
    ]
    assert counts[0] == counts[1] + counts[2]
    for wrong in ("", "1", "yes", "TRUE", "true&hasErrors=true"):
        body = refused(client.get(f"/api/jobs?hasErrors={wrong}", headers=headers()), 400, "INVALID_REQUEST")
        assert [detail["field"] for detail in body["details"]] == ["hasErrors"]
