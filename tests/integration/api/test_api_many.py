"""Many jobs aborted and resumed by a filter: a count first, a bound, each job's own outcome, and an audit."""

from __future__ import annotations

from typing import Any

import pytest
from _api import Headers, accepted, refused, submit
from flask.testing import FlaskClient

from harness.api import LocalOrg
from quotejob.errors import StoreUnavailable
from quotejob.jobs import many
from quotejob.jobs.job import BuiltIn, Job, Status
from quotejob.jobs.listing import JobFilter
from quotejob.jobs.search import JobSearch
from quotejob.jobs.store import JobStore
from quotejob.salesforce import caller
from quotejob.store import keys


@pytest.fixture
def made(client: FlaskClient, headers: Headers) -> list[str]:
    """Five jobs of this test, the oldest first."""
    return [accepted(client.post("/api/data/create", headers=headers())) for _ in range(5)]


@pytest.fixture
def ask(client: FlaskClient, headers: Headers) -> Any:
    """``ask("abortjobs", atMost=5)``: the answer."""

    def call(path: str, **query: Any) -> dict[str, Any]:
        response = client.post(f"/api/{path}", query_string={"jobType": "SampleDataCreate", **query}, headers=headers())
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.get_json()
        return found

    return call


def test_a_count_comes_first_and_more_than_that_are_not_changed(
    client: FlaskClient, headers: Headers, made: list[str], ask: Any, store_of_jobs: JobStore
) -> None:
    """Without atMost nothing changes; with too few neither; jobs of another kind and of other orgs are left alone."""
    foreign = caller.from_header(headers(orgId=caller.to18("00D000000000098"))["x-client-context"])
    others, _ = store_of_jobs.submit(foreign, BuiltIn.SAMPLE_DATA_CREATE, number_of_opportunities=1)
    kept = accepted(submit(client, headers()))
    said = ask("abortjobs")
    assert (said["matched"], said["changed"], said["nextCursor"]) == (5, 0, None)
    assert [one["jobId"] for one in said["jobs"]] == made[::-1]
    assert [one["changed"] for one in said["jobs"]] == [False] * 5
    query = {"jobType": "SampleDataCreate", "atMost": "4"}
    assert (
        "5 jobs match" in refused(client.post("/api/abortjobs", query_string=query, headers=headers()), 409)["message"]
    )
    assert not any(job.ended for job in store_of_jobs.get_many(made))
    said = ask("abortjobs", atMost=5)
    assert (said["matched"], said["changed"]) == (5, 5)
    assert {one["status"] for one in said["jobs"]} == {"Aborted"}
    assert all(job.status is Status.ABORTED for job in store_of_jobs.get_many(made))
    assert not store_of_jobs.get(kept).ended
    assert not store_of_jobs.get(others.job_id).ended
    store_of_jobs.abort(others.job_id)
    audit = client.get("/api/audit", query_string={"limit": "5"}, headers=headers()).get_json()["entries"]
    assert [(one["action"], one["jobId"]) for one in audit] == [("abortJob", job_id) for job_id in made]


def test_a_request_is_bounded_and_the_next_one_goes_on(made: list[str], ask: Any) -> None:
    """Page by page, with the same bound; the oldest is resumed first, so that the queue has the old order."""
    first = ask("abortjobs", atMost=5, limit=2)
    second = ask("abortjobs", atMost=5, limit=2, cursor=first["nextCursor"])
    third = ask("abortjobs", atMost=5, limit=2, cursor=second["nextCursor"])
    pages = (first, second, third)
    assert [one["jobId"] for page in pages for one in page["jobs"] if one["changed"]] == made[::-1]
    assert [page["matched"] for page in pages] == [5, 3, 1]
    assert third["nextCursor"] is None
    mine = {one["jobId"] for one in ask("resumejobs", status="Aborted")["jobs"]}
    assert set(made) <= mine
    resumed = ask("resumejobs", status="Aborted", atMost=len(mine))
    assert [one["jobId"] for one in resumed["jobs"] if one["jobId"] in made] == made
    assert all(one["changed"] and one["status"] == "Holding" for one in resumed["jobs"])


