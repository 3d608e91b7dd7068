"""Bulk API 2.0 ingest: files of rows, worked off in the background."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import _bulk as bulk
import pytest
import requests
from _server import Server

Json = dict[str, Any]


# --- one job from its order to its results ------------------------------------------------------------------------


def test_a_job_from_order_to_results(server: Server) -> None:
    """Create, upload, close, ask, three result files: as the guide walks through it."""
    job = bulk.open(server)
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
    uploaded = bulk.put(server, job, "Name,AnnualRevenue\nOne,7\n,2\nThree,many\nFour,\n")
    assert (uploaded.status_code, uploaded.content) == (201, b"")
    closed = bulk.move(server, job).json()
    assert (closed["id"], closed["state"]) == (job["id"], "UploadComplete")
    info = bulk.ended(server, job)
    assert (info["state"], info["jobType"], info["retries"]) == ("JobComplete", "V2Ingest", 0)
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (4, 2)
    assert "errorMessage" not in info
    good = {row["Name"]: row for row in bulk.rows(server, job, "successfulResults/")}
    assert set(good) == {"One", "Four"}
    assert good["One"]["sf__Created"] == "true"
    assert server.row("Account", good["One"]["sf__Id"])["AnnualRevenue"] == 7.0
    assert sorted(bulk.errors(server, job)) == [
        "INVALID_TYPE_ON_FIELD_IN_RECORD:Annual Revenue: value not of required type: many:AnnualRevenue --",
        "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --",
    ]
    assert bulk.text(server, job, "failedResults").startswith('"sf__Id","sf__Error","Name","AnnualRevenue"\n"",')
    assert bulk.rows(server, job, "unprocessedrecords") == []
    assert bulk.rows(server, job, "unprocessedRecords/") == []


def test_a_job_with_its_rows_in_one_request(server: Server) -> None:
    """Multipart: the job goes straight to UploadComplete."""
    order = '{"object": "Account", "operation": "insert"}'
    parts = {"job": (None, order, "application/json"), "content": ("content", "Name\nAt once\n", "text/csv")}
    answer = server.request("POST", "jobs/ingest", files=parts)
    assert answer.status_code == 200
    assert answer.json()["state"] == "UploadComplete"
    assert bulk.ended(server, answer.json())["numberRecordsProcessed"] == 1
    long = {**parts, "content": ("content", "Name\n" + "x" * 100_000, "text/csv")}
    bulk.refused(server.request("POST", "jobs/ingest", files=long), 400, "INVALIDJOB")
    bulk.refused(server.request("POST", "jobs/ingest", files={"job": parts["job"]}), 400, "INVALIDJOB")


def test_an_id_may_have_15_characters(server: Server) -> None:
    """As everywhere; an unknown job is a 404."""
    job = bulk.open(server)
    assert server.get(f"jobs/ingest/{job['id'][:15]}/").json()["id"] == job["id"]
    for unknown in ("undefined", server.user_id):
        bulk.refused(server.get(f"jobs/ingest/{unknown}"), 404, "NOT_FOUND")
        bulk.refused(server.delete(f"jobs/ingest/{unknown}"), 404, "NOT_FOUND")


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
    assert said in bulk.refused(server.post("jobs/ingest", order), 400, code)


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
    job = bulk.open(server, columnDelimiter=name, lineEnding=ending)
    info = bulk.work(server, job, text)
    assert (info["state"], info["numberRecordsFailed"]) == ("JobComplete", 0), info
    rows = bulk.rows(server, job, "successfulResults", delimiter)
    assert sorted(row["Name"] for row in rows) == sorted(values)
    assert bulk.text(server, job, "successfulResults").startswith(f'"sf__Id"{delimiter}"sf__Created"{delimiter}"Name"')
    assert bulk.text(server, job, "successfulResults").endswith(f'"x"{line}')


@pytest.mark.parametrize(("ending", "line"), [("LF", "\r\n"), ("CRLF", "\n")])
def test_another_line_ending_than_declared_fails_the_job(server: Server, ending: str, line: str) -> None:
    """The mistake everybody makes once; nothing is written, every row is unprocessed."""
    job = bulk.open(server, lineEnding=ending)
    info = bulk.work(server, job, f"Name{line}One{line}")
    said = f"ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is {ending}"
    assert (info["state"], info["errorMessage"], info["numberRecordsProcessed"]) == ("Failed", said, 0)
    assert bulk.text(server, job, "unprocessedrecords") == f"Name{line}One{line}"


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
    job = bulk.open(server, operation=operation)
    info = bulk.work(server, job, rows)
    assert (info["state"], info["errorMessage"]) == ("Failed", said)
    assert bulk.text(server, job, "unprocessedrecords") == rows
    assert bulk.rows(server, job, "successfulResults") == []


def test_a_job_closed_without_an_upload_fails(server: Server) -> None:
    """There is nothing to work off."""
    job = bulk.open(server)
    assert bulk.move(server, job).status_code == 200
    assert bulk.ended(server, job)["errorMessage"] == "ClientInputError : No data was uploaded"


def test_rows_of_another_width_fail_by_themselves(server: Server) -> None:
    """Empty lines are no rows at all."""
    job = bulk.open(server)
    info = bulk.work(server, job, "Name,BillingCity\nOne\n\nTwo,x\nThree,x,y\n\n")
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (3, 2)
    assert sorted(bulk.errors(server, job))[0] == "INVALID_ROW:The row has 1 values, the header row names 2 fields:--"


def test_an_upload_may_come_in_chunks_and_compressed(server: Server) -> None:
    """Without Content-Length, as jsforce sends it; with Content-Encoding: gzip."""
    job = bulk.open(server)
    info = bulk.work(server, job, iter([b"Na", b"me\nChu", b"nk", b"ed\n"]))
    assert info["numberRecordsProcessed"] == 1
    assert [row["Name"] for row in bulk.rows(server, job, "successfulResults")] == ["Chunked"]
    packed = bulk.open(server)
    assert bulk.put(server, packed, gzip.compress(b"Name\nPacked\n"), **{"Content-Encoding": "gzip"}).status_code == 201
    bulk.move(server, packed)
    bulk.ended(server, packed)
    assert [row["Name"] for row in bulk.rows(server, packed, "successfulResults")] == ["Packed"]


def test_a_second_upload_replaces_the_first(server: Server) -> None:
    """A client whose upload got no answer sends it again."""
    job = bulk.open(server)
    for rows in ("Name\nFirst\n", "Name\nSecond\n"):
        assert bulk.put(server, job, rows).status_code == 201
    assert bulk.move(server, job).status_code == 200
    assert bulk.ended(server, job)["numberRecordsProcessed"] == 1
    assert [row["Name"] for row in bulk.rows(server, job, "successfulResults")] == ["Second"]


def test_an_upload_that_broke_off_leaves_the_one_before(server: Server) -> None:
    """Half a file is no file."""

    def broken() -> Iterator[bytes]:
        yield b"Name\nHalf\n"
        raise ConnectionAbortedError

    job = bulk.open(server)
    assert bulk.put(server, job, "Name\nWhole\n").status_code == 201
    with pytest.raises((ConnectionAbortedError, requests.ConnectionError)):
        bulk.put(server, job, broken())
    assert bulk.move(server, job).status_code == 200
    bulk.ended(server, job)
    assert [row["Name"] for row in bulk.rows(server, job, "successfulResults")] == ["Whole"]


def test_an_upload_of_another_type_or_size_is_refused(server: Server) -> None:
    """Rows are CSV, at most 150 MB of them."""
    job = bulk.open(server)
    bulk.refused(bulk.put(server, job, "{}", **{"Content-Type": "application/json"}), 415, "UNSUPPORTED_MEDIA_TYPE")
    # 160 MB of zeros are small on the wire.
    zeros = gzip.compress(bytes(160 * 1024 * 1024), 1)
    bulk.refused(bulk.put(server, job, zeros, **{"Content-Encoding": "gzip"}), 413, "EXCEEDEDQUOTA")


# --- operations ---------------------------------------------------------------------------------------------------


def test_update_changes_what_is_given(server: Server) -> None:
    """An empty cell leaves a value, #N/A removes it."""
    ids = [server.create("Account", Name=f"Old {number}", BillingCity="Bern", Phone="1") for number in range(3)]
    job = bulk.open(server, operation="update")
    rows = f"Id,Name,BillingCity,Phone\n{ids[0]},New,,#N/A\n{ids[1][:15]},,Basel,\n{ids[2]},#N/A,,\n,x,,\n"
    info = bulk.work(server, job, rows)
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (4, 2)
    changed = [server.row("Account", record_id) for record_id in ids]
    assert [(row["Name"], row["BillingCity"], row["Phone"]) for row in changed] == [
        ("New", "Bern", None),
        ("Old 1", "Basel", "1"),
        ("Old 2", "Bern", "1"),
    ]
    assert {row["sf__Created"] for row in bulk.rows(server, job, "successfulResults")} == {"false"}
    failed = {row["sf__Id"]: row["sf__Error"] for row in bulk.rows(server, job, "failedResults")}
    assert failed[""] == "MISSING_ARGUMENT:Id not specified in an update call:Id --"
    assert failed[ids[2]].startswith("REQUIRED_FIELD_MISSING:")


