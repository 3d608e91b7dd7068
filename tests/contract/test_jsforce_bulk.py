"""jsforce 3, unmodified: Bulk API 2.0, every ingest operation and queries."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.org_reader import OrgReader

pytestmark = pytest.mark.timeout(1000)  # the first test may have to install the clients

Js = Callable[..., Any]


def test_every_ingest_operation(js: Js, opportunity: str, name: str) -> None:
    name = f"{name} bulk"
    found = js("jsforce_bulk.operations", name=name, key=name.replace(" ", "-"), opportunity=opportunity)
    assert found["inserted"] == {
        "good": 450,
        "created": 450,
        "bad": ["REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"],
        "rest": 0,
    }
    assert found["columns"] == ["sf__Id", "sf__Created", "Name", "BillingCity"]
    assert found["failed"]["BillingCity"] == "nameless"
    assert found["updated"] == {"good": 300, "created": 0, "bad": [], "rest": 0}
    assert found["upserted"] == {"good": 2, "created": 2, "bad": [], "rest": 0}
    assert found["again"] == {"good": 1, "created": 0, "bad": [], "rest": 0}
    assert found["quotes"] == ["Changed", "Two"]
    assert found["deleted"] == {"good": 100, "created": 0, "bad": [], "rest": 0}
    assert found["hardDeleted"] == {"good": 100, "created": 0, "bad": [], "rest": 0}
    assert (found["left"], found["cleared"], found["binned"]) == (250, 100, 100)


def test_a_job_step_by_step(js: Js, name: str, tmp_path: Path) -> None:
    found = js("jsforce_bulk.steps", name=name, folder=str(tmp_path))
    opened = found["opened"]
    assert (opened["state"], opened["object"], opened["operation"]) == ("Open", "Account", "insert")
    assert (opened["lineEnding"], opened["columnDelimiter"], opened["contentType"]) == ("CRLF", "SEMICOLON", "CSV")
    assert opened["contentUrl"] == f"services/data/v66.0/jobs/ingest/{opened['id']}/batches"
    assert found["afterClose"] in ("UploadComplete", "InProgress", "JobComplete")
    info = found["info"]
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("JobComplete", 2, 0)
    assert info["jobType"] == "V2Ingest"
    rows = list(csv.DictReader(io.StringIO(found["raw"], newline=""), delimiter=";"))
    assert sorted((row["Name"], row["Site"]) for row in rows) == [(f"{name} 1", "one; half"), (f"{name} 2", "two")]
    assert found["failed"].splitlines() == ['"sf__Id";"sf__Error";"Name";"Site"']
    assert found["unprocessed"].splitlines() in ([], ["Name;Site"], ['"Name";"Site"'])
    assert found["late"]["errorCode"] == "INVALIDJOBSTATE"
    assert found["gone"]["errorCode"] == "NOT_FOUND"
    assert found["aborted"] == "Aborted"
    assert found["rows"] == [[f"{name} 1", "one; half"], [f"{name} 2", "two"]]
    assert found["noObject"]["errorCode"] == "INVALIDJOB"
    assert "External ID was blank for Quote" in found["noField"]["message"]


def test_queries(js: Js, reader: OrgReader, account: str, many_children: int, name: str, tmp_path: Path) -> None:
    gone = reader.create("Account", {"Name": f"{name} gone"})
    js("jsforce_rows.destroy", type="Account", id=gone)
    soql = f"SELECT Id, Name, Account.Name, Amount FROM Opportunity WHERE AccountId = '{account}'"
    found = js("jsforce_bulk.query", soql=soql, folder=str(tmp_path))
    assert (found["rows"], found["distinct"]) == (many_children, many_children)
    assert found["first"].keys() == {"Id", "Name", "Account.Name", "Amount"}
    assert found["first"]["Account.Name"] == name
    table = found["csv"].split("\r\n")
    assert table[0].replace('"', "") == "Id|Name|Account.Name|Amount"
    assert len(table) == many_children + 2  # the header before, nothing after the last line's end
    assert found["deleted"]
    assert set(found["deleted"]) == {"true"}
    assert (found["job"]["jobType"], found["job"]["state"]) == ("V2Query", "JobComplete")
    assert found["refused"]["errorCode"] == "INVALID_FIELD"
    assert found["children"]["errorCode"] == "API_ERROR"
