"""How fast the local org is, in one run: `python bench/localorg.py` prints a table.

It starts `python -m localorg` (one process, instant profile) on a free port, drives it over HTTP from this process and
reads its memory from the operating system. Requests are made ready before the clock starts, and answers are looked at
after it stopped, so that the figures are the org's and not the client's. The second figure divides by the processor
time the org used instead of the clock: on a machine that is busy otherwise it is the one that can be compared.
`--million` adds a Bulk job of 1,000,000 rows, `--db` keeps the org in a file meanwhile.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

CHECKOUT = Path(__file__).resolve().parent.parent
DATA = "/services/data/v66.0"
CONNECTIONS = 4
Measured = tuple[int, float]  # how many, in how many seconds
QUOTES = 166  # a graph request: 166 Quotes of two lines are 498 nodes of 500
_READY = re.compile(r"local org (http://\S+) org \S+ user \S+ token (\S+)\n")


@dataclass(frozen=True)
class Org:
    """A running local org."""

    process: subprocess.Popen[str]
    place: str
    token: str
    start_seconds: float

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection to the org."""
        return http.client.HTTPConnection(self.place, timeout=600)

    def send(
        self,
        line: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None = None,
        kind: str = "application/json",
    ) -> bytes:
        """Send a request and return the answer's body. Raises RuntimeError unless the status is 2xx."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        line.request(method, path, body, headers)
        answer = line.getresponse()
        content = answer.read()
        if answer.status // 100 != 2:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:500]!r}")
        return content

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request outside of any measurement, JSON in and out. None when the answer has no body."""
        line = self.connect()
        content = self.send(line, method, path, None if body is None else json.dumps(body).encode())
        line.close()
        return json.loads(content) if content else None

    def query(self, soql: str) -> list[dict[str, Any]]:
        """Return all rows of a query."""
        page = self.ask("GET", f"{DATA}/query?q={quote(soql)}")
        rows: list[dict[str, Any]] = page["records"]
        while not page["done"]:
            page = self.ask("GET", page["nextRecordsUrl"])
            rows += page["records"]
        return rows