def test_upsert_by_external_id(server: Server, deal: Any) -> None:
    """Creates what is not there, updates what is; the same key twice in a transaction is neither."""
    key = f"bulk:{deal.opportunity}"
    job = bulk.open(server, "Quote", "upsert", externalIdFieldName="QuoteJobKey__c")
    info = bulk.work(
        server, job, f"QuoteJobKey__c,Name,OpportunityId\n{key},First,{deal.opportunity}\n,No key,{deal.opportunity}\n"
    )
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (2, 1)
    (first,) = bulk.rows(server, job, "successfulResults")
    assert first["sf__Created"] == "true"
    assert bulk.errors(server, job)[0].startswith("MISSING_ARGUMENT:QuoteJobKey__c not specified")
    again = bulk.open(server, "Quote", "upsert", externalIdFieldName="quotejobkey__c")
    bulk.work(server, again, f"Name,QuoteJobKey__c\nSecond,{key}\n")
    (second,) = bulk.rows(server, again, "successfulResults")
    assert (second["sf__Id"], second["sf__Created"]) == (first["sf__Id"], "false")
    assert server.row("Quote", first["sf__Id"])["Name"] == "Second"
    twice = bulk.open(server, "Quote", "upsert", externalIdFieldName="QuoteJobKey__c")
    bulk.work(server, twice, f"Name,QuoteJobKey__c\nThird,{key}\nFourth,{key}\n")
    assert (
        bulk.errors(server, twice) == [f"DUPLICATE_VALUE:Duplicate external id specified: {key}:QuoteJobKey__c --"] * 2
    )


