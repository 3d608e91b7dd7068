"""simple-salesforce, unmodified: queries, rows, composite resources through restful, metadata.

It writes https:// into every address; the session handed to it brings that to the local org's http.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from _clients import OPPORTUNITIES, Untyped, content, http_session
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceResourceNotFound,
)
from simple_salesforce.format import format_soql

from harness.api import LocalOrg
from harness.org_reader import OrgReader


@pytest.fixture(scope="module")
def sf(org: LocalOrg) -> Untyped:
    return Salesforce(
        session_id=org.token, instance=org.url.removeprefix("http://"), session=http_session(org), version="66.0"
    )


def test_query_query_more_query_all(sf: Untyped) -> None:
    soql = "SELECT Id, Name, Account.Name FROM Opportunity WHERE Name LIKE 'Opportunity %' ORDER BY Id"
    page = sf.query(soql)
    assert (page["totalSize"], page["done"], len(page["records"])) == (OPPORTUNITIES, False, 2000)
    by_url = sf.query_more(page["nextRecordsUrl"], identifier_is_url=True)
    by_locator = sf.query_more(page["nextRecordsUrl"].rpartition("/")[2])
    assert by_url["records"] == by_locator["records"]
    assert (by_url["done"], len(by_url["records"])) == (True, OPPORTUNITIES - 2000)
    everything = sf.query_all(soql)
    assert [row["Id"] for row in everything["records"]] == [row["Id"] for row in page["records"] + by_url["records"]]
    assert [row["Id"] for row in sf.query_all_iter(soql)] == [row["Id"] for row in everything["records"]]
    assert page["records"][0]["Account"]["attributes"]["type"] == "Account"


def test_children_of_several_pages(sf: Untyped, account: str, many_children: int, name: str) -> None:
    soql = format_soql(
        "SELECT Name, (SELECT Name FROM Opportunities ORDER BY Name) FROM Account WHERE Id = {}", account
    )
    children = sf.query(soql)["records"][0]["Opportunities"]
    assert (children["totalSize"], children["done"]) == (many_children, False)
    names = [row["Name"] for row in children["records"]]
    while not children["done"]:
        children = sf.query_more(children["nextRecordsUrl"], identifier_is_url=True)
        names += [row["Name"] for row in children["records"]]
    assert names == [f"{name} {number:04}" for number in range(many_children)]


def test_quoted_values_by_format_soql(sf: Untyped, name: str) -> None:
    awkward = f'{name} O\'Neill \\ 100%_\n"x"'
    made = sf.Account.create({"Name": awkward, "AnnualRevenue": 7})
    soql = format_soql("SELECT Id FROM Account WHERE Name = {} AND AnnualRevenue IN {}", awkward, [7, 8])
    assert [row["Id"] for row in sf.query(soql)["records"]] == [made["id"]]
    soql = format_soql("SELECT Id FROM Account WHERE Name LIKE '{:like}%'", f"{name} O'Neill \\ 100%_")
    assert [row["Id"] for row in sf.query(soql)["records"]] == [made["id"]]


def test_rows(sf: Untyped, name: str) -> None:
    made = sf.Account.create({"Name": name, "BillingCity": "Köln"})
    assert made == {"id": made["id"], "success": True, "errors": []}
    row = sf.Account.get(made["id"])
    assert (row["Name"], row["BillingCity"]) == (name, "Köln")
    assert sf.Account.update(made["id"], {"BillingCity": None}) == 204
    assert sf.Account.get(made["id"])["BillingCity"] is None
    assert sf.Account.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound) as gone:
        sf.Account.get(made["id"])
    assert content(gone)[0]["errorCode"] == "ENTITY_IS_DELETED"
    binned = sf.query_all(f"SELECT IsDeleted FROM Account WHERE Id = '{made['id']}'", include_deleted=True)
    assert [row["IsDeleted"] for row in binned["records"]] == [True]


def test_errors(sf: Untyped, org: LocalOrg) -> None:
    with pytest.raises(SalesforceMalformedRequest) as missing:
        sf.Account.create({"BillingCity": "Rom"})
    assert content(missing) == [
        {"message": "Required fields are missing: [Name]", "errorCode": "REQUIRED_FIELD_MISSING", "fields": ["Name"]}
    ]
    with pytest.raises(SalesforceMalformedRequest) as unknown:
        sf.query("SELECT Nonsense__c FROM Account")
    assert content(unknown)[0]["errorCode"] == "INVALID_FIELD"
    with pytest.raises(SalesforceResourceNotFound):
        sf.Nonsense__c.describe()
    stranger = Salesforce(session_id="00D!none", instance=org.url.removeprefix("http://"), session=http_session(org))
    with pytest.raises(SalesforceExpiredSession) as expired:
        stranger.limits()
    assert content(expired)[0]["errorCode"] == "INVALID_SESSION_ID"


def test_upsert_and_get_by_external_id(sf: Untyped, opportunity: str, name: str) -> None:
    value = f"{name}/ü?#%".replace(" ", "-")  # read with get_by_custom_id, which encodes it (a blank would become +)
    assert sf.Quote.upsert("QuoteJobKey__c/plain-" + name.replace(" ", "-"), _quote(opportunity, "One")) == 201
    assert sf.Quote.upsert("QuoteJobKey__c/plain-" + name.replace(" ", "-"), {"Name": "Two"}) in (200, 204)
    sf.Quote.create({**_quote(opportunity, "Three"), "QuoteJobKey__c": value})
    assert sf.Quote.get_by_custom_id("QuoteJobKey__c", value)["Name"] == "Three"
    names = sf.query(f"SELECT Name FROM Quote WHERE OpportunityId = '{opportunity}' ORDER BY Name")["records"]
    assert [row["Name"] for row in names] == ["Three", "Two"]
    with pytest.raises(SalesforceResourceNotFound):
        sf.Quote.get_by_custom_id("QuoteJobKey__c", "no such key")


def test_a_key_that_fits_several_rows_is_300(sf: Untyped, name: str) -> None:
    twin = name.replace(" ", "-")
    ids = [sf.Account.create({"Name": twin})["id"] for _ in range(2)]
    with pytest.raises(SalesforceMoreThanOneRecord) as several:
        sf.Account.get_by_custom_id("Name", twin)
    assert sorted(each.rpartition("/")[2] for each in content(several)) == sorted(ids)


def test_metadata_and_describe(sf: Untyped) -> None:
    names = {each["name"]: each for each in sf.describe()["sobjects"]}
    assert names["Quote"]["urls"]["describe"] == "/services/data/v66.0/sobjects/Quote/describe"
    short = sf.Quote.metadata()
    assert (short["objectDescribe"]["name"], short["objectDescribe"]["keyPrefix"]) == ("Quote", "0Q0")
    assert isinstance(short["recentItems"], list)
    whole = sf.Quote.describe()
    fields = {field["name"]: field for field in whole["fields"]}
    assert fields["OpportunityId"]["referenceTo"] == ["Opportunity"]
    assert fields["QuoteJobKey__c"]["externalId"] is True
    assert {child["childSObject"] for child in whole["childRelationships"]} >= {"QuoteLineItem"}


def test_limits_usage_and_identity(sf: Untyped, org: LocalOrg) -> None:
    daily = sf.limits()["DailyApiRequests"]
    usage = sf.api_usage["api-usage"]
    assert (usage.used, usage.total) == (daily["Max"] - daily["Remaining"], daily["Max"])
    who = sf.oauth2("userinfo")
    assert (who["user_id"], who["organization_id"]) == (org.user_id, org.org_id)
    assert sf.is_sandbox() is False


def test_updated_and_deleted(sf: Untyped, name: str) -> None:
    kept, gone = (sf.Account.create({"Name": f"{name} {what}"})["id"] for what in ("kept", "gone"))
    sf.Account.delete(gone)
    start, end = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(minutes=2)
    assert kept in sf.Account.updated(start, end)["ids"]
    assert gone in [row["id"] for row in sf.Account.deleted(start, end)["deletedRecords"]]


def test_composite_graph(sf: Untyped, name: str) -> None:
    def graph(graph_id: str, stage: str | None) -> dict[str, Any]:
        base = "/services/data/v66.0/sobjects"
        account = {"Name": f"{name} {graph_id}"}
        deal = {"Name": name, "AccountId": "@{account.id}", "CloseDate": "2027-01-01", "StageName": stage}
        return {
            "graphId": graph_id,
            "compositeRequest": [
                {"method": "POST", "url": f"{base}/Account", "referenceId": "account", "body": account},
                {"method": "POST", "url": f"{base}/Opportunity", "referenceId": "deal", "body": deal},
            ],
        }

    body = {"graphs": [graph("good", "Prospecting"), graph("bad", None)]}
    good, bad = sf.restful("composite/graph", method="POST", json=body)["graphs"]
    assert (good["graphId"], good["isSuccessful"], bad["graphId"], bad["isSuccessful"]) == ("good", True, "bad", False)
    first, second = bad["graphResponse"]["compositeResponse"]
    assert first["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert second["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    rows = sf.query(f"SELECT Name, (SELECT Name FROM Opportunities) FROM Account WHERE Name LIKE '{name}%'")["records"]
    assert [(row["Name"], len(row["Opportunities"]["records"])) for row in rows] == [(f"{name} good", 1)]


def test_composite_and_collections(sf: Untyped, reader: OrgReader, name: str) -> None:
    records = [{"attributes": {"type": "Account"}, "Name": f"{name} {number}"} for number in range(200)]
    made = sf.restful("composite/sobjects", method="POST", json={"allOrNone": True, "records": records})
    assert [each["success"] for each in made] == [True] * 200
    gone = sf.restful(
        "composite/sobjects", params={"ids": ",".join(each["id"] for each in made[:150])}, method="DELETE"
    )
    assert [each["success"] for each in gone] == [True] * 150
    assert reader.count(f"SELECT COUNT() FROM Account WHERE Name LIKE '{name} %'") == 50
    steps = [
        {"method": "GET", "url": f"/services/data/v66.0/sobjects/Account/{made[150]['id']}", "referenceId": "read"},
        {"method": "DELETE", "url": "/services/data/v66.0/sobjects/Account/@{read.Id}", "referenceId": "gone"},
    ]
    answer = sf.restful("composite", method="POST", json={"compositeRequest": steps})
    assert [part["httpStatusCode"] for part in answer["compositeResponse"]] == [200, 204]


def _quote(opportunity: str, name: str) -> dict[str, Any]:
    return {"OpportunityId": opportunity, "Name": name}