@contextmanager
def started(*words: str) -> Iterator[Org]:
    """Start a local org, and end it after the with block."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "localorg", "--port", "0", *words]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    ready = _READY.fullmatch(process.stdout.readline())
    if ready is None:
        raise RuntimeError("the local org did not start")
    try:
        yield Org(process, urlsplit(ready[1]).netloc, ready[2], time.perf_counter() - began)
    finally:
        process.terminate()
        process.wait(timeout=60)


def peak_megabytes(process_id: int) -> float:
    """Return the most memory the process ever held. Where the system does not tell, what it holds now."""
    status = Path(f"/proc/{process_id}/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        return int(found[1]) / 1024 if found else 0.0
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(process_id)], capture_output=True, text=True, check=True)
    return int(told.stdout) / 1024


def processor_seconds(process_id: int) -> float:
    """Return the processor time that the process has used, in seconds. 0 where /proc does not tell."""
    status = Path(f"/proc/{process_id}/stat")
    if not status.exists():
        return 0.0
    user, system = status.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def spread(org: Org, tasks: Sequence[Callable[[http.client.HTTPConnection], None]]) -> float:
    """Run the tasks over a few connections; each takes the next task when it is free. Return the seconds."""
    left = iter(tasks)
    lock = threading.Lock()
    errors: list[BaseException] = []

    def work() -> None:
        line = org.connect()
        line.connect()
        try:
            while True:
                with lock:
                    task = next(left, None)
                if task is None or errors:
                    return
                task(line)
        except BaseException as error:
            errors.append(error)
        finally:
            line.close()

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return time.perf_counter() - began


# --- what is measured ---------------------------------------------------------------------------------------------


def graphs(org: Org, requests: int) -> Measured:
    """Write Quotes of two lines through composite graph. Return the number of records and the seconds."""
    rows = org.query(
        "SELECT Id, Pricebook2Id, (SELECT PricebookEntryId FROM OpportunityLineItems) FROM Opportunity LIMIT 1000"
    )
    bodies = [_graph_request(rows, number).encode() for number in range(requests)]
    answers: list[bytes] = []
    tasks = [
        lambda line, body=body: answers.append(org.send(line, "POST", f"{DATA}/composite/graph", body))
        for body in bodies
    ]
    seconds = spread(org, tasks)
    failed = sum(not graph["isSuccessful"] for answer in answers for graph in json.loads(answer)["graphs"])
    if failed:
        raise RuntimeError(f"{failed} graphs failed")
    return requests * QUOTES * 3, seconds


def _graph_request(opportunities: list[dict[str, Any]], number: int) -> str:
    # 75 graphs are allowed in a request, so each holds two or three Quotes.
    nodes = [_quote(opportunities[(number * QUOTES + n) % len(opportunities)], n) for n in range(QUOTES)]
    graphs_ = [[node for each in nodes[start::56] for node in each] for start in range(56)]
    return json.dumps({"graphs": [{"graphId": f"g{n}", "compositeRequest": each} for n, each in enumerate(graphs_)]})


def _quote(opportunity: dict[str, Any], number: int) -> list[dict[str, Any]]:
    body = {"Name": f"Quote {number}", "OpportunityId": opportunity["Id"], "Pricebook2Id": opportunity["Pricebook2Id"]}
    nodes = [{"referenceId": f"q{number}", "method": "POST", "url": f"{DATA}/sobjects/Quote", "body": body}]
    for n, line in enumerate(opportunity["OpportunityLineItems"]["records"]):
        body = {
            "QuoteId": f"@{{q{number}.id}}",
            "PricebookEntryId": line["PricebookEntryId"],
            "Quantity": 2,
            "UnitPrice": 90.5,
        }
        url = f"{DATA}/sobjects/QuoteLineItem"
        nodes.append({"referenceId": f"q{number}_{n}", "method": "POST", "url": url, "body": body})
    return nodes


def pages(org: Org, soql: str) -> Measured:
    """Read all pages of a query over one connection. Return the number of rows, with child rows, and the seconds."""
    line = org.connect()
    contents, path = [], f"{DATA}/query?q={quote(soql)}"
    began = time.perf_counter()
    while path:
        contents.append(org.send(line, "GET", path))
        # The address of the next page stands near the start; the rest is read after the clock has stopped.
        found = re.search(rb'"nextRecordsUrl":"([^"]+)"', contents[-1][:300])
        path = found[1].decode() if found else ""
    seconds = time.perf_counter() - began
    line.close()
    return sum(_rows(json.loads(content)) for content in contents), seconds


def _rows(block: dict[str, Any]) -> int:
    children = (
        value for row in block["records"] for value in row.values() if isinstance(value, dict) and "records" in value
    )
    return len(block["records"]) + sum(map(_rows, children))


def ingest(org: Org, object_name: str, header: str, rows: Callable[[int], str], count: int) -> Measured:
    """Insert rows with a Bulk job. Return their number and the seconds from UploadComplete to JobComplete.

    The upload is not counted. Raises RuntimeError when a row fails.
    """
    job = org.ask("POST", f"{DATA}/jobs/ingest", {"object": object_name, "operation": "insert"})["id"]
    line = org.connect()
    body = "\n".join([header, *map(rows, range(count))]).encode()
    org.send(line, "PUT", f"{DATA}/jobs/ingest/{job}/batches", body, "text/csv")
    del body
    began = time.perf_counter()
    org.send(line, "PATCH", f"{DATA}/jobs/ingest/{job}", b'{"state":"UploadComplete"}')
    told: dict[str, Any] = {"state": ""}
    while told["state"] not in {"JobComplete", "Failed", "Aborted"}:
        time.sleep(0.02)
        told = json.loads(org.send(line, "GET", f"{DATA}/jobs/ingest/{job}"))
    seconds = time.perf_counter() - began
    line.close()
    if told["state"] != "JobComplete" or told["numberRecordsFailed"]:
        raise RuntimeError(f"Bulk: {told}")
    return count, seconds


def small(org: Org, count: int) -> Measured:
    """Read a row by its id, again and again over a few connections. Return how often and the seconds."""
    record_id = org.query("SELECT Id FROM Account LIMIT 1")[0]["Id"]
    path = f"{DATA}/sobjects/Account/{record_id}?fields=Name"
    return count, spread(org, [lambda line: void(org.send(line, "GET", path))] * count)


def void(_answer: bytes) -> None:
    """Let an answer go."""


# --- the table ----------------------------------------------------------------------------------------------------


def measure(org: Org, scale: float) -> None:
    """Measure everything, and print a line of each as it comes. ``scale`` is how much of it, 1 is all."""
    flat = "SELECT Id, Name, Amount, CloseDate, StageName, Account.Name FROM Opportunity"
    nested = "SELECT Id, Name, (SELECT Id, Quantity, UnitPrice FROM OpportunityLineItems) FROM Opportunity"
    rate(org, "composite graph: records/s written", "8,000", lambda: graphs(org, round(40 * scale)))
    rate(org, "query, flat with a parent: rows/s", "40,000", lambda: pages(org, flat))
    rate(org, "query, with children: rows/s", "40,000", lambda: pages(org, nested))
    count, header = round(100_000 * scale), "Name,StageName,CloseDate,Amount"
    deal = "Bulk {},Prospecting,2027-01-31,{}.50"
    accounts(org, count)
    what = f"Bulk insert of {count:,} Opportunities: rows/s"
    rate(org, what, "25,000", lambda: ingest(org, "Opportunity", header, lambda n: deal.format(n, n), count))
    sold = org.query("SELECT QuoteId, PricebookEntryId FROM QuoteLineItem")
    pairs = [f"{row['QuoteId']},{row['PricebookEntryId']}" for row in sold]
    header, line = "QuoteId,PricebookEntryId,Quantity,UnitPrice", lambda n: f"{pairs[n % len(pairs)]},1,9.50"
    what = f"Bulk insert of {count // 2:,} QuoteLineItems: rows/s"
    rate(org, what, "25,000", lambda: ingest(org, "QuoteLineItem", header, line, count // 2))
    rate(org, "small requests/s", "500", lambda: small(org, round(3000 * scale)))
    show("peak memory of all this, MB", f"{peak_megabytes(org.process.pid):,.0f}", "", "")


def accounts(org: Org, count: int) -> None:
    """Measure a Bulk insert of Accounts, and print it."""
    header, text = "Name,Industry,BillingCountry", "Bulk {},Energy,CH"
    what = f"Bulk insert of {count:,} Accounts: rows/s"
    rate(org, what, "25,000", lambda: ingest(org, "Account", header, text.format, count))


def rate(org: Org, what: str, aim: str, run: Callable[[], Measured]) -> None:
    """Measure one thing by the clock and by the processor time of the org, and print both."""
    before = processor_seconds(org.process.pid)
    count, seconds = run()
    used = processor_seconds(org.process.pid) - before
    show(what, f"{count / seconds:,.0f}", f"{count / used:,.0f}" if used else "", aim)


def machine() -> str:
    """Return one line about where and when this was measured. The load tells whether the machine was busy otherwise."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, load {load}, {time.strftime('%Y-%m-%d')}"
    )


