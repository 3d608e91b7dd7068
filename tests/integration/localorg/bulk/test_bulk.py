"""Bulk API 2.0 ingest: files of rows, worked off in the background."""

from __future__ import annotations

import csv
import gzip
import io
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import requests
from _server import DATA, Server, Start

Json = dict[str, Any]
FINISHED = ("JobComplete", "Failed", "Aborted")


def _open(org: Server, object_name: str = "Account", operation: str = "insert", **more: str) -> Json:
    answer = org.post("jobs/ingest", {"object": object_name, "operation": operation, **more})
    assert answer.status_code == 200, answer.text
    body: Json = answer.json()
    return body


def _put(org: Server, job: Json, rows: str | bytes | Iterable[bytes], **headers: str) -> requests.Response:
    data = rows.encode() if isinstance(rows, str) else rows
    return org.put(f"/{job['contentUrl']}", data, headers={"Content-Type": "text/csv"} | headers)


def _move(org: Server, job: Json, state: str = "UploadComplete") -> requests.Response:
    return org.patch(f"jobs/ingest/{job['id']}", {"state": state})


def _info(org: Server, job: Json) -> Json:
    body: Json = org.get(f"jobs/ingest/{job['id']}").json()
    return body


def _ended(org: Server, job: Json) -> Json:
    deadline = time.monotonic() + 30
    while (info := _info(org, job))["state"] not in FINISHED:
        assert time.monotonic() < deadline, info
        time.sleep(0.02)
    return info


def _work(org: Server, job: Json, rows: str | bytes | Iterable[bytes]) -> Json:
    assert _put(org, job, rows).status_code == 201
    assert _move(org, job).status_code == 200
    return _ended(org, job)


def _text(org: Server, job: Json, which: str) -> str:
    answer = org.get(f"jobs/ingest/{job['id']}/{which}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/csv")
    return answer.content.decode()


def _rows(org: Server, job: Json, which: str, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(_text(org, job, which), newline=""), delimiter=delimiter))


def _errors(org: Server, job: Json) -> list[str]:
    return [row["sf__Error"] for row in _rows(org, job, "failedResults")]


