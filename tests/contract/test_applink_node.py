"""@heroku/applink, unmodified: authorization by the add-on's API, query, rows, unit of work, Bulk API 2.0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from _clients import OPPORTUNITIES, Node

from harness.api import LocalOrg
from harness.org_reader import OrgReader

pytestmark = pytest.mark.timeout(1000)  # the first test may have to install the clients

Js = Callable[..., Any]


def test_get_authorization(node: Node, org: LocalOrg) -> None:
    found = node.run(
        "applink.authorization",
        {},
        HEROKU_APPLINK_API_URL=f"{org.url}/localorg/applink",
        HEROKU_APPLINK_TOKEN="any",
        HEROKU_APP_ID="4f3f8c4e-0000-4000-8000-000000000000",
    )
    assert (found["id"], found["colour"], found["domainUrl"]) == (org.org_id, org.org_id, org.url)
    assert found["user"]["id"] == org.user_id
    assert found["limits"]["DailyApiRequests"]["Max"] > 0
    assert "nobody" in found["unknown"]["message"]


def test_query_and_query_more(js: Js, account: str, many_children: int, name: str) -> None:
    found = js(
        "applink.queries",
        soql="SELECT Name, Account.Name FROM Opportunity WHERE Name LIKE 'Opportunity %' ORDER BY Id",
        childSoql=f"SELECT (SELECT Name FROM Opportunities ORDER BY Name) FROM Account WHERE Id = '{account}'",
    )
    assert found["first"] == {"totalSize": OPPORTUNITIES, "done": False, "rows": 2000}
    assert found["second"] == {"done": True, "rows": OPPORTUNITIES - 2000}
    assert found["record"]["type"] == "Opportunity"
    assert found["record"]["name"].startswith("Opportunity ")
    assert found["record"]["account"]
    children = found["children"]
    assert (children["totalSize"], children["done"]) == (many_children, False)
    assert children["names"] == [f"{name} {number:04}" for number in range(many_children)]


def test_rows(js: Js, name: str) -> None:
    found = js("applink.rows", name=name)
    made = found["made"]["id"]
    assert found["changed"] == found["gone"] == {"id": made}
    assert found["city"] == "Bern"
    assert found["missing"] == {
        "errorCode": "REQUIRED_FIELD_MISSING",
        "message": "Required fields are missing: [Name]",
    }
    assert found["bad"]["errorCode"] == "INVALID_FIELD"
    assert found["again"]["errorCode"] == "ENTITY_IS_DELETED"


def test_unit_of_work_with_references(js: Js, reader: OrgReader, name: str) -> None:
    found = js("applink.unitOfWork", name=name)
    assert (found["changed"], found["gone"]) == (found["old"], found["doomed"])
    [deal] = reader.query(f"SELECT AccountId FROM Opportunity WHERE Id = '{found['deal']}'")
    assert deal["AccountId"] == found["account"]
    [old] = reader.query(f"SELECT ParentId FROM Account WHERE Id = '{found['old']}'")
    assert old["ParentId"] == found["account"]
    # The SDK tells only of the first node, and that one was only halted.
    assert found["failed"]["message"].startswith("PROCESSING_HALTED: The transaction was rolled back")
    names = [row["Name"] for row in reader.query(f"SELECT Name FROM Account WHERE Name LIKE '{name}%' ORDER BY Name")]
    assert names == [name, f"{name} old"]


def test_bulk_api(js: Js, name: str) -> None:
    found = js("applink.bulk", name=name)
    info = found["info"]
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("JobComplete", 121, 1)
    assert found["good"] == {"columns": ["sf__Id", "sf__Created", "Name", "BillingCity"], "rows": 120}
    assert [row["BillingCity"] for row in found["bad"]] == ["nameless"]
    assert found["bad"][0]["sf__Error"].startswith("REQUIRED_FIELD_MISSING:")
    assert found["rest"] == 0
    assert (found["updated"]["numberRecordsProcessed"], found["updated"]["numberRecordsFailed"]) == (20, 0)
    assert (found["queried"]["state"], found["queried"]["numberRecordsProcessed"]) == ("JobComplete", 120)
    assert [page["numberOfRecords"] for page in found["pages"]] == [50, 50, 20]
    assert [page["rows"] for page in found["pages"]] == [50, 50, 20]
    assert [page["done"] for page in found["pages"]] == [False, False, True]
    assert (found["ids"], found["empty"]) == (120, 20)
    assert (found["deleted"]["numberRecordsProcessed"], found["deleted"]["numberRecordsFailed"]) == (120, 0)
    assert found["left"] == 0
    assert found["refused"]["unprocessed"] == 121
    assert found["gone"]["errorCode"] == "NOT_FOUND"
