"""An org that refuses much: few requests, each bad record has its own reason, and each good one is written once."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

import pytest
import requests

from harness.api import LocalOrg
from harness.stack import Stack
from quotejob.errors import OrgError, OrgRefused, OrgUnreachable
from quotejob.jobtypes.batches.packing import Size, batches
from quotejob.jobtypes.quotes.writer import Writer, nodes, written
from quotejob.pricing.model import PricedLine, PricedQuote
from quotejob.run.receipt import Outcome
from quotejob.salesforce import API_VERSION, Graph, GraphOutcome, NodeError, OrgAddress, OrgClient

MANY = 1000
SCHEMA = """
objects:
  Quote:
    rules: [{name: NoBad, rule: "Name LIKE 'bad%'", message: No such names here., field: Name}]
  QuoteLineItem:
    rules: [{name: NoThirteen, rule: "Quantity = 13", message: Thirteen brings bad luck., field: Quantity}]
"""
OTHER_ENTRY = "01uGs00000zzzzzIAA"  # an entry that no org has

Spoil = Callable[[PricedQuote], PricedQuote]


def by_rule(quote: PricedQuote) -> PricedQuote:
    return replace(quote, name="bad")


def by_name(quote: PricedQuote) -> PricedQuote:
    return replace(quote, name="")


def by_line_rule(quote: PricedQuote) -> PricedQuote:
    return replace(quote, lines=(*quote.lines[:-1], replace(quote.lines[-1], quantity=Decimal(13))))


def by_entry(quote: PricedQuote) -> PricedQuote:
    return replace(quote, lines=(replace(quote.lines[0], pricebook_entry_id=OTHER_ENTRY), *quote.lines[1:]))


def by_book(quote: PricedQuote) -> PricedQuote:
    return replace(quote, pricebook2_id="01sGs00000zzzzzIAA")


SPOILS: list[Spoil] = [by_rule, by_name, by_line_rule, by_entry, by_book]


@pytest.fixture(scope="module")
def local_with_rules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalOrg]:
    """An org of this module's own, with rules."""
    folder = tmp_path_factory.mktemp("refusing")
    (folder / "schema.yaml").write_text(SCHEMA)
    options = ("--opportunities", str(MANY), "--lines", "2", "--schema", str(folder / "schema.yaml"))
    with Stack(folder) as stack:
        yield stack.start_org(0, *options)


@pytest.fixture
def org(local_with_rules: LocalOrg) -> Iterator[OrgClient]:
    """Its client, and an org without Quotes afterwards."""
    local = local_with_rules
    yield OrgClient(OrgAddress(local.url, local.token, API_VERSION, local.org_id), read_timeout=20)
    requests.post(f"{local.url}/localorg/reset", timeout=30).raise_for_status()


@pytest.fixture(scope="module")
def all_quotes(local_with_rules: LocalOrg) -> list[PricedQuote]:
    """A priced quote of each of the org's Opportunities."""
    local = local_with_rules
    lines = "(SELECT Id, PricebookEntryId, Quantity, UnitPrice FROM OpportunityLineItems ORDER BY Id)"
    found = OrgClient(OrgAddress(local.url, local.token, API_VERSION, local.org_id)).query(
        f"SELECT Id, Pricebook2Id, {lines} FROM Opportunity ORDER BY Id"
    )
    return [_quote(row) for row in found]


def _quote(row: dict[str, Any]) -> PricedQuote:
    lines = tuple(
        PricedLine(line["Id"], line["PricebookEntryId"], Decimal(2), Decimal(9), Decimal(9), Decimal(0))
        for line in row["OpportunityLineItems"]
    )
    return PricedQuote(row["Id"], "Quote", row["Pricebook2Id"], date(2027, 1, 31), lines)


def write(org: OrgClient, quotes: Sequence[PricedQuote], key_id: str = "") -> Writer:
    """Write the quotes in batches, as a job does. Returns the last writer, with the results of all."""
    key_id = key_id or str(uuid.uuid4())
    by_id = {quote.opportunity_id: quote for quote in quotes}
    results: dict[str, Any] = {}
    for batch in batches([Size("0", quote.opportunity_id, nodes(quote)) for quote in quotes], 0):
        writer = Writer(org, key_id, go_on=lambda: None, slow_down=lambda _: None, note_large=lambda *_: None)
        writer.write([by_id[name] for name in batch["0"]])
        results |= writer.results
    writer.results = results
    return writer


