"""The org client against a real local org."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import requests

from cli.local import LocalOrg
from harness.stack import Stack
from quotejob.errors import OrgError, OrgExhausted, OrgRefused, OrgUnreachable, SessionExpired
from quotejob.salesforce import API_VERSION, Graph, GraphOutcome, Kind, Node, OrgAddress, OrgClient, bulk
from quotejob.salesforce.wire import pool

OPPORTUNITIES = 40
LINES = 3
READ = (
    "SELECT Id, Name, Amount, CloseDate, Pricebook2Id, Account.BillingCountry, "
    "(SELECT Id, PricebookEntryId, Quantity, UnitPrice, Product2.Family FROM OpportunityLineItems) FROM Opportunity"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalOrg]:
    """A local org with Opportunities, for this file only."""
    with Stack(tmp_path_factory.mktemp("localorg")) as stack:
        yield stack.start_org(0, "--opportunities", str(OPPORTUNITIES), "--lines", str(LINES))


@pytest.fixture(autouse=True)
def as_new(place: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No faults, numbers at zero, short pauses, no connection left open."""
    monkeypatch.setattr("quotejob.salesforce.connection.FIRST_PAUSE", 0.01)
    _control(place, "reset", {})
    yield
    pool().close()


@pytest.fixture
def address(place: LocalOrg) -> OrgAddress:
    """Where the local org is."""
    return OrgAddress(place.url, place.token, API_VERSION, place.org_id)


@pytest.fixture
def org(address: OrgAddress) -> OrgClient:
    """A client of it."""
    return OrgClient(address)


def _control(place: LocalOrg, what: str, body: dict[str, Any]) -> Any:
    with requests.post(f"{place.url}/localorg/{what}", json=body, timeout=10) as answer:
        assert answer.status_code == 200, answer.text
        return answer.json()


def _fault(place: LocalOrg, kind: str, resource: str, count: int = 1, method: str = "*") -> None:
    _control(place, "faults", {"kind": kind, "match": {"resource": resource, "method": method}, "count": count})


def _stats(place: LocalOrg) -> Any:
    with requests.get(f"{place.url}/localorg/stats", timeout=10) as answer:
        return answer.json()


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


def test_explain_reads_no_rows(org: OrgClient, place: LocalOrg) -> None:
    """The org checks the query and that is all."""
    org.explain(f"{READ} WHERE (Amount > 10)")
    assert _stats(place)["rowsRead"] == 0
    assert _stats(place)["requests"]["byResource"] == {"query/explain": 1}


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
        _fault(place, kind, "composite/graph")
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
    _fault(place, kind, "query", 2)
    assert len(_opportunities(org, 3)) == 3
    assert org.calls == 3


def test_a_row_lock_is_a_passing_fault_when_writing(org: OrgClient, place: LocalOrg) -> None:
    """Reported in the graph's own answer or for the whole request, it says: send it again."""
    graph = _quote(_opportunities(org, 1)[0], str(uuid4()))
    _fault(place, "lock", "composite/graph")
    (outcome,) = org.send_graphs([graph]).values()
    assert {(error.code, error.kind) for error in outcome.errors} == {("UNABLE_TO_LOCK_ROW", Kind.RETRY)}
    (outcome,) = org.send_graphs([graph]).values()
    assert outcome.ok


@pytest.mark.parametrize(("kind", "ours"), [("limit", OrgExhausted), ("expire_session", SessionExpired)])
def test_a_lasting_fault_is_told_at_once(org: OrgClient, place: LocalOrg, kind: str, ours: type[OrgError]) -> None:
    """The allocation is used up, or the session is over: one call."""
    says = "TotalRequests Limit exceeded." if kind == "limit" else "Session expired or invalid"
    _control(place, "faults", {"kind": kind, "match": {"resource": "query"}, "message": says, "count": 1})
    with pytest.raises(ours):
        _opportunities(org, 1)
    assert org.calls == 1


