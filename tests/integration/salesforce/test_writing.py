"""The write protocol against a real org that fails in every way: each quote is there once, whole, or refused alone."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import requests

from harness.api import LocalOrg
from harness.stack import Stack
from quotejob.errors import JobStopped, OrgExhausted, OrgUnreachable, SessionExpired
from quotejob.jobtypes import units
from quotejob.jobtypes.quotes import writer as writing
from quotejob.jobtypes.quotes.writer import Writer, nodes
from quotejob.pricing.model import PricedLine, PricedQuote
from quotejob.run.receipt import Outcome, Result
from quotejob.salesforce import API_VERSION, Graph, GraphOutcome, NodeError, OrgAddress, OrgClient
from quotejob.salesforce.graphs import Node

MANY = 60  # Opportunities of two lines


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalOrg]:
    """An org of this module's own: its faults must not meet other tests."""
    with Stack(tmp_path_factory.mktemp("writing")) as stack:
        yield stack.start_org(0, "--opportunities", str(MANY), "--lines", "2")


@pytest.fixture(autouse=True)
def _no_faults(local: LocalOrg) -> Iterator[None]:
    yield
    clear_faults(local)


def clear_faults(local: LocalOrg) -> None:
    requests.post(f"{local.url}/localorg/faults", json={"clear": True}, timeout=10).raise_for_status()
    requests.post(f"{local.url}/localorg/reset", timeout=10).raise_for_status()


@pytest.fixture
def org(local: LocalOrg) -> OrgClient:
    return OrgClient(OrgAddress(local.url, local.token, API_VERSION, local.org_id), read_timeout=2)


@pytest.fixture
def fault(local: LocalOrg) -> Callable[..., None]:
    """Arm a fault for composite graph requests."""

    def arm(kind: str, **options: Any) -> None:
        spec = {"match": {"resource": "composite/graph"}, "kind": kind, "count": 1} | options
        requests.post(f"{local.url}/localorg/faults", json=spec, timeout=10).raise_for_status()

    return arm


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses as ever, patience of seconds."""
    monkeypatch.setattr(units, "_MAX_SECONDS_OF_FAULTS", 3)


def quotes(org: OrgClient, count: int = MANY) -> list[PricedQuote]:
    """Priced quotes of the org's Opportunities."""
    lines = "(SELECT Id, PricebookEntryId, Quantity, UnitPrice FROM OpportunityLineItems ORDER BY Id)"
    rows = org.query(f"SELECT Id, Pricebook2Id, {lines} FROM Opportunity ORDER BY Id LIMIT {count}")
    return [quote(row["Id"], row["Pricebook2Id"], row["OpportunityLineItems"]) for row in rows]


def quote(opportunity_id: str, pricebook2_id: str, lines: list[dict[str, Any]]) -> PricedQuote:
    priced = tuple(
        PricedLine(line["Id"], line["PricebookEntryId"], Decimal(line["Quantity"]), Decimal(line["UnitPrice"]),
                   Decimal(line["UnitPrice"]), Decimal(0))
        for line in lines
    )  # fmt: skip
    return PricedQuote(opportunity_id, "Quote", pricebook2_id, date(2027, 1, 31), priced)


def broken(quote: PricedQuote) -> PricedQuote:
    """The quote with an entry in its last line that no org has."""
    last = replace(quote.lines[-1], pricebook_entry_id="01uGs00000zzzzzIAA")
    return replace(quote, lines=(*quote.lines[:-1], last))


def write(
    org: OrgClient, quotes: list[PricedQuote], job_id: str = "", go_on: Callable[[], None] = lambda: None
) -> Writer:
    writer = Writer(org, job_id or str(uuid.uuid4()), go_on=go_on, slow_down=lambda _: None, note_large=lambda *_: None)
    writer.write(quotes)
    return writer


def assert_written(org: OrgClient, writer: Writer, expected: list[PricedQuote]) -> None:
    """The org has exactly these quotes of the job, each with exactly its lines, and the results say so."""
    key = f"QuoteJobKey__c LIKE '{writer._job_id}:%'"
    lines = "(SELECT OpportunityLineItemId, Quantity, UnitPrice FROM QuoteLineItems)"
    found = {row["Id"]: row for row in org.query(f"SELECT Id, OpportunityId, {lines} FROM Quote WHERE {key}")}
    assert len(found) == len(expected)
    for quote in expected:
        result = writer.results[quote.opportunity_id]
        assert result == Result(quote.opportunity_id, Outcome.SUCCEEDED, result.quote_id)
        row = found[result.quote_id or ""]
        assert row["OpportunityId"] == quote.opportunity_id
        have = [(line["OpportunityLineItemId"], line["Quantity"], line["UnitPrice"]) for line in row["QuoteLineItems"]]
        want = [(line.opportunity_line_id, line.quantity, line.unit_price) for line in quote.lines]
        assert sorted(have) == sorted(want)