def assert_right(org: OrgClient, writer: Writer, good: Sequence[PricedQuote], bad: Sequence[PricedQuote]) -> None:
    """The good ones are in the org once, whole; the bad ones are not, and have a code and a reason."""
    rows = list(
        org.query(
            "SELECT Id, OpportunityId, (SELECT OpportunityLineItemId FROM QuoteLineItems) FROM Quote "
            f"WHERE QuoteJobKey__c LIKE '{writer._job_id}:%'"
        )
    )
    in_org = sorted(
        (row["OpportunityId"], row["Id"], len({line["OpportunityLineItemId"] for line in row["QuoteLineItems"]}))
        for row in rows
    )
    expected = sorted((q.opportunity_id, writer.results[q.opportunity_id].quote_id, len(q.lines)) for q in good)
    assert in_org == expected
    assert len(writer.results) == len(good) + len(bad)
    for quote in bad:
        result = writer.results[quote.opportunity_id]
        assert (result.outcome, result.quote_id) == (Outcome.FAILED, None)
        assert result.code not in (None, "PROCESSING_HALTED", "ALL_OR_NONE_OPERATION_ROLLED_BACK")
        assert result.message


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_thousand_refused_for_one_reason_cost_few_requests(
    org: OrgClient, all_quotes: list[PricedQuote], spoil: Spoil
) -> None:
    """Seven batches of 166 quotes: two or three requests each, where single tries took some 90."""
    bad = [spoil(quote) for quote in all_quotes]
    before = org.calls
    writer = write(org, bad)
    spent = org.calls - before
    assert_right(org, writer, [], bad)
    assert len({(result.code, result.message) for result in writer.results.values()}) == 1
    assert spent <= 21, spent


def test_a_thousand_refused_for_five_reasons(org: OrgClient, all_quotes: list[PricedQuote]) -> None:
    """Those of the Quotes come first, then those of the lines."""
    bad = [SPOILS[place % len(SPOILS)](quote) for place, quote in enumerate(all_quotes)]
    before = org.calls
    writer = write(org, bad)
    spent = org.calls - before
    assert_right(org, writer, [], bad)
    reasons = [writer.results[quote.opportunity_id].message for quote in bad]
    assert all(len(set(reasons[kind :: len(SPOILS)])) == 1 for kind in range(len(SPOILS)))
    assert spent <= 28, spent


@pytest.mark.parametrize(
    ("spoil", "place"), [(by_rule, 0), (by_name, 14), (by_line_rule, 165), (by_entry, 500), (by_book, 999)]
)
def test_one_good_among_999_bad_is_written(
    org: OrgClient, all_quotes: list[PricedQuote], spoil: Spoil, place: int
) -> None:
    """Whatever its place in its batch."""
    mixed = [quote if at == place else spoil(quote) for at, quote in enumerate(all_quotes)]
    before = org.calls
    writer = write(org, mixed)
    spent = org.calls - before
    assert_right(org, writer, [mixed[place]], mixed[:place] + mixed[place + 1 :])
    assert spent <= 23, spent


@pytest.mark.parametrize("spoil", SPOILS)
def test_one_bad_among_999_good_costs_one_request(org: OrgClient, all_quotes: list[PricedQuote], spoil: Spoil) -> None:
    """Its own quote fails; the quotes that shared its graph are sent once more."""
    mixed = [*all_quotes[:500], spoil(all_quotes[500]), *all_quotes[501:]]
    before = org.calls
    writer = write(org, mixed)
    spent = org.calls - before
    assert_right(org, writer, [quote for quote in mixed if quote is not mixed[500]], [mixed[500]])
    assert spent == 8


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.7, 0.95])
def test_any_mix(org: OrgClient, all_quotes: list[PricedQuote], share: float) -> None:
    """At random: all good ones are written, all bad ones fail, and no mix costs what single tries would."""
    chance = Random(share)
    bad = {quote.opportunity_id for quote in all_quotes if chance.random() < share}
    mixed = [chance.choice(SPOILS)(q) if q.opportunity_id in bad else q for q in all_quotes]
    before = org.calls
    writer = write(org, mixed)
    spent = org.calls - before
    assert_right(
        org, writer, [q for q in mixed if q.opportunity_id not in bad], [q for q in mixed if q.opportunity_id in bad]
    )
    assert spent <= 35, spent


