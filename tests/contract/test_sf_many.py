"""The sf command, unmodified: Bulk API 2.0 by files, and trees of rows out of and into the org."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from _clients import Sf, SfError, result

from harness.org_reader import OrgReader

pytestmark = pytest.mark.timeout(1000)  # the first test may have to install the clients


def test_bulk_import_upsert_update_delete(sf: Sf, reader: OrgReader, name: str, tmp_path: Path) -> None:
    table = write(tmp_path / "new.csv", ["Name", "Site"], [[f"{name} {number}", 'a, "b"'] for number in range(50)])
    imported = sf("data", "import", "bulk", "--sobject", "Account", "--file", table, "--wait", "2", cwd=tmp_path)
    assert (imported["processedRecords"], imported["successfulRecords"], imported["failedRecords"]) == (50, 50, 0)
    results = sf("data", "bulk", "results", "--job-id", imported["jobId"], cwd=tmp_path)
    assert (results["status"], results["operation"], results["object"]) == ("JobComplete", "insert", "Account")
    with (tmp_path / results["successFilePath"]).open(newline="") as file:
        made = {row["Name"]: row["sf__Id"] for row in csv.DictReader(file)}
    assert made == {row["Name"]: row["Id"] for row in reader.query(like(name))}
    ids = list(made.values())

    table = write(tmp_path / "changed.csv", ["Id", "Site"], [[each, "#N/A"] for each in ids[:10]])
    updated = sf("data", "update", "bulk", "--sobject", "Account", "--file", table, "--wait", "2", cwd=tmp_path)
    assert updated["successfulRecords"] == 10
    table = write(tmp_path / "upserted.csv", ["Id", "Site"], [[each, "there"] for each in ids[10:20]])
    words = ["--sobject", "Account", "--file", table, "--external-id", "Id", "--wait", "2"]
    upserted = sf("data", "upsert", "bulk", *words, cwd=tmp_path)
    assert upserted["jobInfo"]["numberRecordsProcessed"] == 10
    assert {row["sf__Id"] for row in upserted["records"]["successfulResults"]} == set(ids[10:20])
    sites = [row["Site"] for row in reader.query(like(name))]
    assert (sites.count(None), sites.count("there"), sites.count('a, "b"')) == (10, 10, 30)

    table = write(tmp_path / "gone.csv", ["Id"], [[each] for each in ids])
    gone = sf("data", "delete", "bulk", "--sobject", "Account", "--file", table, "--wait", "2", cwd=tmp_path)
    assert gone["jobInfo"]["numberRecordsProcessed"] == len(gone["records"]["successfulResults"]) == 50
    assert list(reader.query(like(name))) == []


def test_bulk_rows_that_fail(sf: Sf, reader: OrgReader, name: str, tmp_path: Path) -> None:
    rows = [[f"{name} 1", "1"], ["", "2"], [f"{name} 3", "three"]]
    table = write(tmp_path / "new.csv", ["Name", "NumberOfEmployees"], rows)
    with pytest.raises(SfError, match=r"2 failed record|failed"):
        sf("data", "import", "bulk", "--sobject", "Account", "--file", table, "--wait", "2", cwd=tmp_path)
    [made] = reader.query(like(name))
    assert made["Name"] == f"{name} 1"


def test_bulk_upsert_by_external_id_and_hard_delete(
    sf: Sf, reader: OrgReader, opportunity: str, name: str, tmp_path: Path
) -> None:
    keys = [f"{name} {number}" for number in range(3)]
    header = ["QuoteJobKey__c", "OpportunityId", "Name"]
    table = write(tmp_path / "new.csv", header, [[key, opportunity, "new"] for key in keys])
    words = ["--sobject", "Quote", "--file", table, "--external-id", "QuoteJobKey__c", "--wait", "2"]
    answer = sf("data", "upsert", "bulk", *words, cwd=tmp_path)
    assert {row["sf__Created"] for row in answer["records"]["successfulResults"]} == {"true"}
    quotes = f"SELECT Id, QuoteJobKey__c FROM Quote WHERE OpportunityId = '{opportunity}'"
    assert sorted(row["QuoteJobKey__c"] for row in reader.query(quotes)) == keys
    table = write(tmp_path / "gone.csv", ["Id"], [[row["Id"]] for row in reader.query(quotes)])
    words = ["--sobject", "Quote", "--file", table, "--hard-delete", "--wait", "2"]
    sf("data", "delete", "bulk", *words, cwd=tmp_path)
    assert sf("data", "query", "--all-rows", "--query", quotes)["totalSize"] == 0


def test_bulk_export(sf: Sf, account: str, many_children: int, name: str, tmp_path: Path) -> None:
    soql = f"SELECT Name, Account.Name, CloseDate, IsWon FROM Opportunity WHERE AccountId = '{account}'"
    words = ["data", "export", "bulk", "--query", soql, "--wait", "2", "--json"]
    table, lines = sf.at_once(
        [*words, "--output-file", "out.csv", "--result-format", "csv"],
        [*words, "--output-file", "out.json", "--result-format", "json"],
        cwd=tmp_path,
    )
    assert (result(table)["totalSize"], result(lines)["totalSize"]) == (many_children, many_children)
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["Name", "Account.Name", "CloseDate", "IsWon"]
    assert sorted(row["Name"] for row in rows) == [f"{name} {number:04}" for number in range(many_children)]
    assert {(row["Account.Name"], row["CloseDate"], row["IsWon"]) for row in rows} == {(name, "2027-01-31", "false")}
    assert len(json.loads((tmp_path / "out.json").read_text())) == many_children


@pytest.mark.parametrize("plan", [False, True], ids=["files", "plan"])
def test_trees_out_and_in(
    sf: Sf, reader: OrgReader, account: str, opportunity: str, name: str, tmp_path: Path, plan: bool
) -> None:
    """Two Accounts, one with an Opportunity, taken out and put in again: all of them are there twice."""
    reader.create("Account", {"Name": f"{name} alone", "BillingCity": "Bern"})
    soql = (
        "SELECT Name, BillingCity, (SELECT Name, StageName, CloseDate FROM Opportunities) "
        f"FROM Account WHERE Name LIKE '{name}%' ORDER BY Name"
    )
    words = ["--query", soql, "--output-dir", str(tmp_path), *(["--plan"] if plan else [])]
    sf("data", "export", "tree", *words)
    [file] = tmp_path.glob("*-plan.json" if plan else "*.json")
    made = sf("data", "import", "tree", "--plan" if plan else "--files", str(file))
    assert sorted(row["type"] for row in made) == ["Account", "Account", "Opportunity"]
    rows = [
        (row["Name"], row["BillingCity"], [child["Name"] for child in row["Opportunities"] or []])
        for row in reader.query(soql)
    ]
    assert rows == [(name, None, [name])] * 2 + [(f"{name} alone", "Bern", [])] * 2
    ids = {row["id"] for row in made if row["type"] == "Opportunity"}
    assert ids.isdisjoint({opportunity})


def test_a_tree_with_a_mistake_leaves_nothing(sf: Sf, reader: OrgReader, name: str, tmp_path: Path) -> None:
    record = {"attributes": {"type": "Account", "referenceId": "ok"}, "Name": name}
    wrong = {"attributes": {"type": "Account", "referenceId": "wrong"}, "Site": "nowhere"}
    file = tmp_path / "tree.json"
    file.write_text(json.dumps({"records": [record, wrong]}))
    with pytest.raises(SfError, match="Required fields are missing"):
        sf("data", "import", "tree", "--files", str(file))
    assert reader.count(f"SELECT COUNT() FROM Account WHERE Name = '{name}'") == 0


def write(path: Path, header: list[str], rows: list[list[str]]) -> str:
    """A CSV file, and its name."""
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return str(path)


def like(name: str) -> str:
    return f"SELECT Id, Name, Site FROM Account WHERE Name LIKE '{name} %'"
