"""Composite batch over HTTP: requests that have nothing to do with each other."""

from __future__ import annotations

from typing import Any

from _server import DATA, Server, Start


def send(server: Server, *requests: Any, **flags: Any) -> dict[str, Any]:
    answer = server.post("composite/batch", {"batchRequests": list(requests), **flags})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_each_request_has_its_own_result(server: Server) -> None:
    body = send(
        server,
        {"method": "POST", "url": "v66.0/sobjects/Account", "richInput": {"Name": "Batched"}},
        {"method": "GET", "url": "v66.0/sobjects/Account/nothing"},
        {"method": "get", "url": f"{DATA}/query?q=SELECT+COUNT()+FROM+User"},
        {"method": "GET", "url": "v1.0/limits"},
    )
    assert body["hasErrors"] is True
    assert [result["statusCode"] for result in body["results"]] == [201, 404, 200, 404]
    assert body["results"][1]["result"][0]["errorCode"] == "NOT_FOUND"
    record_id = body["results"][0]["result"]["id"]
    gone = send(server, {"method": "DELETE", "url": f"v66.0/sobjects/Account/{record_id}"})
    assert gone == {"hasErrors": False, "results": [{"statusCode": 204, "result": None}]}


def test_halt_on_error_stops_at_the_first_failure(server: Server) -> None:
    bad = {"method": "POST", "url": "v66.0/sobjects/Account", "richInput": {}}
    good = {"method": "POST", "url": "v66.0/sobjects/Account", "richInput": {"Name": "Batch halted"}}
    halted = send(server, bad, good, haltOnError=True)
    assert [result["statusCode"] for result in halted["results"]] == [400, 412]
    assert halted["results"][1]["result"][0]["errorCode"] == "BATCH_PROCESSING_HALTED"
    assert server.query("SELECT Id FROM Account WHERE Name = 'Batch halted'") == []
    assert [result["statusCode"] for result in send(server, bad, good)["results"]] == [400, 201]


def test_each_request_counts_against_the_day(start: Start) -> None:
    server = start()
    limits = {"method": "GET", "url": "v66.0/limits"}
    used = send(server, limits, limits)["results"][1]["result"]["DailyApiRequests"]
    assert used["Max"] - used["Remaining"] == 3


def test_malformed_batches_are_refused(server: Server) -> None:
    limits = {"method": "GET", "url": "v66.0/limits"}
    bodies: list[Any] = [
        [],
        {},
        {"batchRequests": []},
        {"batchRequests": [1]},
        {"batchRequests": [{"method": "GET"}]},
        {"batchRequests": [limits] * 26},
        {"batchRequests": [limits], "haltOnError": "x"},
    ]
    for body in bodies:
        answer = server.post("composite/batch", body)
        assert answer.status_code == 400, body
        assert isinstance(answer.json(), list)
