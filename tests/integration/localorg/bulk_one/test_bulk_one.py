"""Bulk API 1.0: jobs of many batches, in CSV, XML and JSON."""

from __future__ import annotations

import csv
import gzip
import io
import json
from itertools import count
from typing import Any
from xml.etree import ElementTree

import pytest
from _server import Deal, Server, Start
from bulk_calls import one

Json = dict[str, Any]
_numbers = count(1)


def unique() -> str:
    return f"One {next(_numbers)}"


def rows(text: str) -> list[Json]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


# --- one job from its order to its results ------------------------------------------------------------------------


def test_a_job_in_csv_from_order_to_results(server: Server) -> None:
    """Results are in the order of the request, with the error of a row that failed; XML speaks of all else."""
    name = unique()
    order = (
        f'<jobInfo xmlns="{one.SPACE[1:-1]}"><operation>insert</operation><object>account</object>'
        "<concurrencyMode>Serial</concurrencyMode><contentType>CSV</contentType></jobInfo>"
    )
    opened = one.call(server, "POST", "/job", order, "application/xml; charset=UTF-8")
    assert (opened.status_code, opened.headers["Content-Type"]) == (201, "application/xml")
    told = one.fields(opened)
    job = told["id"]
    assert job.startswith("750")
    assert told["createdDate"].endswith("Z")
    expected = {"operation": "insert", "object": "Account", "state": "Open", "concurrencyMode": "Serial"}
    expected |= {"contentType": "CSV", "apiVersion": "66.0", "numberBatchesTotal": "0", "createdById": server.user_id}
    assert expected.items() <= told.items()

    csv_text = f"Name,AnnualRevenue\n{name} a,7\n,2\n{name} c,many\n{name} d,\n"
    added = one.call(server, "POST", f"/job/{job}/batch", csv_text, "text/csv; charset=UTF-8")
    assert added.status_code == 201
    batch = one.fields(added)
    assert (batch["state"], batch["jobId"], batch["id"][:3]) == ("Queued", job, "751")
    info = one.ended(server, job, batch["id"])
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("Completed", "4", "2")
    result = one.call(server, "GET", f"/job/{job}/batch/{batch['id']}/result")
    assert result.headers["Content-Type"] == "text/csv"
    found = rows(result.text)
    assert [row["Success"] for row in found] == ["true", "false", "false", "true"]
    assert found[1] == {
        "Id": "",
        "Success": "false",
        "Created": "false",
        "Error": "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --",
    }
    assert server.row("Account", found[0]["Id"])["AnnualRevenue"] == 7.0
    assert one.call(server, "GET", f"/job/{job}/batch/{batch['id']}/request").text == csv_text

    assert one.fields(one.move(server, job))["state"] == "Closed"
    closed = one.fields(one.call(server, "GET", f"/job/{job}"))
    counts = ("numberBatchesTotal", "numberBatchesCompleted", "numberRecordsProcessed", "numberRecordsFailed")
    assert [closed[each] for each in counts] == ["1", "1", "4", "2"]


def test_a_job_in_json(server: Server) -> None:
    """Order, batch, states and results in JSON; a null clears a field, and a parent is found by its key."""
    order = {"operation": "insert", "object": "Account", "contentType": "JSON", "concurrencyMode": 0}
    opened = one.call(server, "POST", "/job", json.dumps(order), "application/json")
    assert opened.headers["Content-Type"] == "application/json"
    job = opened.json()["id"]
    assert (opened.json()["apiVersion"], opened.json()["concurrencyMode"]) == (66.0, "Parallel")
    assert opened.json()["createdDate"].endswith("+0000")
    name = unique()
    records = [{"Name": name, "AnnualRevenue": 12.5, "attributes": {"type": "Account"}}, {"site": "x"}]
    told, text = one.work(server, job, json.dumps(records), "JSON")
    assert (told["state"], told["numberRecordsFailed"]) == ("Completed", 1)
    good, bad = json.loads(text)
    assert (good["success"], good["created"], good["errors"]) == (True, True, [])
    assert (bad["success"], bad["id"], bad["errors"][0]["statusCode"]) == (False, None, "REQUIRED_FIELD_MISSING")
    assert bad["errors"][0]["fields"] == ["Name"]
    update = one.open(server, "update", kind="JSON")
    told, text = one.work(server, update, json.dumps([{"Id": good["id"], "AnnualRevenue": None}]), "JSON")
    assert json.loads(text)[0]["created"] is False
    assert server.row("Account", good["id"])["AnnualRevenue"] is None


