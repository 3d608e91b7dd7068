"""jsforce 3, unmodified: describe, limits, identity, recent and changed rows, and the composite resources."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness.api import LocalOrg

pytestmark = pytest.mark.timeout(1000)  # the first test may have to install the clients

Js = Callable[..., Any]


def test_describe_and_describe_global(js: Js) -> None:
    found = js("jsforce_org.describe")
    assert found["encoding"] == "UTF-8"
    assert found["objects"]["Account"] == ["001", "Accounts", False]
    assert found["objects"]["QuoteLineItem"] == ["0QL", "Quote Line Items", False]
    quote = found["quote"]
    assert (quote["name"], quote["keyPrefix"], quote["queryable"]) == ("Quote", "0Q0", True)
    assert quote["urls"]["describe"] == "/services/data/v66.0/sobjects/Quote/describe"
    key = found["key"]
    assert (key["externalId"], key["unique"], key["idLookup"], key["custom"]) == (True, True, True, True)
    assert (key["type"], key["length"], key["soapType"]) == ("string", 80, "xsd:string")
    parent = found["parent"]
    assert (parent["type"], parent["referenceTo"], parent["relationshipName"]) == (
        "reference",
        ["Opportunity"],
        "Opportunity",
    )
    assert (parent["createable"], parent["updateable"], parent["nillable"]) == (True, False, False)
    assert "Draft" in [value["value"] for value in found["status"]["picklistValues"]]
    assert (found["total"]["type"], found["total"]["createable"], found["total"]["updateable"]) == (
        "currency",
        False,
        False,
    )
    assert ["Opportunity", "AccountId", "Opportunities"] in found["children"]


def test_limits_and_identity(js: Js, org: LocalOrg) -> None:
    found = js("jsforce_org.standing")
    identity = found["identity"]
    assert (identity["user_id"], identity["organization_id"]) == (org.user_id, org.org_id)
    assert identity["id"] == f"{org.url}/id/{org.org_id}/{org.user_id}"
    assert "@" in identity["username"]
    daily = found["limits"]["DailyApiRequests"]
    usage = found["limitInfo"]["apiUsage"]
    assert usage["limit"] == daily["Max"]
    assert usage["used"] == daily["Max"] - daily["Remaining"] + 1  # the query after it


def test_recent_updated_deleted(js: Js, name: str) -> None:
    found = js("jsforce_org.recentAndChanged", name=name)
    assert [row["attributes"]["type"] for row in found["recent"]] == ["Account"] * 3
    assert found["kept"] in [row["Id"] for row in found["recent"]]
    assert found["kept"] in found["updated"]["ids"]
    assert found["gone"] in [row["id"] for row in found["deleted"]["deletedRecords"]]
    covered = datetime.strptime(found["updated"]["latestDateCovered"], "%Y-%m-%dT%H:%M:%S.%f%z")
    assert datetime.now(UTC) - covered < timedelta(hours=2)


def test_composite(js: Js, name: str) -> None:
    found = js("jsforce_org.composite", name=name)
    good = {part["referenceId"]: part for part in found["good"]}
    assert [part["httpStatusCode"] for part in found["good"]] == [201, 201, 200, 204]
    assert good["deal"]["httpHeaders"]["Location"].endswith(good["deal"]["body"]["id"])
    assert good["look"]["body"]["records"][0]["Account"]["Name"] == name
    assert good["again"]["body"] is None
    assert [(row["NextStep"], row["Account"]["Name"]) for row in found["rows"]] == [(name, name)]
    first, second = found["bad"]
    assert (first["httpStatusCode"], first["body"][0]["errorCode"]) == (400, "PROCESSING_HALTED")
    assert (second["httpStatusCode"], second["body"][0]["errorCode"]) == (400, "REQUIRED_FIELD_MISSING")
    assert [part["httpStatusCode"] for part in found["loose"]] == [400, 400, 201]
    assert found["accounts"] == [f"{name} found"]
    assert found["tooMany"]["errorCode"] == "LIMIT_EXCEEDED"


def test_batch_and_tree(js: Js, name: str) -> None:
    found = js("jsforce_org.batchAndTree", name=name)
    assert found["tree"]["hasErrors"] is False
    assert sorted(each["referenceId"] for each in found["tree"]["results"]) == ["a1", "a2", "o1", "o2"]
    assert "bad" in str(found["refused"])
    assert [(row["Name"], row["BillingCity"]) for row in found["rows"]] == [(name, "Bern"), (f"{name} alone", None)]
    assert [row["Name"] for row in found["rows"][0]["Opportunities"]["records"]] == [f"{name} 1", f"{name} 2"]
    assert found["batch"]["hasErrors"] is True
    read, changed, counted, missing = found["batch"]["results"]
    assert (read["statusCode"], read["result"]["Name"]) == (200, name)
    assert (changed["statusCode"], changed["result"]) == (204, None)
    assert counted["result"]["totalSize"] == 2
    assert missing["statusCode"] == 404
    assert missing["result"][0]["errorCode"] == "NOT_FOUND"
