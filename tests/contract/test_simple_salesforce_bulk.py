"""simple-salesforce, unmodified: Bulk API 2.0 from lists and files, into lists and files."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path

import pytest
from _clients import Untyped, content, http_session
from simple_salesforce import Salesforce
from simple_salesforce.bulk2 import ColumnDelimiter, LineEnding
from simple_salesforce.exceptions import SalesforceGeneralError, SalesforceMalformedRequest

from harness.api import LocalOrg
from harness.org_reader import OrgReader

WAIT = 0.05  # seconds between two looks at a job


@pytest.fixture(scope="module")
def bulk2(org: LocalOrg) -> Untyped:
    sf = Salesforce(session_id=org.token, instance=org.url.removeprefix("http://"), session=http_session(org))
    return sf.bulk2


def test_insert_update_delete_from_records(bulk2: Untyped, reader: OrgReader, name: str) -> None:
    records = [{"Name": f"{name} {number}", "Site": "old, 'x' \"y\""} for number in range(250)] + [{"Name": ""}]
    [inserted] = bulk2.Account.insert(records=records, wait=WAIT)
    job = inserted.pop("job_id")
    assert inserted == {"numberRecordsFailed": 1, "numberRecordsProcessed": 251, "numberRecordsTotal": 251}
    everything = bulk2.Account.get_all_ingest_records(job)
    assert [len(everything[part]) for part in ("successfulRecords", "failedRecords", "unprocessedRecords")] == [
        250,
        1,
        0,
    ]
    assert everything["failedRecords"][0]["sf__Error"].startswith("REQUIRED_FIELD_MISSING:")
    ids = {row["Name"]: row["sf__Id"] for row in everything["successfulRecords"]}
    assert ids == {row["Name"]: row["Id"] for row in reader.query(_like(name))}

    [updated] = bulk2.Account.update(records=[{"Id": each, "Site": "#N/A"} for each in ids.values()], wait=WAIT)
    assert (updated["numberRecordsFailed"], updated["numberRecordsProcessed"]) == (0, 250)
    assert {row["Site"] for row in reader.query(_like(name))} == {None}

    doomed = [{"Id": each} for each in list(ids.values())]
    results = bulk2.Account.delete(records=doomed[:200], batch_size=100, wait=WAIT)
    assert [each["numberRecordsProcessed"] for each in results] == [100, 100]
    [hard] = bulk2.Account.hard_delete(records=doomed[200:], wait=WAIT)
    assert (hard["numberRecordsFailed"], hard["numberRecordsProcessed"]) == (0, 50)
    assert list(reader.query(_like(name))) == []


def test_upsert_by_external_id(bulk2: Untyped, reader: OrgReader, opportunity: str, name: str) -> None:
    rows = [{"QuoteJobKey__c": f"{name} {n}", "OpportunityId": opportunity, "Name": f"Q{n}"} for n in range(3)]
    [first] = bulk2.Quote.upsert(records=rows, external_id_field="QuoteJobKey__c", wait=WAIT)
    rows[0]["Name"] = "changed"
    changed = [{key: row[key] for key in ("QuoteJobKey__c", "Name")} for row in rows]
    [second] = bulk2.Quote.upsert(records=changed, external_id_field="QuoteJobKey__c", wait=WAIT)
    assert [each["numberRecordsProcessed"] for each in (first, second)] == [3, 3]
    created = csv.DictReader(io.StringIO(bulk2.Quote.get_successful_records(second["job_id"])))
    assert {row["sf__Created"] for row in created} == {"false"}
    found = reader.query(f"SELECT Name FROM Quote WHERE OpportunityId = '{opportunity}' ORDER BY QuoteJobKey__c")
    assert [row["Name"] for row in found] == ["changed", "Q1", "Q2"]


@pytest.mark.parametrize("delimiter", list(ColumnDelimiter))
def test_files_up_and_down(bulk2: Untyped, name: str, tmp_path: Path, delimiter: ColumnDelimiter) -> None:
    sign = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}[delimiter.value]
    name = f"{name} {delimiter.value}"
    sent = [[f"{name} {number}", f'a{sign}b "c"'] for number in range(30)]
    source = tmp_path / "up.csv"
    with source.open("w", newline="") as file:
        csv.writer(file, delimiter=sign, lineterminator="\r\n").writerows([["Name", "Site"], *sent])
    [result] = bulk2.Account.insert(
        str(source), column_delimiter=delimiter, line_ending=LineEnding.CRLF, batch_size=100, wait=WAIT
    )
    assert (result["numberRecordsFailed"], result["numberRecordsProcessed"]) == (0, 30)
    good = tmp_path / "good.csv"
    bulk2.Account.get_successful_records(result["job_id"], file=str(good))
    assert len(list(csv.reader(io.StringIO(good.read_text(), newline=""), delimiter=sign))) == 31
    soql = f"SELECT Name, Site FROM Account WHERE Name LIKE '{name} %' ORDER BY CreatedDate, Id"
    pages = bulk2.Account.download(
        soql, path=str(tmp_path), max_records=20, column_delimiter=delimiter, line_ending=LineEnding.CRLF, wait=WAIT
    )
    assert [page["number_of_records"] for page in pages] == [20, 10]
    rows = []
    for page in pages:
        with open(page["file"], newline="") as file:
            assert file.readline().endswith("\r\n")
            rows += list(csv.reader(file, delimiter=sign))
    assert sorted(rows) == sorted(sent)


def test_query_and_query_all(bulk2: Untyped, reader: OrgReader, name: str) -> None:
    bulk2.Account.insert(records=[{"Name": f"{name} {number}"} for number in range(5)], wait=WAIT)
    ids = [row["Id"] for row in reader.query(_like(name))]
    bulk2.Account.delete(records=[{"Id": ids[0]}], wait=WAIT)
    soql = f"SELECT Id, IsDeleted FROM Account WHERE Name LIKE '{name} %'"
    alive = [list(csv.DictReader(io.StringIO(page))) for page in bulk2.Account.query(soql, max_records=3, wait=WAIT)]
    assert [len(page) for page in alive] == [3, 1]
    every = [row for page in bulk2.Account.query_all(soql, wait=WAIT) for row in csv.DictReader(io.StringIO(page))]
    assert sorted(row["Id"] for row in every) == sorted(ids)
    assert [row["Id"] for row in every if row["IsDeleted"] == "true"] == [ids[0]]
    assert list(bulk2.Account.query("SELECT Id FROM Account WHERE Name = 'nobody at all'", wait=WAIT)) == ['"Id"\n']


def test_numbers_with_an_exponent(bulk2: Untyped, org: LocalOrg, reader: OrgReader, opportunity: str) -> None:
    """From ten million on, in CSV and in JSON; both can be written back as they were read."""
    reader.update("Opportunity", opportunity, {"Amount": 123_456_789.12})
    soql = f"SELECT Id, Amount FROM Opportunity WHERE Id = '{opportunity}'"
    (page,) = bulk2.Opportunity.query(soql, wait=WAIT)
    (row,) = csv.DictReader(io.StringIO(page))
    assert row == {"Id": opportunity, "Amount": "1.2345678912E8"}
    reader.update("Opportunity", opportunity, {"Amount": 1})
    [job] = bulk2.Opportunity.update(records=[row], wait=WAIT)
    assert job["numberRecordsFailed"] == 0
    sf: Untyped = Salesforce(session_id=org.token, instance=org.url.removeprefix("http://"), session=http_session(org))
    read = sf.query(soql)["records"][0]["Amount"]
    assert read == 123_456_789.12
    assert sf.Opportunity.update(opportunity, {"Amount": read}) == 204
    exact = Salesforce(
        session_id=org.token,
        instance=org.url.removeprefix("http://"),
        session=http_session(org),
        parse_float=Decimal,
    )
    assert exact.query(soql)["records"][0]["Amount"] == Decimal("123456789.12")


def test_what_is_refused(bulk2: Untyped, name: str) -> None:
    with pytest.raises(SalesforceMalformedRequest) as field:
        list(bulk2.Account.query("SELECT Nonsense__c FROM Account", wait=WAIT))
    assert content(field)[0]["errorCode"] == "INVALID_FIELD"
    with pytest.raises((SalesforceMalformedRequest, SalesforceGeneralError)):
        bulk2.Nonsense__c.insert(records=[{"Name": name}], wait=WAIT)


def _like(name: str) -> str:
    return f"SELECT Id, Name, Site FROM Account WHERE Name LIKE '{name} %' ORDER BY Id"
