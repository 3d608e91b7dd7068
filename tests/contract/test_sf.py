"""The sf command, unmodified: login by access token, queries, rows, describe, plain REST."""

from __future__ import annotations

import csv
import io
import json

import pytest
from _client import OrgReader
from _clients import Sf, SfError
from _stack import LocalOrg
from conftest import OPPORTUNITIES

pytestmark = pytest.mark.timeout(1000)  # the first test may have to install the clients


def test_org_display(sf: Sf, org: LocalOrg, reader: OrgReader) -> None:
    shown = sf("org", "display")
    assert (shown["id"], shown["username"]) == (org.org_id, reader.username())
    assert (shown["connectedStatus"], shown["apiVersion"]) == ("Connected", "66.0")
    assert shown["instanceUrl"].rstrip("/") == org.url


def test_org_list_knows_it(sf: Sf, org: LocalOrg) -> None:
    [listed] = sf("org", "list", "--skip-connection-status")["other"]
    assert (listed["orgId"], listed["isDefaultUsername"]) == (org.org_id, True)


def test_org_list_limits(sf: Sf) -> None:
    limits = {each["name"]: (each["remaining"], each["max"]) for each in sf("org", "list", "limits")}
    remaining, most = limits["DailyApiRequests"]
    assert 0 < remaining < most
    assert "DailyBulkV2QueryJobs" in limits


def test_data_query_of_several_pages(sf: Sf) -> None:
    found = sf("data", "query", "--query", "SELECT Id, Name FROM Opportunity WHERE Name LIKE 'Opportunity %'")
    assert (found["totalSize"], found["done"]) == (OPPORTUNITIES, True)
    assert len({row["Id"] for row in found["records"]}) == OPPORTUNITIES


def test_data_query_as_a_table(sf: Sf, opportunity: str, name: str) -> None:
    """What is not JSON is laid out by the column metadata that the org answers."""
    soql = f"SELECT Id, Name, Account.Name, Account.Owner.Name, Amount FROM Opportunity WHERE Id = '{opportunity}'"
    table = sf.run("data", "query", "--query", soql, "--result-format", "csv").stdout
    [row] = csv.DictReader(io.StringIO(table))
    assert list(row) == ["Id", "Name", "Account.Name", "Account.Owner.Name", "Amount"]
    assert (row["Id"], row["Name"], row["Account.Name"], row["Amount"]) == (opportunity, name, name, "")
    assert row["Account.Owner.Name"]
    human = sf.run("data", "query", "--query", f"SELECT Name FROM Opportunity WHERE Id = '{opportunity}'").stdout
    assert name in human
    assert "Total number of records retrieved: 1" in human


def test_data_query_of_children_and_functions(sf: Sf, account: str, opportunity: str, name: str) -> None:
    soql = f"SELECT Name, (SELECT Name, StageName FROM Opportunities) FROM Account WHERE Id = '{account}'"
    [row] = csv.DictReader(io.StringIO(sf.run("data", "query", "--query", soql, "--result-format", "csv").stdout))
    assert row["Name"] == name
    assert row["Opportunities.totalSize"] == "1"
    assert (row["Opportunities.records.0.Name"], row["Opportunities.records.0.StageName"]) == (name, "Prospecting")
    what = "SELECT StageName, COUNT(Id), MAX(CloseDate)"
    only = f"FROM Opportunity WHERE Id = '{opportunity}' GROUP BY StageName"
    table = sf.run("data", "query", "--query", f"{what} {only}", "--result-format", "csv").stdout
    [header, row] = csv.reader(io.StringIO(table))
    assert (header[0], row) == ("StageName", ["Prospecting", "1", "2027-01-31"])
    human = sf.run("data", "query", "--query", f"{what} latest {only}").stdout.upper()
    assert "LATEST" in human
    assert "2027-01-31" in human
    assert sf("data", "query", "--query", f"SELECT COUNT() FROM Account WHERE Id = '{account}'")["totalSize"] == 1


