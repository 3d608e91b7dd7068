"""Bulk jobs when things go wrong: locked rows, an org that stops in the middle, users who may not."""

from __future__ import annotations

import csv
import io
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from _server import Server, Start

Json = dict[str, Any]


def _open(org: Server, object_name: str = "Account", operation: str = "insert") -> Json:
    answer = org.post("jobs/ingest", {"object": object_name, "operation": operation})
    assert answer.status_code == 200, answer.text
    job: Json = answer.json()
    return job


def _close(org: Server, job: Json, rows: str) -> None:
    sent = org.put(f"/{job['contentUrl']}", rows, headers={"Content-Type": "text/csv"})
    assert sent.status_code == 201, sent.text
    assert org.patch(f"jobs/ingest/{job['id']}", {"state": "UploadComplete"}).status_code == 200


def _info(org: Server, job: Json, kind: str = "ingest") -> Json:
    body: Json = org.get(f"jobs/{kind}/{job['id']}").json()
    return body


def _ended(org: Server, job: Json, kind: str = "ingest") -> Json:
    deadline = time.monotonic() + 30
    while (info := _info(org, job, kind))["state"] in ("UploadComplete", "InProgress"):
        assert time.monotonic() < deadline, info
        time.sleep(0.02)
    return info


def _rows(org: Server, job: Json, which: str) -> list[dict[str, str]]:
    text = org.get(f"jobs/ingest/{job['id']}/{which}").content.decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def _names(count: int) -> str:
    return "Name\n" + "".join(f"Row {number}\n" for number in range(count))


# --- locks --------------------------------------------------------------------------------------------------------


def test_a_lock_befalls_single_rows(start: Start) -> None:
    """By count or by probability, and only in jobs of the object; other requests never meet it."""
    org = start()
    fault = {"kind": "lock", "match": {"resource": "jobs/ingest/rows", "object": "Account"}, "count": 3}
    assert org.post("/localorg/faults", fault).status_code < 300
    org.create("Account", Name="A request")
    job = _open(org)
    _close(org, job, _names(500))
    info = _ended(org, job)
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("JobComplete", 500, 3)
    failed = _rows(org, job, "failedResults")
    error = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--"
    assert [row["sf__Error"] for row in failed] == [error] * 3
    assert {row["Name"] for row in failed} == {"Row 0", "Row 1", "Row 2"}
    assert len(_rows(org, job, "successfulResults")) == 497
    share = {**fault, "count": None, "probability": 0.2, "message": "held by another", "seed": 4}
    assert org.post("/localorg/faults", share).status_code < 300
    again = _open(org)
    _close(org, again, _names(1000))
    assert 120 < _ended(org, again)["numberRecordsFailed"] < 280
    assert _rows(org, again, "failedResults")[0]["sf__Error"] == "UNABLE_TO_LOCK_ROW:held by another:--"
    other = _open(org, "Product2")
    _close(org, other, _names(100))
    assert _ended(org, other)["numberRecordsFailed"] == 0


def test_a_lock_on_every_request_leaves_rows_alone(start: Start) -> None:
    """Rows are meant only when the match says so."""
    org = start()
    job = _open(org)
    _close(org, job, _names(10))
    org.post("/localorg/faults", {"kind": "lock", "match": {"object": "Product2"}})
    assert _ended(org, job)["numberRecordsFailed"] == 0


# --- restarts -----------------------------------------------------------------------------------------------------


def test_jobs_outlive_an_org_that_is_kept(start: Start, tmp_path: Path) -> None:
    """Finished ones with their results, open ones with their upload, waiting ones and queries go on."""
    org = start("--db", str(tmp_path / "org.db"))
    done, still_open, deleted = _open(org), _open(org), _open(org)
    _close(org, done, "Name\nOne\n,\n")
    before = _ended(org, done)
    files = {
        which: org.get(f"jobs/ingest/{done['id']}/{which}").text for which in ("successfulResults", "failedResults")
    }
    org.put(f"/{still_open['contentUrl']}", "Name\nLater\n", headers={"Content-Type": "text/csv"})
    _close(org, deleted, "Name\nGone\n")
    _ended(org, deleted)
    assert org.delete(f"jobs/ingest/{deleted['id']}").status_code == 204
    query = org.post("jobs/query", {"operation": "query", "query": "SELECT Id FROM Account ORDER BY Id LIMIT 3"}).json()
    _ended(org, query, "query")
    ids = org.get(f"jobs/query/{query['id']}/results").text
    assert org.stop() == 0
    org = start("--db", str(tmp_path / "org.db"))
    assert _info(org, done) == before
    for which, text in files.items():
        assert org.get(f"jobs/ingest/{done['id']}/{which}").text == text
    assert org.get(f"jobs/ingest/{deleted['id']}").status_code == 404
    assert org.get(f"jobs/query/{query['id']}/results").text == ids
    assert org.patch(f"jobs/ingest/{still_open['id']}", {"state": "UploadComplete"}).status_code == 200
    assert _ended(org, still_open)["numberRecordsProcessed"] == 1
    assert _open(org)["id"] > deleted["id"]
    assert len(list((tmp_path / "org.db-bulk").iterdir())) == 4


def _wait_for_rows(org: Server, job: Json) -> None:
    while _info(org, job)["numberRecordsProcessed"] == 0:
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_job_broken_off_says_which_rows_were_not_tried(start: Start, tmp_path: Path, number: int) -> None:
    """Each row is in the org or among the unprocessed, whether the org was stopped or killed; a waiting job goes on."""
    org = start("--db", str(tmp_path / "org.db"))
    job, waiting = _open(org), _open(org, "Product2")
    _close(org, job, _names(80_000))
    _close(org, waiting, _names(10))
    _wait_for_rows(org, job)
    if number == signal.SIGKILL:
        os.kill(org.process.pid, number)
        org.process.communicate()
    else:
        assert org.stop(number) == 0
    org = start("--db", str(tmp_path / "org.db"))
    info = _info(org, job)
    assert info["state"] == "Failed"
    assert info["errorMessage"] == "InternalServerError : The org was stopped while it worked on the job"
    assert 0 < info["numberRecordsProcessed"] < 80_000
    left = [row["Name"] for row in _rows(org, job, "unprocessedrecords")]
    written = [row["Name"] for row in org.query("SELECT Name FROM Account WHERE Name LIKE 'Row %'")]
    assert len(written) == info["numberRecordsProcessed"]
    assert sorted(written + left) == sorted(f"Row {at}" for at in range(80_000))
    assert _ended(org, waiting)["state"] == "JobComplete"


def test_a_new_database_does_not_take_up_old_jobs(start: Start, tmp_path: Path) -> None:
    """What is left beside a database that was removed is removed too."""
    org = start("--db", str(tmp_path / "org.db"))
    job = _open(org)
    assert org.stop() == 0
    for file in tmp_path.glob("org.db*"):
        if file.is_file():
            file.unlink()
    org = start("--db", str(tmp_path / "org.db"))
    assert org.get("jobs/ingest").json()["records"] == []
    assert _open(org)["id"] == job["id"]


def test_an_org_in_memory_leaves_no_files(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    org = start()
    _close(org, _open(org), "Name\nx\n")
    assert [file.name[:14] for file in tmp_path.iterdir()] == ["localorg-bulk-"]
    assert org.stop() == 0
    assert list(tmp_path.iterdir()) == []
