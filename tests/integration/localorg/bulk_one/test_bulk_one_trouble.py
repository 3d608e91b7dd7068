"""Bulk API 1.0 with bad input, at its limits, with faults, and after a kill."""

from __future__ import annotations

import csv
import io
import json
import signal
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
from _server import Server, Start
from bulk_calls import one

_numbers = count(1)
HEAD = f'<jobInfo xmlns="{one.SPACE[1:-1]}">'


def unique() -> str:
    return f"Trouble {next(_numbers)}"


# --- orders -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("", "InvalidXML", "Unable to parse"),
        ("{", "InvalidJob", "Unable to parse"),
        ("[]", "InvalidJob", "JSON object"),
        ("<jobInfo>", "InvalidXML", "Unable to parse"),
        ("<other/>", "InvalidXML", "Expected jobInfo"),
        ("<jobInfo/>", "InvalidJob", "Must specify operation"),
        ('<?xml version="1.0" encoding="nonsense"?><jobInfo/>', "InvalidXML", "Unable to parse"),
        ("<jobInfo>\x00</jobInfo>", "InvalidXML", "Unable to parse"),
        ('{"operation": "INSERT", "object": "Account"}', "InvalidJob", "INSERT is not one of"),
        ('{"operation": "insert"}', "InvalidJob", "Must specify object"),
        ('{"operation": "insert", "object": "Nonsense"}', "InvalidJob", "Unable to find object: Nonsense"),
        ('{"operation": "insert", "object": 7}', "InvalidJob", "Unable to find object: 7"),
        ('{"operation": "upsert", "object": "Account"}', "InvalidJob", "External ID was blank"),
        ('{"operation": "insert", "object": "Account", "contentType": "YAML"}', "InvalidJob", "YAML"),
        ('{"operation": "insert", "object": "Account", "contentType": "ZIP_CSV"}', "InvalidJob", "binary attachments"),
        ('{"operation": "insert", "object": "Account", "concurrencyMode": 2}', "InvalidJob", "concurrencyMode"),
        ('{"operation": "insert", "object": "Account", "concurrencyMode": true}', "InvalidJob", "concurrencyMode"),
    ],
)
def test_a_wrong_order_is_refused(server: Server, body: str, code: str, words: str) -> None:
    assert words in one.refused(one.call(server, "POST", "/job", body, "application/xml"), code)


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
HOSTILE = {
    "a billion laughs": f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lol">{LAUGHS}]>@<a>&l9;</a>#',
    "a file of the machine": '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>@<a>&f;</a>#',
    "a DTD elsewhere": '<?xml version="1.0"?><!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">@<a/>#',
    "deep nesting": "@" + "<a>" * 100_000 + "</a>" * 100_000 + "#",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_xml_is_refused_in_an_instant(server: Server, what: str) -> None:
    """As a job, and as a batch of one."""
    began = time.monotonic()
    text = HOSTILE[what]
    # A jobInfo of this size is refused for its size alone.
    body = text.replace("@", "<jobInfo>").replace("#", "</jobInfo>")
    answer = one.call(server, "POST", "/job", body, "application/xml")
    assert answer.status_code == 400
    assert one.fields(answer)["exceptionCode"] in ("InvalidXML", "ClientInputError")
    job = one.open(server, kind="XML")
    batch = text.replace("@", "<sObjects><sObject>").replace("#", "</sObject></sObjects>")
    told = one.ended(server, job, one.add(server, job, batch, "XML"))
    assert (told["state"], told["stateMessage"][:10]) == ("Failed", "InvalidXML")
    assert time.monotonic() - began < 5


# --- batches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("CSV", "", "The first row of the file has to name the fields"),
        ("CSV", "Name\na\n\"open\n", "EOF reached before closing an opened quote"),
        ("CSV", b"Name\n\xff\xfe\n", "not in UTF-8"),
        ("CSV", "Name,Nonsense__c\na,b\n", "Field name not found : Nonsense__c"),
        ("CSV", "Name,name\na,b\n", "Duplicate field name"),
        ("CSV", "Name\n" + "a\n" * 10_001, "more than 10000 records"),
        ("JSON", "{", "not JSON"),
        ("JSON", '{"Name": "a"}', "not a list of records"),
        ("JSON", "[7]", "not a list of records"),
        ("JSON", "[]", "no records"),
        ("JSON", '[{"Name": ["a"]}]', "The value of Name is not text"),
        ("JSON", '[{"Owner": {"Id": {}}}]', "The value of Id is not text"),
        ("JSON", '[{"Nonsense__c": 1}]', "Field name not found : Nonsense__c"),
        ("XML", "<sObject/>", "Expected sObjects"),
        ("XML", "<sObjects", "InvalidXML : Unable to parse"),
        ("XML", "<sObjects><sObject/></sObjects>", "no records"),
    ],
)  # fmt: skip
def test_a_batch_that_cannot_be_read_fails_as_a_whole(server: Server, kind: str, data: Any, words: str) -> None:
    job = one.open(server, kind=kind)
    told = one.ended(server, job, one.add(server, job, data, kind))
    assert (told["state"], int(told["numberRecordsProcessed"])) == ("Failed", 0)
    assert words in told["stateMessage"]