def test_upsert_by_id(server: Server) -> None:
    """Without an id a row is created."""
    there = server.create("Account", Name="There")
    job = bulk.open(server, operation="upsert", externalIdFieldName="Id")
    assert bulk.work(server, job, f"Id,Name\n{there},Here\n,New\n")["numberRecordsFailed"] == 0
    assert sorted(row["sf__Created"] for row in bulk.rows(server, job, "successfulResults")) == ["false", "true"]
    assert server.row("Account", there)["Name"] == "Here"


def test_parents_may_be_named_by_an_external_id(server: Server) -> None:
    """A column Parent.Key finds the parent's id; one that finds nothing fails its row."""
    username = server.row("User", server.user_id)["Username"]
    job = bulk.open(server)
    info = bulk.work(server, job, f"Name,Owner.Username\nOwned,{username}\nLost,nobody@example.com\n")
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (2, 1)
    (owned,) = bulk.rows(server, job, "successfulResults")
    assert server.row("Account", owned["sf__Id"])["OwnerId"] == server.user_id
    assert "Foreign key external ID: nobody@example.com not found for field Username" in bulk.errors(server, job)[0]


@pytest.mark.parametrize("operation", ["delete", "hardDelete"])
def test_delete_takes_ids(server: Server, deal: Any, operation: str) -> None:
    """A row and what hangs on it; once deleted it cannot be deleted again. Only a hard delete leaves nothing behind."""
    job = bulk.open(server, operation=operation)
    info = bulk.work(server, job, f"Id\n{deal.account}\nnonsense\n")
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (2, 1)
    (deleted,) = bulk.rows(server, job, "successfulResults")
    assert (deleted["sf__Id"], deleted["sf__Created"]) == (deal.account, "false")
    assert server.get(f"sobjects/Opportunity/{deal.opportunity}").status_code == 404
    again = server.delete(f"sobjects/Account/{deal.account}").json()[0]["errorCode"]
    assert again == ("ENTITY_IS_DELETED" if operation == "delete" else "NOT_FOUND")


