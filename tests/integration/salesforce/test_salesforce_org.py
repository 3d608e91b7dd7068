"""The org client against a real local org."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from _place import LINES, OPPORTUNITIES, control, fault, stats
from _scripted import Server, error

from harness.api import LocalOrg
from quotejob.errors import OrgClosed, OrgError, OrgExhausted, OrgRefused, OrgUnreachable, SessionExpired
from quotejob.salesforce import Graph, GraphOutcome, Kind, Node, OrgAddress, OrgClient

pytestmark = pytest.mark.usefixtures("as_new")
READ = (
    "SELECT Id, Name, Amount, CloseDate, Pricebook2Id, Account.BillingCountry, "
    "(SELECT Id, PricebookEntryId, Quantity, UnitPrice, Product2.Family FROM OpportunityLineItems) FROM Opportunity"
)


def _opportunities(org: OrgClient, limit: int) -> list[dict[str, Any]]:
    return list(org.query(f"{READ} ORDER BY Id LIMIT {limit}"))


def _quote(opportunity: dict[str, Any], key: str, **more: Any) -> Graph:
    """A Quote with its lines, as a job writes it."""
    body = {
        "Name": "Q",
        "OpportunityId": opportunity["Id"],
        "Pricebook2Id": opportunity["Pricebook2Id"],
        "QuoteJobKey__c": key,
    }
    nodes = [Node("q", "POST", "Quote", body | more)]
    for place, line in enumerate(opportunity["OpportunityLineItems"]):
        body = {
            "QuoteId": "@{q.id}",
            "PricebookEntryId": line["PricebookEntryId"],
            "Quantity": line["Quantity"],
            "UnitPrice": Decimal("90.10"),
        }
        nodes.append(Node(f"l{place}", "POST", "QuoteLineItem", body))
    return Graph(opportunity["Id"], nodes)


def _codes(outcome: GraphOutcome) -> list[tuple[str, str]]:
    return [(error.reference_id, error.code) for error in outcome.errors]


def test_whoami_is_the_tokens_user(org: OrgClient, place: LocalOrg) -> None:
    """The org's own word on whose token it is."""
    identity = org.whoami()
    assert (identity.organization_id, identity.user_id) == (place.org_id, place.user_id)
    assert "@" in identity.username
    assert org.calls == 1


def test_a_token_the_org_does_not_know(address: OrgAddress) -> None:
    """Session expired, after one call, whatever is asked."""
    wrong = OrgClient(replace(address, access_token="00D000000000001!WRONG"))
    for call in (wrong.whoami, lambda: wrong.explain("SELECT Id FROM Quote"), lambda: wrong.describe("Quote")):
        with pytest.raises(SessionExpired):
            call()
    assert wrong.calls == 3