def show(*row: str) -> None:
    """Print a line of the table."""
    print(f"| {' | '.join(row)} |", flush=True)


def main() -> int:
    """Print the table. Returns the exit code 0."""
    parser = argparse.ArgumentParser(description="How fast the local org is.")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of everything; 0.1 for a quick look")
    parser.add_argument("--million", action="store_true", help="a Bulk job of 1,000,000 rows as well")
    parser.add_argument("--db", action="store_true", help="keep the org in a file while measuring")
    asked = parser.parse_args()
    print(f"before: {machine()}\n", flush=True)
    print("| what | by the clock | by its processor time | aim |\n| --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:

        def words(name: str) -> list[str]:
            return ["--db", str(Path(folder, name))] if asked.db else []

        with started(*words("empty")) as org:
            show(
                "start of an empty org, s", f"{org.start_seconds:.2f}", f"{processor_seconds(org.process.pid):.2f}", "1"
            )
            if asked.million:
                accounts(org, 1_000_000)
                show("peak memory of that, MB", f"{peak_megabytes(org.process.pid):,.0f}", "", "under 400")
        with started("--opportunities", str(round(20_000 * asked.scale)), "--lines", "2", *words("full")) as org:
            measure(org, asked.scale)
    print(f"\nafter: {machine()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
