"""Bulk API 1.0 and 2.0 side by side on the local org: `python bench/bulk.py --scale 0.01` prints a table.

The seven rows are inserts of 250,000, 500,000 and 1,000,000 rows, a soft delete of 500,000, updates of 250,000 and
500,000, and an upsert of 500,000; --scale makes them smaller. Each API is used as its guide shows it: `load_one` cuts
batches of 10,000 rows and reads a result for each batch, `load_two` sends one file and reads two result files. Calls
are counted by the org; those that only look whether a job has ended are left out. On a busy machine compare the
processor seconds of the org, and not the seconds of the clock. `--profile seed` adds the org's model of a real org's
times. Each load has an org of its own. `--keep FILE` keeps each measurement in a file, and the next run with this file
measures only what is not there yet; with `--for SECONDS` a run begins no load later than that.
"""

from __future__ import annotations

import argparse
import csv
import inspect
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from xml.etree import ElementTree

import requests

CHECKOUT = Path(__file__).resolve().parent.parent
VERSION = "66.0"
BATCH = 10_000
PAUSE = 0.25  # seconds between two looks at a job
OBJECT, KEY = "Bench_Row__c", "Key__c"
SCHEMA = f"""objects:
  {OBJECT}:
    label: Row
    plural: Rows
    fields:
      {KEY}: {{type: string, length: 40, unique: true, external_id: true}}
      Amount__c: {{type: currency, label: Amount}}
"""
SPACE = "http://www.force.com/2009/06/asyncapi/dataload"
ROWS = (
    ("insert", 250_000),
    ("insert", 500_000),
    ("insert", 1_000_000),
    ("delete", 500_000),
    ("update", 250_000),
    ("update", 500_000),
    ("upsert", 500_000),
)
_READY = re.compile(r"local org (http://\S+) org \S+ user \S+ token (\S+)\n")
_keys, _looks = count(), count()
Lines = Sequence[str]


@dataclass(frozen=True)
class Org:
    """A running local org."""

    process: subprocess.Popen[str]
    url: str
    token: str
    session: requests.Session

    def cpu(self) -> float:
        """Return the processor seconds that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def calls(self) -> int:
        """Return the number of requests that it has counted."""
        told = self.session.get(f"{self.url}/localorg/stats", timeout=60).json()
        return int(told["requests"]["total"])


def look_later() -> None:
    """Wait before a client looks at its job again, and count the look: how many there are is left to the machine."""
    next(_looks)
    time.sleep(PAUSE)


# --- the two clients: the table counts their lines ----------------------------------------------------------------


def load_one(org: Org, operation: str, header: str, lines: Lines) -> list[str]:
    """Load rows by Bulk API 1.0, and return the ids."""
    base, session = f"{org.url}/services/async/{VERSION}/job", {"X-SFDC-Session": org.token}
    xml, text = {**session, "Content-Type": "application/xml"}, {**session, "Content-Type": "text/csv"}

    def send(method: str, path: str, body: str, headers: dict[str, str]) -> ElementTree.Element:
        answer = org.session.request(method, base + path, data=body.encode(), headers=headers, timeout=600)
        answer.raise_for_status()
        return ElementTree.fromstring(answer.content)

    key = f"<externalIdFieldName>{KEY}</externalIdFieldName>" if operation == "upsert" else ""
    order = f"<operation>{operation}</operation><object>{OBJECT}</object>{key}<contentType>CSV</contentType>"
    job = send("POST", "", f'<jobInfo xmlns="{SPACE}">{order}</jobInfo>', xml).findtext(f"{{{SPACE}}}id")
    batches = []
    for start in range(0, len(lines), BATCH):
        body = header + "".join(lines[start : start + BATCH])
        batches.append(send("POST", f"/{job}/batch", body, text).findtext(f"{{{SPACE}}}id"))
    send("POST", f"/{job}", f'<jobInfo xmlns="{SPACE}"><state>Closed</state></jobInfo>', xml)
    states = {"Queued"}
    while states & {"Queued", "InProgress"}:
        look_later()
        states = {each.text or "" for each in send("GET", f"/{job}/batch", "", session).iter(f"{{{SPACE}}}state")}
    ids = []
    for batch in batches:
        answer = org.session.get(f"{base}/{job}/batch/{batch}/result", headers=session, timeout=600)
        answer.raise_for_status()
        ids += [row["Id"] for row in csv.DictReader(io.StringIO(answer.text)) if row["Success"] == "true"]
    return ids


def load_two(org: Org, operation: str, header: str, lines: Lines) -> list[str]:
    """Load rows by Bulk API 2.0, and return the ids."""
    base, session = f"{org.url}/services/data/v{VERSION}/jobs/ingest", {"Authorization": f"Bearer {org.token}"}

    def send(method: str, path: str, **options: object) -> requests.Response:
        headers = {**session, "Content-Type": "text/csv"} if "data" in options else session
        answer = org.session.request(method, base + path, headers=headers, timeout=600, **options)  # type: ignore[arg-type]
        answer.raise_for_status()
        return answer

    order = {
        "operation": operation,
        "object": OBJECT,
        **({"externalIdFieldName": KEY} if operation == "upsert" else {}),
    }
    job = send("POST", "", json=order).json()["id"]
    send("PUT", f"/{job}/batches", data=(header + "".join(lines)).encode())
    send("PATCH", f"/{job}", json={"state": "UploadComplete"})
    state = "UploadComplete"
    while state in ("UploadComplete", "InProgress"):
        look_later()
        state = send("GET", f"/{job}").json()["state"]
    send("GET", f"/{job}/failedResults")
    results = csv.DictReader(io.StringIO(send("GET", f"/{job}/successfulResults").text))
    return [row["sf__Id"] for row in results]


# --- the comparison -----------------------------------------------------------------------------------------------

Load = Callable[[Org, str, str, Lines], list[str]]


def fresh(number: int) -> list[str]:
    """Return new rows: a name, a key of their own, an amount."""
    return [f"Row {key},K{key},{key % 1000}\n" for key in (next(_keys) for _ in range(number))]


def prepared(org: Org, operation: str, number: int) -> tuple[str, list[str]]:
    """Return the header and the rows of a load; rows that must exist are made first, and are not measured."""
    header = f"Name,{KEY},Amount__c\n"
    if operation == "insert":
        return header, fresh(number)
    lines = fresh(number if operation != "upsert" else number // 2)
    ids = load_two(org, "insert", header, lines)
    match operation:
        case "delete":
            return "Id\n", [f"{each}\n" for each in ids]
        case "update":
            return "Id,Amount__c\n", [f"{each},7\n" for each in ids]
        case _:
            return header, lines + fresh(number - len(lines))


def measured(org: Org, load: Load, operation: str, number: int) -> tuple[float, float, int]:
    """Return the seconds by the clock, those of the org's processor, and the calls of one load."""
    header, lines = prepared(org, operation, number)
    began, cpu, calls, looks = time.monotonic(), org.cpu(), org.calls(), next(_looks)
    ids = load(org, operation, header, lines)
    if len(set(ids)) != number:
        raise RuntimeError(f"{operation}: {len(set(ids))} of {number} rows")
    seconds, looks = time.monotonic() - began, next(_looks) - looks - 1
    return seconds, org.cpu() - cpu, org.calls() - calls - looks


