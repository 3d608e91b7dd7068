"""sObject trees over HTTP: parents and children in one request."""

from __future__ import annotations

from typing import Any

from _server import Deal, Server

Row = dict[str, Any]


def node(kind: str, reference_id: str, **more: Any) -> Row:
    return {"attributes": {"type": kind, "referenceId": reference_id}, **more}


def errors(answer: Any) -> list[tuple[str, str]]:
    """(reference id, status code) of each row a refused tree names."""
    body = answer.json()
    assert (answer.status_code, body["hasErrors"]) == (400, True), answer.text
    return [(result["referenceId"], error["statusCode"]) for result in body["results"] for error in result["errors"]]


def test_a_quote_comes_with_its_lines(server: Server, deal: Deal) -> None:
    lines = [node("QuoteLineItem", f"l{n}", PricebookEntryId=deal.entry, Quantity=n, UnitPrice=10) for n in (1, 2)]
    quote = node("Quote", "q", Name="Tree", OpportunityId=deal.opportunity, Pricebook2Id=deal.book)
    answer = server.post("composite/tree/Quote", {"records": [{**quote, "QuoteLineItems": {"records": lines}}]})
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert body["hasErrors"] is False
    ids = {result["referenceId"]: result["id"] for result in body["results"]}
    assert list(ids) == ["q", "l1", "l2"]
    assert server.row("QuoteLineItem", ids["l2"])["QuoteId"] == ids["q"]
    assert server.row("Quote", ids["q"])["GrandTotal"] == 30.0


def test_results_are_listed_level_by_level(server: Server) -> None:
    below = {"ChildAccounts": {"records": [node("Account", "a1", Name="x"), node("Account", "a2", Name="x")]}}
    rows = [node("Account", "a", Name="x", **below), node("Account", "b", Name="x")]
    results = server.post("composite/tree/Account", {"records": rows}).json()["results"]
    assert [result["referenceId"] for result in results] == ["a", "b", "a1", "a2"]


def test_a_flat_tree_takes_200_rows_and_no_more(server: Server) -> None:
    rows = [node("Account", f"r{n}", Name=f"Flat {n}") for n in range(201)]
    assert len(server.post("composite/tree/Account/", {"records": rows[:200]}).json()["results"]) == 200
    assert errors(server.post("composite/tree/Account", {"records": rows})) == [("", "EXCEEDED_ID_LIMIT")]


def test_a_failure_undoes_all_and_names_only_the_culprits(server: Server) -> None:
    child = node("Account", "child", Site="nameless")
    rows = [
        node("Account", "top", Name="Felled", ChildAccounts={"records": [child]}),
        node("Account", "b", Name="Felled"),
    ]
    assert errors(server.post("composite/tree/Account", {"records": rows})) == [("child", "REQUIRED_FIELD_MISSING")]
    assert server.query("SELECT Id FROM Account WHERE Name = 'Felled'") == []


def test_five_levels_and_no_more(server: Server) -> None:
    def nested(levels: int) -> Row:
        below = {"ChildAccounts": {"records": [nested(levels - 1)]}} if levels > 1 else {}
        return node("Account", f"level{levels}", Name="Deep", **below)

    assert server.post("composite/tree/Account", {"records": [nested(5)]}).status_code == 201
    assert errors(server.post("composite/tree/Account", {"records": [nested(6)]})) == [("", "INVALID_INPUT")]


def test_malformed_trees_are_refused(server: Server) -> None:
    twice = [node("Account", "a", Name="x"), node("Account", "a", Name="y")]
    assert errors(server.post("composite/tree/Account", {"records": twice})) == [("a", "INVALID_INPUT")]
    assert errors(server.post("composite/tree/Account", {"records": [{"Name": "x"}]})) == [("", "INVALID_INPUT")]
    assert errors(server.post("composite/tree/Account", {"records": [node("Quote", "q")]})) == [("q", "INVALID_INPUT")]
    bodies: list[Any] = [{}, {"records": []}, {"records": [1]}, [], 1]
    for body in bodies:
        answer = server.post("composite/tree/Account", body)
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "JSON_PARSER_ERROR"), body
    assert server.post("composite/tree/Bogus", {"records": twice}).json()[0]["errorCode"] == "INVALID_TYPE"
