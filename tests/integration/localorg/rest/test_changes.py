"""Rows updated and deleted in a span of time, rows used last, relations of a row, record counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from _people import as_user
from _server import DATA, Deal, Server


def refusal(answer: Any) -> tuple[int, str]:
    (error,) = answer.json()
    return answer.status_code, error["errorCode"]


def span(**more: str) -> dict[str, str]:
    now = datetime.now(UTC)
    return {"start": (now - timedelta(days=1)).isoformat(), "end": (now + timedelta(minutes=5)).isoformat(), **more}


def test_rows_updated(server: Server, deal: Deal) -> None:
    body = server.get("sobjects/Account/updated/", params=span()).json()
    assert deal.account in body["ids"]
    assert datetime.fromisoformat(body["latestDateCovered"]) <= datetime.now(UTC) + timedelta(seconds=1)
    past = span(
        start=(datetime.now(UTC) - timedelta(days=3)).isoformat(),
        end=(datetime.now(UTC) - timedelta(days=2)).isoformat(),
    )
    assert server.get("sobjects/Account/updated", params=past).json()["ids"] == []


def test_rows_deleted(server: Server) -> None:
    gone, kept = (server.create("Account", Name=f"Delta {n}") for n in range(2))
    server.delete(f"sobjects/Account/{gone}")
    body = server.get("sobjects/Account/deleted", params=span()).json()
    found = {row["id"]: row["deletedDate"] for row in body["deletedRecords"]}
    assert gone in found
    assert kept not in found
    assert set(body) == {"deletedRecords", "earliestDateAvailable", "latestDateCovered"}
    assert gone not in server.get("sobjects/Account/updated", params=span()).json()["ids"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "MISSING_ARGUMENT"),
        ({"start": "2026-01-01T00:00:00Z"}, "MISSING_ARGUMENT"),
        (span(start="yesterday"), "INVALID_REPLICATION_DATE"),
        (span(start="2001-01-01T00:00:00Z"), "INVALID_REPLICATION_DATE"),
        (
            span(start=datetime.now(UTC).isoformat(), end=(datetime.now(UTC) - timedelta(hours=1)).isoformat()),
            "INVALID_REPLICATION_DATE",
        ),
        (span(start="0001-01-01T00:00:00+14:00"), "INVALID_REPLICATION_DATE"),
    ],
)
def test_wrong_spans_are_refused(server: Server, asked: dict[str, str], code: str) -> None:
    for what in ("updated", "deleted"):
        assert refusal(server.get(f"sobjects/Account/{what}", params=asked)) == (400, code)


def test_rows_used_last(server: Server, deal: Deal) -> None:
    own = as_user(server, "Standard User")
    first, second = (own.create("Account", Name=f"Recent {n}") for n in range(2))
    own.patch(f"sobjects/Account/{first}", {"Site": "x"})
    items = own.get("recent", params={"limit": 2}).json()
    assert [item["Id"] for item in items] == [first, second]
    assert items[0]["attributes"] == {"type": "Account", "url": f"{DATA}/sobjects/Account/{first}"}
    own.get(f"sobjects/Account/{second}", headers={"Sforce-Mru": "updateMru=true"})
    assert own.get("recent?limit=1").json()[0]["Id"] == second
    own.query(f"SELECT Id FROM Account WHERE Id = '{deal.account}' FOR VIEW")
    assert own.get("recent?limit=1").json()[0]["Id"] == deal.account
    own.delete(f"sobjects/Account/{second}")
    assert second not in [item["Id"] for item in own.get("recent").json()]
    assert own.get("recent?limit=x").status_code == 200


def test_a_row_leads_to_its_parent_and_its_children(server: Server, deal: Deal) -> None:
    path = f"sobjects/Opportunity/{deal.opportunity}"
    parent = server.get(f"{path}/Account?fields=Id,Name").json()
    assert (parent["Id"], parent["attributes"]["type"]) == (deal.account, "Account")
    server.create(
        "OpportunityLineItem", OpportunityId=deal.opportunity, PricebookEntryId=deal.entry, Quantity=1, UnitPrice=1
    )
    lines = server.get(f"{path}/OpportunityLineItems?fields=Id,Quantity").json()
    assert (lines["totalSize"], lines["records"][0]["Quantity"]) == (1, 1.0)
    whole = server.get(f"sobjects/Account/{deal.account}/Opportunities").json()["records"][0]
    assert whole["Id"] == deal.opportunity
    assert server.patch(f"{path}/Account", {"Site": "by way"}).status_code == 204
    assert server.row("Account", deal.account)["Site"] == "by way"
    assert refusal(server.get(f"sobjects/Account/{deal.account}/Parent")) == (404, "NOT_FOUND")
    assert refusal(server.get(f"{path}/Bogus")) == (404, "NOT_FOUND")
    assert refusal(server.get(f"{path}/Account/Name")) == (404, "NOT_FOUND")
    assert refusal(server.get(f"{path}/OpportunityLineItems?fields=Id FROM User --")) == (400, "INVALID_FIELD")


def test_there_is_no_way_back_from_the_recycle_bin(server: Server) -> None:
    """As on the platform, where REST has no undelete."""
    gone = server.create("Account", Name="Gone")
    server.delete(f"sobjects/Account/{gone}")
    assert refusal(server.post(f"sobjects/Account/{gone}/undelete")) in (
        (404, "NOT_FOUND"),
        (405, "METHOD_NOT_ALLOWED"),
    )


def test_conditional_reads(server: Server, deal: Deal) -> None:
    path = f"sobjects/Account/{deal.account}"
    before, after = "Mon, 01 Jan 2001 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
    assert server.get(path, headers={"If-Modified-Since": before}).status_code == 200
    assert server.get(path, headers={"If-Modified-Since": after}).status_code == 304
    assert server.get(path, headers={"If-Unmodified-Since": before}).status_code == 412
    assert server.get(path, headers={"If-Modified-Since": "soon"}).status_code == 200


@pytest.mark.parametrize("path", ["sobjects", "sobjects/Account/describe"])
def test_conditional_describes(server: Server, path: str) -> None:
    """By itself and as a part of a composite: a description has not changed since the org was started."""
    before, after = "Mon, 01 Jan 2001 00:00:00 GMT", format_datetime(datetime.now(UTC), usegmt=True)
    for header, value, status in (
        ("If-Modified-Since", before, 200),
        ("If-Modified-Since", after, 304),
        ("If-Unmodified-Since", before, 412),
        ("If-Unmodified-Since", after, 200),
    ):
        answer = server.get(path, headers={header: value})
        assert (answer.status_code, bool(answer.content)) == (status, status == 200)
        part = {"referenceId": "a", "method": "GET", "url": f"{DATA}/{path}", "httpHeaders": {header: value}}
        (inner,) = server.post("composite", {"compositeRequest": [part]}).json()["compositeResponse"]
        assert (inner["httpStatusCode"], inner["body"] is None) == (status, status != 200)


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("If-Unmodified-Since", "Mon, 01 Jan 2001 00:00:00 GMT", 412),
        ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT", 304),
        ("If-Unmodified-Since", "soon", 400),
        ("If-Unmodified-Since", "Fri, 01 Jan 2100 00:00:00 GMT", 204),
        ("If-Modified-Since", "Mon, 01 Jan 2001 00:00:00 GMT", 204),
    ],
)
def test_conditional_changes(server: Server, deal: Deal, header: str, value: str, status: int) -> None:
    """What is refused is not written, also as a part of a composite."""
    path = f"sobjects/Account/{deal.account}"
    assert server.patch(path, {"Site": "New"}, headers={header: value}).status_code == status
    part = {"referenceId": "a", "method": "PATCH", "url": f"{DATA}/{path}", "httpHeaders": {header: value}}
    (inner,) = server.post("composite", {"compositeRequest": [{**part, "body": {"Phone": "1"}}]}).json().values()
    assert inner[0]["httpStatusCode"] == status
    row = server.row("Account", deal.account)
    assert (row["Site"], row["Phone"]) == (("New", "1") if status == 204 else (None, None))


def test_record_counts(server: Server) -> None:
    body = server.get("limits/recordCount", params={"sObjects": "user,Bogus,Organization"}).json()
    users = server.get("query", params={"q": "SELECT count() FROM User"}).json()["totalSize"]
    assert {row["name"]: row["count"] for row in body["sObjects"]} == {"User": users, "Organization": 1}
    assert len(server.get("limits/recordCount").json()["sObjects"]) >= 10


def test_the_tooling_api_has_no_objects(server: Server) -> None:
    answer = server.get("tooling/query", params={"q": "SELECT Id FROM SandboxProcess"})
    assert refusal(answer) == (400, "INVALID_TYPE")