def test_an_org_that_is_slow_times_out(place: LocalOrg, address: OrgAddress) -> None:
    """Every call has a timeout."""
    _control(place, "faults", {"kind": "slow", "match": {"resource": "query"}, "seconds": 1, "count": 1})
    with pytest.raises(OrgUnreachable) as caught:
        list(OrgClient(address, read_timeout=0.2, retry_for=0).query("SELECT Id FROM Quote"))
    assert caught.value.code == "TIMEOUT"


def test_deleting_twice_is_deleting(org: OrgClient, place: LocalOrg) -> None:
    """After a lost answer the record is gone already, which is what was asked."""
    (outcome,) = org.send_graphs([_quote(_opportunities(org, 1)[0], str(uuid4()))]).values()
    _fault(place, "fail_after_write", "sobjects*")
    org.delete("Quote", outcome.ids["q"])
    assert list(org.query(f"SELECT Id FROM Quote WHERE Id = '{outcome.ids['q']}'")) == []
    with pytest.raises(OrgRefused):
        org.delete("Quote", "0Q0000000000000AAA")


def test_a_graph_can_delete(org: OrgClient) -> None:
    """A node without a body, and without an id in its answer."""
    (outcome,) = org.send_graphs([_quote(_opportunities(org, 1)[0], str(uuid4()))]).values()
    (gone,) = org.send_graphs([Graph("g", [Node("d", "DELETE", f"Quote/{outcome.ids['q']}")])]).values()
    assert (gone.ok, gone.ids) == (True, {})


class Notes:
    """A checkpoint in memory."""

    def __init__(self) -> None:
        self.job_ids: list[str] = []

    def load(self) -> list[str]:
        return list(self.job_ids)

    def save(self, job_ids: list[str]) -> None:
        self.job_ids = list(job_ids)


def _accounts(number: int, name: str) -> Iterator[dict[str, str]]:
    for place in range(number):
        yield {"Name": f'{name} "{place}",\nüñ', "BillingCountry": "DE"}


def _names(org: OrgClient, name: str) -> list[str]:
    return [record["Name"] for record in org.query(f"SELECT Name FROM Account WHERE Name LIKE '{name}%'")]


def test_rows_go_in_and_their_fates_come_back(org: OrgClient) -> None:
    """Good and bad rows, known by their own columns, in whatever order."""
    name = str(uuid4())
    told: list[tuple[int, int]] = []
    rows = [*_accounts(5, name), {"Name": "", "BillingCountry": "FR"}]
    result = org.ingest(
        "Account", "insert", rows, ["Name", "BillingCountry"], on_progress=lambda done, bad: told.append((done, bad))
    )
    assert (result.records_processed, result.records_failed, result.errors) == (6, 1, ())
    assert told[-1] == (6, 1)
    good, bad = list(result.succeeded()), list(result.failed())
    assert sorted(row["Name"] for row in good) == sorted(row["Name"] for row in rows[:5])
    assert all(row["sf__Id"].startswith("001") and row["sf__Created"] == "true" for row in good)
    assert [row["BillingCountry"] for row in bad] == ["FR"]
    assert bad[0]["sf__Error"].startswith("REQUIRED_FIELD_MISSING:")
    assert list(result.unprocessed()) == []
    assert len(_names(org, name)) == 5


def test_no_rows_cost_nothing(org: OrgClient) -> None:
    """Not even a job."""
    result = org.ingest("Account", "insert", [], ["Name"])
    assert (org.calls, result.job_ids, list(result.succeeded())) == (0, (), [])


