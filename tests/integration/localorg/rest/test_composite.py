"""Plain composite over HTTP: references, allOrNone, limits."""

from __future__ import annotations

from typing import Any

import pytest
from _server import DATA, Deal, Server

Part = dict[str, Any]


def part(reference_id: str, method: str, path: str, body: Any = None, **more: Any) -> Part:
    """One request of a composite; the path is below /services/data/v66.0."""
    given = {"referenceId": reference_id, "method": method, "url": f"{DATA}/{path}", **more}
    return given if body is None else {**given, "body": body}


def account(reference_id: str, name: str = "Composite") -> Part:
    return part(reference_id, "POST", "sobjects/Account", {"Name": name})


def send(server: Server, *parts: Part, **flags: Any) -> list[Part]:
    """The results of a composite that is accepted, in the order of its requests."""
    answer = server.post("composite", {"compositeRequest": list(parts), **flags})
    assert answer.status_code == 200, answer.text
    results: list[Part] = answer.json()["compositeResponse"]
    assert [result["referenceId"] for result in results] == [each["referenceId"] for each in parts]
    return results


def refused(server: Server, *parts: Any, **flags: Any) -> str:
    """The message of a composite that is refused whole."""
    answer = server.post("composite", {"compositeRequest": list(parts), **flags})
    assert answer.status_code == 400, answer.text
    (error,) = answer.json()
    return str(error["message"])


def statuses(results: list[Part]) -> list[int]:
    return [result["httpStatusCode"] for result in results]


def test_later_requests_use_what_earlier_ones_answered(server: Server) -> None:
    results = send(
        server,
        account("a", "First & foremost"),
        part("read", "GET", "sobjects/Account/@{a.id}?fields=Id,Name"),
        part("q", "GET", "query?q=SELECT+Id,Name+FROM+Account+WHERE+Id='@{a.id}'"),
        part("rename", "PATCH", "sobjects/Account/@{q.records[0].Id}", {"Site": "@{read.Name}"}),
        part("child", "POST", "sobjects/Account", {"Name": "Below @{read.Name}", "ParentId": "@{a.id}"}),
        part("gone", "DELETE", "sobjects/Account/@{child.id}"),
    )
    assert statuses(results) == [201, 200, 200, 204, 201, 204]
    made = results[0]
    assert made["httpHeaders"]["Location"] == f"{DATA}/sobjects/Account/{made['body']['id']}"
    assert made["body"] == {"id": made["body"]["id"], "success": True, "errors": []}
    assert results[2]["body"]["records"][0]["Name"] == "First & foremost"
    assert results[3]["body"] is None
    assert server.row("Account", made["body"]["id"])["Site"] == "First & foremost"


def test_a_locator_can_be_followed_inside(server: Server) -> None:
    first = part("q", "GET", "query?q=SELECT+Id+FROM+PricebookEntry+LIMIT+300")
    first["httpHeaders"] = {"Sforce-Query-Options": "batchSize=200"}
    results = send(server, first, {"referenceId": "more", "method": "GET", "url": "@{q.nextRecordsUrl}"})
    assert statuses(results) == [200, 200]
    assert len(results[1]["body"]["records"]) == results[0]["body"]["totalSize"] - 200


