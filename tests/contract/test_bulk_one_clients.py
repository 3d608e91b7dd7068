"""Bulk API 1.0 by clients of others, unmodified: simple-salesforce, jsforce, salesforce-bulk, CumulusCI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from _clients import Untyped, http_session, pip_of
from simple_salesforce import Salesforce

from harness.api import LocalOrg
from harness.org_reader import OrgReader
from harness.stack import Stack

pytestmark = pytest.mark.timeout(1000)  # the first test may have to install the clients

HERE = Path(__file__).parent / "python"
WAIT = 0.05
Js = Callable[..., Any]


# --- simple-salesforce --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bulk(org: LocalOrg) -> Untyped:
    return Salesforce(
        session_id=org.token, instance=org.url.removeprefix("http://"), session=http_session(org), version="66.0"
    ).bulk


def test_simple_salesforce_writes(bulk: Untyped, reader: OrgReader, name: str) -> None:
    """Its batches are JSON, its concurrency mode a number, and its results in the order of the records."""
    records = [{"Name": f"{name} {number}", "AnnualRevenue": number, "Site": None} for number in range(250)]
    written = bulk.Account.insert([*records, {"Name": ""}], batch_size=100)
    assert [each["success"] for each in written] == [True] * 250 + [False]
    assert written[-1]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    ids = [each["id"] for each in written[:-1]]
    found = {row["Id"]: row["Name"] for row in reader.query(f"SELECT Id, Name FROM Account WHERE Name LIKE '{name}%'")}
    assert [found[each] for each in ids] == [record["Name"] for record in records]
    updated = bulk.Account.update([{"Id": ids[0], "Site": "new"}], use_serial=True, include_detailed_results=True)
    assert (updated[0]["success"], updated[0]["Site"]) == (True, "new")
    deleted = bulk.Account.delete([{"Id": each} for each in ids[:100]])
    assert all(each["success"] for each in deleted)
    assert all(each["success"] for each in bulk.Account.hard_delete([{"Id": each} for each in ids[100:]]))


def test_simple_salesforce_queries_and_upserts(bulk: Untyped, reader: OrgReader, opportunity: str, name: str) -> None:
    key = name.replace(" ", "-")
    record = {"QuoteJobKey__c": key, "Name": name, "OpportunityId": opportunity}
    [made] = bulk.Quote.upsert([record], "QuoteJobKey__c")
    assert (made["success"], made["created"]) == (True, True)
    [found] = bulk.Quote.query(f"SELECT Id, Name, Opportunity.Id FROM Quote WHERE QuoteJobKey__c = '{key}'")
    assert (found["Id"], found["Name"], found["Opportunity"]["Id"]) == (made["id"], name, opportunity)
    assert bulk.Quote.query_all("SELECT Id FROM Quote WHERE Name = 'nobody'") == []


# --- jsforce ------------------------------------------------------------------------------------------------------


def test_jsforce_operations(js: Js, opportunity: str, name: str) -> None:
    found = js(
        "jsforce_bulk_one.operations", name=f"{name} of jsforce", key=name.replace(" ", "-"), opportunity=opportunity
    )
    assert (found["inserted"], found["updated"], found["deleted"]) == (300, 100, 300)
    assert found["last"]["errors"] == ["REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"]
    assert (found["upserted"]["success"], found["upserted"]["created"]) == (True, True)
    assert (found["found"], found["cleared"], found["none"]) == (300, 100, 0)


def test_jsforce_refusals(js: Js) -> None:
    found = js("jsforce_bulk_one.refusals")
    assert found["noObject"]["errorCode"] == "InvalidJob"
    assert found["noField"]["message"] == "InvalidBatch : Field name not found : Nonsense__c"
    assert found["noSession"]["errorCode"] == "InvalidSessionId"


# --- salesforce-bulk and CumulusCI --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def python() -> Path:
    """The Python of an environment with the clients of python/requirements.txt, made at first use."""
    folder = HERE / ".venv"
    program = folder / "bin" / "python"
    note = folder / ".installed"
    wanted = (HERE / "requirements.txt").read_text()
    if not (note.exists() and note.read_text() == wanted):
        install = [*pip_of(program), "-r", str(HERE / "requirements.txt")]
        for command in ([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)], install):
            done = subprocess.run(command, capture_output=True, text=True, timeout=600)
            if done.returncode:
                (pytest.fail if os.environ.get("CI") else pytest.skip)(f"pip failed: {done.stderr[-1000:]}")
        note.write_text(wanted)
    return program


def run(python: Path, home: Path, function: str, given: dict[str, Any], **environment: str) -> Any:
    """What a function of python/clients.py answers; nothing of the developer's settings reaches the client."""
    own = {"HOME": str(home), "PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1,localhost", **environment}
    done = subprocess.run(
        [str(python), str(HERE / "clients.py")],
        input=json.dumps({"function": function, **given}),
        env=own,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_salesforce_bulk(python: Path, org: LocalOrg, name: str, tmp_path: Path) -> None:
    found = run(python, tmp_path, "salesforce_bulk", {"url": org.url, "token": org.token, "name": name})
    assert (found["written"], found["ids"]) == (["true"] * 250, 250)
    assert sorted(row["Name"] for row in found["found"]) == sorted(f"{name} {number}" for number in range(250))
    assert {row["Site"] for row in found["found"]} == {"é, x"}
    assert found["status"]["numberBatchesCompleted"] == "3"
    assert (found["aborted"], found["refused"][0]) == ("Aborted", 400)
    assert "Unable to find object: Nonsense__c" in found["refused"][1]


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[LocalOrg, str]]:
    """An org of its own over https, and the certificate to trust: CumulusCI calls nothing else."""
    with Stack(tmp_path) as stack:
        org = stack.start_org(0, "--tls")
        pem = tmp_path / "org.pem"
        pem.write_text(requests.get(f"{org.url}/localorg/certificate", verify=False, timeout=10).text)
        yield org, str(pem)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_cumulusci_loads_with_its_default_settings(python: Path, tls: tuple[LocalOrg, str], tmp_path: Path) -> None:
    """From 2,000 records on its default is Bulk API 1.0."""
    org, pem = tls
    values = "".join(f"INSERT INTO \"Account\" VALUES({number},'Loaded {number}');\n" for number in range(1, 2501))
    table = 'CREATE TABLE "Account" (id INTEGER NOT NULL, "Name" VARCHAR(255), PRIMARY KEY (id));\n'
    (tmp_path / "data.sql").write_text(f"BEGIN TRANSACTION;\n{table}{values}COMMIT;\n")
    (tmp_path / "mapping.yml").write_text(
        "Insert Account:\n  sf_object: Account\n  table: Account\n  fields:\n    - Name\n"
    )
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "cumulusci.yml").write_text("project:\n  package:\n    api_version: '66.0'\n")
    given = {"url": org.url, "token": org.token, "folder": str(tmp_path)}
    found = run(python, tmp_path, "cumulusci", given, REQUESTS_CA_BUNDLE=pem)
    [step] = found["results"].values()
    assert (step["status"], step["records_processed"], step["total_row_errors"]) == ("Success", 2500, 0)
    stats = requests.get(f"{org.url}/localorg/stats", verify=pem, timeout=10).json()
    assert stats["recordsWritten"]["Account"] == 2500
    assert stats["requests"]["byResource"]["async/job/batch"] >= 1
