"""A small client of an org, which all patterns share: plain requests, no retries, no checks."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import requests

from cli.local import API_VERSION

DATA = f"/services/data/v{API_VERSION}"
LINES = "(SELECT Id, PricebookEntryId, Quantity, UnitPrice FROM OpportunityLineItems)"
Row = dict[str, Any]


class Org:
    """One org. Each thread has a session of its own."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token
        self._own = threading.local()

    def call(self, method: str, path: str, *, data: bytes | None = None, **params: str) -> Any:
        """Send one request and return its answer. Raises HTTPError."""
        if not hasattr(self._own, "session"):
            self._own.session = requests.Session()
            self._own.session.trust_env = False
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
            self._own.session.headers.update(headers)
        answer = self._own.session.request(method, self._url + path, data=data, params=params, timeout=120)
        answer.raise_for_status()
        return orjson.loads(answer.content)

    def query(self, soql: str) -> Iterator[Row]:
        """Yield all rows, page after page. Lines that did not come with their Opportunity are read by themselves."""
        answer = self.call("GET", f"{DATA}/query", q=soql)
        while True:
            for row in answer["records"]:
                lines = row.get("OpportunityLineItems")
                if lines and not lines["done"]:
                    lines["records"] += self.call("GET", lines["nextRecordsUrl"])["records"]
                yield row
            if answer["done"]:
                return
            answer = self.call("GET", answer["nextRecordsUrl"])

    def insert(self, records: Sequence[Row]) -> list[str]:
        """Insert at most 200 records by one request. Return their ids."""
        body = orjson.dumps({"allOrNone": False, "records": list(records)})
        return [each["id"] for each in self.call("POST", f"{DATA}/composite/sobjects", data=body)]

    def commit(self, body: bytes) -> None:
        """Send graphs. Raises AssertionError if one was refused."""
        answer = self.call("POST", f"{DATA}/composite/graph", data=body)
        assert all(graph["isSuccessful"] for graph in answer["graphs"]), answer["graphs"][0]


def quote(opportunity: Row, name: str) -> Row:
    """Return the Quote of an Opportunity."""
    return {"Name": name[:80], "OpportunityId": opportunity["Id"], "Pricebook2Id": opportunity["Pricebook2Id"]}


def lines_of(opportunity: Row, quote_id: str) -> list[Row]:
    """Return the lines of its Quote, at nine tenths of the price."""
    return [
        {
            "QuoteId": quote_id,
            "PricebookEntryId": line["PricebookEntryId"],
            "Quantity": line["Quantity"],
            "UnitPrice": round(line["UnitPrice"] * 0.9, 2),
        }
        for line in (opportunity["OpportunityLineItems"] or {"records": []})["records"]
    ]


def graph_body(opportunities: Sequence[Row], name: str) -> bytes:
    """Return the body of a request that writes the Quotes of these Opportunities, in at most 75 graphs."""
    graphs: list[Row] = [{"graphId": f"g{n}", "compositeRequest": []} for n in range(min(75, len(opportunities)))]
    for number, each in enumerate(opportunities):
        nodes = graphs[number % 75]["compositeRequest"]
        nodes.append(_node("Quote", f"q{number}", quote(each, name)))
        lines = lines_of(each, f"@{{q{number}.id}}")
        nodes += [_node("QuoteLineItem", f"q{number}l{place}", line) for place, line in enumerate(lines)]
    return orjson.dumps({"graphs": graphs})


def _node(sobject: str, reference: str, body: Row) -> Row:
    return {"method": "POST", "url": f"{DATA}/sobjects/{sobject}", "referenceId": reference, "body": body}
