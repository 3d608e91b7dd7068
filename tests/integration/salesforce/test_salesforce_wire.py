"""What the local org cannot show: broken connections, proxies' pages, redirects. A real server answers by script."""

from __future__ import annotations

import gzip
import multiprocessing
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from _scripted import BASE, TOKEN, Reply, Server, error, serving

from quotejob.errors import OrgClosed, OrgError, OrgExhausted, OrgRefused, OrgUnreachable, SessionExpired
from quotejob.salesforce import Graph, Identity, Node, OrgAddress, OrgClient
from quotejob.salesforce.wire import Wire

pytestmark = pytest.mark.usefixtures("fresh_pool")
HTML = b"<html><body>502 Bad Gateway for Bearer " + TOKEN.encode() + b"</body></html>"


def page(records: Sequence[Any], following: str | None = None) -> dict[str, Any]:
    """A page of a query's answer."""
    more = {"nextRecordsUrl": following} if following else {}
    return {"totalSize": len(records), "done": following is None, "records": list(records)} | more


GRAPHS = [Graph("g1", [Node("q1", "POST", "Quote", {"Name": "Q"})])]


def written(graph_id: str = "g1") -> Reply:
    """A graph that was written."""
    node = {"body": {"id": "0Q1", "success": True}, "httpHeaders": {}, "httpStatusCode": 201, "referenceId": "q1"}
    return Reply(
        {"graphs": [{"graphId": graph_id, "graphResponse": {"compositeResponse": [node]}, "isSuccessful": True}]}
    )


def test_a_call_carries_what_it_should_and_no_more(server: Server) -> None:
    """http on loopback, our token, gzip welcome, no pretty-printing."""
    assert list(server.org(Reply(page([]))).query("SELECT Id FROM Quote WHERE Name = 'a+b'")) == []
    (seen,) = server.seen
    assert seen.path == f"{BASE}/query/?q=SELECT+Id+FROM+Quote+WHERE+Name+%3D+%27a%2Bb%27"
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"
    assert seen.headers["accept-encoding"] == "gzip"
    assert "x-prettyprint" not in seen.headers


def test_money_comes_as_decimal_and_gzip_is_read(server: Server) -> None:
    """A float is never made, not even on the way."""
    body = gzip.compress(b'{"done":true,"records":[{"UnitPrice":90.10,"Big":1.0E7,"Count":3}]}')
    reply = Reply(body, headers={"Content-Encoding": "gzip"})
    (row,) = server.org(reply).query("SELECT UnitPrice FROM QuoteLineItem")
    assert [repr(row["UnitPrice"]), row["Big"], row["Count"]] == ["Decimal('90.10')", Decimal(10_000_000), 3]


def test_clients_of_a_process_share_kept_alive_connections(server: Server) -> None:
    """The next task does not shake hands again; cookies stay behind."""
    cookie = {"Set-Cookie": "BrowserId=1; path=/"}
    for _ in range(3):
        org = server.org(Reply(page([]), headers=cookie), Reply(page([]), headers=cookie))
        list(org.query("SELECT Id FROM Quote"))
        list(org.query("SELECT Id FROM Quote"))
    assert len({seen.client for seen in server.seen}) == 1
    assert all("cookie" not in seen.headers for seen in server.seen)


def test_a_forked_child_has_connections_of_its_own(server: Server) -> None:
    """Two processes on one connection would read each other's answers; a client made before the fork works on."""
    org = server.org(*[Reply(page([])) for _ in range(3)])
    list(org.query("SELECT Id FROM Quote"))
    child = multiprocessing.get_context("fork").Process(target=lambda: list(org.query("SELECT Id FROM Quote")))
    child.start()
    child.join(10)
    list(org.query("SELECT Id FROM Quote"))
    assert child.exitcode == 0
    first, second, third = (seen.client for seen in server.seen)
    assert first == third != second


