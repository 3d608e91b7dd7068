"""A plain load by Bulk API 2.0: Quotes, then their lines, each by one job. Nothing is read, computed or checked."""

from __future__ import annotations

import time
from collections.abc import Iterator

import requests

from cli.local import API_VERSION
from harness.org_reader import OrgReader

MOST = 200_000  # Quotes
JOBS = f"/services/data/v{API_VERSION}/jobs/ingest"
IN_A_FILE = 20_000  # Quotes, as in a wave
ENDED = ("JobComplete", "Failed", "Aborted")


def load(reader: OrgReader, token: str, count: int) -> tuple[int, float]:
    """Load so many Quotes of two lines. Return the number of rows, and the seconds that it took.

    The rows look like those of a job. The files are made in advance, and their time is not counted.
    """
    rows, took = 0, 0.0
    found = reader.query(
        f"SELECT Id, Name, Pricebook2Id, CloseDate, (SELECT Id, PricebookEntryId, Quantity, UnitPrice FROM "
        f"OpportunityLineItems) FROM Opportunity WHERE Name LIKE 'Opportunity %' LIMIT {count}"
    )
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {token}"
        for quotes, lines in _files(found):
            began = time.perf_counter()
            for name, text in (("Quote", quotes), ("QuoteLineItem", lines)):
                rows += _ingest(session, reader.url, name, text)
            took += time.perf_counter() - began
    return rows, took


def _files(found: Iterator[dict[str, object]]) -> Iterator[tuple[str, str]]:
    """Yield for each 20,000 Opportunities the file of their Quotes and that of the lines."""
    while some := [each for _, each in zip(range(IN_A_FILE), found, strict=False)]:
        quotes = ["Name,OpportunityId,Pricebook2Id,ExpirationDate,QuoteJobKey__c"]
        lines = [
            "Quote.QuoteJobKey__c,PricebookEntryId,OpportunityLineItemId,Quantity,UnitPrice,Discount,QuoteJobKey__c"
        ]
        for each in some:
            key = f"plain:{each['Id']}"
            quotes.append(f"{each['Name']},{each['Id']},{each['Pricebook2Id']},{each['CloseDate']},{key}")
            for line in each["OpportunityLineItems"]:  # type: ignore[attr-defined]
                of = f"{line['PricebookEntryId']},{line['Id']},{line['Quantity']},{line['UnitPrice']}"
                lines.append(f"{key},{of},0,plain:{line['Id']}")
        yield "\n".join(quotes) + "\n", "\n".join(lines) + "\n"


def _ingest(session: requests.Session, url: str, name: str, text: str) -> int:
    order = {"object": name, "operation": "insert", "contentType": "CSV", "lineEnding": "LF"}
    job = f"{url}{JOBS}/" + _sent(session.post(url + JOBS, json=order, timeout=60)).json()["id"]
    _sent(session.put(f"{job}/batches", data=text.encode(), headers={"Content-Type": "text/csv"}, timeout=60))
    _sent(session.patch(job, json={"state": "UploadComplete"}, timeout=60))
    while (info := session.get(job, timeout=60).json())["state"] not in ENDED:
        time.sleep(0.1)
    assert (info["state"], info["numberRecordsFailed"]) == ("JobComplete", 0), info
    return int(info["numberRecordsProcessed"])


def _sent(answer: requests.Response) -> requests.Response:
    answer.raise_for_status()
    return answer
