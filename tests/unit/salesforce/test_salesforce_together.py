"""A graph as collections inside a composite: parents first, references by place, each record's own error."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from quotejob.salesforce.graphs import Graph, Node
from quotejob.salesforce.together import outcome_of, request_body

UNDONE = {"success": False, "errors": [{"statusCode": "ALL_OR_NONE_OPERATION_ROLLED_BACK", "message": "m"}]}


def quotes(count: int, lines: int = 1) -> Graph:
    nodes = []
    for place in range(count):
        nodes.append(Node(f"q{place}", "POST", "Quote", {"Name": f"Quote {place}"}))
        for line in range(lines):
            body = {"QuoteId": f"@{{q{place}.id}}", "UnitPrice": Decimal("10.10")}
            nodes.append(Node(f"q{place}l{line}", "POST", "QuoteLineItem", body))
    return Graph("all", nodes)


def good(*ids: str) -> list[dict[str, Any]]:
    return [{"id": name, "success": True, "errors": []} for name in ids]


def bad(code: str) -> dict[str, Any]:
    return {"success": False, "errors": [{"statusCode": code, "message": "no", "fields": ["Name"]}]}


def answer(*bodies: Any) -> dict[str, Any]:
    return {"compositeResponse": [{"referenceId": f"part{n}", "body": body} for n, body in enumerate(bodies)]}


def test_parents_come_first_and_lines_find_them() -> None:
    """Two collections; a line refers to its Quote by the place of that."""
    body = json.loads(request_body(quotes(2), "66.0"), parse_float=Decimal)
    assert (body["allOrNone"], body["collateSubrequests"]) == (True, False)
    first, second = body["compositeRequest"]
    assert first["body"]["records"] == [
        {"attributes": {"type": "Quote"}, "Name": "Quote 0"},
        {"attributes": {"type": "Quote"}, "Name": "Quote 1"},
    ]
    assert [row["QuoteId"] for row in second["body"]["records"]] == ["@{part0[0].id}", "@{part0[1].id}"]
    assert second["body"]["records"][0]["UnitPrice"] == Decimal("10.10")
    assert first["body"]["allOrNone"] is second["body"]["allOrNone"] is True


def test_a_batch_fits_and_more_does_not() -> None:
    """500 records, however they are divided, need at most five collections of 200."""
    for count, lines in ((500, 0), (166, 2), (201, 1), (1, 499)):
        parts = json.loads(request_body(quotes(count, lines), "66.0"))["compositeRequest"]
        assert [len(part["body"]["records"]) <= 200 for part in parts] == [True] * len(parts)
        assert sum(len(part["body"]["records"]) for part in parts) == count * (lines + 1)
    with pytest.raises(ValueError, match="do not fit"):
        request_body(quotes(1001, 0), "66.0")


def test_all_written() -> None:
    """Every record has its id."""
    outcome = outcome_of(quotes(2), answer(good("Q0", "Q1"), good("L0", "L1")))
    assert (outcome.ok, outcome.ids) == (True, {"q0": "Q0", "q1": "Q1", "q0l0": "L0", "q1l0": "L1"})


def test_each_bad_record_is_named_and_no_other() -> None:
    """Those that were undone because of them are not named, nor are those that were not tried."""
    halted = [{"errorCode": "PROCESSING_HALTED", "message": "The transaction was rolled back"}]
    outcome = outcome_of(quotes(3), answer([bad("A"), UNDONE, bad("B")], halted))
    assert [(error.reference_id, error.code, error.fields) for error in outcome.errors] == [
        ("q0", "A", ("Name",)),
        ("q2", "B", ("Name",)),
    ]
    assert (outcome.ok, outcome.not_run) == (False, False)


def test_a_part_refused_as_a_whole_names_nobody() -> None:
    """A field that the object does not have: nothing is written, and no single record is the cause."""
    refused = [{"errorCode": "INVALID_FIELD", "message": "No such column 'X' on sobject of type Quote"}]
    outcome = outcome_of(quotes(1), answer(refused, refused))
    assert (outcome.ok, outcome.not_run, outcome.errors) == (False, True, ())


@pytest.mark.parametrize(
    "odd", [None, {}, {"compositeResponse": []}, answer(good("Q0"), good("L0", "L1")), answer([{"success": True}], [])]
)
def test_another_body_is_not_read(odd: Any) -> None:
    """A part, a row or an id that is not there: the answer counts as lost."""
    with pytest.raises((LookupError, TypeError, ValueError)):
        outcome_of(quotes(2), odd)
