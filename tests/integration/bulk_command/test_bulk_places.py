"""`quotejob bulk`: where it writes, that it can be stopped, and the list of jobs."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _server import CHECKOUT, Server, start_server

COMMAND = [sys.executable, "-P", "-m", "cli.main", "bulk"]
INSERT = ("--object", "Account", "--operation", "insert")


@pytest.fixture(scope="module")
def org() -> Iterator[Server]:
    running = start_server()
    yield running
    running.stop()


def begun(org: Server, *words: str) -> subprocess.Popen[str]:
    addresses = {
        "QUOTEJOB_INSTANCE_URL": org.url,
        "QUOTEJOB_ACCESS_TOKEN": org.token,
        "QUOTEJOB_URL": "http://127.0.0.1:9",
    }
    environment = {**os.environ, **addresses, "PYTHONPATH": str(CHECKOUT)}
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*COMMAND, *words], env=environment, **pipes)


def bulk(org: Server, *words: str) -> tuple[int, str, str]:
    with begun(org, *words) as running:
        out, said = running.communicate(timeout=60)
    return running.returncode, out, said


def jobs(org: Server, kind: str = "ingest") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = org.get(f"jobs/{kind}").json()["records"]
    return found


@pytest.mark.parametrize("name", ["there/is/no/such.csv", "taken/x.csv", "l" * 253])
def test_a_query_says_at_once_that_it_cannot_write(org: Server, tmp_path: Path, name: str) -> None:
    """One sentence, and nothing is asked."""
    (tmp_path / "taken").write_text("a file")
    code, out, said = bulk(org, "query", "SELECT Id FROM Account", "--output", str(tmp_path / name))
    assert (code, out, said.count("\n"), "cannot be written" in said) == (2, "", 1, True), said
    assert jobs(org, "query") == []


@pytest.mark.parametrize("taken", ["x.csv.bulk", "x.success.csv/", "x.failed.csv/", "x.unprocessed.csv/"])
def test_a_load_says_at_once_that_it_cannot_write(org: Server, tmp_path: Path, taken: str) -> None:
    """One sentence, and nothing is sent."""
    before = jobs(org)
    file, other = tmp_path / "x.csv", tmp_path / taken.rstrip("/")
    file.write_text("Name\nNowhere\n")
    if taken.endswith("/"):
        other.mkdir()
    else:
        other.write_text("kept")
    code, out, said = bulk(org, "load", str(file), *INSERT)
    assert (code, out, said.count("\n"), f"{other} cannot be written" in said) == (2, "", 1, True), said
    assert jobs(org) == before
    assert sorted(tmp_path.iterdir()) == [file, other]


def test_a_load_that_is_stopped_says_how_to_go_on(org: Server, tmp_path: Path) -> None:
    """Its words are a command that works."""
    file = tmp_path / "my list.csv"
    file.write_text("Name\nStopped\n")
    slow = {"kind": "slow", "seconds": 30, "match": {"method": "GET", "resource": "jobs/ingest"}, "count": 1}
    assert org.post("/localorg/faults", slow).status_code < 300
    try:
        with begun(org, "load", str(file), *INSERT, "--wait", "3") as running:
            ledger = tmp_path / "my list.csv.bulk" / "ledger.json"
            deadline = time.monotonic() + 50
            while not (ledger.exists() and json.loads(ledger.read_text())["parts"][0]["closing"]):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            time.sleep(0.2)
            running.send_signal(signal.SIGINT)
            _, said = running.communicate(timeout=60)
    finally:
        org.post("/localorg/faults", {"clear": True})
    assert running.returncode == 130, said
    again = said.partition("bulk ")[2]
    assert shlex.split(again) == ["load", str(file), "--resume", "--wait", "3"]
    code, out, said = bulk(org, *shlex.split(again))
    assert (code, "success: 1" in out) == (0, True), out + said


def test_the_newest_jobs_are_listed_first(org: Server) -> None:
    """And how many there are when not all are shown."""
    made = [org.post("jobs/ingest", {"object": "Account", "operation": "insert"}).json()["id"] for _ in range(5)]
    _, out, said = bulk(org, "jobs", "--limit", "3")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == made[:1:-1]
    assert lines[4] == f"3 of {len(jobs(org))} jobs; --limit N shows more.", out + said
    _, out, _ = bulk(org, "jobs", "--json")
    assert [job["id"] for job in json.loads(out)["jobs"]][:5] == made[::-1]
    _, out, _ = bulk(org, "jobs")
    assert " of " not in out
    _, out, _ = bulk(org, "jobs", "--help")
    assert "newest first" in out