@pytest.mark.parametrize("operation", ["update", "delete", "hardDelete"])
def test_ids_in_results_have_18_characters(server: Server, operation: str) -> None:
    """However the upload wrote them, and whether the row failed or not."""
    there, gone = server.create("Account", Name="Short"), "001000000000000AAA"
    job = bulk.open(server, operation=operation)
    columns, rest = ("Id,Site", ",x") if operation == "update" else ("Id", "")
    bulk.work(server, job, f"{columns}\n{there[:15]}{rest}\n{gone[:15]}{rest}\n")
    (good,), (bad,) = (bulk.rows(server, job, which) for which in ("successfulResults", "failedResults"))
    assert (good["sf__Id"], good["Id"]) == (there, there[:15])
    assert (bad["sf__Id"], bad["Id"]) == (gone, gone[:15])


@pytest.mark.parametrize("operation", ["update", "upsert", "delete", "hardDelete"])
def test_rows_whose_id_leads_nowhere(server: Server, operation: str) -> None:
    """An id without a row is a wrong reference. Another object's id, or what is no id at all, is malformed."""
    job = bulk.open(server, operation=operation, **({"externalIdFieldName": "Id"} if operation == "upsert" else {}))
    ids = ["001000000000000AAA", server.user_id, "nonsense"]
    columns, rest = ("Id,Site", ",x") if operation.startswith("up") else ("Id", "")
    bulk.work(server, job, f"{columns}\n" + "".join(f"{each}{rest}\n" for each in ids))
    said = {row["sf__Id"]: row["sf__Error"] for row in bulk.rows(server, job, "failedResults")}
    assert said[ids[0]] == "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--"
    wrong = [f"MALFORMED_ID:Record ID: id value of incorrect type: {each}:Id --" for each in ids[1:]]
    assert [said[each] for each in ids[1:]] == wrong


def test_lines_are_inserted_under_all_rules(server: Server, deal: Any) -> None:
    """A Bulk row is a row like any other: its references are checked, totals are kept."""
    job = bulk.open(server, "OpportunityLineItem")
    rows = "OpportunityId,PricebookEntryId,Quantity,UnitPrice\n"
    rows += f"{deal.opportunity},{deal.entry},2,100\n{deal.opportunity},{deal.entry},1,50\n"
    rows += f"{deal.opportunity},{deal.product},1,50\n"
    info = bulk.work(server, job, rows)
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (3, 1)
    assert server.row("Opportunity", deal.opportunity)["Amount"] == 250.0


def test_an_insert_names_no_ids(server: Server) -> None:
    """Ids are the org's to give."""
    job = bulk.open(server)
    bulk.work(server, job, f"Id,Name\n{server.user_id},One\n,Two\n")
    assert [row["Name"] for row in bulk.rows(server, job, "successfulResults")] == ["Two"]
    assert bulk.errors(server, job) == ["INVALID_FIELD_FOR_INSERT_UPDATE:cannot specify Id in an insert call:Id --"]