def test_a_job_in_xml(server: Server, deal: Deal) -> None:
    """Records as sObjects, nil for null, a parent by an id in an element of its own."""
    name = unique()
    record = (
        f"<sObject><type>Quote</type><Name>{name} &amp; Co</Name>"
        f"<Opportunity><sObject><Id>{deal.opportunity}</Id></sObject></Opportunity></sObject>"
    )
    head = f'<sObjects xmlns="{one.SPACE[1:-1]}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
    job = one.open(server, object_name="Quote", kind="XML")
    told, text = one.work(server, job, f"{head}{record}<sObject><Name/></sObject></sObjects>", "XML")
    assert (told["state"], told["numberRecordsFailed"]) == ("Completed", "1")
    good, bad = ElementTree.fromstring(text)
    quote = good.findtext(f"{one.SPACE}id")
    assert quote
    assert server.row("Quote", quote)["OpportunityId"] == deal.opportunity
    assert server.row("Quote", quote)["Name"] == f"{name} & Co"
    assert [each.tag.removeprefix(one.SPACE) for each in bad] == ["errors", "success", "created"]
    assert bad.findtext(f"{one.SPACE}errors/{one.SPACE}statusCode") == "REQUIRED_FIELD_MISSING"


@pytest.mark.parametrize("operation", ["delete", "hardDelete"])
def test_deletes(server: Server, operation: str) -> None:
    ids = [server.create("Account", Name=unique()) for _ in range(3)]
    _, text = one.work(server, one.open(server, operation), "Id\n" + "\n".join([*ids, ids[0]]) + "\n")
    assert [row["Success"] for row in rows(text)] == ["true", "true", "true", "false"]
    again = "ENTITY_IS_DELETED:entity is deleted:--", "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--"
    assert rows(text)[3]["Error"] == again[operation == "hardDelete"]
    found = server.get("queryAll", params={"q": f"SELECT Id FROM Account WHERE Id = '{ids[0]}'"}).json()
    assert found["totalSize"] == (1 if operation == "delete" else 0)


def test_upsert_by_external_id(server: Server, deal: Deal) -> None:
    job = one.open(server, "upsert", "Quote", externalIdFieldName="QuoteJobKey__c")
    key = unique()
    first = f"QuoteJobKey__c,Name,OpportunityId\n{key},One,{deal.opportunity}\n"
    assert rows(one.work(server, job, first)[1])[0]["Created"] == "true"
    assert rows(one.work(server, job, f"QuoteJobKey__c,Name\n{key},Two\n")[1])[0]["Created"] == "false"


def test_a_batch_may_be_gzip_and_have_crlf(server: Server) -> None:
    job = one.open(server)
    data = gzip.compress(f"Name,Site\r\n{unique()},here\r\n".encode())
    added = one.call(server, "POST", f"/job/{job}/batch", data, "text/csv", **{"Content-Encoding": "gzip"})
    told = one.ended(server, job, one.fields(added)["id"])
    assert (told["state"], told["numberRecordsProcessed"], told["numberRecordsFailed"]) == ("Completed", "1", "0")


# --- queries ------------------------------------------------------------------------------------------------------


def query(server: Server, soql: str, operation: str = "query", kind: str = "CSV", **headers: str) -> tuple[str, str]:
    job = one.open(server, operation, kind=kind, headers=headers)
    return job, one.add(server, job, soql, kind)


def results(server: Server, job: str, batch: str) -> list[Any]:
    listed = one.call(server, "GET", f"/job/{job}/batch/{batch}/result")
    if listed.headers["Content-Type"] == "application/json":
        ids = listed.json()
    else:
        ids = [each.text for each in ElementTree.fromstring(listed.content)]
    return [one.call(server, "GET", f"/job/{job}/batch/{batch}/result/{each}") for each in ids]


def test_a_query_in_each_form(server: Server) -> None:
    name = unique()
    server.create("Account", Name=name, AnnualRevenue=5)
    soql = f"SELECT Id, Name, AnnualRevenue, Site, Owner.Name FROM Account WHERE Name = '{name}'"
    found = {}
    for kind in ("CSV", "JSON", "XML"):
        job, batch = query(server, soql, kind=kind)
        assert int(one.ended(server, job, batch)["numberRecordsProcessed"]) == 1
        [found[kind]] = results(server, job, batch)
        assert found[kind].headers["Content-Type"] == one.KINDS[kind]
    [row] = rows(found["CSV"].text)
    assert (list(row), row["Name"]) == (["Id", "Name", "AnnualRevenue", "Site", "Owner.Name"], name)
    [record] = found["JSON"].json()
    assert (record["Name"], record["Site"], record["attributes"]["type"]) == (name, None, "Account")
    root = ElementTree.fromstring(found["XML"].content)
    tags = [each.tag.removeprefix(one.SPACE) for each in root[0]]
    assert tags == ["type", "Id", "Id", "Name", "AnnualRevenue", "Site", "Owner"]


def test_a_query_that_finds_nothing_and_one_that_is_wrong(server: Server) -> None:
    job, batch = query(server, "SELECT Id FROM Account WHERE Name = 'nobody at all'")
    one.ended(server, job, batch)
    assert [each.text for each in results(server, job, batch)] == ["Records not found for this query"]
    wrong = one.add(server, job, "SELECT Id, COUNT(Id) FROM Account GROUP BY Id")
    told = one.ended(server, job, wrong)
    assert told["state"] == "Failed"
    assert "Aggregate functions" in told["stateMessage"]
    one.refused(one.call(server, "GET", f"/job/{job}/batch/{wrong}/result"), "InvalidBatch")