CALLS: dict[str, Callable[[OrgClient], object]] = {
    "explain": lambda org: org.explain("SELECT Id FROM Quote"),
    "query": lambda org: list(org.query("SELECT Id FROM Quote")),
    "write": lambda org: org.send_graphs([Graph("g", [Node("q", "POST", "Quote", {})])]),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_version_that_the_org_does_not_serve_is_named(
    call: Callable[[OrgClient], object], address: OrgAddress
) -> None:
    """The org only says that there is no such resource. After one call."""
    later = OrgClient(replace(address, api_version="99.0"))
    with pytest.raises(OrgClosed, match=r"does not serve apiVersion 99\.0"):
        call(later)
    assert later.calls == 1


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_version_that_was_retired_is_named(call: Callable[[OrgClient], object], server: Server) -> None:
    """An org answers 410 for it."""
    with pytest.raises(OrgClosed, match="does not serve apiVersion"):
        call(server.org(error("GONE", 410)))


def test_explain_reads_no_rows(org: OrgClient, place: LocalOrg) -> None:
    """The org checks the query and that is all."""
    org.explain(f"{READ} WHERE (Amount > 10)")
    assert stats(place)["rowsRead"] == 0
    assert stats(place)["requests"]["byResource"] == {"query/explain": 1}


@pytest.mark.parametrize(
    ("where", "code", "says"),
    [
        ("Bacon__c = 1", "INVALID_FIELD", "No such column 'Bacon__c' on entity 'Opportunity'"),
        ("Name = 'a' AND Name = 'b' OR Name = 'c'", "MALFORMED_QUERY", "OR"),
        ("Name BETWEEN 1", "MALFORMED_QUERY", "unexpected token"),
    ],
)
def test_explain_refuses_with_the_orgs_own_words(org: OrgClient, where: str, code: str, says: str) -> None:
    """What the caller of the API gets to read."""
    with pytest.raises(OrgRefused) as caught:
        org.explain(f"SELECT Id FROM Opportunity WHERE {where}")
    assert caught.value.code == code
    assert says in caught.value.message
    assert caught.value.http_status == 400


def test_describe_finds_the_key_field(org: OrgClient) -> None:
    """How a job knows before it starts that it can write exactly once."""
    fields = {field["name"]: field for field in org.describe("Quote")["fields"]}
    assert fields["QuoteJobKey__c"]["unique"]
    assert fields["QuoteJobKey__c"]["externalId"]
    with pytest.raises(OrgRefused):
        org.describe("NoSuchThing__c")


def test_a_query_gives_lines_as_lists_and_money_as_decimal(org: OrgClient) -> None:
    """One call for a page of Opportunities with all their lines."""
    found = list(org.query(READ))
    assert len(found) >= OPPORTUNITIES
    assert org.calls == 1
    lines = found[0]["OpportunityLineItems"]
    assert len(lines) == LINES
    assert all(type(line[name]) is Decimal for line in lines for name in ("Quantity", "UnitPrice"))
    assert type(found[0]["Amount"]) is Decimal


def test_many_rows_and_many_lines_come_whole(org: OrgClient) -> None:
    """Parents page at 2,000 rows, children at 499: nothing is lost and nothing comes twice."""
    (opportunity,) = _opportunities(org, 1)
    name = f"Large {uuid4()}"
    row = {
        "Name": name,
        "StageName": "Prospecting",
        "CloseDate": "2030-01-31",
        "Pricebook2Id": opportunity["Pricebook2Id"],
    }
    created = org.ingest("Opportunity", "insert", [row] * 3, list(row))
    ids = [done["sf__Id"] for done in created.succeeded()]
    entry = opportunity["OpportunityLineItems"][0]["PricebookEntryId"]
    lines = (
        {
            "OpportunityId": ids[number % 4 == 0],
            "PricebookEntryId": entry,
            "Quantity": str(number + 1),
            "UnitPrice": "1.10",
        }
        for number in range(3600)
    )
    columns = ["OpportunityId", "PricebookEntryId", "Quantity", "UnitPrice"]
    assert org.ingest("OpportunityLineItem", "insert", lines, columns).records_failed == 0

    calls = org.calls
    found = {record["Id"]: record["OpportunityLineItems"] for record in org.query(f"{READ} WHERE Name = '{name}'")}
    assert org.calls - calls == 1 + 2 + 1  # 2,700 lines of the first: 499, 2,000 and the rest; 900 of the second
    assert sorted(found) == sorted(ids)
    assert sorted(line["Quantity"] for line in found[ids[0]]) == [number + 1 for number in range(3600) if number % 4]
    assert sorted(line["Quantity"] for line in found[ids[1]]) == list(range(1, 3601, 4))
    assert found[ids[2]] == []

    calls = org.calls
    flat = [record["Id"] for record in org.query("SELECT Id FROM OpportunityLineItem")]
    assert len(flat) == len(set(flat)) > 3600
    assert org.calls - calls == -(-len(flat) // 2000)


def test_quotes_are_written_with_exact_prices(org: OrgClient) -> None:
    """One call writes whole Quotes, and ids come back under their keys."""
    graphs = [_quote(opportunity, str(uuid4())) for opportunity in _opportunities(org, 5)]
    calls = org.calls
    outcomes = org.send_graphs(graphs)
    assert org.calls - calls == 1
    assert set(outcomes) == {graph.graph_id for graph in graphs}
    for graph in graphs:
        outcome = outcomes[graph.graph_id]
        assert outcome.ok
        assert set(outcome.ids) == {"q", "l0", "l1", "l2"}
        lines = list(org.query(f"SELECT UnitPrice FROM QuoteLineItem WHERE QuoteId = '{outcome.ids['q']}'"))
        assert [line["UnitPrice"] for line in lines] == [Decimal("90.1")] * LINES


@pytest.mark.parametrize("number", ["115000000", "10000000", "123456789.12", "9999999999.99", "9999999.99"])
def test_large_numbers_are_read_and_written_with_all_their_digits(org: OrgClient, number: str) -> None:
    """From ten million on an org writes them with an exponent."""
    (opportunity,) = _opportunities(org, 1)
    graph = _quote(opportunity, str(uuid4()), Tax=Decimal(number))
    (outcome,) = org.send_graphs([graph]).values()
    assert outcome.ok, outcome
    read = f"SELECT Tax FROM Quote WHERE Id = '{outcome.ids['q']}'"
    (quote,) = org.query(read)
    assert quote["Tax"] == Decimal(number)
    assert org.send_graphs([Graph("g", [Node("q", "PATCH", f"Quote/{outcome.ids['q']}", {"Tax": quote["Tax"]})])])[
        "g"
    ].ok
    assert list(org.query(read)) == [quote]


def test_a_quote_with_a_fault_costs_only_itself(org: OrgClient) -> None:
    """The guilty node is named; its innocent neighbours are not, and the other graph is written."""
    good, bad = _opportunities(org, 2)
    outcomes = org.send_graphs([_quote(good, str(uuid4())), _quote(bad, str(uuid4()), Name=None)])
    assert outcomes[good["Id"]].ok
    outcome = outcomes[bad["Id"]]
    assert (outcome.ok, outcome.ids, outcome.not_run) == (False, {}, False)
    assert [error.reference_id for error in outcome.errors] == ["q"]
    assert outcome.errors[0].kind is Kind.RECORD
    assert outcome.errors[0].fields == ("Name",)


def test_a_lost_answer_and_its_repeat(org: OrgClient, place: LocalOrg) -> None:
    """The org wrote, then broke: the repeat finds the key taken, and there is one Quote."""
    key = str(uuid4())
    graph = _quote(_opportunities(org, 1)[0], key)
    for kind in ("fail_after_write", "reset_after_write"):
        fault(place, kind, "composite/graph")
        calls = org.calls
        with pytest.raises(OrgUnreachable):
            org.send_graphs([graph])
        assert org.calls - calls == 1
    (outcome,) = org.send_graphs([graph]).values()
    assert _codes(outcome) == [("q", "DUPLICATE_VALUE")]
    assert len(list(org.query(f"SELECT Id FROM Quote WHERE QuoteJobKey__c = '{key}'"))) == 1


def test_graphs_the_org_did_not_get_to_are_told_apart(org: OrgClient) -> None:
    """After 14 failed graphs the rest is not run; nobody in it is to blame."""
    opportunities = _opportunities(org, 20)
    outcomes = org.send_graphs([_quote(one, str(uuid4()), Name=None) for one in opportunities])
    run = [outcome for outcome in outcomes.values() if not outcome.not_run]
    assert 14 <= len(run) <= 15
    assert all(outcome.errors for outcome in run)
    assert all(not outcome.ok and not outcome.errors for outcome in outcomes.values() if outcome.not_run)


@pytest.mark.parametrize("kind", ["fail_before_write", "reset_before_write", "lock", "limit"])
def test_a_passing_fault_is_waited_out_when_reading(org: OrgClient, place: LocalOrg, kind: str) -> None:
    """Each try counts. Too many long calls at once pass too, unlike the day's allowance."""
    fault(place, kind, "query", 2)
    assert len(_opportunities(org, 3)) == 3
    assert org.calls == 3


def test_a_row_lock_is_a_passing_fault_when_writing(org: OrgClient, place: LocalOrg) -> None:
    """Reported in the graph's own answer or for the whole request, it says: send it again."""
    graph = _quote(_opportunities(org, 1)[0], str(uuid4()))
    fault(place, "lock", "composite/graph")
    (outcome,) = org.send_graphs([graph]).values()
    assert {(error.code, error.kind) for error in outcome.errors} == {("UNABLE_TO_LOCK_ROW", Kind.RETRY)}
    (outcome,) = org.send_graphs([graph]).values()
    assert outcome.ok


@pytest.mark.parametrize(("kind", "ours"), [("limit", OrgExhausted), ("expire_session", SessionExpired)])
def test_a_lasting_fault_is_told_at_once(org: OrgClient, place: LocalOrg, kind: str, ours: type[OrgError]) -> None:
    """The allocation is used up, or the session is over: one call."""
    says = "TotalRequests Limit exceeded." if kind == "limit" else "Session expired or invalid"
    control(place, "faults", {"kind": kind, "match": {"resource": "query"}, "message": says, "count": 1})
    with pytest.raises(ours):
        _opportunities(org, 1)
    assert org.calls == 1


def test_an_org_that_is_slow_times_out(place: LocalOrg, address: OrgAddress) -> None:
    """Every call has a timeout."""
    control(place, "faults", {"kind": "slow", "match": {"resource": "query"}, "seconds": 1, "count": 1})
    with pytest.raises(OrgUnreachable) as caught:
        list(OrgClient(address, read_timeout=0.2, retry_for=0).query("SELECT Id FROM Quote"))
    assert caught.value.code == "TIMEOUT"


def test_deleting_twice_is_deleting(org: OrgClient, place: LocalOrg) -> None:
    """After a lost answer the record is gone already, which is what was asked."""
    (outcome,) = org.send_graphs([_quote(_opportunities(org, 1)[0], str(uuid4()))]).values()
    fault(place, "fail_after_write", "sobjects*")
    org.delete("Quote", outcome.ids["q"])
    assert list(org.query(f"SELECT Id FROM Quote WHERE Id = '{outcome.ids['q']}'")) == []
    with pytest.raises(OrgRefused):
        org.delete("Quote", "0Q0000000000000AAA")


def test_a_graph_can_delete(org: OrgClient) -> None:
    """A node without a body, and without an id in its answer."""
    (outcome,) = org.send_graphs([_quote(_opportunities(org, 1)[0], str(uuid4()))]).values()
    (gone,) = org.send_graphs([Graph("g", [Node("d", "DELETE", f"Quote/{outcome.ids['q']}")])]).values()
    assert (gone.ok, gone.ids) == (True, {})


def test_many_calls_are_quick(org: OrgClient, place: LocalOrg) -> None:
    """Kept-alive connections and no pauses of our own: not much slower than opening a connection for each by hand."""
    stats(place)
    began = time.perf_counter()
    for _ in range(100):
        stats(place)
    between = time.perf_counter()
    for _ in range(100):
        org.explain("SELECT Id FROM Opportunity")
    assert time.perf_counter() - between < 5 * (between - began)


def test_several_queries_come_by_one_call(org: OrgClient, place: LocalOrg) -> None:
    """The org counts one request. The rows are those of each query, one after the other, numbers and children too."""
    alone = [f"{READ} ORDER BY Id LIMIT {count}" for count in (3, 1, 2)]
    wanted = [row for soql in alone for row in org.query(soql)]
    before, counted = org.calls, stats(place)["requests"]["total"]
    assert list(org.query_together(alone)) == wanted
    assert (org.calls - before, stats(place)["requests"]["total"] - counted) == (1, 1)
    assert isinstance(wanted[0]["OpportunityLineItems"][0]["UnitPrice"], Decimal | int)


def test_more_pages_of_several_queries_are_read_too(org: OrgClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by a call of its own; if the org has lost them, the query is sent again by itself."""
    name = str(uuid4())
    rows = ({"Name": name, "BillingCountry": str(number)} for number in range(2_300))
    assert org.ingest("Account", "insert", rows, ["Name", "BillingCountry"]).records_failed == 0
    soql = f"SELECT Id FROM Account WHERE Name = '{name}' ORDER BY Id"
    wanted, calls = list(org.query(soql)), org.calls
    assert len(wanted) == 2_300
    assert list(org.query_together([soql, soql])) == wanted * 2
    assert org.calls - calls == 1 + 2
    more, lost = OrgClient._more, [True]

    def losing(client: OrgClient, url: str) -> dict[str, Any]:
        if lost.pop() if lost else False:
            raise OrgUnreachable("gone", code="INVALID_QUERY_LOCATOR")
        return more(client, url)

    monkeypatch.setattr(OrgClient, "_more", losing)
    assert list(org.query_together([soql, soql])) == wanted * 2


def test_one_of_several_queries_is_refused(org: OrgClient) -> None:
    """As if it had been sent by itself."""
    with pytest.raises(OrgRefused) as alone:
        org.query("SELECT Nonsense FROM Account")
    with pytest.raises(OrgRefused) as caught:
        list(org.query_together(["SELECT Id FROM Account LIMIT 1", "SELECT Nonsense FROM Account"]))
    assert (caught.value.code, caught.value.message) == (alone.value.code, alone.value.message)


def test_an_org_refuses_a_sixth_query(org: OrgClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """So there are never more."""
    monkeypatch.setattr("quotejob.salesforce.queries.MOST_TOGETHER", 6)
    with pytest.raises(OrgRefused) as caught:
        org.query_together(["SELECT Id FROM Account LIMIT 1"] * 6)
    assert caught.value.code == "LIMIT_EXCEEDED"


def test_several_queries_survive_a_lost_answer(org: OrgClient, place: LocalOrg) -> None:
    """Reading is harmless, so they are sent again."""
    fault(place, "fail_before_write", "composite", method="POST")
    assert len(list(org.query_together(["SELECT Id FROM Account LIMIT 1"] * 5))) == 5