def test_rows_beyond_the_limit_go_into_several_jobs(org: OrgClient) -> None:
    """All of them, once; the results of the jobs come as one."""
    name, notes = str(uuid4()), Notes()
    job = bulk.NewJob("Account", "insert")
    result = bulk.ingest(
        org._connection, job, _accounts(40, name), ["Name", "BillingCountry"], checkpoint=notes, max_upload=1000
    )
    assert len(result.job_ids) > 2
    assert list(result.job_ids) == notes.job_ids
    assert (result.records_processed, len(list(result.succeeded()))) == (40, 40)
    assert sorted(_names(org, name)) == sorted(row["Name"] for row in _accounts(40, name))


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.mark.parametrize("moment", ["_start", "_upload", "_wait"])
@pytest.mark.parametrize("part", [1, 2])
def test_a_killed_run_is_taken_up_again(
    org: OrgClient, monkeypatch: pytest.MonkeyPatch, moment: str, part: int
) -> None:
    """Wherever it died, every row is there once after the repeat."""
    name, notes = str(uuid4()), Notes()
    job = bulk.NewJob("Account", "insert")
    real = getattr(bulk, moment)
    times = 0

    def dying(*args: Any) -> Any:
        nonlocal times
        times += 1
        if times == part or moment == "_wait":
            raise Killed
        return real(*args)

    def run() -> bulk.IngestResult:
        rows = _accounts(40, name)
        return bulk.ingest(org._connection, job, rows, ["Name", "BillingCountry"], checkpoint=notes, max_upload=1000)

    monkeypatch.setattr(bulk, moment, dying)
    with pytest.raises(Killed):
        run()
    monkeypatch.setattr(bulk, moment, real)
    assert run().records_processed == 40
    assert sorted(_names(org, name)) == sorted(row["Name"] for row in _accounts(40, name))


@pytest.mark.parametrize("kind", ["fail_before_write", "fail_after_write", "reset_before_write", "reset_after_write"])
def test_bulk_goes_through_faults_without_writing_twice(org: OrgClient, place: LocalOrg, kind: str) -> None:
    """Creating, uploading, starting, asking, fetching: each answer is lost once."""
    name = str(uuid4())
    for method, resource in [
        *[("POST", "jobs/ingest"), ("PUT", "jobs/ingest/batches"), ("PATCH", "jobs/ingest")],
        *[("GET", "jobs/ingest"), ("GET", "jobs/ingest/results")],
    ]:
        _fault(place, kind, resource, method=method)
    result = org.ingest("Account", "insert", _accounts(20, name), ["Name", "BillingCountry"])
    assert len(list(result.succeeded())) == 20
    assert len(_names(org, name)) == 20


def test_waiting_for_bulk_has_an_end(org: OrgClient) -> None:
    """The job goes on in the org and a repeat finds it."""
    name, notes = str(uuid4()), Notes()
    with pytest.raises(OrgUnreachable) as caught:
        org.ingest("Account", "insert", _accounts(3, name), ["Name", "BillingCountry"], checkpoint=notes, deadline=0)
    assert caught.value.code == "BULK_DEADLINE"
    result = org.ingest("Account", "insert", _accounts(3, name), ["Name", "BillingCountry"], checkpoint=notes)
    assert (result.records_processed, len(_names(org, name))) == (3, 3)


def test_rows_are_deleted_by_id(org: OrgClient) -> None:
    """A delete job has one column."""
    name = str(uuid4())
    made = org.ingest("Account", "insert", _accounts(3, name), ["Name", "BillingCountry"])
    gone = org.ingest("Account", "delete", ({"Id": row["sf__Id"]} for row in made.succeeded()), ["Id"])
    assert (gone.records_processed, gone.records_failed, _names(org, name)) == (3, 0, [])


def test_a_job_for_an_object_that_is_not_there_is_refused(org: OrgClient) -> None:
    """Before anything is uploaded, or as a job that failed with the reason."""
    try:
        result = org.ingest("NoSuchThing__c", "insert", [{"Name": "x"}], ["Name"])
    except OrgRefused:
        return
    assert result.errors


def test_many_calls_are_quick(org: OrgClient, place: LocalOrg) -> None:
    """Kept-alive connections and no pauses of our own: not much slower than opening a connection for each by hand."""
    _stats(place)
    began = time.perf_counter()
    for _ in range(100):
        _stats(place)
    between = time.perf_counter()
    for _ in range(100):
        org.explain("SELECT Id FROM Opportunity")
    assert time.perf_counter() - between < 5 * (between - began)