def test_query_all_has_deleted_rows_too(server: Server) -> None:
    name = unique()
    gone = server.create("Account", Name=name)
    server.delete(f"sobjects/Account/{gone}")
    for operation, expected in (("query", 0), ("queryAll", 1)):
        job, batch = query(server, f"SELECT Id FROM Account WHERE Name = '{name}'", operation)
        assert int(one.ended(server, job, batch)["numberRecordsProcessed"]) == expected


def test_pk_chunking(start: Start) -> None:
    """The first batch is not processed; each chunk is a batch of its own, and together they have every row once."""
    org = start("--opportunities", "120", "--lines", "1")
    soql = "SELECT Id, Name FROM Opportunity WHERE Name != 'x WHERE' AND (Amount > 0 OR Amount = null)"
    job, first = query(org, soql, **{"Sforce-Enable-PKChunking": "chunkSize=50"})
    assert one.ended(org, job, first)["state"] == "NotProcessed"
    listed = ElementTree.fromstring(one.call(org, "GET", f"/job/{job}/batch").content)
    ids = [str(each.findtext(f"{one.SPACE}id")) for each in listed]
    assert (ids[0], len(ids)) == (first, 4)
    names: list[str] = []
    for batch in ids[1:]:
        assert one.ended(org, job, batch)["state"] == "Completed"
        assert "AND Id >= '006" in one.call(org, "GET", f"/job/{job}/batch/{batch}/request").text
        names += [row["Name"] for answer in results(org, job, batch) for row in rows(answer.text)]
    assert (len(names), len(set(names))) == (120, 120)
    for whole in (f"{soql} ORDER BY Name", f"{soql} LIMIT 5", "SELECT Id FROM Opportunity WHERE AccountId != null"):
        batch = one.add(org, job, whole)
        assert one.ended(org, job, batch)["state"] == "Completed"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("chunkSize=0", "chunkSize is from 1 to 250000"),
        ("chunkSize=250001", "chunkSize is from 1 to 250000"),
        ("chunkSize=ten", "chunkSize is from 1 to 250000"),
        ("startRow=nothing", "startRow nothing is not an id"),
        ("parent=Account", "no sharing"),
        ("sometimes", "sometimes is not known"),
    ],
)
def test_a_wrong_chunking_header_is_refused(server: Server, header: str, words: str) -> None:
    order = json.dumps({"operation": "query", "object": "Account", "contentType": "CSV"})
    headers = {"Sforce-Enable-PKChunking": header}
    answer = one.call(server, "POST", "/job", order, "application/json", **headers)
    assert words in one.refused(answer, "InvalidJob")


# --- states -------------------------------------------------------------------------------------------------------


def test_states_that_do_not_allow_what_is_asked(server: Server) -> None:
    job = one.open(server)
    one.refused(one.move(server, job, "Paused"), "InvalidJobState")
    assert one.fields(one.move(server, job))["state"] == "Closed"
    assert "Closing already Completed Job" in one.refused(one.move(server, job), "InvalidJobState")
    assert "Aborting already Completed Job" in one.refused(one.move(server, job, "Aborted"), "InvalidJobState")
    late = one.call(server, "POST", f"/job/{job}/batch", "Name\nx\n", "text/csv")
    assert "The job is Closed" in one.refused(late, "InvalidJobState")
    aborted = one.open(server)
    assert one.fields(one.move(server, aborted, "Aborted"))["state"] == "Aborted"
    one.refused(one.move(server, aborted), "InvalidJobState")


def test_an_abort_leaves_waiting_batches_alone_and_ends_those_in_progress(start: Start) -> None:
    """With a serial job one batch runs at a time, so the others wait."""
    org = start("--profile", "seed")
    job = one.open(org, concurrencyMode="Serial")
    batches = [one.add(org, job, "Name\n" + "Acme\n" * 400) for _ in range(3)]
    while one.batch(org, job, batches[0])["state"] == "Queued":
        pass
    one.move(org, job, "Aborted")
    states = [one.ended(org, job, each)["state"] for each in batches]
    assert states == ["Completed", "NotProcessed", "NotProcessed"]
    assert len(org.query("SELECT Id FROM Account WHERE Name = 'Acme'")) == 400


def test_the_list_of_jobs_has_them_as_classic(server: Server) -> None:
    job = one.open(server)
    listed = server.get("jobs/ingest", params={"jobType": "Classic"}).json()["records"]
    [entry] = [each for each in listed if each["id"] == job]
    assert (entry["jobType"], entry["contentType"], entry["state"]) == ("Classic", "CSV", "Open")
    assert job not in [each["id"] for each in server.get("jobs/ingest").json()["records"]]