def test_a_failure_costs_only_itself_and_what_refers_to_it(server: Server) -> None:
    results = send(
        server,
        account("good"),
        part("bad", "POST", "sobjects/Account", {"Site": "nameless"}),
        part("lost", "PATCH", "sobjects/Account/@{bad.id}", {"Name": "x"}),
        account("late"),
    )
    assert statuses(results) == [201, 400, 400, 201]
    assert results[1]["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert results[2]["body"][0]["errorCode"] == "PROCESSING_HALTED"
    server.row("Account", results[0]["body"]["id"])


def test_all_or_none_undoes_everything(server: Server) -> None:
    results = send(
        server,
        account("one", "Undone 1"),
        part("bad", "GET", "sobjects/Account/nothing"),
        account("two"),
        allOrNone=True,
    )
    assert statuses(results) == [400, 404, 400]
    assert [result["body"][0]["errorCode"] for result in results] == [
        "PROCESSING_HALTED",
        "NOT_FOUND",
        "PROCESSING_HALTED",
    ]
    assert server.query("SELECT Id FROM Account WHERE Name = 'Undone 1'") == []


def test_all_or_none_holds_for_rows_of_a_collection_too(server: Server) -> None:
    rows = [{"attributes": {"type": "Account"}, "Name": "Undone 2"}, {"attributes": {"type": "Account"}}]
    collection = part("rows", "POST", "composite/sobjects", {"allOrNone": False, "records": rows})
    results = send(server, account("one", "Undone 2"), collection, allOrNone=True)
    assert [row["success"] for row in results[1]["body"]] == [True, False]
    assert results[0]["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert server.query("SELECT Id FROM Account WHERE Name = 'Undone 2'") == []


def test_collections_hand_on_ids_by_index(server: Server) -> None:
    rows = [{"attributes": {"type": "Account"}, "Name": f"Indexed {n}"} for n in range(2)]
    results = send(
        server,
        part("rows", "POST", "composite/sobjects", {"records": rows}),
        part("below", "POST", "sobjects/Account", {"Name": "Child", "ParentId": "@{rows[1].id}"}),
    )
    child = server.row("Account", results[1]["body"]["id"])
    assert child["ParentId"] == results[0]["body"][1]["id"]


def test_many_kinds_of_request_are_allowed(server: Server, deal: Deal) -> None:
    results = send(
        server,
        part("limits", "GET", "limits"),
        part("describe", "GET", "sobjects/Account/describe"),
        part("all", "GET", "queryAll?q=SELECT+COUNT()+FROM+Account"),
        part("key", "GET", f"sobjects/Product2/ProductCode/{deal.product}"),
        part("recent", "GET", "recent"),
        part("graph", "POST", "composite/graph", {}),
        {"referenceId": "other", "method": "GET", "url": "/services/oauth2/userinfo"},
        {"referenceId": "old", "method": "GET", "url": "/services/data/v20.0/limits"},
        part("method", "DELETE", "limits"),
    )
    assert statuses(results) == [200, 200, 200, 404, 200, 404, 404, 404, 405]


def test_26_requests_or_6_queries_are_too_many(server: Server) -> None:
    assert "25" in refused(server, *(account(f"r{n}") for n in range(26)))
    queries = [part(f"q{n}", "GET", "query?q=SELECT+Id+FROM+Account+LIMIT+1") for n in range(6)]
    assert "5" in refused(server, *queries)
    assert statuses(send(server, *queries[:5], *(account(f"r{n}") for n in range(20)))) == [200] * 5 + [201] * 20


@pytest.mark.parametrize("name", ["Accept", "authorization", "CONTENT-TYPE"])
def test_headers_the_platform_sets_are_refused(server: Server, name: str) -> None:
    assert name.lower() in refused(server, part("a", "GET", "limits", httpHeaders={name: "x"}))


def test_malformed_requests_are_refused(server: Server) -> None:
    for wrong in (1, {}, {"referenceId": "a"}, part("a b", "GET", "limits"), part("a", "STEAL", "limits")):
        refused(server, wrong)
    assert "Duplicate" in refused(server, account("a"), account("a"))
    refused(server)
    refused(server, account("a"), allOrNone="yes")
    bodies: list[Any] = [None, [], 1]
    for body in bodies:
        assert server.post("composite", body).status_code == 400
    assert server.get("composite").status_code == 405


def test_collate_makes_no_difference(server: Server) -> None:
    for flag in (True, False, None):
        assert statuses(send(server, account("a"), account("b"), collateSubrequests=flag)) == [201, 201]
