"""Composite graph: bodies and answers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from quotejob.salesforce import MAX_GRAPHS, MAX_NODES, Graph, Kind, Node
from quotejob.salesforce.graphs import read_answer, request_of, to_json

HALTED = {"errorCode": "PROCESSING_HALTED", "message": "The transaction was rolled back."}


def _graph(graph_id: str = "g1", lines: int = 1) -> Graph:
    quote = Node("q1", "POST", "Quote", {"Name": "Q", "OpportunityId": "006000000000001AAA"})
    return Graph(graph_id, [quote, *(_line(number) for number in range(1, lines + 1))])


def _line(number: int) -> Node:
    return Node(f"q1_l{number}", "POST", "QuoteLineItem", {"QuoteId": "@{q1.id}", "UnitPrice": Decimal("90.10")})


def _failed(*bodies: Any, status: int = 400) -> dict[str, Any]:
    nodes = [
        {"body": body, "httpHeaders": {}, "httpStatusCode": status, "referenceId": f"r{place}"}
        for place, body in enumerate(bodies)
    ]
    return {"graphId": "g1", "graphResponse": {"compositeResponse": nodes}, "isSuccessful": False}


def test_a_request_names_its_nodes_as_the_guide_does() -> None:
    """Addresses carry the API version; Decimal goes out digit for digit."""
    body, created = request_of([_graph()], "66.0")
    assert created == {"g1": ["q1", "q1_l1"]}
    assert body == (
        b'{"graphs":[{"graphId":"g1","compositeRequest":['
        b'{"url":"/services/data/v66.0/sobjects/Quote","method":"POST","referenceId":"q1",'
        b'"body":{"Name":"Q","OpportunityId":"006000000000001AAA"}},'
        b'{"url":"/services/data/v66.0/sobjects/QuoteLineItem","method":"POST","referenceId":"q1_l1",'
        b'"body":{"QuoteId":"@{q1.id}","UnitPrice":90.10}}]}]}'
    )


def test_a_node_without_a_body_sends_none() -> None:
    """A delete has no body."""
    body, created = request_of([Graph("g1", [Node("r1", "DELETE", "Quote/0Q0000000000001AAA")])], "66.0")
    assert b'"body"' not in body
    assert created == {"g1": []}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("90.10", b"90.10"),
        ("1E+7", b"10000000"),
        ("0.1", b"0.1"),
        ("-0.00", b"-0.00"),
        ("12345678901234.56", b"12345678901234.56"),
    ],
)
def test_money_is_written_exactly(number: str, text: bytes) -> None:
    """No float comes in between."""
    assert to_json(Decimal(number)) == text


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), object()])
def test_what_is_not_json_is_refused(value: object) -> None:
    """NaN would be a broken body."""
    with pytest.raises(TypeError):
        to_json(value)


def test_a_request_too_large_is_not_sent() -> None:
    """The limits are the guide's: 75 graphs, 500 nodes, ids that differ."""
    request_of([_graph(f"g{number}") for number in range(MAX_GRAPHS)], "66.0")
    with pytest.raises(ValueError, match="76 graphs"):
        request_of([_graph(f"g{number}") for number in range(MAX_GRAPHS + 1)], "66.0")
    with pytest.raises(ValueError, match="501 nodes"):
        request_of([_graph(lines=MAX_NODES)], "66.0")
    with pytest.raises(ValueError, match="differ"):
        request_of([_graph(), _graph()], "66.0")


def test_a_graph_that_was_written_gives_its_ids() -> None:
    """By reference id; a delete or update has a null body and no id."""
    nodes = [
        {"body": {"id": "0Q1", "success": True, "errors": []}, "httpStatusCode": 201, "referenceId": "q1"},
        {"body": None, "httpStatusCode": 204, "referenceId": "gone"},
    ]
    answer = {"graphs": [{"graphId": "g1", "graphResponse": {"compositeResponse": nodes}, "isSuccessful": True}]}
    outcome = read_answer(answer)["g1"]
    assert (outcome.ok, outcome.ids, outcome.errors, outcome.not_run) == (True, {"q1": "0Q1"}, (), False)


def test_only_the_guilty_are_named() -> None:
    """Nodes halted for another's fault, before and after it, are left out."""
    guilty = {"errorCode": "DUPLICATE_VALUE", "message": "duplicate value found", "fields": ["QuoteJobKey__c"]}
    outcome = read_answer({"graphs": [_failed([HALTED], [guilty], [HALTED])]})["g1"]
    assert not outcome.ok
    assert not outcome.not_run
    assert [(error.reference_id, error.code, error.fields) for error in outcome.errors] == [
        ("r1", "DUPLICATE_VALUE", ("QuoteJobKey__c",))
    ]
    assert outcome.errors[0].kind is Kind.RECORD


def test_a_graph_where_nobody_is_guilty_was_not_run() -> None:
    """After 14 failed graphs the org does not get to the rest."""
    outcome = read_answer({"graphs": [_failed([HALTED], [HALTED])]})["g1"]
    assert (outcome.ok, outcome.not_run, outcome.errors) == (False, True, ())


def test_a_reference_to_nothing_is_the_nodes_own_fault() -> None:
    """It has the code of the innocent, and would be sent again for ever."""
    wrong = HALTED | {"message": "Invalid reference specified. No value for q1.Id found in q1"}
    outcome = read_answer({"graphs": [_failed([HALTED], [wrong])]})["g1"]
    assert not outcome.not_run
    assert outcome.errors[0].kind is Kind.RECORD


def test_a_row_lock_inside_a_graph_passes() -> None:
    """The request is HTTP 200; the node says 400 or 500."""
    lock = {"errorCode": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access to this record"}
    for status in (400, 500):
        outcome = read_answer({"graphs": [_failed([lock], [HALTED], status=status)]})["g1"]
        assert [error.kind for error in outcome.errors] == [Kind.RETRY]


def test_a_node_that_fails_without_a_word_is_still_an_error() -> None:
    """An empty body must not look like a graph that was not run."""
    outcome = read_answer({"graphs": [_failed(None, status=500)]})["g1"]
    assert not outcome.not_run
    assert outcome.errors[0].kind is Kind.RETRY
