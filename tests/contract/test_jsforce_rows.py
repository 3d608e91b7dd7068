"""jsforce 3, unmodified: rows by query, one at a time, in collections and through its query builder."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from _clients import OPPORTUNITIES

from harness.org_reader import OrgReader

pytestmark = pytest.mark.timeout(1000)  # the first test may have to install the clients

Js = Callable[..., Any]


def test_a_query_of_several_pages_is_fetched_whole(js: Js) -> None:
    soql = "SELECT Id, Name FROM Opportunity WHERE Name LIKE 'Opportunity %' ORDER BY Id"
    found = js("jsforce_rows.autoFetch", soql=soql)
    assert found["all"]["totalSize"] == len(set(found["all"]["ids"])) == OPPORTUNITIES
    assert found["all"]["done"] is True
    assert found["all"]["ids"] == sorted(found["all"]["ids"])
    assert found["first"] == {"totalSize": OPPORTUNITIES, "done": False, "rows": 2000}
    assert found["second"] == {"totalSize": OPPORTUNITIES, "done": True, "rows": OPPORTUNITIES - 2000}
    assert found["streamed"] == 2100
    first = found["all"]["ids"][0]
    assert found["attributes"] == {"type": "Opportunity", "url": f"/services/data/v66.0/sobjects/Opportunity/{first}"}
    usage = found["limitInfo"]["apiUsage"]
    assert 0 < usage["used"] < usage["limit"]


def test_children_beyond_a_page_are_fetched_too(js: Js, account: str, many_children: int, name: str) -> None:
    soql = f"SELECT Id, Name, (SELECT Id, Name FROM Opportunities ORDER BY Name) FROM Account WHERE Id = '{account}'"
    found = js("jsforce_rows.children", soql=soql)
    assert found["field"] == "Opportunities"
    assert found["plain"]["totalSize"] == many_children
    assert found["plain"]["done"] is False
    assert found["plain"]["rows"] < many_children
    assert re.match(r"/services/data/v66\.0/query/01g\w+-\d+$", found["plain"]["next"])
    assert found["fetched"]["names"] == [f"{name} {number:04}" for number in range(many_children)]


def test_no_children_are_null(js: Js, reader: OrgReader, account: str, name: str) -> None:
    reader.create("Account", {"Name": f"{name} childless"})
    deal = {"Name": name, "AccountId": account, "StageName": "Prospecting", "CloseDate": "2027-01-31"}
    reader.create("Opportunity", deal)
    soql = f"SELECT Id, (SELECT Id, Name FROM Opportunities) FROM Account WHERE Name LIKE '{name}%' ORDER BY Name"
    assert js("jsforce_rows.children", soql=soql)["childless"] == [None]


def test_create_retrieve_update_destroy(js: Js, name: str) -> None:
    found = js("jsforce_rows.crud", name=name)
    made = found["made"]["id"]
    assert found["made"] == {"id": made, "success": True, "errors": []}
    assert len(made) == 18
    assert found["read"]["Name"] == name
    assert (found["read"]["AnnualRevenue"], found["read"]["BillingCity"]) == (12, "Köln")
    assert found["read"]["IsDeleted"] is False
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000\+0000", found["read"]["CreatedDate"])
    assert found["some"] == {"attributes": found["read"]["attributes"], "Id": made, "Name": name}
    assert found["changed"] == {"id": made, "success": True, "errors": []}
    assert (found["again"]["AnnualRevenue"], found["again"]["BillingCity"]) == (13, None)
    assert found["gone"]["success"] is True
    assert found["deleted"]["errorCode"] == "ENTITY_IS_DELETED"
    assert [row["IsDeleted"] for row in found["binned"]["records"]] == [True]


def test_errors_arrive_as_the_platform_words_them(js: Js, name: str) -> None:
    found = js("jsforce_rows.crud", name=name)
    assert found["missing"]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert found["missing"]["data"]["fields"] == ["Name"]
    assert found["unknown"]["message"] == "No such column 'Nonsense__c' on sobject of type Account"
    assert found["badQuery"]["errorCode"] == "INVALID_FIELD"
    assert "ERROR at Row:1:Column:8" in found["badQuery"]["message"]
    assert found["notSoql"]["errorCode"] == "MALFORMED_QUERY"
    assert found["noObject"]["errorCode"] == "NOT_FOUND"


def test_upsert_by_external_id(js: Js, opportunity: str, name: str) -> None:
    key = name.replace(" ", "-")
    found = js("jsforce_rows.upsert", opportunity=opportunity, key=key)
    created = found["created"]
    assert created == {"id": created["id"], "success": True, "errors": [], "created": True}
    assert found["updated"] == {"id": created["id"], "success": True, "errors": [], "created": False}
    changed, fourth, refused = found["many"]
    assert changed == {"id": created["id"], "success": True, "errors": [], "created": False}
    assert (fourth["success"], fourth["created"]) == (True, True)
    assert refused["success"] is False
    assert refused["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert refused["errors"][0]["fields"] == ["Name"]
    assert [(row["Id"], row["Name"], row["QuoteJobKey__c"]) for row in found["rows"]] == [
        (fourth["id"], "Four", f"{key}-b"),
        (created["id"], "Three", key),
    ]
    assert found["byKey"]["Id"] == created["id"]


def test_collections(js: Js, name: str) -> None:
    found = js("jsforce_rows.collections", name=name)
    assert found["made"] == [[True, 0]] * 250
    assert found["distinct"] == 250
    assert found["tooMany"]["errorCode"] == "EXCEEDED_ID_LIMIT"
    good, bad = found["mixed"]
    assert (good["success"], bad["success"]) == (True, False)
    assert bad["errors"] == [
        {"statusCode": "REQUIRED_FIELD_MISSING", "message": "Required fields are missing: [Name]", "fields": ["Name"]}
    ]
    assert [result["success"] for result in found["none"]] == [False, False]
    assert [result["errors"][0]["statusCode"] for result in found["none"]] == [
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "REQUIRED_FIELD_MISSING",
    ]
    assert [result["success"] for result in found["changed"]] == [True, False, False]
    assert found["changed"][2]["errors"][0]["statusCode"] == "STRING_TOO_LONG"
    assert [row and row["NumberOfEmployees"] for row in found["read"]] == [1000, 1, None]
    assert found["whole"] == [["Account", 2, f"{name} 2"], ["Account", 3, f"{name} 3"]]
    assert found["gone"][0]["success"] is True
    assert found["rest"] == 249
    assert found["left"] == 1  # "mixed"


def test_the_query_builder(js: Js, account: str, name: str) -> None:
    found = js("jsforce_rows.builder", account=account, name=name)
    assert [row["Name"] for row in found["sorted"]] == [f"{name} O'C", f"{name} B"]
    assert found["sorted"][0]["Account"]["Name"] == name
    assert [row["Name"] for row in found["dated"]] == [f"{name} O'C"]
    assert found["quoted"]["StageName"] == "Prospecting"
    assert (found["either"], found["within"]) == (2, 1)
    assert found["stars"] > 30
    assert [row["Name"] for row in found["skipped"]] == [f"{name} B"]
    assert [row["Amount"] for row in found["parents"][0]["Opportunities"]["records"]] == [30, 20]
    assert [(row["StageName"], row["many"], row["expr0"]) for row in found["grouped"]] == [
        ("Prospecting", 2, 40),
        ("Closed Won", 1, 20),
    ]
    assert found["explained"]["plans"][0]["sobjectType"] == "Opportunity"
    assert [result["success"] for result in found["updated"] + found["destroyed"]] == [True, True]
    assert [(row["Name"], row["NextStep"]) for row in found["left"]] == [
        (f"{name} A", f"Call {name} A"),
        (f"{name} O'C", None),
    ]


def test_numbers_with_an_exponent(js: Js, reader: OrgReader, opportunity: str) -> None:
    """From ten million on; as JSON a number like any other, as CSV a text that Number() takes."""
    reader.update("Opportunity", opportunity, {"Amount": 115_000_000})
    found = js("jsforce_rows.large", id=opportunity)
    assert found == {"read": 115_000_000, "updated": True, "csv": "1.150000005E8", "again": 115_000_000.5}
