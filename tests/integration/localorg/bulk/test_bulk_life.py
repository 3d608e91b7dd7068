"""The life of a Bulk job: worked off in the background, aborted, finished, listed, deleted."""

from __future__ import annotations

import time
from typing import Any

import _bulk as bulk
from _server import DATA, Server, Start

Json = dict[str, Any]


def _many(count: int, name: str = "Row") -> str:
    return "Name\n" + "".join(f"{name} {number}\n" for number in range(count))


def test_results_come_in_another_order_than_the_upload(server: Server) -> None:
    """Every row once, shuffled, and the same way whenever asked."""
    job = bulk.open(server)
    assert bulk.work(server, job, _many(12_000))["numberRecordsProcessed"] == 12_000
    names = [row["Name"] for row in bulk.rows(server, job, "successfulResults")]
    assert names != [f"Row {number}" for number in range(12_000)]
    assert sorted(names) == sorted(f"Row {number}" for number in range(12_000))
    # Internal batches of 10,000 follow one another.
    assert {int(name.removeprefix("Row ")) for name in names[10_000:]} == set(range(10_000, 12_000))
    few = bulk.open(server)
    bulk.work(server, few, _many(2))
    assert [row["Name"] for row in bulk.rows(server, few, "successfulResults")] == ["Row 1", "Row 0"]


def test_requests_run_while_a_job_does(server: Server) -> None:
    """The numbers grow as it goes, and nobody waits for its end."""
    job = bulk.open(server)
    bulk.put(server, job, _many(40_000))
    bulk.move(server, job)
    seen: set[int] = set()
    while (info := bulk.info(server, job))["state"] not in bulk.FINISHED:
        seen.add(info["numberRecordsProcessed"])
        started = time.monotonic()
        server.create("Account", Name="In between")
        assert time.monotonic() - started < 5
    assert len(seen) > 2
    assert all(number % 200 == 0 for number in seen)
    assert info["numberRecordsProcessed"] == 40_000
    assert info["apiActiveProcessingTime"] > 0
    assert info["totalProcessingTime"] > 0


def test_an_aborted_job_keeps_what_is_written(server: Server) -> None:
    """Successful and unprocessed rows together are the upload."""
    job = bulk.open(server)
    bulk.put(server, job, _many(60_000, "Abort"))
    bulk.move(server, job)
    while bulk.info(server, job)["numberRecordsProcessed"] == 0:
        time.sleep(0.005)
    assert bulk.move(server, job, "Aborted").json()["state"] == "Aborted"
    info = bulk.info(server, job)
    assert info["state"] == "Aborted"
    assert 0 < info["numberRecordsProcessed"] < 60_000
    done = [row["Name"] for row in bulk.rows(server, job, "successfulResults")]
    left = [row["Name"] for row in bulk.rows(server, job, "unprocessedrecords")]
    assert len(done) == info["numberRecordsProcessed"]
    assert sorted(done + left) == sorted(f"Abort {number}" for number in range(60_000))
    assert (
        bulk.refused(bulk.move(server, job, "Aborted"), 400, "INVALIDJOBSTATE")
        == "Aborting already Aborted Job not allowed"
    )


def test_a_job_aborted_before_it_began_has_all_rows_unprocessed(server: Server) -> None:
    """Also one that has no rows at all."""
    job, empty = bulk.open(server), bulk.open(server)
    bulk.put(server, job, "Name\nOne\n")
    assert bulk.move(server, job, "Aborted").status_code == 200
    assert bulk.move(server, empty, "Aborted").status_code == 200
    assert bulk.text(server, job, "unprocessedrecords") == "Name\nOne\n"
    assert bulk.text(server, empty, "unprocessedrecords") == ""
    assert bulk.text(server, empty, "successfulResults") == '"sf__Id","sf__Created"\n'
    bulk.refused(bulk.put(server, job, "Name\nTwo\n"), 400, "INVALIDJOBSTATE")