def test_limits_of_a_batch(server: Server) -> None:
    job = one.open(server)
    large = one.call(server, "POST", f"/job/{job}/batch", b"x" * 10_000_001, "text/csv")
    assert "Exceeded max size limit" in one.refused(large, "ClientInputError")
    wrong = one.call(server, "POST", f"/job/{job}/batch", "[]", "application/json")
    assert "send text/csv" in one.refused(wrong, "InvalidBatch")
    other = requests.get(
        f"{server.url}/services/async/65.0/job/{job}/batch", headers={"X-SFDC-Session": server.token}, timeout=10
    )
    assert "API version 66.0" in one.refused(other, "InvalidUrl")
    for path in (f"/job/{job}/batch/751000000000001", f"/job/{job}/batch/undefined/result"):
        one.refused(one.call(server, "GET", path), "InvalidBatch")


def test_batches_of_the_day_are_counted(start: Start) -> None:
    org = start()
    before = org.get("limits").json()["DailyBulkApiBatches"]
    job = one.open(org)
    one.work(org, job, "Name\nA\n")
    after = org.get("limits").json()["DailyBulkApiBatches"]
    assert (before, after) == ({"Max": 15_000, "Remaining": 15_000}, {"Max": 15_000, "Remaining": 14_999})


def test_calls_are_counted_and_refused_when_the_day_is_used_up(start: Start) -> None:
    org = start()
    used = org.get("limits").json()["DailyApiRequests"]["Remaining"]
    job = one.open(org)
    assert org.get("limits").json()["DailyApiRequests"]["Remaining"] == used - 2
    org.post("/localorg/limits", {"dailyApiRequests": 1})
    told = one.refused(one.call(org, "GET", f"/job/{job}"), "ExceededQuota")
    assert told == "TotalRequests Limit exceeded."


# --- faults -------------------------------------------------------------------------------------------------------


def test_faults_hit_this_api_too(server: Server) -> None:
    job = one.open(server)
    fault = {"kind": "fail_before_write", "match": {"resource": "async/job/batch", "object": "Account"}, "count": 1}
    lock = {"kind": "lock", "match": {"resource": "jobs/ingest/rows", "object": "Account"}, "count": 1}
    try:
        assert server.post("/localorg/faults", fault).status_code < 300
        answer = one.call(server, "POST", f"/job/{job}/batch", "Name\nx\n", "text/csv")
        one.refused(answer, "SERVER_UNAVAILABLE", 503)
        assert server.post("/localorg/faults", lock).status_code < 300
        _, text = one.work(server, job, f"Name\n{unique()}\n{unique()}\n")
        assert [line.split(",")[1] for line in text.splitlines()[1:]] == ['"false"', '"true"']
        assert "UNABLE_TO_LOCK_ROW" in text
    finally:
        server.post("/localorg/faults", {"clear": True})


def test_a_killed_org_goes_on_with_its_batches_and_has_each_row_once(start: Start, tmp_path: Path) -> None:
    """kill -9 in the middle of several batches: after the restart all are completed, in the order of their requests."""
    database = str(tmp_path / "org.db")
    org = start("--db", database)
    job = one.open(org)
    texts = ["Name\n" + "".join(f"Row {batch}-{row}\n" for row in range(6_000)) for batch in range(3)]
    batches = [one.add(org, job, text) for text in texts]
    while int(one.batch(org, job, batches[0])["numberRecordsProcessed"]) < 400:
        pass
    org.stop(signal.SIGKILL)
    org = start("--db", database)
    for number, batch in enumerate(batches):
        told = one.ended(org, job, batch)
        assert (told["state"], told["numberRecordsProcessed"]) == ("Completed", "6000")
        ids = [row["Id"] for row in csv.DictReader(io.StringIO(one.result(org, job, batch), newline=""))]
        assert len(set(ids)) == 6_000
        assert org.row("Account", ids[0])["Name"] == f"Row {number}-0"
        assert org.row("Account", ids[5_999])["Name"] == f"Row {number}-5999"
    answer = org.get("query", params={"q": "SELECT COUNT() FROM Account WHERE Name LIKE 'Row %'"})
    assert answer.json()["totalSize"] == 18_000


def test_only_its_creator_adds_to_a_job(server: Server) -> None:
    job = one.open(server)
    people = requests.get(f"{server.url}/localorg/users", timeout=10).json()
    text = json.dumps(people)
    other = next(each for each in _found(people) if "standard" in json.dumps(each))
    assert other["accessToken"] in text
    headers = {"X-SFDC-Session": other["accessToken"], "Content-Type": "text/csv"}
    url = f"{server.url}{one.ASYNC}/job/{job}"
    one.refused(requests.post(f"{url}/batch", data="Name\nx\n", headers=headers, timeout=10), "InvalidUser")
    order = json.dumps({"operation": "hardDelete", "object": "Account", "contentType": "CSV"})
    answer = requests.post(f"{server.url}{one.ASYNC}/job", data=order, headers=headers, timeout=10)
    assert answer.status_code == 400


def _found(people: Any) -> list[dict[str, Any]]:
    return list(people["users"]) if isinstance(people, dict) else list(people)
