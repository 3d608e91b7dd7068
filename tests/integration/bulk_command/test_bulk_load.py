"""`quotejob bulk load` against a local org: every row once, after any death, and said of each what became of it."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _server import CHECKOUT, Server, start_server

Run = Callable[..., subprocess.CompletedProcess[str]]
COMMAND = [sys.executable, "-P", "-m", "cli.main", "bulk"]


@pytest.fixture(scope="module")
def org() -> Iterator[Server]:
    running = start_server("--opportunities", "5", "--lines", "1")
    yield running
    running.stop()


def environment(org: Server) -> dict[str, str]:
    addresses = {
        "QUOTEJOB_INSTANCE_URL": org.url,
        "QUOTEJOB_ACCESS_TOKEN": org.token,
        "QUOTEJOB_URL": "http://127.0.0.1:9",
    }
    return {**os.environ, **addresses, "PYTHONPATH": str(CHECKOUT)}


@pytest.fixture
def bulk(org: Server) -> Run:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([*COMMAND, *words], env=environment(org), capture_output=True, text=True, timeout=100)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def count(org: Server, like: str, object_name: str = "Account") -> int:
    soql = f"SELECT COUNT() FROM {object_name} WHERE Name LIKE '{like}%'"
    total: int = org.get("query", params={"q": soql}).json()["totalSize"]
    return total


INSERT = ("--object", "Account", "--operation", "insert", "--wait", "2")


def test_each_row_gets_its_line_and_its_outcome(bulk: Run, org: Server, tmp_path: Path) -> None:
    """Semicolons, CRLF, a mapping, a column that is left out; a refused row and one with too many values."""
    file = tmp_path / "list.csv"
    head = "Company;Remarks;Employees\r\n"
    file.write_bytes(
        (head + 'Load A;"x;y";5\r\nLoad B;;many\r\n\r\nLoad C;"two\r\nlines";1\r\nLoad D;;1;2\r\n').encode()
    )
    maps = ("--map", "Company=Name", "--map", "Remarks=", "--map", "Employees=AnnualRevenue")
    done = bulk("load", str(file), *INSERT, *maps, "--json")
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert told["counts"] == {"success": 2, "failed": 2}
    assert "utf-8, semicolon, CRLF; 3 columns" in done.stderr
    good = rows(tmp_path / "list.success.csv", ";")
    assert [(row["sf__Line"], row["Company"], row["Remarks"]) for row in good] == [
        ("2", "Load A", "x;y"),
        ("5", "Load C", "two\r\nlines"),
    ]
    assert org.row("Account", good[0]["sf__Id"])["AnnualRevenue"] == 5.0
    bad = rows(tmp_path / "list.failed.csv", ";")
    assert [row["sf__Line"] for row in bad] == ["3", "7"]
    assert bad[0]["sf__Error"].startswith("INVALID_TYPE_ON_FIELD_IN_RECORD:")
    assert bad[1]["sf__Error"].startswith("COLUMN_COUNT:")
    assert not (tmp_path / "list.csv.bulk").exists()


def test_failed_rows_are_loaded_again_with_their_first_lines(bulk: Run, org: Server, tmp_path: Path) -> None:
    file = tmp_path / "again.csv"
    file.write_text("Name,AnnualRevenue\nAgain A,1\nAgain B,many\n")
    assert bulk("load", str(file), *INSERT).returncode == 1
    failed = tmp_path / "again.failed.csv"
    failed.write_text(failed.read_text().replace("many", "2"))
    assert bulk("load", str(failed), *INSERT).returncode == 0
    [row] = rows(tmp_path / "again.failed.success.csv")
    assert (row["sf__Line"], row["Name"]) == ("3", "Again B")
    assert count(org, "Again ") == 2


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("empty", b"", "is empty"),
        ("open quote", b'Name\n"a\nb\nc\n', "row at line 2"),
        ("stray quote", b'Name,Site\n"a"b,c\n', "row at line 2"),
        ("doubled", b"Name,Name\na,b\n", "names Name twice"),
        ("nameless", b"Name,\na,b\n", "column 2 has no name"),
        ("two cases", b"Name,NAME\na,b\n", '"Name" and "NAME" are both sent to Name'),
    ],
)
def test_files_that_cannot_be_read(bulk: Run, org: Server, tmp_path: Path, name: str, data: bytes, words: str) -> None:
    """Nothing is sent, and the message names the place."""
    before = org.get("jobs/ingest").json()["records"]
    file = tmp_path / f"{name}.csv"
    file.write_bytes(data)
    done = bulk("load", str(file), *INSERT)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert org.get("jobs/ingest").json()["records"] == before


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("utf-8-sig", "Mark é"), ("utf-16", "Wide é"), ("cp1252", "Old é")],
)
def test_encodings(bulk: Run, org: Server, tmp_path: Path, encoding: str, text: str) -> None:
    file = tmp_path / "encoded.csv"
    file.write_text(f"Name\tSite\n{text}\tx\n", encoding=encoding)
    done = bulk("load", str(file), *INSERT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{encoding}, tab, LF" in done.stdout
    assert count(org, text) == 1


def test_a_huge_field_and_an_unknown_field(bulk: Run, tmp_path: Path) -> None:
    file = tmp_path / "huge.csv"
    file.write_text(f"Name,Site\nHuge,{'x' * 500_000}\nSmall,y\n")
    assert bulk("load", str(file), *INSERT).returncode == 1
    [row] = rows_of_size(tmp_path / "huge.failed.csv")
    assert row["sf__Error"].startswith("ROW_TOO_LONG:")
    file = tmp_path / "unknown.csv"
    file.write_text("Name,Nonsense__c\na,b\n")
    done = bulk("load", str(file), *INSERT)
    assert (done.returncode, "Field name not found : Nonsense__c" in done.stdout) == (3, True)
    assert len(rows(tmp_path / "unknown.unprocessed.csv")) == 1


def rows_of_size(path: Path) -> list[dict[str, str]]:
    csv.field_size_limit(1_000_000)
    return rows(path)


def test_an_upsert_in_one_request(bulk: Run, org: Server, tmp_path: Path) -> None:
    [deal, *_] = org.query("SELECT Id FROM Opportunity LIMIT 1")
    file = tmp_path / "quotes.csv"
    file.write_text(f"QuoteJobKey__c,Name,OpportunityId\nbulk-1,One request,{deal['Id']}\n")
    before = org.session.get(f"{org.url}/localorg/stats").json()["requests"]["byResource"].get("jobs/ingest/batches", 0)
    words = ("--object", "Quote", "--operation", "upsert", "--external-id", "QuoteJobKey__c", "--wait", "1")
    assert bulk("load", str(file), *words).returncode == 0
    after = org.session.get(f"{org.url}/localorg/stats").json()["requests"]["byResource"].get("jobs/ingest/batches", 0)
    assert (before, rows(tmp_path / "quotes.success.csv")[0]["sf__Created"]) == (after, "true")


def next_words(folder: Path, new: list[str], resume: list[str]) -> list[str]:
    """What a user types next: --resume once a job was noted."""
    ledger = folder / "many.csv.bulk" / "ledger.json"
    sent = ledger.exists() and any(part["job"] for part in json.loads(ledger.read_text())["parts"])
    return resume if sent else new


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_load_goes_on_with_each_row_once(org: Server, bulk: Run, tmp_path: Path, seed: int) -> None:
    """kill -9 at four moments each, in the middle of cutting, sending and waiting; without an external id."""
    name, total = f"Kill {seed}", 20_000
    file = tmp_path / "many.csv"
    with file.open("w") as out:
        out.write("Name,Site\n")
        out.writelines(f"{name} {number},same\n" for number in range(total))
    words = ["load", str(file), *INSERT, "--part-mb", "0.1"]
    dice = random.Random(seed)
    for _ in range(4):
        process = subprocess.Popen(
            [*COMMAND, *words], env=environment(org), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(dice.uniform(0.3, 1.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        words = next_words(
            tmp_path, ["load", str(file), *INSERT, "--part-mb", "0.1"], ["load", str(file), "--resume", "--wait", "2"]
        )
        if not (tmp_path / "many.csv.bulk").exists() and (tmp_path / "many.success.csv").exists():
            break
    if not (tmp_path / "many.success.csv").exists() or (tmp_path / "many.csv.bulk").exists():
        done = bulk(*words)
        assert done.returncode == 0, done.stdout + done.stderr
    found = rows(tmp_path / "many.success.csv")
    assert [row["sf__Line"] for row in found] == [str(line) for line in range(2, total + 2)]
    assert len({row["sf__Id"] for row in found}) == total
    assert count(org, f"{name} ") == total


def test_a_lost_job_stops_an_insert_and_names_the_lines(org: Server, bulk: Run, tmp_path: Path) -> None:
    file = tmp_path / "lost.csv"
    file.write_text("Name\n" + "Lost\n" * 30)
    done = bulk("load", str(file), "--object", "Account", "--operation", "insert", "--json")
    [job] = json.loads(done.stdout)["jobs"]
    while org.get(f"jobs/ingest/{job}").json()["state"] != "JobComplete":
        time.sleep(0.05)
    assert bulk("load", str(file), *INSERT).returncode == 2, "a second load is not begun"
    assert org.delete(f"jobs/ingest/{job}").status_code == 204
    done = bulk("load", str(file), "--resume", "--wait", "1", "--json")
    assert done.returncode == 3
    error: dict[str, Any] = json.loads(done.stdout)["error"]
    assert error["code"] == "OUTCOME_UNKNOWN"
    assert "lines 2 to 31" in error["message"]
    assert count(org, "Lost") == 30


def test_passing_faults_of_the_org_are_waited_out(org: Server, bulk: Run, tmp_path: Path) -> None:
    """A lost answer after the job was closed, and an upload that failed once: nothing is doubled."""
    file = tmp_path / "faults.csv"
    file.write_text("Name\n" + "".join(f"Faulty {number}\n" for number in range(300)))
    try:
        for method, resource in (("PUT", "jobs/ingest/batches"), ("PATCH", "jobs/ingest"), ("GET", "jobs/ingest")):
            fault = {"kind": "reset_after_write", "match": {"method": method, "resource": resource}, "count": 1}
            assert org.post("/localorg/faults", fault).status_code < 300
        done = bulk("load", str(file), *INSERT)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        org.post("/localorg/faults", {"clear": True})
    assert count(org, "Faulty ") == 300


# --- the other commands -------------------------------------------------------------------------------------------


def test_query_reads_pages_in_parallel_and_in_order(org: Server, bulk: Run, tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("Name\n" + "".join(f"Table {number:05}\n" for number in range(25_000)))
    assert bulk("load", str(file), *INSERT).returncode == 0
    out = tmp_path / "out.csv"
    soql = "SELECT Name, Id FROM Account WHERE Name LIKE 'Table %' ORDER BY Name"
    done = bulk("query", soql, "--output", str(out), "--json")
    assert json.loads(done.stdout)["rows"] == 25_000
    assert [row["Name"] for row in rows(out)] == [f"Table {number:05}" for number in range(25_000)]
    piped = bulk("query", f"{soql} LIMIT 3")
    assert piped.stdout.splitlines()[:2] == ['"Name","Id"', f'"Table 00000","{rows(out)[0]["Id"]}"']
    refused = bulk("query", "SELECT COUNT(Id) FROM Account")
    assert (refused.returncode, "Aggregate functions" in refused.stderr) == (2, True)


def test_jobs_status_abort_and_delete(org: Server, bulk: Run) -> None:
    job = org.post("jobs/ingest", {"object": "Account", "operation": "insert"}).json()["id"]
    assert job in bulk("jobs", "--limit", "500").stdout
    assert json.loads(bulk("jobs", "--type", "classic", "--json").stdout) == {"jobs": []}
    assert json.loads(bulk("jobs", "--pk-chunking", "--json").stdout) == {"jobs": []}
    assert json.loads(bulk("status", job, "--json").stdout)["state"] == "Open"
    in_work = bulk("delete", job)
    assert (in_work.returncode, "not terminated" in in_work.stderr) == (2, True)
    assert bulk("abort", job).returncode == 0
    assert "Aborted" in bulk("status", job).stdout
    assert bulk("delete", job).returncode == 0
    gone = bulk("status", job)
    assert (gone.returncode, "has no Bulk job" in gone.stderr) == (2, True)
