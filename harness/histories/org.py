"""The org of a history: Opportunities, Quotes and lines in memory, with unique keys and graphs that are all or nothing.

It takes the place of :class:`quotejob.salesforce.OrgClient`, whose own work (HTTP, JSON, refusals) has other tests. The
world draws what becomes of each request: done and answered, lost before or after it was done, done late, or refused.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from harness.histories.bulk import Connection, Ingest, Row
from harness.histories.world import World
from quotejob.errors import OrgExhausted, OrgRefused, OrgUnreachable, SessionExpired
from quotejob.mirror.record import KEY
from quotejob.salesforce import Graph, GraphOutcome, IngestResult, NodeError, OrgAddress, bulk
from quotejob.salesforce.graphs import Part, Said

TIMEOUT = 60.0  # seconds, as QUOTEJOB_ORG_TIMEOUT
LATEST = 25.0  # seconds after its timeout in which the org may still begin to work on a request
ROWS = 3  # of one answer to a query
MEMBERS = re.compile(r"'([^']*)'")


@dataclass
class Deal:
    """An Opportunity. ``refused``: the org refuses its Quote (-1), or the line with this number."""

    id: str
    group: str
    lines: int
    refused: int | None = None


@dataclass
class MadeQuote:
    """A Quote with the Opportunity lines of its lines. ``keyed``: those of lines that have a unique key."""

    id: str
    key: str
    opportunity_id: str
    lines: list[str] = field(default_factory=list)
    keyed: set[str] = field(default_factory=set)

    def copy(self) -> MadeQuote:
        """Return another one with the same lines."""
        return replace(self, lines=list(self.lines), keyed=set(self.keyed))


@dataclass
class Org:
    """All orgs of a history are this one. ``faults`` is the probability of each kind of fault of a request."""

    world: World
    deals: dict[str, Deal] = field(default_factory=dict)
    quotes: dict[str, MadeQuote] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)
    faults: float = 0.0
    told: dict[str, str] = field(default_factory=dict)  # status of each QuoteJob__c by the job's id
    made: int = 0
    late: int = 0  # requests that will be done after nobody waits for them any more
    unique = True  # its keys are; False takes this protection out

    def __post_init__(self) -> None:
        self.ingest = Ingest(self.world, self._insert)
        self.ingest.faults = self.faults / 4

    def client(self, address: OrgAddress, *, read_timeout: float = TIMEOUT, **_: Any) -> Client:
        """Return a client, as OrgClient's constructor does."""
        return Client(self, address, read_timeout)

    def write(self, graphs: Sequence[Graph]) -> dict[str, GraphOutcome]:
        """Write each graph, or nothing of it."""
        return {graph.graph_id: self._write_graph(graph) for graph in graphs}

    def write_together(self, graph: Graph) -> GraphOutcome:
        """Write all records of a graph, or none, and then with the error of each record that is refused."""
        return self._write_graph(graph, every_error=True)

    def tell(self, parts: Sequence[Part]) -> dict[str, Said]:
        """Take the records of jobs, and let the events go by."""
        records = parts[0].body["records"]
        self.told |= {each[KEY]: each["Status__c"] for each in records}
        return {part.name: Said(200, [{"success": True}] * len(records)) for part in parts}

    def do_late(self, work: Callable[[], object], timeout: float) -> None:
        """Do the work of a request some time after it was sent. ``timeout``: seconds that it is waited for."""

        def do() -> None:
            self.late -= 1
            with contextlib.suppress(OrgRefused):  # nobody hears it any more
                work()

        self.late += 1
        self.world.at(self.world.dice.uniform(0, timeout + LATEST), do)

    def _write_graph(self, graph: Graph, *, every_error: bool = False) -> GraphOutcome:
        if self.world.chance(self.faults):
            lock = NodeError(graph.nodes[0].reference_id, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access")
            return GraphOutcome(graph.graph_id, False, errors=(lock,))
        quotes: dict[str, MadeQuote] = {}
        errors: list[NodeError] = []
        for node in graph.nodes:
            body = node.body or {}
            if node.target == "Quote":
                error = self._refusal(node.reference_id, body)
                quotes[node.reference_id] = self._quote(body)
            else:
                error = self._add_line(node.reference_id, body, quotes)
            if error is not None:
                errors.append(error)
        if errors:
            return GraphOutcome(graph.graph_id, False, errors=tuple(errors if every_error else errors[:1]))
        lines = {node.reference_id: f"{node.reference_id}-line" for node in graph.nodes}
        for name, quote in quotes.items():
            self.quotes[quote.id] = quote
            if name in lines:
                lines[name] = quote.id
        return GraphOutcome(graph.graph_id, True, ids=lines)

    def _quote(self, body: Any) -> MadeQuote:
        self.made += 1
        return MadeQuote(f"0Q0{self.made:012}AAA", body["QuoteJobKey__c"], body["OpportunityId"])

    def _refusal(self, name: str, body: Any) -> NodeError | None:
        key = body["QuoteJobKey__c"]
        if self.unique and any(quote.key == key for quote in self.quotes.values()):
            return NodeError(name, "DUPLICATE_VALUE", f"duplicate value found: {key}")
        if self.deals[body["OpportunityId"]].refused == -1:
            return NodeError(name, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "not this one")
        return None

    def _add_line(self, name: str, body: Any, begun: dict[str, MadeQuote]) -> NodeError | None:
        """Add a line to a Quote of the same graph, or to a copy of one that is there (the graph may still fail)."""
        target = str(body["QuoteId"])
        if target.startswith("@{"):
            quote = begun[target[2:-4]]
        elif target in self.quotes or target in begun:
            quote = begun[target] = begun.get(target) or self.quotes[target].copy()
        else:
            return NodeError(name, "ENTITY_IS_DELETED", "entity is deleted")
        return self._add(name, body["OpportunityLineItemId"], quote, keyed="QuoteJobKey__c" in body)

    def _add(self, name: str, line: str, quote: MadeQuote, *, keyed: bool) -> NodeError | None:
        deal = self.deals[quote.opportunity_id]
        if deal.refused is not None and line == f"{deal.id}L{deal.refused}":
            return NodeError(name, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "not this line")
        if keyed and self.unique and line in quote.keyed:
            return NodeError(name, "DUPLICATE_VALUE", "duplicate value found: QuoteJobKey__c")
        quote.lines.append(line)
        quote.keyed |= {line} if keyed else set()
        return None

    def _insert(self, object_name: str, row: Row) -> tuple[str, str]:
        """Write a row of a Bulk job. Return its id, or why it is refused."""
        if object_name == "Quote":
            quote, error = self._quote(row), self._refusal("", row)
            self.quotes |= {quote.id: quote} if error is None else {}
            return quote.id, _said(error)
        found = [quote for quote in self.quotes.values() if quote.key == row["Quote.QuoteJobKey__c"]]
        if not found:
            return "", "INVALID_FIELD:Foreign key external ID: not found for field QuoteJobKey__c in entity Quote:--"
        line = row["OpportunityLineItemId"]
        return f"{line}-line", _said(self._add("", line, found[0], keyed=True))


class Client:
    """What the steps use of OrgClient."""

    def __init__(self, org: Org, address: OrgAddress, timeout: float) -> None:
        self._timeout = timeout
        self.address = address
        self.calls = 0
        self._org = org

    def describe(self, object_name: str) -> dict[str, Any]:
        """Return an object with the fields that a job sets."""
        self._request("describe")
        settable: dict[str, Any] = dict.fromkeys(
            ("unique", "createable", "updateable", "nillable", "defaultedOnCreate"), True
        )
        settable |= {"type": "string", "length": 255}
        return {"name": object_name, "fields": [{"name": name} | settable for name in ("QuoteJobKey__c", "Status")]}

    def explain(self, _: str) -> None:
        """Accept every query."""
        self._request("explain")

    def reading(self, _: str) -> AbstractContextManager[None]:
        """Return a context that changes nothing: the answers here are well formed."""
        return contextlib.nullcontext()

    def query(self, soql: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of the queries that the Quote job sends."""
        self._request(soql[:60])
        return self._pages(self._rows(soql))

    def query_together(self, soqls: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows of several queries that are one request."""
        self._request(f"{len(soqls)} queries together")
        return chain.from_iterable(self._pages(self._rows(soql)) for soql in soqls)

    def _pages(self, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the rows of an answer. Those after the first ROWS come with further requests."""
        for place, row in enumerate(rows):
            if place and place % ROWS == 0:
                self._request("more rows")
            yield row

    def send_graphs(self, graphs_to_send: Iterable[Graph]) -> dict[str, GraphOutcome]:
        """Write graphs. Raises OrgUnreachable if the answer is lost; the request may be done, now or later."""
        graphs = list(graphs_to_send)
        return self._request(f"write {[graph.graph_id for graph in graphs]}", lambda: self._org.write(graphs)) or {}

    def send_together(self, graph: Graph) -> GraphOutcome:
        """Write one graph and learn the error of each refused record. Raises OrgUnreachable as send_graphs does."""
        outcome: GraphOutcome = self._request("write together", lambda: self._org.write_together(graph))
        return outcome

    def send_parts(self, parts: Sequence[Part]) -> dict[str, Said]:
        """Take what the mirror tells."""
        said: dict[str, Said] = self._request("tell of jobs", lambda: self._org.tell(parts))
        return said

    def delete(self, _: str, record_id: str) -> None:
        """Delete a Quote with its lines."""
        self._request(f"delete {record_id}", lambda: self._org.quotes.pop(record_id, None))

    def delete_many(self, ids: Sequence[str]) -> dict[str, NodeError | None]:
        """Delete Quotes with their lines."""
        self._request(f"delete {list(ids)}", lambda: [self._org.quotes.pop(quote_id, None) for quote_id in ids])
        return dict.fromkeys(ids)

    def ingest(self, object_name: str, operation: str, rows: Any, columns: Any, **options: Any) -> IngestResult:
        """Write rows by the real steps of Bulk API 2.0."""
        return bulk.ingest(self._connection(), bulk.NewJob(object_name, operation), rows, columns, **options)

    def stop_ingest(self, job_ids: Sequence[str]) -> IngestResult:
        """Stop jobs by the real steps of Bulk API 2.0."""
        return bulk.stop(self._connection(), job_ids)

    def _connection(self) -> Any:
        return Connection(self._org.world, self._org.ingest, self._request)

    def _request(self, what: str, work: Any = lambda: None) -> Any:
        """Do the work, or a part of what can happen to a request instead."""
        world, faults = self._org.world, self._org.faults
        self.calls += 1
        world.note(f"request: {what}")
        world.sleep(world.dice.uniform(0.05, 2.0))
        if self.address.access_token not in self._org.sessions:
            raise SessionExpired("Session expired or invalid", code="INVALID_SESSION_ID")
        if world.chance(faults / 4):
            raise OrgExhausted("TotalRequests Limit exceeded.", code="REQUEST_LIMIT_EXCEEDED")
        if world.chance(faults):
            raise OrgUnreachable("The org did not answer: lost before it was done")
        if world.chance(faults / 2):
            self._org.do_late(work, self._timeout)
            world.sleep(world.dice.choice((1.0, self._timeout)))
            raise OrgUnreachable("The org did not answer: done later")
        answer = work()
        if world.chance(faults):
            raise OrgUnreachable("The org did not answer: lost after it was done")
        world.sleep(world.dice.uniform(0.0, 0.5))
        return answer

    def _rows(self, soql: str) -> list[dict[str, Any]]:
        org, named = self._org, MEMBERS.findall(soql)
        if soql.startswith("SELECT Id FROM Opportunity"):
            return [{"Id": deal.id} for deal in org.deals.values() if deal.group in named]
        if "FROM QuoteLineItem" in soql:
            quotes = [org.quotes[quote_id] for quote_id in named if quote_id in org.quotes]
            return [
                {"QuoteId": each.id, "OpportunityLineItemId": line} for each in quotes for line in sorted(each.lines)
            ]
        if "FROM Quote WHERE" in soql:
            *ids, mine = named
            found = [each for each in org.quotes.values() if each.opportunity_id in ids and _like(each.key, mine)]
            return [{"Id": quote.id, "OpportunityId": quote.opportunity_id} for quote in found]
        return [_opportunity(org.deals[record_id]) for record_id in named]


def _said(error: NodeError | None) -> str:
    """Return an error as a file of results has it."""
    return f"{error.code}:{error.message}:--" if error is not None else ""


def _like(text: str, pattern: str) -> bool:
    return text.startswith(pattern.removesuffix("%"))


def _opportunity(deal: Deal) -> dict[str, Any]:
    line = {
        "PricebookEntryId": "01u000000000001AAA", "Product2": {"ProductCode": "A", "Family": None}, "Quantity": 1,
        "UnitPrice": 10, "Discount": None, "TotalPrice": 10, "ServiceDate": None, "Description": None,
        "SortOrder": None,
    }  # fmt: skip
    return {
        "Id": deal.id, "Name": deal.id, "Account": {"BillingCountry": "US"}, "Amount": 10, "CloseDate": "2027-02-01",
        "Pricebook2Id": "01s000000000001AAA",
        "OpportunityLineItems": [line | {"Id": f"{deal.id}L{number}"} for number in range(deal.lines)],
    }  # fmt: skip
