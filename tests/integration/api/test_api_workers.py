"""No worker runs: whoever asks for a job, or submits one, reads that."""

from __future__ import annotations

import logging

import pytest
from _api import Headers
from flask.testing import FlaskClient

from quotejob.jobs.store import JobStore
from quotejob.jobs.workers import NEEDED, NO_WORKER, Workers
from quotejob.store import keys


def submit(client: FlaskClient, headers: Headers) -> str:
    answer = client.post("/api/executebatch", json={"soqlWhereClause": "Id != null"}, headers=headers())
    assert answer.status_code == 202, answer.text
    return str(answer.json["jobId"])  # type: ignore[index]


@pytest.mark.parametrize("gone", NEEDED)
def test_a_job_without_a_worker_says_so(
    client: FlaskClient, headers: Headers, store_of_jobs: JobStore, caplog: pytest.LogCaptureFixture, gone: str
) -> None:
    """By getJob, listJobs and getFlexQueue, with no estimates; also when the workers serve only other queues."""
    logging.getLogger().addHandler(caplog.handler)
    store_of_jobs._redis.delete(keys.worker(gone))
    job_id = submit(client, headers)
    assert NO_WORKER.message in caplog.text
    listed = client.get("/api/jobs", headers=headers()).json["jobs"]  # type: ignore[index]
    queued = client.get("/api/flexqueue", headers=headers()).json["jobs"]  # type: ignore[index]
    for job in (
        client.get(f"/api/jobs/{job_id}", headers=headers()).json,
        next(job for job in listed if job["jobId"] == job_id),
        next(job for job in queued if job["jobId"] == job_id),
    ):
        assert job is not None
        assert job["waitingFor"] == [{"jobId": None, "notBefore": None, "message": NO_WORKER.message}]
        assert (job["estimatedStart"], job["estimatedEnd"]) == (None, None)


def test_it_waits_no_longer_when_a_worker_runs(client: FlaskClient, headers: Headers, store_of_jobs: JobStore) -> None:
    """The next look shows it; what has ended never waits."""
    workers = Workers(store_of_jobs._redis)
    store_of_jobs._redis.delete(*map(keys.worker, NEEDED))
    job_id = submit(client, headers)
    workers.note(NEEDED)
    job = client.get(f"/api/jobs/{job_id}", headers=headers()).json
    assert job is not None
    assert job["waitingFor"] == []
    assert job["estimatedStart"] is not None
    store_of_jobs._redis.delete(*map(keys.worker, NEEDED))
    ended = client.post(f"/api/jobs/{job_id}/abort", headers=headers()).json
    assert ended is not None
    assert (ended["status"], ended["waitingFor"]) == ("Aborted", [])
    assert client.get(f"/api/jobs/{job_id}", headers=headers()).json["waitingFor"] == []  # type: ignore[index]