Kept = dict[str, tuple[float, float, int]]


def main(arguments: Sequence[str]) -> int:
    """Measure what is not measured yet, and print the table. Return 1 if it is not complete."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of rows (default 1)")
    parser.add_argument("--profile", default="instant", help="of the local org: instant or seed")
    parser.add_argument("--keep", type=Path, help="file of what is measured already")
    parser.add_argument("--for", type=float, default=float("inf"), dest="seconds", help="begin no load after so long")
    given = parser.parse_args(arguments)
    kept: Kept = json.loads(given.keep.read_text()) if given.keep and given.keep.exists() else {}
    until = time.monotonic() + given.seconds
    for operation, full in ROWS:
        for name, load in CLIENTS.items():
            number = max(1, int(full * given.scale))
            key = f"{given.profile} {operation} {number} {name}"
            if key not in kept and time.monotonic() < until:
                with started(given.profile) as org:
                    kept[key] = measured(org, load, operation, number)
                if given.keep:
                    given.keep.write_text(json.dumps(kept, indent=1))
    return table(kept, given.profile, given.scale)


@contextmanager
def started(profile: str) -> Iterator[Org]:
    """Run a local org while the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        schema = Path(folder) / "schema.yaml"
        schema.write_text(SCHEMA)
        words = ["-m", "localorg", "--port", "0", "--schema", str(schema), "--profile", profile]
        process = subprocess.Popen([sys.executable, *words], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout
            ready = _READY.fullmatch(process.stdout.readline())
            assert ready, "the local org did not start"
            org = Org(process, ready[1], ready[2], requests.Session())
            org.session.trust_env = False
            yield org
        finally:
            process.terminate()
            process.wait()


def table(kept: Kept, profile: str, scale: float) -> int:
    """Print the rows that are measured. Return 1 if some are not."""
    print("| operation | rows | 1.0: s | 2.0: s | 1.0: CPU s | 2.0: CPU s | 1.0: calls | 2.0: calls |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    lacking = 0
    for operation, full in ROWS:
        number = max(1, int(full * scale))
        pair = [kept.get(f"{profile} {operation} {number} {name}") for name in CLIENTS]
        if None in pair:
            lacking += 1
            continue
        seconds, cpu, calls = zip(*filter(None, pair), strict=True)
        cells = [*(f"{each:.1f}" for each in seconds + cpu), *(f"{each:,}" for each in calls)]
        print(f"| {operation} | {number:,} | {' | '.join(cells)} |")
    sizes = ", ".join(f"{name} {len(inspect.getsource(load).splitlines())}" for name, load in CLIENTS.items())
    print(f"\nLines of client code: {sizes}." + (f" Rows not measured yet: {lacking}." if lacking else ""))
    return 1 if lacking else 0


CLIENTS: dict[str, Load] = {"1.0": load_one, "2.0": load_two}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