def test_data_query_of_deleted_rows_and_mistakes(sf: Sf, account: str) -> None:
    sf("data", "delete", "record", "--sobject", "Account", "--record-id", account)
    soql = f"SELECT Id, IsDeleted FROM Account WHERE Id = '{account}'"
    assert [row["IsDeleted"] for row in sf("data", "query", "--query", soql, "--all-rows")["records"]] == [True]
    assert sf("data", "query", "--query", soql)["totalSize"] == 0
    with pytest.raises(SfError, match=r"ERROR at Row:1:Column:8\nNo such column 'Nonsense__c'"):
        sf("data", "query", "--query", "SELECT Nonsense__c FROM Account")
    with pytest.raises(SfError, match=r"INVALID_TYPE|not supported"):
        sf("data", "query", "--query", "SELECT Id FROM ApexClass", "--use-tooling-api")


def test_records(sf: Sf, reader: OrgReader, name: str) -> None:
    made = sf(
        "data", "create", "record", "-s", "Account", "-v", f"Name='{name}' BillingCity='São Paulo' AnnualRevenue=5"
    )
    assert made == {"id": made["id"], "success": True, "errors": []}
    read = sf("data", "get", "record", "-s", "Account", "-w", f"Name='{name}'")
    assert (read["Id"], read["BillingCity"], read["AnnualRevenue"]) == (made["id"], "São Paulo", 5)
    sf("data", "update", "record", "-s", "Account", "-i", made["id"], "-v", "Site=here AnnualRevenue=6")
    sf("data", "update", "record", "-s", "Account", "-w", f"Name='{name}' Site='here'", "-v", "Site='over there'")
    [row] = reader.query(f"SELECT Site, AnnualRevenue FROM Account WHERE Id = '{made['id']}'")
    assert (row["Site"], row["AnnualRevenue"]) == ("over there", 6)
    with pytest.raises(SfError, match="REQUIRED_FIELD_MISSING: Required fields are missing"):
        sf("data", "create", "record", "-s", "Account", "-v", "Site=here")
    assert sf("data", "delete", "record", "-s", "Account", "-i", made["id"])["success"] is True
    with pytest.raises(SfError, match="ENTITY_IS_DELETED"):
        sf("data", "get", "record", "-s", "Account", "-i", made["id"])


def test_sobject_describe_and_list(sf: Sf) -> None:
    quote = sf("sobject", "describe", "--sobject", "Quote")
    fields = {field["name"]: field for field in quote["fields"]}
    assert (quote["keyPrefix"], fields["QuoteJobKey__c"]["externalId"]) == ("0Q0", True)
    assert {"Account", "Quote", "QuoteLineItem"} <= set(sf("sobject", "list", "--sobject", "all"))
    with pytest.raises(SfError, match="NOT_FOUND"):
        sf("sobject", "describe", "--sobject", "Nonsense__c")


def test_api_request_rest(sf: Sf, reader: OrgReader, name: str) -> None:
    answer = json.loads(sf.run("api", "request", "rest", "/services/data/v66.0/limits").stdout)
    assert answer["DailyApiRequests"]["Max"] > 0
    where = "/services/data/v66.0/sobjects/Account"
    made = json.loads(
        sf.run("api", "request", "rest", where, "--method", "POST", "--body", json.dumps({"Name": name})).stdout
    )
    assert made["success"] is True
    sf.run("api", "request", "rest", f"{where}/{made['id']}", "--method", "PATCH", "--body", '{"Site": "x"}')
    assert [row["Site"] for row in reader.query(f"SELECT Site FROM Account WHERE Name = '{name}'")] == ["x"]
    refused = sf.run("api", "request", "rest", "/services/data/v66.0/sobjects/Nonsense__c/describe")
    assert (refused.returncode, "NOT_FOUND" in refused.stdout + refused.stderr) == (1, True)
