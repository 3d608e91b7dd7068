"""/localorg/: numbers, faults on order, allowances, tokens of the add-on."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from _server import DATA, Server, Start, start_server


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """An org for this file."""
    server = start_server()
    yield server
    assert server.stop() == 0


@pytest.fixture
def org(running: Server) -> Server:
    """The same, reset."""
    assert running.post("/localorg/reset").status_code == 200
    return running


def _order(org: Server, **spec: Any) -> None:
    answer = org.post("/localorg/faults", spec)
    assert answer.status_code == 200, answer.text


def _accounts_written(org: Server) -> int:
    written: int = org.get("/localorg/stats").json()["recordsWritten"].get("Account", 0)
    return written


def _create(org: Server) -> requests.Response:
    return org.post("sobjects/Account", {"Name": "Struck"})


# --- stats --------------------------------------------------------------------------------------------------------


def test_stats_tell_what_was_asked_and_done(org: Server) -> None:
    """Calls to /localorg/ are not counted; refused requests are."""
    org.create("Account", Name="Counted")
    org.get("limits")
    org.get("limits")
    org.get("nothing")
    requests.get(f"{org.url}{DATA}/limits", timeout=10)
    assert org.get("/localorg/stats").json() == {
        "requests": {"total": 5, "byResource": {"limits": 3, "other": 1, "sobjects": 1}},
        "recordsWritten": {"Account": 1},
        "rowsRead": 0,
        "peakInFlight": 1,
    }


def test_requests_are_told_one_by_one(org: Server) -> None:
    """In the order of their answers, with when, how long and how much. A reset forgets them."""
    before = time.time()
    org.create("Account", Name="Told")
    org.get("limits")
    written, read = org.get("/localorg/requests").json()["requests"]
    assert (written["resource"], written["rowsWritten"], written["rowsRead"]) == ("sobjects", 1, 0)
    assert (read["resource"], read["rowsWritten"]) == ("limits", 0)
    assert before - 1 < written["began"] <= read["began"] < time.time() + 1
    assert 0 < written["seconds"] < 10
    org.post("/localorg/reset")
    assert org.get("/localorg/requests").json() == {"requests": []}


def test_a_reset_starts_over_and_keeps_the_rows(org: Server) -> None:
    """Numbers, faults and allowance; not the data."""
    account = org.create("Account", Name="Kept")
    _order(org, kind="lock")
    org.post("/localorg/limits", {"dailyApiRequests": 0})
    answer = requests.post(f"{org.url}/localorg/reset", timeout=10)
    assert answer.json()["requests"] == {"total": 0, "byResource": {}}
    assert org.row("Account", account)["Name"] == "Kept"
    assert org.get("/localorg/faults").json() == {"faults": []}


def test_what_a_reset_cannot_do_is_said(org: Server) -> None:
    """The data stays; a new process is a new org."""
    assert org.post("/localorg/reset", {"data": False}).status_code == 200
    assert org.post("/localorg/reset", {"data": True}).status_code == 501
    assert org.post("/localorg/reset", {"all": True}).status_code == 400


def test_only_the_machine_itself_may_ask(start: Start) -> None:
    """An org that listens everywhere answers /localorg/ to loopback only."""
    address = _other_address()
    org = start("--host", "0.0.0.0")
    assert requests.get(org.url.replace("0.0.0.0", "127.0.0.1") + "/localorg/stats", timeout=10).status_code == 200
    assert requests.get(org.url.replace("0.0.0.0", address) + "/localorg/stats", timeout=10).status_code == 403
    assert requests.get(org.url.replace("0.0.0.0", address) + "/services/data", timeout=10).status_code == 200


def _other_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


# --- faults -------------------------------------------------------------------------------------------------------


def test_slow_takes_its_seconds_and_keeps_nobody_waiting(org: Server) -> None:
    """The request itself succeeds."""
    _order(org, kind="slow", seconds=1.5, count=1)
    started = time.monotonic()
    assert _create(org).status_code == 201
    assert time.monotonic() - started >= 1.5
    started = time.monotonic()
    assert _create(org).status_code == 201
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize(("kind", "written"), [("fail_before_write", 0), ("fail_after_write", 1)])
def test_a_failure_looks_the_same_before_and_after_the_write(org: Server, kind: str, written: int) -> None:
    """503; only the org knows whether the row was written."""
    _order(org, kind=kind, count=1)
    answer = _create(org)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (503, "SERVER_UNAVAILABLE")
    assert _accounts_written(org) == written
    assert _create(org).status_code == 201


@pytest.mark.parametrize(("kind", "written"), [("reset_before_write", 0), ("reset_after_write", 1)])
def test_a_reset_connection_looks_the_same_before_and_after_the_write(org: Server, kind: str, written: int) -> None:
    """No answer at all; later requests go well."""
    _order(org, kind=kind, count=1)
    with pytest.raises(requests.ConnectionError):
        _create(org)
    assert _accounts_written(org) == written
    assert _create(org).status_code == 201


def test_a_lock_is_an_error_of_the_request(org: Server) -> None:
    """400 UNABLE_TO_LOCK_ROW, and nothing is written."""
    _order(org, kind="lock", match={"resource": "sobjects"}, count=1)
    answer = _create(org)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "UNABLE_TO_LOCK_ROW")
    assert _accounts_written(org) == 0


def test_in_a_graph_a_lock_is_inside_a_good_answer(org: Server) -> None:
    """HTTP 200; the graph is rolled back, one node says why."""
    _order(org, kind="lock", match={"object": "Account"}, count=1)
    nodes = [
        {"method": "POST", "url": f"{DATA}/sobjects/Account", "referenceId": name, "body": {"Name": name}}
        for name in ("one", "two")
    ]
    body = {"graphs": [{"graphId": "g", "compositeRequest": nodes}]}
    answer = org.post("composite/graph", body)
    assert answer.status_code == 200
    (graph,) = answer.json()["graphs"]
    assert (graph["graphId"], graph["isSuccessful"]) == ("g", False)
    results = graph["graphResponse"]["compositeResponse"]
    assert [result["body"][0]["errorCode"] for result in results] == ["UNABLE_TO_LOCK_ROW", "PROCESSING_HALTED"]
    assert _accounts_written(org) == 0
    assert org.post("composite/graph", body).json()["graphs"][0]["isSuccessful"] is True


def test_a_limit_is_refused_with_403(org: Server) -> None:
    """REQUEST_LIMIT_EXCEEDED, in the words asked for."""
    _order(org, kind="limit", count=1)
    _order(org, kind="limit", count=1, message="TotalRequests Limit exceeded.")
    first, second = org.get("limits"), org.get("limits")
    for answer in (first, second):
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (403, "REQUEST_LIMIT_EXCEEDED")
    assert first.json()[0]["message"] == "ConcurrentPerOrgLongTxn Limit exceeded."
    assert second.json()[0]["message"] == "TotalRequests Limit exceeded."


def test_an_expired_session_needs_a_new_token(org: Server) -> None:
    """401 from then on; the add-on has a fresh token."""
    _order(org, kind="expire_session")
    assert org.get("limits").status_code == 401
    assert org.get("limits").status_code == 401
    fresh = _authorization(org, "worker").json()["org"]["user_auth"]["access_token"]
    headers = {"Authorization": f"Bearer {fresh}"}
    assert requests.get(f"{org.url}{DATA}/limits", headers=headers, timeout=10).status_code == 200
    assert org.get("limits").status_code == 401
    org.post("/localorg/faults", {"clear": True})
    assert org.get("limits").status_code == 200


def test_a_fault_befalls_what_it_was_ordered_for(org: Server) -> None:
    """Method, resource and object."""
    _order(org, kind="fail_before_write", match={"method": "POST", "resource": "sobjects", "object": "Account"})
    assert org.get("limits").status_code == 200
    assert org.post("sobjects/Product2", {"Name": "Spared"}).status_code == 201
    assert _create(org).status_code == 503
    (fault,) = org.get("/localorg/faults").json()["faults"]
    assert (fault["hits"], fault["count"]) == (1, None)


def test_a_bulk_job_is_known_by_its_object(org: Server) -> None:
    """The order of a job names it, and later requests name the job."""
    ids = {}
    for name in ("Account", "Product2"):
        ids[name] = org.post("jobs/ingest", {"object": name, "operation": "insert"}).json()["id"]
    _order(org, kind="lock", match={"object": "Account", "resource": "jobs/ingest*"})
    assert org.post("jobs/ingest", {"object": "Product2", "operation": "insert"}).status_code == 200
    assert org.post("jobs/ingest", {"object": "Account", "operation": "insert"}).status_code == 400
    assert org.get(f"jobs/ingest/{ids['Product2']}").status_code == 200
    assert org.get(f"jobs/ingest/{ids['Account']}").status_code == 400
    assert org.get(f"jobs/ingest/{ids['Account']}/failedResults").status_code == 400


@pytest.mark.parametrize("spec", [{"kind": "flood"}, {}, {"kind": "lock", "count": -1}, [], "lock", {"clear": False}])
def test_a_fault_that_makes_no_sense_is_refused(org: Server, spec: Any) -> None:
    """400 with the reason, and nothing is in force."""
    answer = org.post("/localorg/faults", spec)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "BAD_REQUEST")
    assert org.get("/localorg/faults").json() == {"faults": []}


# --- the day's allowance ------------------------------------------------------------------------------------------


def test_a_used_up_allowance_refuses_everything(org: Server) -> None:
    """403 until more is allowed; /localorg/ and the token endpoint still answer."""
    org.post("/localorg/limits", {"dailyApiRequests": 2})
    assert [org.get("limits").status_code for _ in range(3)] == [200, 200, 403]
    refused = _create(org)
    assert refused.headers["Sforce-Limit-Info"] == "api-usage=2/2"
    assert refused.json() == [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    assert org.post("/localorg/limits", {"dailyApiRequests": 5}).json() == {"dailyApiRequests": 5, "used": 2}
    assert org.get("limits").json()["DailyApiRequests"] == {"Max": 5, "Remaining": 2}


@pytest.mark.parametrize("spec", [{}, {"dailyApiRequests": "many"}, {"dailyApiRequests": -1}, {"daily": 5}, []])
def test_an_allowance_is_a_number(org: Server, spec: Any) -> None:
    """Anything else is refused."""
    assert org.post("/localorg/limits", spec).status_code == 400


# --- the add-on ---------------------------------------------------------------------------------------------------


def _authorization(org: Server, name: str, token: str = "addon-token") -> requests.Response:
    headers = {"Authorization": f"Bearer {token}", "X-App-UUID": "11111111-1111-4111-8111-111111111111"}
    return requests.get(f"{org.url}/localorg/applink/authorizations/{name}", headers=headers, timeout=10)


def test_the_add_on_hands_out_a_fresh_token_each_time(org: Server) -> None:
    """In the shape the AppLink SDKs read."""
    first, second = (_authorization(org, "worker").json() for _ in range(2))
    assert first["status"] == "authorized"
    assert first["org"]["id"] == org.organization_id
    assert first["org"]["instance_url"] == org.url
    assert first["org"]["user_auth"]["user_id"] == org.user_id
    tokens = [body["org"]["user_auth"]["access_token"] for body in (first, second)]
    assert len({*tokens, org.token}) == 3
    for token in tokens:
        headers = {"Authorization": f"Bearer {token}"}
        assert requests.get(f"{org.url}{DATA}/limits", headers=headers, timeout=10).status_code == 200


def test_the_add_on_refuses_in_its_own_words(org: Server) -> None:
    """A title and a detail."""
    unknown = _authorization(org, "nobody")
    assert unknown.status_code == 404
    assert set(unknown.json()) == {"title", "detail"}
    assert _authorization(org, "worker", "").status_code == 401