def test_a_count_and_the_first_jobs_are_one_reading(
    made: list[str], store_of_jobs: JobStore, local_org: LocalOrg
) -> None:
    """Of an org with many jobs: each is read once, for the count and for the page that begins at a cursor."""
    redis = store_of_jobs._redis
    wanted, search = JobFilter(job_types=frozenset({BuiltIn.SAMPLE_DATA_CREATE})), JobSearch(redis, store_of_jobs)

    def shown(cursor: str | None) -> many.Changes:
        before = redis.info("commandstats")["cmdstat_hmget"]["calls"]
        found = many.change(
            search, local_org.org_id, wanted, many.ABORT, store_of_jobs.abort, at_most=None, limit=2, cursor=cursor
        )
        listed = redis.zcard(keys.jobs_of(local_org.org_id, "jobs"))
        assert redis.info("commandstats")["cmdstat_hmget"]["calls"] - before == listed
        return found

    first = shown(None)
    second = shown(first.next_cursor)
    third = shown(second.next_cursor)
    assert [one.job.job_id for page in (first, second, third) for one in page.jobs] == made[::-1]
    assert ([page.matched for page in (first, second, third)], third.next_cursor) == ([5, 5, 5], None)


def test_each_job_has_its_own_outcome(client: FlaskClient, headers: Headers, ask: Any) -> None:
    """A job that waits for one that ended otherwise cannot be resumed: it says why, and the others are."""
    parent = accepted(submit(client, headers()))
    body = {"soqlWhereClause": "Id != null", "name": "Outcome", "dependsOn": [parent]}
    child = accepted(client.post("/api/executebatch", json=body, headers=headers()))
    free = accepted(client.post("/api/executebatch", json={**body, "dependsOn": []}, headers=headers()))
    client.post(f"/api/jobs/{parent}/abort", headers=headers())
    client.post(f"/api/jobs/{free}/abort", headers=headers())
    query = {"name": "outcome", "atMost": "2"}
    said = client.post("/api/resumejobs", query_string=query, headers=headers()).get_json()
    assert (said["matched"], said["changed"]) == (2, 1)
    kept, gone = said["jobs"]
    assert (kept["jobId"], kept["changed"], kept["status"], kept["code"]) == (child, False, "Aborted", "JOB_CONFLICT")
    assert parent in kept["message"]
    assert (gone["jobId"], gone["changed"], gone["status"], gone["message"]) == (free, True, "Holding", None)


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("abortjobs", {"status": "Holding,Completed"}, "status"),
        ("resumejobs", {"status": "Completed"}, "status"),
        ("abortjobs", {"atMost": "all"}, "atMost"),
        ("abortjobs", {"atMost": "-1"}, "atMost"),
        ("abortjobs", {"limit": "201"}, "limit"),
        ("abortjobs", {"expected": "1"}, "expected"),
        ("resumejobs", {"cursor": "x"}, "cursor"),
    ],
)
def test_a_wrong_filter_is_refused(
    client: FlaskClient, headers: Headers, path: str, query: dict[str, str], field: str
) -> None:
    """With the field's name, and nothing is changed."""
    said = refused(client.post(f"/api/{path}", query_string=query, headers=headers()), 400)
    assert [detail["field"] for detail in said["details"]] == [field]


def test_a_store_that_goes_away_ends_the_list(made: list[str], store_of_jobs: JobStore, local_org: LocalOrg) -> None:
    """What was changed is told, with the cursor of the rest; if it was nothing, the request fails."""
    search = JobSearch(store_of_jobs._redis, store_of_jobs)
    tried: list[str] = []

    def make(job_id: str) -> Job:
        tried.append(job_id)
        if len(tried) > 2:
            raise StoreUnavailable("Redis is away")
        return store_of_jobs.abort(job_id)

    def change(cursor: str | None = None) -> many.Changes:
        wanted = JobFilter(job_types=frozenset({BuiltIn.SAMPLE_DATA_CREATE}))
        return many.change(search, local_org.org_id, wanted, many.ABORT, make, at_most=5, limit=5, cursor=cursor)

    done = change()
    assert [one.job.job_id for one in done.jobs] == made[:2:-1]
    with pytest.raises(StoreUnavailable):
        change(done.next_cursor)
    assert tried[-1] == made[2]
