"""The sf command, unmodified: login by access token, queries, rows, describe, plain REST."""

from __future__ import annotations

import csv
import io
import json

import pytest
from _clients import OPPORTUNITIES, Sf, SfError, result

from harness.api import LocalOrg
from harness.org_reader import OrgReader

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
    where = f"FROM Opportunity WHERE Id = '{opportunity}'"
    table, human = sf.at_once(
        query(f"SELECT Id, Name, Account.Name, Account.Owner.Name, Amount {where}", "--result-format", "csv"),
        query(f"SELECT Name {where}"),
    )
    [row] = csv.DictReader(io.StringIO(table.stdout))
    assert list(row) == ["Id", "Name", "Account.Name", "Account.Owner.Name", "Amount"]
    assert (row["Id"], row["Name"], row["Account.Name"], row["Amount"]) == (opportunity, name, name, "")
    assert row["Account.Owner.Name"]
    assert name in human.stdout
    assert "Total number of records retrieved: 1" in human.stdout


def test_data_query_of_children_and_functions(sf: Sf, account: str, opportunity: str, name: str) -> None:
    what = "SELECT StageName, COUNT(Id), MAX(CloseDate)"
    only = f"FROM Opportunity WHERE Id = '{opportunity}' GROUP BY StageName"
    children = f"SELECT Name, (SELECT Name, StageName FROM Opportunities) FROM Account WHERE Id = '{account}'"
    nested, functions, human, counted = sf.at_once(
        query(children, "--result-format", "csv"),
        query(f"{what} {only}", "--result-format", "csv"),
        query(f"{what} latest {only}"),
        query(f"SELECT COUNT() FROM Account WHERE Id = '{account}'", "--json"),
    )
    [row] = csv.DictReader(io.StringIO(nested.stdout))
    assert (row["Name"], row["Opportunities.totalSize"]) == (name, "1")
    assert (row["Opportunities.records.0.Name"], row["Opportunities.records.0.StageName"]) == (name, "Prospecting")
    header, values = csv.reader(io.StringIO(functions.stdout))
    assert (header[0], values) == ("StageName", ["Prospecting", "1", "2027-01-31"])
    assert "LATEST" in human.stdout.upper()
    assert "2027-01-31" in human.stdout
    assert result(counted)["totalSize"] == 1


def test_data_query_of_deleted_rows_and_mistakes(sf: Sf, account: str) -> None:
    sf("data", "delete", "record", "--sobject", "Account", "--record-id", account)
    soql = f"SELECT Id, IsDeleted FROM Account WHERE Id = '{account}'"
    every, alive, mistaken, tooling = sf.at_once(
        query(soql, "--all-rows", "--json"),
        query(soql, "--json"),
        query("SELECT Nonsense__c FROM Account", "--json"),
        query("SELECT Id FROM ApexClass", "--use-tooling-api", "--json"),
    )
    assert [row["IsDeleted"] for row in result(every)["records"]] == [True]
    assert result(alive)["totalSize"] == 0
    with pytest.raises(SfError, match=r"ERROR at Row:1:Column:8\nNo such column 'Nonsense__c'"):
        result(mistaken)
    with pytest.raises(SfError, match=r"INVALID_TYPE|not supported"):
        result(tooling)


def query(soql: str, *more: str) -> list[str]:
    """The words of a query."""
    return ["data", "query", "--query", soql, *more]


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
    refused, deleted = sf.at_once(
        ["data", "create", "record", "-s", "Account", "-v", "Site=here", "--json"],
        ["data", "delete", "record", "-s", "Account", "-i", made["id"], "--json"],
    )
    with pytest.raises(SfError, match="REQUIRED_FIELD_MISSING: Required fields are missing"):
        result(refused)
    assert result(deleted)["success"] is True
    with pytest.raises(SfError, match="ENTITY_IS_DELETED"):
        sf("data", "get", "record", "-s", "Account", "-i", made["id"])


def test_sobject_describe_and_list(sf: Sf) -> None:
    described, listed, unknown = sf.at_once(
        ["sobject", "describe", "--sobject", "Quote", "--json"],
        ["sobject", "list", "--sobject", "all", "--json"],
        ["sobject", "describe", "--sobject", "Nonsense__c", "--json"],
    )
    quote = result(described)
    fields = {field["name"]: field for field in quote["fields"]}
    assert (quote["keyPrefix"], fields["QuoteJobKey__c"]["externalId"]) == ("0Q0", True)
    assert {"Account", "Quote", "QuoteLineItem"} <= set(result(listed))
    with pytest.raises(SfError, match="NOT_FOUND"):
        result(unknown)


def test_api_request_rest(sf: Sf, reader: OrgReader, name: str) -> None:
    limits, refused = sf.at_once(
        ["api", "request", "rest", "/services/data/v66.0/limits"],
        ["api", "request", "rest", "/services/data/v66.0/sobjects/Nonsense__c/describe"],
    )
    assert json.loads(limits.stdout)["DailyApiRequests"]["Max"] > 0
    assert (refused.returncode, "NOT_FOUND" in refused.stdout + refused.stderr) == (1, True)
    where = "/services/data/v66.0/sobjects/Account"
    made = json.loads(
        sf.run("api", "request", "rest", where, "--method", "POST", "--body", json.dumps({"Name": name})).stdout
    )
    assert made["success"] is True
    sf.run("api", "request", "rest", f"{where}/{made['id']}", "--method", "PATCH", "--body", '{"Site": "x"}')
    assert [row["Site"] for row in reader.query(f"SELECT Site FROM Account WHERE Name = '{name}'")] == ["x"]