@pytest.mark.parametrize(
    "fault",
    [
        Reply(HTML, 502),
        Reply(HTML, 200),
        Reply(reset=True),
        Reply(page([]), missing=10),
        Reply(b"not gzip", headers={"Content-Encoding": "gzip"}),
        Reply([], 503),
        Reply({"unexpected": True}),
        error("UNABLE_TO_LOCK_ROW", 500),
        error("REQUEST_LIMIT_EXCEEDED", 403, "ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
    ],
    ids=["502", "a page", "reset", "cut", "garbled", "503", "no records", "lock", "busy"],
)
def test_a_safe_call_is_repeated_until_the_fault_has_passed(server: Server, fault: Reply) -> None:
    """Each try counts as a call."""
    org = server.org(fault, fault, Reply(page([{"Id": "1"}])))
    assert list(org.query("SELECT Id FROM Quote")) == [{"Id": "1"}]
    assert org.calls == len(server.seen) == 3


@pytest.mark.parametrize("fault", [Reply(HTML, 502), Reply(reset=True), Reply(HTML, 200), Reply(page([]), missing=9)])
def test_a_graph_is_sent_once(server: Server, fault: Reply) -> None:
    """It may have been written: the caller looks before it sends again."""
    org = server.org(fault, written())
    with pytest.raises(OrgUnreachable) as caught:
        org.send_graphs(GRAPHS)
    assert org.calls == len(server.seen) == 1
    assert TOKEN not in f"{caught.value!r} {caught.value.__cause__} {caught.value.__cause__!r}"
    assert TOKEN not in str([vars(error) for error in (caught.value, caught.value.__cause__) if error])


def test_an_answer_that_lacks_a_graph_is_a_lost_answer(server: Server) -> None:
    """Nothing is taken for written or for refused that the org did not speak of."""
    with pytest.raises(OrgUnreachable):
        server.org(written("another")).send_graphs(GRAPHS)


def test_a_graph_goes_out_and_its_outcome_comes_back(server: Server) -> None:
    """One POST of JSON."""
    outcomes = server.org(written()).send_graphs(GRAPHS)
    assert server.asked == ["POST /composite/graph"]
    assert server.seen[0].headers["content-type"] == "application/json"
    assert (outcomes["g1"].ok, outcomes["g1"].ids) == (True, {"q1": "0Q1"})
    assert server.org().send_graphs([]) == {}


def test_an_org_that_does_not_answer_in_time_is_unreachable(server: Server) -> None:
    """Every call has a timeout."""
    org = server.org(Reply(page([]), wait=1), retry_for=0, read_timeout=0.1)
    with pytest.raises(OrgUnreachable) as caught:
        list(org.query("SELECT Id FROM Quote"))
    assert caught.value.code == "TIMEOUT"
    assert isinstance(caught.value.__cause__, requests.ReadTimeout)


def test_an_org_that_is_not_there_is_unreachable() -> None:
    """Nothing listens on port 1; retry_for is kept to."""
    org = OrgClient(OrgAddress("http://127.0.0.1:1", TOKEN), retry_for=0.4)
    before = time.monotonic()
    with pytest.raises(OrgUnreachable):
        org.whoami()
    assert time.monotonic() - before < 20
    assert org.calls >= 1


@pytest.mark.parametrize(
    ("fault", "ours"),
    [
        (error("INVALID_SESSION_ID", 401), SessionExpired),
        (Reply(b"Bad_OAuth_Token", 403), SessionExpired),
        (error("REQUEST_LIMIT_EXCEEDED", 403, "TotalRequests Limit exceeded."), OrgExhausted),
        (error("API_DISABLED_FOR_ORG", 403), OrgClosed),
        (error("NOT_FOUND", 404), OrgRefused),
    ],
)
def test_what_will_not_pass_is_not_repeated(server: Server, fault: Reply, ours: type[OrgError]) -> None:
    """One call, and the org's own words."""
    org = server.org(fault)
    with pytest.raises(ours) as caught:
        org.whoami()
    assert type(caught.value) is ours
    assert org.calls == 1


def test_a_token_does_not_follow_a_redirect(server: Server) -> None:
    """Another host never sees it; the error names the way out."""
    with serving() as other:
        org = server.org(Reply(status=302, headers={"Location": other.url + "/services/oauth2/userinfo"}))
        with pytest.raises(OrgClosed, match="another address"):
            org.whoami()
        assert other.seen == []


def test_whoami_reads_the_user(server: Server) -> None:
    """From userinfo, which takes any valid token."""
    body = {"user_id": "005", "organization_id": "00D", "preferred_username": "a@b.c", "name": "A"}
    assert server.org(Reply(body)).whoami() == Identity("005", "00D", "a@b.c", "A")
    assert server.asked == ["GET /services/oauth2/userinfo"]
    with pytest.raises(OrgUnreachable, match="without a user"):
        server.org(Reply({"hello": "world"}), retry_for=0).whoami()


def test_child_pages_are_drained_before_the_next_parents(server: Server) -> None:
    """On the wire, in this order."""
    org = server.org(
        Reply(page([{"Id": "P1", "Lines": page([{"Id": "A"}], f"{BASE}/query/01gX-1")}], f"{BASE}/query/01gP-1")),
        Reply(page([{"Id": "B"}])),
        Reply(page([{"Id": "P2", "Lines": None}])),
    )
    found = list(org.query("SELECT Id, (SELECT Id FROM Lines) FROM Opportunity"))
    assert server.asked[1:] == ["GET /query/01gX-1", "GET /query/01gP-1"]
    assert [[line["Id"] for line in row["Lines"]] for row in found] == [["A", "B"], []]


def test_a_lost_locator_says_to_run_the_query_again(server: Server) -> None:
    """Asking for the same page again would not help, and is not done."""
    org = server.org(Reply(page([{"Id": "1"}], f"{BASE}/query/01gX-1")), error("INVALID_QUERY_LOCATOR"))
    with pytest.raises(OrgUnreachable, match="run the query again") as caught:
        list(org.query("SELECT Id FROM Quote"))
    assert caught.value.code == "INVALID_QUERY_LOCATOR"
    assert org.calls == 2


@pytest.mark.parametrize(
    "following", ["https://evil.example/x", ".evil.example/services/data/", "@evil.example/", None]
)
def test_the_next_page_is_on_the_same_host(server: Server, following: str | None) -> None:
    """Its address is joined to the org's: it must be a path."""
    org = server.org(Reply(page([]) | {"done": False, "nextRecordsUrl": following}), retry_for=0)
    with pytest.raises(OrgUnreachable, match="next page"):
        list(org.query("SELECT Id FROM Quote"))
    assert len(server.seen) == 1


def test_a_query_too_long_for_an_address_is_refused_here(server: Server) -> None:
    """16,384 bytes of address and headers; 200 ids fit."""
    org = server.org(Reply(page([])))
    ids = ",".join(f"'006{number:015d}'" for number in range(200))
    assert (
        list(org.query(f"SELECT Id, Name, (SELECT Id FROM OpportunityLineItems) FROM Opportunity WHERE Id IN ({ids})"))
        == []
    )
    for call in (org.explain, org.query):
        with pytest.raises(OrgRefused) as caught:
            call(f"SELECT Id FROM Opportunity WHERE Name = '{'x' * 16_000}'")
        assert caught.value.code == "URI_TOO_LONG"
    assert len(server.seen) == 1


def test_a_record_that_is_gone_already_is_deleted(server: Server) -> None:
    """The answer to the first try may have been lost."""
    org = server.org(Reply(reset=True), error("ENTITY_IS_DELETED", 404), error("NOT_FOUND", 404))
    org.delete("Quote", "0Q0000000000001AAA")
    assert server.asked == ["DELETE /sobjects/Quote/0Q0000000000001AAA"] * 2
    with pytest.raises(OrgRefused):
        org.delete("Quote", "0Q0000000000001AAA")


@pytest.mark.parametrize("name", ["../../x", "Quote/1", "Quote?x", ""])
def test_names_cannot_leave_their_place_in_the_path(server: Server, name: str) -> None:
    """A fault of ours, found before it is sent."""
    org = server.org()
    with pytest.raises(ValueError, match="not a name"):
        org.describe(name)
    with pytest.raises(ValueError, match="not a name"):
        org.delete("Quote", name)
    assert server.seen == []


def test_netrc_does_not_replace_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """requests would prefer an entry for the host to the header we set."""
    (tmp_path / "netrc").write_text("default login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with Wire(OrgAddress("https://example.my.salesforce.com", TOKEN), (1, 1)) as wire:
        request = requests.Request("GET", "https://example.my.salesforce.com/", {"Authorization": f"Bearer {TOKEN}"})
        assert wire.prepare_request(request).headers["Authorization"] == f"Bearer {TOKEN}"


def job(state: str, job_id: str = "7501", **numbers: Any) -> Reply:
    """What an org says of a Bulk job."""
    return Reply({"id": job_id, "state": state} | numbers)


CREATED = Reply(status=201)


def test_an_upload_that_broke_is_made_again_in_a_new_job(server: Server) -> None:
    """The first job is never started, so its rows cannot be written twice."""
    org = server.org(
        *(job("Open"), Reply(reset=True), job("Aborted")),
        *(job("Open", "7502"), CREATED, job("UploadComplete", "7502")),
        job("JobComplete", "7502", numberRecordsProcessed=1, numberRecordsFailed=0),
    )
    result = org.ingest("Quote", "insert", [{"Name": "Q"}], ["Name"])
    assert server.asked == [
        *("POST /jobs/ingest", "PUT /jobs/ingest/7501/batches", "PATCH /jobs/ingest/7501"),
        *("POST /jobs/ingest", "PUT /jobs/ingest/7502/batches", "PATCH /jobs/ingest/7502"),
        "GET /jobs/ingest/7502",
    ]
    assert server.seen[4].body == b"Name\nQ\n"
    assert server.seen[4].headers["content-length"] == "7"
    assert (result.job_ids, result.records_processed, result.records_failed) == (("7502",), 1, 0)


def test_a_job_that_was_started_by_a_lost_answer_is_started_once(server: Server) -> None:
    """The org refuses to start it twice; its own word on the state decides."""
    org = server.org(
        *(job("Open"), CREATED, Reply(reset=True), error("INVALIDJOBSTATE"), job("InProgress")),
        job("JobComplete", numberRecordsProcessed=1, numberRecordsFailed=0),
    )
    assert org.ingest("Quote", "insert", [{"Name": "Q"}], ["Name"]).records_processed == 1


def test_a_result_file_that_broke_off_is_fetched_again(server: Server) -> None:
    """No row is given twice, none is lost."""
    org = server.org(job("Open"), CREATED, job("UploadComplete"), job("JobComplete", numberRecordsProcessed=2))
    result = org.ingest("Quote", "insert", [{"Name": "Q"}], ["Name"])
    file = b'"sf__Id","sf__Created","Name"\n"0Q1","true","a\nb"\n"0Q2","true","\xc3\xbc,""x"""\n'
    server.script = [Reply(file[:40], missing=50), Reply(file), Reply(b'"Name"\n'), Reply(b"")]
    assert list(result.succeeded()) == [
        {"sf__Id": "0Q1", "sf__Created": "true", "Name": "a\nb"},
        {"sf__Id": "0Q2", "sf__Created": "true", "Name": 'ü,"x"'},
    ]
    assert list(result.unprocessed()) == list(result.failed()) == []
    assert server.asked[-4:] == [
        *["GET /jobs/ingest/7501/successfulResults"] * 2,
        "GET /jobs/ingest/7501/unprocessedrecords",
        "GET /jobs/ingest/7501/failedResults",
    ]


@pytest.mark.parametrize(("state", "says"), [("Failed", "InvalidBatch : Field name not found"), ("Aborted", None)])
def test_a_job_that_was_stopped_says_why(server: Server, state: str, says: str | None) -> None:
    """Some rows may be written: the files tell, so it is a result and no error."""
    org = server.org(job("Open"), CREATED, job("UploadComplete"), job(state, errorMessage=says))
    result = org.ingest("Quote", "insert", [{"Name": "Q"}], ["Name"])
    assert result.errors == (says or "Job 7501 ended as Aborted.",)
