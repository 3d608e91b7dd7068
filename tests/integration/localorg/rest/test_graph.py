"""Composite graph over HTTP: all or none each, its limits, references, and the shapes of failure."""

from __future__ import annotations

from typing import Any

import pytest
from _server import DATA, Deal, Server

Node = dict[str, Any]


def node(reference_id: str, method: str, path: str, body: dict[str, Any] | None = None) -> Node:
    """A node for the newest version; the path is below sobjects/."""
    made: Node = {"referenceId": reference_id, "method": method, "url": f"{DATA}/sobjects/{path}"}
    return made if body is None else {**made, "body": body}


def account(reference_id: str = "a", **fields: Any) -> Node:
    return node(reference_id, "POST", "Account", {"Name": "Graph", **fields})


def bad(reference_id: str = "bad") -> Node:
    return node(reference_id, "POST", "Account", {})


def graph(graph_id: str, *nodes: Node) -> dict[str, Any]:
    return {"graphId": graph_id, "compositeRequest": list(nodes)}


def send(server: Server, *graphs: dict[str, Any]) -> list[dict[str, Any]]:
    """The graphs of the answer, which has to be 200."""
    answer = server.post("composite/graph", {"graphs": list(graphs)})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["graphs"]
    return found


def results(graph_answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The results of a graph by referenceId."""
    return {each["referenceId"]: each for each in graph_answer["graphResponse"]["compositeResponse"]}


def refused(server: Server, *graphs: dict[str, Any]) -> str:
    """The message of a request that has to be refused whole."""
    answer = server.post("composite/graph", {"graphs": list(graphs)})
    assert answer.status_code == 400, answer.text
    (error,) = answer.json()
    message: str = error["message"]
    return message


def accounts(server: Server, name: str) -> int:
    return len(server.query(f"SELECT Id FROM Account WHERE Name = '{name}'"))


def test_a_quote_and_its_lines_are_written_together(server: Server, deal: Deal) -> None:
    quote = {"Name": "Q", "OpportunityId": deal.opportunity, "Pricebook2Id": deal.book}
    line = {"QuoteId": "@{q.id}", "PricebookEntryId": deal.entry, "Quantity": 2, "UnitPrice": 90.5}
    lines = [node(f"q_l{n}", "POST", "QuoteLineItem", line) for n in range(2)]
    (answer,) = send(server, graph("g1", node("q", "POST", "Quote", quote), *lines))
    assert (answer["graphId"], answer["isSuccessful"]) == ("g1", True)
    first = results(answer)["q"]
    quote_id = first["body"]["id"]
    assert first == {
        "body": {"id": quote_id, "success": True, "errors": []},
        "httpHeaders": {"Location": f"{DATA}/sobjects/Quote/{quote_id}"},
        "httpStatusCode": 201,
        "referenceId": "q",
    }
    row = server.row("Quote", quote_id)
    assert (row["LineItemCount"], row["GrandTotal"]) == (2, 362.0)


def test_every_method_and_reference_in_the_url(server: Server) -> None:
    (answer,) = send(
        server,
        graph(
            "g",
            account("a", Site="one"),
            node("read", "GET", "Account/@{a.id}?fields=Site,Name"),
            node("change", "PATCH", "Account/@{a.id}", {"Site": "two", "Description": "was @{read.Site}"}),
            node("again", "GET", "Account/@{a.id}/"),
            node("gone", "DELETE", "Account/@{again.Id}"),
        ),
    )
    found = results(answer)
    assert answer["isSuccessful"] is True
    assert found["read"]["body"]["Site"] == "one"
    assert found["change"] == {"body": None, "httpHeaders": {}, "httpStatusCode": 204, "referenceId": "change"}
    assert found["again"]["body"]["Description"] == "was one"
    assert (found["gone"]["httpStatusCode"], found["gone"]["body"]) == (204, None)
    assert server.get(f"sobjects/Account/{found['a']['body']['id']}").json()[0]["errorCode"] == "ENTITY_IS_DELETED"


def test_totals_are_right_inside_the_graph(server: Server, deal: Deal) -> None:
    line = {"OpportunityId": deal.opportunity, "PricebookEntryId": deal.entry, "Quantity": 3, "UnitPrice": 10}
    (answer,) = send(
        server,
        graph(
            "g",
            node("l", "POST", "OpportunityLineItem", line),
            node("o", "GET", f"Opportunity/{deal.opportunity}?fields=Amount"),
        ),
    )
    assert results(answer)["o"]["body"]["Amount"] == 30.0


def test_an_upsert_node_says_whether_it_created(server: Server, deal: Deal) -> None:
    path = f"Quote/QuoteJobKey__c/graph:{deal.opportunity}"
    (answer,) = send(
        server,
        graph(
            "g",
            node("new", "PATCH", path, {"Name": "x", "OpportunityId": deal.opportunity}),
            node("old", "PATCH", path, {"Name": "y"}),
            node("got", "GET", path),
        ),
    )
    found = results(answer)
    assert (found["new"]["httpStatusCode"], found["new"]["body"]["created"]) == (201, True)
    assert (found["old"]["httpStatusCode"], found["old"]["body"]["created"]) == (200, False)
    assert found["got"]["body"]["Name"] == "y"


def test_a_failed_graph_leaves_nothing_and_names_the_culprit(server: Server) -> None:
    (answer,) = send(server, graph("g", account("a", Name="Undone"), bad(), account("c", Name="Undone")))
    found = results(answer)
    assert answer["isSuccessful"] is False
    assert list(found) == ["a", "bad", "c"]
    assert found["bad"]["httpStatusCode"] == 400
    assert found["bad"]["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    for innocent in ("a", "c"):
        assert found[innocent]["httpStatusCode"] == 400
        assert found[innocent]["httpHeaders"] == {}
        assert found[innocent]["body"] == [
            {
                "errorCode": "PROCESSING_HALTED",
                "message": "The transaction was rolled back since another operation in the same transaction failed.",
            }
        ]
    assert accounts(server, "Undone") == 0


def test_graphs_do_not_share_their_fate(server: Server) -> None:
    answers = send(
        server, graph("one", account(Name="Fate")), graph("two", bad()), graph("three", account(Name="Fate"))
    )
    assert [(each["graphId"], each["isSuccessful"]) for each in answers] == [
        ("one", True),
        ("two", False),
        ("three", True),
    ]
    assert accounts(server, "Fate") == 2


def test_a_duplicate_key_costs_only_its_own_graph(server: Server, deal: Deal) -> None:
    def one(number: int, key: str) -> dict[str, Any]:
        body = {"Name": f"{number}", "OpportunityId": deal.opportunity, "QuoteJobKey__c": f"{key}:{deal.opportunity}"}
        return graph(f"g{number}", node("q", "POST", "Quote", body))

    answers = send(server, one(1, "x"), one(2, "x"), one(3, "y"))
    assert [each["isSuccessful"] for each in answers] == [True, False, True]
    assert results(answers[1])["q"]["body"][0]["errorCode"] == "DUPLICATE_VALUE"


def test_fourteen_failures_are_borne(server: Server) -> None:
    graphs = [graph(f"bad{n}", bad()) for n in range(14)] + [graph("last", account())]
    assert send(server, *graphs)[-1]["isSuccessful"] is True


def test_after_more_than_fourteen_failures_the_rest_is_not_run(server: Server) -> None:
    graphs = [graph(f"bad{n}", bad()) for n in range(15)] + [graph("last", account(Name="Halted"))]
    answers = send(server, *graphs)
    assert results(answers[14])["bad"]["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert answers[-1]["isSuccessful"] is False
    assert results(answers[-1])["a"]["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert accounts(server, "Halted") == 0


# --- references ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reference",
    ["@{nobody.id}", "@{A.id}", "@{a.Id}", "@{a.name}", "@{a.errors[0]}", "@{later.id}", "@{}", "@{a.id.x}"],
)
def test_a_reference_to_nothing_fails_the_graph(server: Server, reference: str) -> None:
    (answer,) = send(server, graph("g", account("a"), account("b", ParentId=reference), account("later")))
    (error,) = results(answer)["b"]["body"]
    assert answer["isSuccessful"] is False
    assert error["errorCode"] == "PROCESSING_HALTED"
    assert error["message"].startswith("Invalid reference specified. No value for ")


def test_references_stay_inside_their_graph(server: Server) -> None:
    answers = send(server, graph("one", account("a")), graph("two", account("b", ParentId="@{a.id}")))
    assert [each["isSuccessful"] for each in answers] == [True, False]


def test_reference_ids_mind_case_and_are_unique(server: Server) -> None:
    (answer,) = send(server, graph("g", account("a"), account("A", ParentId="@{a.id}")))
    found = results(answer)
    assert server.row("Account", found["A"]["body"]["id"])["ParentId"] == found["a"]["body"]["id"]
    assert refused(server, graph("g", account("a"), account("a"))) == "Duplicate referenceId provided: a"


def test_a_reference_keeps_its_type(server: Server) -> None:
    (answer,) = send(
        server,
        graph(
            "g",
            account("a", NumberOfEmployees=12),
            node("read", "GET", "Account/@{a.id}"),
            account("b", NumberOfEmployees="@{read.NumberOfEmployees}", Site="@{read.BillingCountry}"),
        ),
    )
    row = server.row("Account", results(answer)["b"]["body"]["id"])
    assert (row["NumberOfEmployees"], row["Site"]) == (12, None)


def test_a_hyphen_in_a_reference_id_fails_the_request_from_v52_on(server: Server) -> None:
    assert "insert-anh" in refused(server, graph("g", account("insert-anh")))
    old = {**account("insert-anh"), "url": "/services/data/v51.0/sobjects/Account"}
    answer = server.post("/services/data/v51.0/composite/graph", {"graphs": [graph("g", old)]})
    assert answer.json()["graphs"][0]["isSuccessful"] is True


# --- limits -------------------------------------------------------------------------------------------------------


def test_75_graphs_and_no_more(server: Server) -> None:
    graphs = [graph(f"g{n}", account()) for n in range(76)]
    assert all(each["isSuccessful"] for each in send(server, *graphs[:75]))
    assert "75" in refused(server, *graphs)


def test_500_nodes_in_all_and_no_more(server: Server) -> None:
    nodes = [account(f"a{n}") for n in range(501)]
    assert all(each["isSuccessful"] for each in send(server, graph("one", *nodes[:250]), graph("two", *nodes[250:500])))
    assert "500" in refused(server, graph("one", *nodes[:250]), graph("two", *nodes[250:]))


def test_15_levels_and_no_more(server: Server) -> None:
    chain = [account("a0")] + [account(f"a{n}", ParentId=f"@{{a{n - 1}.id}}") for n in range(1, 16)]
    assert send(server, graph("g", *chain[:15]))[0]["isSuccessful"] is True
    assert "15" in refused(server, graph("g", *chain))


def test_15_kinds_and_no_more(server: Server, deal: Deal) -> None:
    def read(version: int) -> Node:
        url = f"/services/data/v{version}.0/sobjects/Account/{deal.account}"
        return {"referenceId": f"n{version}", "method": "GET", "url": url}

    reads = [read(version) for version in range(50, 66)]
    assert send(server, graph("one", *reads[:8]), graph("two", *reads[8:15]))[1]["isSuccessful"] is True
    assert "15" in refused(server, graph("one", *reads[:8]), graph("two", *reads[8:]))


@pytest.mark.parametrize("graph_id", ["", "a.b", "_a", "x" * 40, None, 1])
def test_bad_graph_ids_refuse_the_request(server: Server, graph_id: Any) -> None:
    assert "graphId" in refused(server, graph(graph_id, account()))


def test_graph_ids_are_unique(server: Server) -> None:
    assert refused(server, graph("g", account()), graph("g", account())) == "Duplicate graphId provided: g"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/sobjects/Account"),
        ("PUT", "/sobjects/Account"),
        ("PATCH", "/sobjects/Account"),
        ("GET", "/query?q=SELECT+Id+FROM+Account"),
        ("POST", "/composite/sobjects"),
        ("POST", "/sobjects/Account/a/b/c/../x y"),
    ],
)
def test_only_rows_can_be_reached(server: Server, method: str, path: str) -> None:
    if path.endswith("x y"):
        method = "PUT"
    one = {"referenceId": "a", "method": method, "url": DATA + path}
    assert "does not support" in refused(server, graph("g", one))


def test_malformed_requests_are_refused(server: Server) -> None:
    no_object: Any = 1
    cases: tuple[Any, ...] = (None, [], {}, [1], [graph("g")], [graph("g", no_object)])
    for graphs in cases:
        assert server.post("composite/graph", {"graphs": graphs}).status_code == 400, graphs
    old = {**account(), "url": "/services/data/v49.0/sobjects/Account"}
    assert "50.0" in refused(server, graph("g", old))


def test_an_unknown_object_fails_its_own_graph(server: Server) -> None:
    answers = send(server, graph("one", node("x", "POST", "Bogus", {})), graph("two", account()))
    assert results(answers[0])["x"]["httpStatusCode"] == 404
    assert answers[1]["isSuccessful"] is True


def test_only_what_was_kept_is_counted(start: Any) -> None:
    server: Server = start()
    send(server, graph("one", account(), account("b")), graph("two", account(), bad()))
    stats = server.get("/localorg/stats").json()
    assert stats["recordsWritten"] == {"Account": 2}
    assert stats["requests"] == {"total": 1, "byResource": {"composite/graph": 1}}