def test_all_is_written(org: OrgClient) -> None:
    """Sixty quotes take one request."""
    some = quotes(org)
    before = org.calls
    writer = write(org, some)
    assert org.calls == before + 1
    assert_written(org, writer, some)


def test_written_twice_is_there_once(org: OrgClient) -> None:
    """A second write of the same job, by somebody else, finds what is there and gives the same ids."""
    some = quotes(org)
    first = write(org, some)
    second = write(org, some, first._job_id)
    assert second.results == first.results
    assert_written(org, second, some)


def test_another_packing_finds_what_is_there(org: OrgClient) -> None:
    """Graphs in which some quotes are written and some are not: these are added, those are found."""
    some = quotes(org)
    first = write(org, some[::3])
    second = write(org, some, first._job_id)
    assert_written(org, second, some)


@pytest.mark.parametrize(
    "kind", ["fail_before_write", "fail_after_write", "reset_before_write", "reset_after_write", "lock"]
)
def test_a_passing_fault_costs_nothing(org: OrgClient, fault: Callable[..., None], kind: str) -> None:
    """Lost before or after the write, three times in a row: each quote is there once."""
    some = quotes(org, 20)
    fault(kind, count=3)
    assert_written(org, write(org, some), some)


def test_a_slow_answer_counts_as_lost(org: OrgClient, fault: Callable[..., None]) -> None:
    """The read timeout passes, the org writes all the same; the repeat finds it."""
    some = quotes(org, 20)
    fault("slow", seconds=2.5)
    assert_written(org, write(org, some), some)


def test_an_org_that_stays_away_is_not_waited_for_without_end(
    org: OrgClient, local: LocalOrg, fault: Callable[..., None]
) -> None:
    """The fault comes out, and a later write completes the job."""
    some = quotes(org, 20)
    fault("fail_after_write", count=50)
    job_id = str(uuid.uuid4())
    with pytest.raises(OrgUnreachable):
        write(org, some, job_id)
    clear_faults(local)
    assert_written(org, write(org, some, job_id), some)


@pytest.mark.parametrize(("kind", "error"), [("limit", OrgExhausted), ("expire_session", SessionExpired)])
def test_what_waiting_does_not_mend_comes_out(
    org: OrgClient, fault: Callable[..., None], kind: str, error: type[Exception]
) -> None:
    """No allocation, no session: nobody tries again at once."""
    some = quotes(org, 3)
    fault(kind, message="TotalRequests Limit exceeded.")
    with pytest.raises(error):
        write(org, some)


@pytest.mark.parametrize("bad", [1, 14, 15, 40, MANY])
def test_a_bad_record_costs_only_its_own_quote(org: OrgClient, bad: int) -> None:
    """Also when more than 14 graphs fail, after which the org runs no more of a request."""
    some = quotes(org)
    mixed = [broken(quote) if place < bad else quote for place, quote in enumerate(some)]
    writer = write(org, mixed)
    assert_written(org, writer, mixed[bad:]) if bad < MANY else None
    refused = [writer.results[quote.opportunity_id] for quote in mixed[:bad]]
    assert all(result.outcome is Outcome.FAILED and result.code and result.message for result in refused)


def test_a_graph_of_several_quotes_is_split(org: OrgClient) -> None:
    """Quotes share graphs when there are more than 75 of them; the bad one is found, its neighbours are written."""
    good, bad = quotes(org, 3), broken(quotes(org, 4)[3])
    writer = Writer(org, str(uuid.uuid4()), go_on=lambda: None, slow_down=lambda _: None, note_large=lambda *_: None)
    writer._write_graphs([(*good, bad)])
    assert writer.results[bad.opportunity_id].outcome is Outcome.FAILED
    assert_written(org, writer, good)