def _refused(answer: requests.Response, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    (error,) = answer.json()
    assert error["errorCode"] == code
    message: str = error["message"]
    return message


# --- one job from its order to its results ------------------------------------------------------------------------


def test_a_job_from_order_to_results(server: Server) -> None:
    """Create, upload, close, ask, three result files: as the guide walks through it."""
    job = _open(server)
    assert {key: job[key] for key in job if "Date" not in key and "stamp" not in key} == {
        "id": job["id"],
        "operation": "insert",
        "object": "Account",
        "createdById": server.user_id,
        "state": "Open",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": 66.0,
        "contentUrl": f"services/data/v66.0/jobs/ingest/{job['id']}/batches",
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    }
    assert job["id"].startswith("750")
    uploaded = _put(server, job, "Name,AnnualRevenue\nOne,7\n,2\nThree,many\nFour,\n")
    assert (uploaded.status_code, uploaded.content) == (201, b"")
    closed = _move(server, job).json()
    assert (closed["id"], closed["state"]) == (job["id"], "UploadComplete")
    info = _ended(server, job)
    assert (info["state"], info["jobType"], info["retries"]) == ("JobComplete", "V2Ingest", 0)
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (4, 2)
    assert "errorMessage" not in info
    good = {row["Name"]: row for row in _rows(server, job, "successfulResults/")}
    assert set(good) == {"One", "Four"}
    assert good["One"]["sf__Created"] == "true"
    assert server.row("Account", good["One"]["sf__Id"])["AnnualRevenue"] == 7.0
    assert sorted(_errors(server, job)) == [
        "INVALID_TYPE_ON_FIELD_IN_RECORD:Annual Revenue: value not of required type: many:AnnualRevenue --",
        "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --",
    ]
    assert _text(server, job, "failedResults").startswith('"sf__Id","sf__Error","Name","AnnualRevenue"\n"",')
    assert _rows(server, job, "unprocessedrecords") == []
    assert _rows(server, job, "unprocessedRecords/") == []


def test_a_job_with_its_rows_in_one_request(server: Server) -> None:
    """Multipart: the job goes straight to UploadComplete."""
    order = '{"object": "Account", "operation": "insert"}'
    parts = {"job": (None, order, "application/json"), "content": ("content", "Name\nAt once\n", "text/csv")}
    answer = server.request("POST", "jobs/ingest", files=parts)
    assert answer.status_code == 200
    assert answer.json()["state"] == "UploadComplete"
    assert _ended(server, answer.json())["numberRecordsProcessed"] == 1
    long = {**parts, "content": ("content", "Name\n" + "x" * 100_000, "text/csv")}
    _refused(server.request("POST", "jobs/ingest", files=long), 400, "INVALIDJOB")
    _refused(server.request("POST", "jobs/ingest", files={"job": parts["job"]}), 400, "INVALIDJOB")


def test_an_id_may_have_15_characters(server: Server) -> None:
    """As everywhere; an unknown job is a 404."""
    job = _open(server)
    assert server.get(f"jobs/ingest/{job['id'][:15]}/").json()["id"] == job["id"]
    for unknown in ("undefined", server.user_id):
        _refused(server.get(f"jobs/ingest/{unknown}"), 404, "NOT_FOUND")
        _refused(server.delete(f"jobs/ingest/{unknown}"), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("order", "code", "said"),
    [
        ({"operation": "insert"}, "INVALIDJOB", "Must specify object"),
        ({"object": "Account"}, "INVALIDJOB", "Must specify operation"),
        ({"object": "Bogus", "operation": "insert"}, "INVALIDJOB", "Unable to find object: Bogus"),
        ({"object": "Account", "operation": "query"}, "JSON_PARSER_ERROR", "operation: query is not one of insert"),
        ({"object": "Account", "operation": "upsert"}, "INVALIDJOB", "External ID was blank for Account"),
        (
            {"object": "Account", "operation": "upsert", "externalIdFieldName": "Industry"},
            "INVALIDJOB",
            "Industry does not match an External ID",
        ),
        (
            {"object": "Account", "operation": "insert", "externalIdFieldName": "Id"},
            "INVALIDJOB",
            "External ID can only be specified for upsert",
        ),
        ({"object": "Account", "operation": "insert", "columnDelimiter": ","}, "JSON_PARSER_ERROR", "columnDelimiter"),
        ({"object": "Account", "operation": "insert", "lineEnding": "CR"}, "JSON_PARSER_ERROR", "lineEnding"),
        ({"object": "Account", "operation": "insert", "contentType": "JSON"}, "JSON_PARSER_ERROR", "contentType"),
        ([], "JSON_PARSER_ERROR", "A job is a JSON object"),
    ],
)
def test_an_order_that_makes_no_job_is_refused(server: Server, order: Any, code: str, said: str) -> None:
    """400 with what is wrong."""
    assert said in _refused(server.post("jobs/ingest", order), 400, code)


def test_keys_an_order_does_not_know_are_passed_over(server: Server) -> None:
    """The JavaScript SDK of Heroku AppLink sends its whole options, `dataTable` among them."""
    order = {"object": "Account", "operation": "insert", "dataTable": [{}, {}]}
    assert server.post("jobs/ingest", order).status_code == 200


# --- files --------------------------------------------------------------------------------------------------------

DELIMITERS = [("BACKQUOTE", "`"), ("CARET", "^"), ("COMMA", ","), ("PIPE", "|"), ("SEMICOLON", ";"), ("TAB", "\t")]


@pytest.mark.parametrize(("name", "delimiter"), DELIMITERS)
@pytest.mark.parametrize(("ending", "line"), [("LF", "\n"), ("CRLF", "\r\n")])
def test_every_delimiter_and_line_ending(server: Server, name: str, delimiter: str, ending: str, line: str) -> None:
    """In the upload and in the results; whatever is quoted comes back as it was."""
    values = [
        "plain",
        f"with {delimiter} in it",
        'a "word" quoted',
        "two\nlines",
        "two\r\nlines",
        " spaces ",
        "Zürich 日本",
    ]
    quoted = [['"' + value.replace('"', '""') + '"', '"x"'] for value in values]
    text = line.join(delimiter.join(row) for row in [["Name", "BillingCity"], *quoted]) + line
    job = _open(server, columnDelimiter=name, lineEnding=ending)
    info = _work(server, job, text)
    assert (info["state"], info["numberRecordsFailed"]) == ("JobComplete", 0), info
    rows = _rows(server, job, "successfulResults", delimiter)
    assert sorted(row["Name"] for row in rows) == sorted(values)
    assert _text(server, job, "successfulResults").startswith(f'"sf__Id"{delimiter}"sf__Created"{delimiter}"Name"')
    assert _text(server, job, "successfulResults").endswith(f'"x"{line}')


@pytest.mark.parametrize(("ending", "line"), [("LF", "\r\n"), ("CRLF", "\n")])
def test_another_line_ending_than_declared_fails_the_job(server: Server, ending: str, line: str) -> None:
    """The mistake everybody makes once; nothing is written, every row is unprocessed."""
    job = _open(server, lineEnding=ending)
    info = _work(server, job, f"Name{line}One{line}")
    said = f"ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is {ending}"
    assert (info["state"], info["errorMessage"], info["numberRecordsProcessed"]) == ("Failed", said, 0)
    assert _text(server, job, "unprocessedrecords") == f"Name{line}One{line}"


@pytest.mark.parametrize(
    ("operation", "rows", "said"),
    [
        ("insert", "Name,Bogus__c\nOne,1\n", "InvalidBatch : Field name not found : Bogus__c"),
        ("insert", "Name;Industry\nOne;x\n", "InvalidBatch : Field name not found : Name;Industry"),
        ("insert", "Name,Parent.Bogus__c\nOne,x\n", "InvalidBatch : Field name not found : Parent.Bogus__c"),
        ("insert", "\ufeffName\nOne\n", "InvalidBatch : Field name not found : \ufeffName"),
        ("insert", "Name,name\nOne,Two\n", "InvalidBatch : Duplicate field name : name"),
        ("delete", "Id,Name\nx,y\n", "InvalidBatch : The 'delete' batch must contain only ids"),
        ("insert", "", "ClientInputError : The first row of the file has to name the fields"),
    ],
)
def test_a_header_row_that_fits_nothing_fails_the_job(server: Server, operation: str, rows: str, said: str) -> None:
    """The job's errorMessage says why; its rows are unprocessed."""
    job = _open(server, operation=operation)
    info = _work(server, job, rows)
    assert (info["state"], info["errorMessage"]) == ("Failed", said)
    assert _text(server, job, "unprocessedrecords") == rows
    assert _rows(server, job, "successfulResults") == []


def test_a_job_closed_without_an_upload_fails(server: Server) -> None:
    """There is nothing to work off."""
    job = _open(server)
    assert _move(server, job).status_code == 200
    assert _ended(server, job)["errorMessage"] == "ClientInputError : No data was uploaded"


def test_a_file_broken_in_the_middle_fails_the_job_there(server: Server) -> None:
    """What came before is written, the rest is unprocessed."""
    job = _open(server)
    good = [f"Good {number}" for number in range(250)]
    bad = 'Broken "quote\n"x" y\nLast\n'
    info = _work(server, job, "Name\n" + "\n".join(good) + "\n" + bad)
    assert info["state"] == "Failed"
    assert info["errorMessage"].startswith("ClientInputError : The file cannot be read as CSV in UTF-8")
    names = {row["Name"] for row in _rows(server, job, "successfulResults")}
    assert names >= set(good)
    assert info["numberRecordsProcessed"] == len(names)
    assert _text(server, job, "unprocessedrecords") == 'Name\n"x" y\nLast\n'


def test_rows_of_another_width_fail_by_themselves(server: Server) -> None:
    """Empty lines are no rows at all."""
    job = _open(server)
    info = _work(server, job, "Name,BillingCity\nOne\n\nTwo,x\nThree,x,y\n\n")
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (3, 2)
    assert sorted(_errors(server, job))[0] == "INVALID_ROW:The row has 1 values, the header row names 2 fields:--"


def test_an_upload_may_come_in_chunks_and_compressed(server: Server) -> None:
    """Without Content-Length, as jsforce sends it; with Content-Encoding: gzip."""
    job = _open(server)
    info = _work(server, job, iter([b"Na", b"me\nChu", b"nk", b"ed\n"]))
    assert info["numberRecordsProcessed"] == 1
    assert [row["Name"] for row in _rows(server, job, "successfulResults")] == ["Chunked"]
    packed = _open(server)
    assert _put(server, packed, gzip.compress(b"Name\nPacked\n"), **{"Content-Encoding": "gzip"}).status_code == 201
    _move(server, packed)
    _ended(server, packed)
    assert [row["Name"] for row in _rows(server, packed, "successfulResults")] == ["Packed"]


def test_a_second_upload_replaces_the_first(server: Server) -> None:
    """A client whose upload got no answer sends it again."""
    job = _open(server)
    for rows in ("Name\nFirst\n", "Name\nSecond\n"):
        assert _put(server, job, rows).status_code == 201
    assert _move(server, job).status_code == 200
    assert _ended(server, job)["numberRecordsProcessed"] == 1
    assert [row["Name"] for row in _rows(server, job, "successfulResults")] == ["Second"]


def test_an_upload_that_broke_off_leaves_the_one_before(server: Server) -> None:
    """Half a file is no file."""

    def broken() -> Iterator[bytes]:
        yield b"Name\nHalf\n"
        raise ConnectionAbortedError

    job = _open(server)
    assert _put(server, job, "Name\nWhole\n").status_code == 201
    with pytest.raises((ConnectionAbortedError, requests.ConnectionError)):
        _put(server, job, broken())
    assert _move(server, job).status_code == 200
    _ended(server, job)
    assert [row["Name"] for row in _rows(server, job, "successfulResults")] == ["Whole"]


def test_an_upload_of_another_type_or_size_is_refused(server: Server) -> None:
    """Rows are CSV, at most 150 MB of them."""
    job = _open(server)
    _refused(_put(server, job, "{}", **{"Content-Type": "application/json"}), 415, "UNSUPPORTED_MEDIA_TYPE")
    # 160 MB of zeros are small on the wire.
    zeros = gzip.compress(bytes(160 * 1024 * 1024), 1)
    _refused(_put(server, job, zeros, **{"Content-Encoding": "gzip"}), 413, "EXCEEDEDQUOTA")


# --- operations ---------------------------------------------------------------------------------------------------


def test_update_changes_what_is_given(server: Server) -> None:
    """An empty cell leaves a value, #N/A removes it."""
    ids = [server.create("Account", Name=f"Old {number}", BillingCity="Bern", Phone="1") for number in range(3)]
    job = _open(server, operation="update")
    rows = f"Id,Name,BillingCity,Phone\n{ids[0]},New,,#N/A\n{ids[1][:15]},,Basel,\n{ids[2]},#N/A,,\n,x,,\n"
    info = _work(server, job, rows)
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (4, 2)
    changed = [server.row("Account", record_id) for record_id in ids]
    assert [(row["Name"], row["BillingCity"], row["Phone"]) for row in changed] == [
        ("New", "Bern", None),
        ("Old 1", "Basel", "1"),
        ("Old 2", "Bern", "1"),
    ]
    assert {row["sf__Created"] for row in _rows(server, job, "successfulResults")} == {"false"}
    failed = {row["sf__Id"]: row["sf__Error"] for row in _rows(server, job, "failedResults")}
    assert failed[""] == "MISSING_ARGUMENT:Id not specified in an update call:Id --"
    assert failed[ids[2]].startswith("REQUIRED_FIELD_MISSING:")


def test_upsert_by_external_id(server: Server, deal: Any) -> None:
    """Creates what is not there, updates what is; the same key twice in a transaction is neither."""
    key = f"bulk:{deal.opportunity}"
    job = _open(server, "Quote", "upsert", externalIdFieldName="QuoteJobKey__c")
    info = _work(
        server, job, f"QuoteJobKey__c,Name,OpportunityId\n{key},First,{deal.opportunity}\n,No key,{deal.opportunity}\n"
    )
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (2, 1)
    (first,) = _rows(server, job, "successfulResults")
    assert first["sf__Created"] == "true"
    assert _errors(server, job)[0].startswith("MISSING_ARGUMENT:QuoteJobKey__c not specified")
    again = _open(server, "Quote", "upsert", externalIdFieldName="quotejobkey__c")
    _work(server, again, f"Name,QuoteJobKey__c\nSecond,{key}\n")
    (second,) = _rows(server, again, "successfulResults")
    assert (second["sf__Id"], second["sf__Created"]) == (first["sf__Id"], "false")
    assert server.row("Quote", first["sf__Id"])["Name"] == "Second"
    twice = _open(server, "Quote", "upsert", externalIdFieldName="QuoteJobKey__c")
    _work(server, twice, f"Name,QuoteJobKey__c\nThird,{key}\nFourth,{key}\n")
    assert _errors(server, twice) == [f"DUPLICATE_VALUE:Duplicate external id specified: {key}:QuoteJobKey__c --"] * 2


def test_upsert_by_id(server: Server) -> None:
    """Without an id a row is created."""
    there = server.create("Account", Name="There")
    job = _open(server, operation="upsert", externalIdFieldName="Id")
    assert _work(server, job, f"Id,Name\n{there},Here\n,New\n")["numberRecordsFailed"] == 0
    assert sorted(row["sf__Created"] for row in _rows(server, job, "successfulResults")) == ["false", "true"]
    assert server.row("Account", there)["Name"] == "Here"


def test_parents_may_be_named_by_an_external_id(server: Server) -> None:
    """A column Parent.Key finds the parent's id; one that finds nothing fails its row."""
    username = server.row("User", server.user_id)["Username"]
    job = _open(server)
    info = _work(server, job, f"Name,Owner.Username\nOwned,{username}\nLost,nobody@example.com\n")
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (2, 1)
    (owned,) = _rows(server, job, "successfulResults")
    assert server.row("Account", owned["sf__Id"])["OwnerId"] == server.user_id
    assert "Foreign key external ID: nobody@example.com not found for field Username" in _errors(server, job)[0]


@pytest.mark.parametrize("operation", ["delete", "hardDelete"])
def test_delete_takes_ids(server: Server, deal: Any, operation: str) -> None:
    """A row and what hangs on it; once deleted it cannot be deleted again. Only a hard delete leaves nothing behind."""
    job = _open(server, operation=operation)
    info = _work(server, job, f"Id\n{deal.account}\nnonsense\n")
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (2, 1)
    (deleted,) = _rows(server, job, "successfulResults")
    assert (deleted["sf__Id"], deleted["sf__Created"]) == (deal.account, "false")
    assert server.get(f"sobjects/Opportunity/{deal.opportunity}").status_code == 404
    again = server.delete(f"sobjects/Account/{deal.account}").json()[0]["errorCode"]
    assert again == ("ENTITY_IS_DELETED" if operation == "delete" else "NOT_FOUND")


def test_lines_are_inserted_under_all_rules(server: Server, deal: Any) -> None:
    """A Bulk row is a row like any other: its references are checked, totals are kept."""
    job = _open(server, "OpportunityLineItem")
    rows = "OpportunityId,PricebookEntryId,Quantity,UnitPrice\n"
    rows += f"{deal.opportunity},{deal.entry},2,100\n{deal.opportunity},{deal.entry},1,50\n"
    rows += f"{deal.opportunity},{deal.product},1,50\n"
    info = _work(server, job, rows)
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (3, 1)
    assert server.row("Opportunity", deal.opportunity)["Amount"] == 250.0


def test_an_insert_names_no_ids(server: Server) -> None:
    """Ids are the org's to give."""
    job = _open(server)
    _work(server, job, f"Id,Name\n{server.user_id},One\n,Two\n")
    assert [row["Name"] for row in _rows(server, job, "successfulResults")] == ["Two"]
    assert _errors(server, job) == ["INVALID_FIELD_FOR_INSERT_UPDATE:cannot specify Id in an insert call:Id --"]


# --- the life of a job --------------------------------------------------------------------------------------------


def _many(count: int, name: str = "Row") -> str:
    return "Name\n" + "".join(f"{name} {number}\n" for number in range(count))


def test_results_come_in_another_order_than_the_upload(server: Server) -> None:
    """Every row once, shuffled, and the same way whenever asked."""
    job = _open(server)
    assert _work(server, job, _many(12_000))["numberRecordsProcessed"] == 12_000
    names = [row["Name"] for row in _rows(server, job, "successfulResults")]
    assert names != [f"Row {number}" for number in range(12_000)]
    assert sorted(names) == sorted(f"Row {number}" for number in range(12_000))
    # Internal batches of 10,000 follow one another.
    assert {int(name.removeprefix("Row ")) for name in names[10_000:]} == set(range(10_000, 12_000))
    few = _open(server)
    _work(server, few, _many(2))
    assert [row["Name"] for row in _rows(server, few, "successfulResults")] == ["Row 1", "Row 0"]


def test_requests_run_while_a_job_does(server: Server) -> None:
    """The numbers grow as it goes, and nobody waits for its end."""
    job = _open(server)
    _put(server, job, _many(40_000))
    _move(server, job)
    seen: set[int] = set()
    while (info := _info(server, job))["state"] not in FINISHED:
        seen.add(info["numberRecordsProcessed"])
        started = time.monotonic()
        server.create("Account", Name="In between")
        assert time.monotonic() - started < 5
    assert len(seen) > 2
    assert all(number % 200 == 0 for number in seen)
    assert info["numberRecordsProcessed"] == 40_000
    assert info["apiActiveProcessingTime"] > 0
    assert info["totalProcessingTime"] > 0


def test_an_aborted_job_keeps_what_is_written(server: Server) -> None:
    """Successful and unprocessed rows together are the upload."""
    job = _open(server)
    _put(server, job, _many(60_000, "Abort"))
    _move(server, job)
    while _info(server, job)["numberRecordsProcessed"] == 0:
        time.sleep(0.005)
    assert _move(server, job, "Aborted").json()["state"] == "Aborted"
    info = _info(server, job)
    assert info["state"] == "Aborted"
    assert 0 < info["numberRecordsProcessed"] < 60_000
    done = [row["Name"] for row in _rows(server, job, "successfulResults")]
    left = [row["Name"] for row in _rows(server, job, "unprocessedrecords")]
    assert len(done) == info["numberRecordsProcessed"]
    assert sorted(done + left) == sorted(f"Abort {number}" for number in range(60_000))
    assert _refused(_move(server, job, "Aborted"), 400, "INVALIDJOBSTATE") == "Aborting already Aborted Job not allowed"


def test_a_job_aborted_before_it_began_has_all_rows_unprocessed(server: Server) -> None:
    """Also one that has no rows at all."""
    job, empty = _open(server), _open(server)
    _put(server, job, "Name\nOne\n")
    assert _move(server, job, "Aborted").status_code == 200
    assert _move(server, empty, "Aborted").status_code == 200
    assert _text(server, job, "unprocessedrecords") == "Name\nOne\n"
    assert _text(server, empty, "unprocessedrecords") == ""
    assert _text(server, empty, "successfulResults") == '"sf__Id","sf__Created"\n'
    _refused(_put(server, job, "Name\nTwo\n"), 400, "INVALIDJOBSTATE")


def test_a_finished_job_is_neither_closed_nor_aborted(server: Server) -> None:
    """The platform's own words."""
    job = _open(server)
    _work(server, job, "Name\nOne\n")
    aborting, closing = (_move(server, job, state) for state in ("Aborted", "UploadComplete"))
    assert _refused(aborting, 400, "INVALIDJOBSTATE") == "Aborting already Completed Job not allowed"
    assert _refused(closing, 400, "INVALIDJOBSTATE") == "Closing already Completed Job not allowed"
    _refused(_put(server, job, "Name\nTwo\n"), 400, "INVALIDJOBSTATE")
    _refused(_move(server, job, "Open"), 400, "JSON_PARSER_ERROR")
    assert _info(server, job)["state"] == "JobComplete"


def test_a_job_is_deleted_when_it_has_ended(server: Server) -> None:
    """Not while it is open; afterwards nobody knows it."""
    job = _open(server)
    _refused(server.delete(f"jobs/ingest/{job['id']}"), 400, "API_ERROR")
    _work(server, job, "Name\nOne\n")
    answer = server.delete(f"jobs/ingest/{job['id']}/")
    assert (answer.status_code, answer.content) == (204, b"")
    for path in ("", "/successfulResults", "/failedResults", "/unprocessedrecords"):
        _refused(server.get(f"jobs/ingest/{job['id']}{path}"), 404, "NOT_FOUND")


def test_jobs_are_listed_a_thousand_at_a_time(start: Start) -> None:
    """With the locator of the next page; there are no jobs of other kinds."""
    org = start()
    assert org.get("jobs/ingest").json() == {"done": True, "records": [], "nextRecordsUrl": None}
    ids = [_open(org)["id"] for _ in range(1003)]
    first = org.get("jobs/ingest/?jobType=V2Ingest").json()
    assert (first["done"], len(first["records"])) == (False, 1000)
    assert first["records"][0]["jobType"] == "V2Ingest"
    second = org.get(first["nextRecordsUrl"]).json()
    assert (second["done"], second["nextRecordsUrl"]) == (True, None)
    assert [job["id"] for job in first["records"] + second["records"]] == ids
    for nothing in ("jobType=Classic", "jobType=BigObjectIngest", "isPkChunkingEnabled=true"):
        assert org.get(f"jobs/ingest?{nothing}").json()["records"] == []
    assert len(org.get("jobs/ingest?isPkChunkingEnabled=false").json()["records"]) == 1000
    _refused(org.get("jobs/ingest?queryLocator=nonsense"), 400, "INVALID_QUERY_LOCATOR")


def test_other_versions_are_told_back(server: Server) -> None:
    """apiVersion is a number; contentUrl has no leading slash."""
    body = {"object": "Account", "operation": "insert"}
    job = server.post("/services/data/v58.0/jobs/ingest", body).json()
    assert (job["apiVersion"], job["contentUrl"].split("/")[2]) == (58.0, "v58.0")


def test_the_seed_profile_takes_its_time_in_the_background(start: Start) -> None:
    """Two seconds to start and 0.25 ms a row; the requests themselves cost as ever, and rows are counted."""
    org = start("--profile", "seed")
    job = _open(org)
    _put(org, job, _many(4_000))
    started = time.monotonic()
    _move(org, job)
    assert time.monotonic() - started < 2
    assert _info(org, job)["state"] == "UploadComplete"
    info = _ended(org, job)
    assert 3.0 <= time.monotonic() - started < 30
    assert info["state"] == "JobComplete"
    assert org.get("/localorg/stats").json()["recordsWritten"] == {"Account": 4_000}
    assert org.get(f"{DATA}/jobs/ingest/{job['id']}/failedResults").text == '"sf__Id","sf__Error","Name"\n'
