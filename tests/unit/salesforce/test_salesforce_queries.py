"""Pages of queries and of sub-queries, in the right order."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from quotejob.salesforce import queries
from quotejob.salesforce.queries import child_names, rows


def _page(records: list[dict[str, Any]], following: str | None = None) -> dict[str, Any]:
    return {"totalSize": 9, "done": following is None, "records": records} | (
        {"nextRecordsUrl": following} if following else {}
    )


class Pages:
    """The pages an org would hold, and the order they were asked for."""

    def __init__(self, **pages: dict[str, Any]) -> None:
        self.pages = pages
        self.asked: list[str] = []

    def __call__(self, url: str) -> dict[str, Any]:
        self.asked.append(url)
        return self.pages[url]


def test_children_are_drained_before_the_parents_next_page() -> None:
    """The next parent page makes the org forget the cursors of the children on this one."""
    more = Pages(
        a2=_page([{"Id": "A2"}], "a3"),
        a3=_page([{"Id": "A3"}]),
        b2=_page([{"Id": "B2"}]),
        parents2=_page([{"Id": "P3", "Lines": _page([{"Id": "C1"}])}]),
    )
    first = _page(
        [{"Id": "P1", "Lines": _page([{"Id": "A1"}], "a2")}, {"Id": "P2", "Lines": _page([{"Id": "B1"}], "b2")}],
        "parents2",
    )
    found = list(rows(first, more))
    assert more.asked == ["a2", "a3", "b2", "parents2"]
    assert [(row["Id"], [line["Id"] for line in row["Lines"]]) for row in found] == [
        ("P1", ["A1", "A2", "A3"]),
        ("P2", ["B1", "B2"]),
        ("P3", ["C1"]),
    ]


def test_grandchildren_page_too() -> None:
    """A child page may hold sub-queries of its own."""
    more = Pages(lines2=_page([{"Id": "L2", "Schedules": _page([{"Id": "S1"}], "s2")}]), s2=_page([{"Id": "S2"}]))
    first = _page([{"Id": "P", "Lines": _page([{"Id": "L1", "Schedules": None}], "lines2")}])
    (parent,) = rows(first, more, frozenset({"lines", "schedules"}))
    assert [[leaf["Id"] for leaf in line["Schedules"]] for line in parent["Lines"]] == [[], ["S1", "S2"]]


def test_a_parent_without_children_has_an_empty_list() -> None:
    """The org writes null; a null field stays null and a parent record stays a record."""
    record = {"Lines": None, "Amount": None, "Account": {"attributes": {}, "BillingCountry": "DE"}}
    (row,) = rows(_page([record]), Pages(), frozenset({"lines"}))
    assert row == {"Lines": [], "Amount": None, "Account": {"attributes": {}, "BillingCountry": "DE"}}


def test_the_next_page_is_not_asked_for_before_it_is_needed() -> None:
    """A caller that stops early costs no further calls."""
    more = Pages(second=_page([{"Id": "2"}]))
    found = rows(_page([{"Id": "1"}], "second"), more)
    assert next(found) == {"Id": "1"}
    assert more.asked == []


@pytest.mark.parametrize(
    ("soql", "names"),
    [
        ("SELECT Id FROM Opportunity", set()),
        (
            "SELECT Id, (SELECT Id FROM OpportunityLineItems) FROM Opportunity WHERE Name = 'x'",
            {"opportunitylineitems"},
        ),
        (
            "select Id,(select Id,( SELECT Id from Schedules ) from Lines where Q > (1)) from Opportunity",
            {"lines", "schedules"},
        ),
        ("SELECT Id FROM Opportunity WHERE Id IN (SELECT OpportunityId FROM OpportunityLineItem)", set()),
        ("SELECT Id FROM Opportunity WHERE (Id NOT IN (SELECT OpportunityId FROM Quote))", set()),
        (r"SELECT Id FROM Opportunity WHERE Name = 'it\'s (SELECT Id FROM Lines)'", set()),
        ("SELECT Id, (SELECT Id FROM Account.Contacts) FROM Account", {"contacts"}),
    ],
)
def test_sub_queries_are_found_in_the_text(soql: str, names: set[str]) -> None:
    """Strings and semi-joins are not sub-queries."""
    assert child_names(soql) == names


def test_several_queries_are_one_request() -> None:
    """Each keeps its text, and the answers are found by name, in whatever order they come."""
    body = json.loads(queries.together_body(["SELECT Id FROM A", "SELECT Id FROM B WHERE C = 'ü&'"], "66.0"))
    assert body["allOrNone"] is False
    addresses = [urlsplit(each["url"]) for each in body["compositeRequest"]]
    assert {address.path for address in addresses} == {"/services/data/v66.0/query"}
    asked = [parse_qs(address.query)["q"] for address in addresses]
    assert asked == [["SELECT Id FROM A"], ["SELECT Id FROM B WHERE C = 'ü&'"]]
    names = [each["referenceId"] for each in body["compositeRequest"]]
    said = [{"httpStatusCode": 200, "referenceId": name, "body": {"records": [name]}} for name in reversed(names)]
    found = queries.answers_together(["", ""], json.dumps({"compositeResponse": said}).encode())
    assert [json.loads(bytes(answer.body))["records"] for answer in found] == [[names[0]], [names[1]]]


def test_six_queries_are_too_many() -> None:
    """The platform refuses them."""
    with pytest.raises(ValueError, match="too many"):
        queries.together_body(["SELECT Id FROM A"] * 6, "66.0")


@pytest.mark.parametrize(
    "answer", ["{}", "[]", '{"compositeResponse": []}', '{"compositeResponse": [{"body": 1}]}', "x"]
)
def test_an_answer_that_lacks_a_query_is_no_answer(answer: str) -> None:
    """It is as good as a lost one."""
    with pytest.raises(ValueError):
        queries.answers_together(["SELECT Id FROM A"], answer.encode())