def large(org: OrgClient, lines: int) -> PricedQuote:
    """A quote of an Opportunity made just now, with so many lines, written 200 at a time."""
    template = quotes(org, 1)[0]
    entry = template.lines[0]
    made: list[str] = []
    body = {
        "Name": "Large",
        "StageName": "Prospecting",
        "CloseDate": "2027-01-01",
        "Pricebook2Id": template.pricebook2_id,
    }
    opportunity_id = _create(org, "Opportunity", [body])[0]
    line = {
        "OpportunityId": opportunity_id,
        "PricebookEntryId": entry.pricebook_entry_id,
        "Quantity": 1,
        "UnitPrice": 9,
    }
    for start in range(0, lines, 500):
        made += _create(org, "OpportunityLineItem", [line] * min(500, lines - start))
    rows = [{"Id": key, "PricebookEntryId": entry.pricebook_entry_id, "Quantity": 1, "UnitPrice": 9} for key in made]
    return quote(opportunity_id, template.pricebook2_id or "", rows)


def _create(org: OrgClient, object_name: str, bodies: list[dict[str, Any]]) -> list[str]:
    nodes = [Node(f"r{place}", "POST", object_name, body) for place, body in enumerate(bodies)]
    return list(org.send_graphs([Graph("g", nodes)])["g"].ids.values())


@pytest.mark.parametrize("kind", ["", "reset_after_write", "fail_after_write", "fail_before_write", "lock"])
def test_a_quote_of_1200_lines_is_written_whole(org: OrgClient, fault: Callable[..., None], kind: str) -> None:
    """In three requests and more, whichever answers are lost."""
    big = large(org, 1200)
    assert nodes(big) == 1201
    if kind:
        fault(kind, count=2)
    assert_written(org, write(org, [big]), [big])


def test_a_large_quote_begun_by_another_is_completed(org: OrgClient) -> None:
    """What a killed process left: the Quote and some of its lines."""
    big = large(org, 700)
    half = write(org, [replace(big, lines=big.lines[:300])])
    assert_written(org, write(org, [big], half._job_id), [big])


def test_a_large_quote_whose_last_line_is_refused_leaves_nothing(org: OrgClient) -> None:
    """No half quote stays, and its neighbours are written."""
    big, some = broken(large(org, 700)), quotes(org, 3)
    writer = write(org, [big, *some])
    result = writer.results.pop(big.opportunity_id)
    assert (result.outcome, result.quote_id) == (Outcome.FAILED, None)
    assert_written(org, writer, some)


def test_an_ended_job_stops_between_requests(org: OrgClient) -> None:
    """What was written is in the results; a large quote that was begun is noted for the clean-up, with its id."""
    big, some = large(org, 700), quotes(org, 3)
    left = iter([True, True])
    noted: list[tuple[str, str | None]] = []

    def go_on() -> None:
        if not next(left, False):
            raise JobStopped("ended")

    writer = Writer(
        org, str(uuid.uuid4()), go_on=go_on, slow_down=lambda _: None, note_large=lambda *note: noted.append(note)
    )
    with pytest.raises(JobStopped):
        writer.write([big, *some])
    half = writing.written(org, writer._job_id, [big.opportunity_id])[big.opportunity_id]
    assert noted == [(big.opportunity_id, None), (big.opportunity_id, half)]
    org.delete("Quote", half)
    assert_written(org, writer, some)


def test_a_duplicate_that_is_not_there_is_sent_once_more(org: OrgClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another transaction had written the key when this one came, and was rolled back then."""
    send, refusal = OrgClient.send_graphs, "DUPLICATE_VALUE"
    answers = iter([refusal])

    def sending(client: OrgClient, graphs_to_send: Iterable[Graph]) -> dict[str, GraphOutcome]:
        graphs = list(graphs_to_send)
        if next(answers, None) is None:
            return send(client, graphs)
        error = NodeError(graphs[0].nodes[0].reference_id, refusal, "duplicate value found: QuoteJobKey__c", (), 400)
        return {graph.graph_id: GraphOutcome(graph.graph_id, False, errors=(error,)) for graph in graphs}

    monkeypatch.setattr(OrgClient, "send_graphs", sending)
    [one] = quotes(org, 1)
    assert_written(org, write(org, [one]), [one])
    answers = iter([refusal, refusal])
    writer = write(org, [one])
    assert writer.results[one.opportunity_id].code == refusal  # a duplicate in a field of the org's own
