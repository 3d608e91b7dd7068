"""Kill -9 in the middle of writes with --db: what was answered is kept, and every graph is there whole or not at all.

`KILL_ROUNDS=50 pytest tests/integration/localorg/test_kill.py` kills more often.
"""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from _server import DATA, Server, Start

ROUNDS = int(os.environ.get("KILL_ROUNDS", "2"))
LINES = 3
BATCH = 200  # rows a Bulk transaction holds


def quote_graph(marker: str, opportunity: dict[str, Any], entry: str) -> dict[str, Any]:
    """A Quote and its lines, as the worker writes them."""
    url = f"{DATA}/sobjects"
    lines = [
        {"referenceId": f"line{n}", "method": "POST", "url": f"{url}/QuoteLineItem",
         "body": {"QuoteId": "@{quote.id}", "PricebookEntryId": entry, "Quantity": 1, "UnitPrice": 10}}
        for n in range(LINES)
    ]  # fmt: skip
    body = {"Name": marker, "OpportunityId": opportunity["Id"], "Pricebook2Id": opportunity["Pricebook2Id"]}
    quote = {"referenceId": "quote", "method": "POST", "url": f"{url}/Quote", "body": body}
    return {"graphId": marker, "compositeRequest": [quote, *lines]}


class Writers:
    """Threads that write graphs until the org is gone; `answered` are the graphs it said it kept."""

    def __init__(self, org: Server, number: int) -> None:
        self.org = org
        self.answered: set[str] = set()
        self.sent: set[str] = set()
        (line,) = org.query(
            "SELECT PricebookEntryId, Opportunity.Id, Opportunity.Pricebook2Id FROM OpportunityLineItem LIMIT 1"
        )
        self.entry, self.opportunity = line["PricebookEntryId"], line["Opportunity"]
        self.threads = [threading.Thread(target=self.write, args=(f"{number}-{n}",)) for n in range(3)]
        for thread in self.threads:
            thread.start()

    def write(self, name: str) -> None:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {self.org.token}"
        for number in range(10_000):
            graphs = [quote_graph(f"q{name}-{number}-{n}", self.opportunity, self.entry) for n in range(5)]
            self.sent |= {graph["graphId"] for graph in graphs}
            try:
                answer = session.post(f"{self.org.url}{DATA}/composite/graph", json={"graphs": graphs}, timeout=20)
            except requests.RequestException:
                return
            self.answered |= {each["graphId"] for each in answer.json()["graphs"] if each["isSuccessful"]}

    def join(self) -> None:
        for thread in self.threads:
            thread.join(timeout=30)
            assert not thread.is_alive()


def kill(org: Server) -> None:
    org.process.kill()
    org.process.communicate(timeout=10)
    org.session.close()


@pytest.mark.parametrize("number", range(ROUNDS))
def test_graphs_are_whole_or_not_there(start: Start, tmp_path: Path, number: int) -> None:
    words = ("--db", str(tmp_path / "org.db"), "--opportunities", "2", "--lines", "1")
    org = start(*words)
    writers = Writers(org, number)
    deadline = time.monotonic() + 10
    while not writers.answered and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(random.Random(number).uniform(0, 0.4))
    kill(org)
    writers.join()
    assert writers.answered

    org = start(*words)
    quotes = org.query("SELECT Name, LineItemCount, Subtotal, (SELECT Id FROM QuoteLineItems) FROM Quote")
    for quote in quotes:
        assert len(quote["QuoteLineItems"]["records"]) == LINES, quote
        assert (quote["LineItemCount"], quote["Subtotal"]) == (LINES, 10.0 * LINES)
    kept = {quote["Name"] for quote in quotes}
    assert len(kept) == len(quotes)
    assert writers.answered <= kept <= writers.sent
    (loose,) = org.query("SELECT COUNT(Id) n FROM QuoteLineItem WHERE Quote.Name = null")
    assert loose["n"] == 0
    org.create("Account", Name="after")  # and new ids do not meet old ones


def test_bulk_batches_are_whole_or_not_there(start: Start, tmp_path: Path) -> None:
    words = ("--db", str(tmp_path / "org.db"), "--opportunities", "1")
    org = start(*words)
    job = org.post("jobs/ingest", {"object": "Account", "operation": "insert"}).json()["id"]
    rows = "Name\n" + "".join(f"Bulk {n}\n" for n in range(60_000))
    assert org.put(f"jobs/ingest/{job}/batches", rows.encode(), headers={"Content-Type": "text/csv"}).status_code == 201
    assert org.patch(f"jobs/ingest/{job}", {"state": "UploadComplete"}).ok
    deadline = time.monotonic() + 20
    count = "SELECT COUNT() FROM Account WHERE Name LIKE 'Bulk %'"
    seen = 0
    while not seen and time.monotonic() < deadline:
        seen = org.get("query", params={"q": count}).json()["totalSize"]
    kill(org)

    org = start(*words)
    kept = org.get("query", params={"q": count}).json()["totalSize"]
    assert seen <= kept <= 60_000
    assert kept % BATCH == 0
    assert org.query("SELECT COUNT(Id) n, COUNT_DISTINCT(Name) d FROM Account WHERE Name LIKE 'Bulk %'")[0]["d"] == kept