def test_a_finished_job_is_neither_closed_nor_aborted(server: Server) -> None:
    """The platform's own words."""
    job = bulk.open(server)
    bulk.work(server, job, "Name\nOne\n")
    aborting, closing = (bulk.move(server, job, state) for state in ("Aborted", "UploadComplete"))
    assert bulk.refused(aborting, 400, "INVALIDJOBSTATE") == "Aborting already Completed Job not allowed"
    assert bulk.refused(closing, 400, "INVALIDJOBSTATE") == "Closing already Completed Job not allowed"
    bulk.refused(bulk.put(server, job, "Name\nTwo\n"), 400, "INVALIDJOBSTATE")
    bulk.refused(bulk.move(server, job, "Open"), 400, "JSON_PARSER_ERROR")
    assert bulk.info(server, job)["state"] == "JobComplete"


def test_a_job_is_deleted_when_it_has_ended(server: Server) -> None:
    """Not while it is open; afterwards nobody knows it."""
    job = bulk.open(server)
    bulk.refused(server.delete(f"jobs/ingest/{job['id']}"), 400, "API_ERROR")
    bulk.work(server, job, "Name\nOne\n")
    answer = server.delete(f"jobs/ingest/{job['id']}/")
    assert (answer.status_code, answer.content) == (204, b"")
    for path in ("", "/successfulResults", "/failedResults", "/unprocessedrecords"):
        bulk.refused(server.get(f"jobs/ingest/{job['id']}{path}"), 404, "NOT_FOUND")


def test_jobs_are_listed_a_thousand_at_a_time(start: Start) -> None:
    """With the locator of the next page; there are no jobs of other kinds."""
    org = start()
    assert org.get("jobs/ingest").json() == {"done": True, "records": [], "nextRecordsUrl": None}
    ids = [bulk.open(org)["id"] for _ in range(1003)]
    first = org.get("jobs/ingest/?jobType=V2Ingest").json()
    assert (first["done"], len(first["records"])) == (False, 1000)
    assert first["records"][0]["jobType"] == "V2Ingest"
    second = org.get(first["nextRecordsUrl"]).json()
    assert (second["done"], second["nextRecordsUrl"]) == (True, None)
    assert [job["id"] for job in first["records"] + second["records"]] == ids
    for nothing in ("jobType=Classic", "jobType=BigObjectIngest", "isPkChunkingEnabled=true"):
        assert org.get(f"jobs/ingest?{nothing}").json()["records"] == []
    assert len(org.get("jobs/ingest?isPkChunkingEnabled=false").json()["records"]) == 1000
    bulk.refused(org.get("jobs/ingest?queryLocator=nonsense"), 400, "INVALID_QUERY_LOCATOR")


def test_other_versions_are_told_back(server: Server) -> None:
    """apiVersion is a number; contentUrl has no leading slash."""
    body = {"object": "Account", "operation": "insert"}
    job = server.post("/services/data/v58.0/jobs/ingest", body).json()
    assert (job["apiVersion"], job["contentUrl"].split("/")[2]) == (58.0, "v58.0")


def test_the_seed_profile_takes_its_time_in_the_background(start: Start) -> None:
    """Two seconds to start and 0.25 ms a row; the requests themselves cost as ever, and rows are counted."""
    org = start("--profile", "seed")
    job = bulk.open(org)
    bulk.put(org, job, _many(4_000))
    started = time.monotonic()
    bulk.move(org, job)
    assert time.monotonic() - started < 2
    assert bulk.info(org, job)["state"] == "UploadComplete"
    info = bulk.ended(org, job)
    assert 3.0 <= time.monotonic() - started < 30
    assert info["state"] == "JobComplete"
    assert org.get("/localorg/stats").json()["recordsWritten"] == {"Account": 4_000}
    assert org.get(f"{DATA}/jobs/ingest/{job['id']}/failedResults").text == '"sf__Id","sf__Error","Name"\n'