@pytest.mark.parametrize("kind", ["fail_after_write", "reset_after_write", "fail_before_write", "lock"])
def test_lost_answers_do_no_harm(
    org: OrgClient, local_with_rules: LocalOrg, all_quotes: list[PricedQuote], kind: str
) -> None:
    """The answer of the request that sends quotes together is lost, before or after it was written."""
    some = [by_rule(quote) if place < 120 else quote for place, quote in enumerate(all_quotes[:166])]
    spec = {"match": {"resource": "composite"}, "kind": kind, "count": 2}
    requests.post(f"{local_with_rules.url}/localorg/faults", json=spec, timeout=10).raise_for_status()
    writer = write(org, some)
    requests.post(f"{local_with_rules.url}/localorg/faults", json={"clear": True}, timeout=10).raise_for_status()
    assert_right(org, writer, some[120:], some[:120])


def test_what_is_written_already_is_found(org: OrgClient, all_quotes: list[PricedQuote]) -> None:
    """A second write of a batch of which a worker that died has written a part."""
    good, bad = all_quotes[:60], [by_line_rule(quote) for quote in all_quotes[60:166]]
    first = write(org, good[:40])
    second = write(org, [*bad, *good], first._job_id)
    assert_right(org, second, good, bad)
    assert {second.results[q.opportunity_id] for q in good[:40]} == set(first.results.values())


def test_a_refusal_that_others_may_have_caused_is_tried_alone(
    org: OrgClient, all_quotes: list[PricedQuote], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trigger that has no more queries left for so many records at once refuses none of them alone."""
    sent: list[int] = []
    one_by_one, together = OrgClient.send_graphs, OrgClient.send_together

    def limit(graph: Graph) -> GraphOutcome:
        code, reason = "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "System.LimitException: Too many SOQL queries: 101"
        errors = tuple(NodeError(node.reference_id, code, reason, (), 400) for node in graph.nodes)
        return GraphOutcome(graph.graph_id, False, errors=errors)

    def sending(client: OrgClient, graphs_to_send: Iterable[Graph]) -> dict[str, GraphOutcome]:
        graphs = list(graphs_to_send)
        sent.append(len(graphs))
        if len(sent) > 1:
            return one_by_one(client, graphs)
        halted = {graph.graph_id: GraphOutcome(graph.graph_id, False, not_run=True) for graph in graphs}
        return halted | {graph.graph_id: limit(graph) for graph in graphs[:15]}

    def sending_together(client: OrgClient, graph: Graph) -> GraphOutcome:
        sent.append(0)
        return limit(graph)

    monkeypatch.setattr(OrgClient, "send_graphs", sending)
    monkeypatch.setattr(OrgClient, "send_together", sending_together)
    writer = write(org, all_quotes[:166])
    assert together is not OrgClient.send_together
    assert sent.count(0) == 1  # it named nobody for good, so it is not tried again
    assert len(written(org, writer._job_id, [quote.opportunity_id for quote in all_quotes[:166]])) == 166
    assert_right(org, writer, all_quotes[:166], [])


@pytest.mark.parametrize("fault", [OrgRefused("no such resource"), OrgUnreachable("odd", code="UNEXPECTED_ANSWER")])
def test_an_org_without_composites_costs_more_and_nothing_else(
    org: OrgClient, all_quotes: list[PricedQuote], monkeypatch: pytest.MonkeyPatch, fault: OrgError
) -> None:
    """It is asked once for each batch; then single tries decide."""
    asked = []

    def refusing(client: OrgClient, graph: Graph) -> GraphOutcome:
        asked.append(graph)
        raise fault

    monkeypatch.setattr(OrgClient, "send_together", refusing)
    mixed = [by_rule(quote) if place % 4 else quote for place, quote in enumerate(all_quotes[:166])]
    writer = write(org, mixed)
    assert len(asked) == 1
    assert_right(org, writer, mixed[::4], [quote for place, quote in enumerate(mixed) if place % 4])
