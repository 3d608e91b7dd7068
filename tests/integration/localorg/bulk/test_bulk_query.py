"""Bulk API 2.0 query: SOQL in, one CSV file out, read in pages."""

from __future__ import annotations

import csv
import io
import time
from typing import Any

import pytest
import requests
from _server import DATA, Server, Start

Json = dict[str, Any]
CSV = {"Accept": "text/csv"}


def _open(org: Server, query: str, operation: str = "query", *, version: str = "66.0", **more: str) -> Json:
    body = {"operation": operation, "query": query, **more}
    # simple-salesforce creates with this Accept and reads JSON.
    answer = org.post(f"/services/data/v{version}/jobs/query", body, headers=CSV)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"
    job: Json = answer.json()
    return job


def _ended(org: Server, job: Json) -> Json:
    deadline = time.monotonic() + 30
    while (info := org.get(f"jobs/query/{job['id']}").json())["state"] in ("UploadComplete", "InProgress"):
        assert time.monotonic() < deadline, info
        time.sleep(0.02)
    ended: Json = info
    return ended


def _results(org: Server, job: Json, version: str = "66.0", **params: Any) -> requests.Response:
    return org.get(f"/services/data/v{version}/jobs/query/{job['id']}/results", params=params, headers=CSV)


def _rows(answer: requests.Response, delimiter: str = ",") -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline=""), delimiter=delimiter))


def _refused(answer: requests.Response, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    (error,) = answer.json()
    assert error["errorCode"] == code, error
    message: str = error["message"]
    return message


@pytest.fixture(scope="module")
def accounts(server: Server) -> str:
    """A city with 1,205 accounts in it, named "Bulk 0" and so on; one more is in the recycle bin."""
    city = "Bulkville"
    job = server.post("jobs/ingest", {"object": "Account", "operation": "insert"}).json()
    rows = "Name,BillingCity\n" + "".join(f'"Bulk {number}, ""x""",{city}\n' for number in range(1205))
    assert server.put(f"/{job['contentUrl']}", rows, headers={"Content-Type": "text/csv"}).status_code == 201
    server.patch(f"jobs/ingest/{job['id']}", {"state": "UploadComplete"})
    while server.get(f"jobs/ingest/{job['id']}").json()["state"] != "JobComplete":
        time.sleep(0.02)
    server.delete(f"sobjects/Account/{server.create('Account', Name='Binned', BillingCity=city)}")
    return city


# --- one job from its order to its result -------------------------------------------------------------------------


def test_a_query_from_order_to_result(server: Server, deal: Any) -> None:
    """As the guide walks through it; columns are in the order of the query, parents' among them."""
    job = _open(
        server,
        "SELECT Name, Account.Name, Id, IsClosed, Account.BillingCountry, Amount, CloseDate, CreatedDate, SyncedQuoteId"
        f" FROM Opportunity WHERE Id = '{deal.opportunity}'",
    )
    assert {key: job[key] for key in job if "Date" not in key and "stamp" not in key} == {
        "id": job["id"],
        "operation": "query",
        "object": "Opportunity",
        "createdById": server.user_id,
        "state": "UploadComplete",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": 66.0,
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    }
    assert job["id"].startswith("750")
    info = _ended(server, job)
    assert (info["state"], info["jobType"], info["retries"]) == ("JobComplete", "V2Query", 0)
    assert (info["numberRecordsProcessed"], info["isPkChunkingSupported"]) == (1, True)
    answer = _results(server, job)
    assert (answer.headers["Sforce-Locator"], answer.headers["Sforce-NumberOfRecords"]) == ("null", "1")
    assert "Sforce-Limit-Info" in answer.headers
    (row,) = _rows(answer)
    created = row.pop("CreatedDate")
    assert created.endswith(".000Z")
    assert row == {
        "Name": row["Name"],
        "Account.Name": row["Account.Name"],
        "Id": deal.opportunity,
        "IsClosed": "false",
        "Account.BillingCountry": "CH",
        "Amount": "",
        "CloseDate": "2026-12-31",
        "SyncedQuoteId": "",
    }
    assert row["Account.Name"].startswith("Buyer ")
    header = answer.text.splitlines()[0]
    names = "Name,Account.Name,Id,IsClosed,Account.BillingCountry,Amount,CloseDate,CreatedDate,SyncedQuoteId"
    assert header == ",".join(f'"{name}"' for name in names.split(","))


def test_a_result_without_rows_has_its_header(server: Server) -> None:
    job = _open(server, "SELECT Id, Owner.Name FROM Account WHERE Name = 'nobody at all'")
    assert _ended(server, job)["numberRecordsProcessed"] == 0
    answer = _results(server, job)
    assert answer.text == '"Id","Owner.Name"\n'
    assert (answer.headers["Sforce-Locator"], answer.headers["Sforce-NumberOfRecords"]) == ("null", "0")
    (only,) = server.get(f"jobs/query/{job['id']}/resultPages").json()["resultPages"]
    assert server.get(only["resultUrl"]).text == answer.text


def test_query_all_sees_the_recycle_bin(server: Server, accounts: str) -> None:
    text = f"SELECT Id, IsDeleted FROM Account WHERE BillingCity = '{accounts}'"
    counts = []
    for operation in ("query", "queryAll"):
        job = _open(server, text, operation)
        assert job["operation"] == operation
        counts.append(_ended(server, job)["numberRecordsProcessed"])
    assert counts == [1205, 1206]
    assert [row["IsDeleted"] for row in _rows(_results(server, job))].count("true") == 1


@pytest.mark.parametrize(("name", "delimiter"), [("PIPE", "|"), ("TAB", "\t"), ("BACKQUOTE", "`")])
@pytest.mark.parametrize(("ending", "line"), [("LF", "\n"), ("CRLF", "\r\n")])
def test_delimiters_and_line_endings(server: Server, name: str, delimiter: str, ending: str, line: str) -> None:
    made = server.create("Account", Name=f'a{delimiter}b "c"', BillingStreet="one\ntwo")
    job = _open(
        server,
        f"SELECT Name, BillingStreet FROM Account WHERE Id = '{made}'",
        columnDelimiter=name,
        lineEnding=ending,
    )
    assert (job["columnDelimiter"], job["lineEnding"]) == (name, ending)
    _ended(server, job)
    answer = _results(server, job)
    assert answer.content.decode().startswith(f'"Name"{delimiter}"BillingStreet"{line}')
    assert answer.content.decode().endswith(f'"{line}')
    value = f'a{delimiter}b "c"'.strip()
    assert _rows(answer, delimiter) == [{"Name": value, "BillingStreet": "one\ntwo"}]


# --- pages --------------------------------------------------------------------------------------------------------


def test_pages_follow_one_another(server: Server, accounts: str) -> None:
    """Each with the header row; the last says the word null."""
    job = _open(server, f"SELECT Name FROM Account WHERE BillingCity = '{accounts}' ORDER BY Name")
    _ended(server, job)
    whole = _rows(_results(server, job))
    assert len(whole) == 1205
    found: list[dict[str, str]] = []
    locator, sizes = None, []
    while locator != "null":
        answer = _results(server, job, maxRecords=500, **({"locator": locator} if locator else {}))
        page = _rows(answer)
        assert answer.headers["Sforce-NumberOfRecords"] == str(len(page))
        locator = answer.headers["Sforce-Locator"]
        assert locator.isalnum()
        found += page
        sizes.append(len(page))
    assert sizes == [500, 500, 205]
    assert found == whole


def test_locators_and_sizes_that_are_none(server: Server, accounts: str) -> None:
    job = _open(server, f"SELECT Name FROM Account WHERE BillingCity = '{accounts}' LIMIT 5")
    _ended(server, job)
    for wrong in ("nonsense", "null", "MTAwMDA", "%00", "LTE"):
        _refused(_results(server, job, locator=wrong), 400, "INVALID_QUERY_LOCATOR")
    for wrong in ("0", "-1", "many"):
        _refused(_results(server, job, maxRecords=wrong), 400, "INVALID_ARGUMENT")


def test_pages_side_by_side(start: Start) -> None:
    """Five addresses at a time, from version 58.0 on."""
    org = start()
    job = org.post("jobs/ingest", {"object": "Account", "operation": "insert"}).json()
    org.request("PUT", f"/{job['contentUrl']}", data="Name\n" + "n\n" * 60_001, headers={"Content-Type": "text/csv"})
    org.patch(f"jobs/ingest/{job['id']}", {"state": "UploadComplete"})
    while org.get(f"jobs/ingest/{job['id']}").json()["state"] != "JobComplete":
        time.sleep(0.1)
    query = _open(org, "SELECT Id FROM Account WHERE Name = 'n'")
    assert _ended(org, query)["numberRecordsProcessed"] == 60_001
    first = org.get(f"jobs/query/{query['id']}/resultPages").json()
    assert (len(first["resultPages"]), first["done"]) == (5, False)
    second = org.get(first["nextRecordsUrl"]).json()
    assert (len(second["resultPages"]), second["done"], second["nextRecordsUrl"]) == (2, True, None)
    ids: list[str] = []
    for place in reversed(first["resultPages"] + second["resultPages"]):
        ids += org.get(place["resultUrl"]).text.splitlines()[1:]
    assert len(set(ids)) == len(ids) == 60_001
    old = _open(org, "SELECT Id FROM Account LIMIT 1", version="57.0")
    _ended(org, old)
    _refused(org.get(f"/services/data/v57.0/jobs/query/{old['id']}/resultPages"), 404, "NOT_FOUND")


def test_results_are_read_with_the_version_of_the_job(server: Server) -> None:
    job = _open(server, "SELECT Id FROM Account LIMIT 1", version="60.0")
    _ended(server, job)
    assert "60.0" in _refused(_results(server, job), 409, "API_ERROR")
    assert len(_rows(_results(server, job, "60.0"))) == 1


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "code", "said"),
    [
        ("SELECT COUNT() FROM Account", "API_ERROR", "Aggregate functions"),
        ("SELECT COUNT(Id) FROM Account", "API_ERROR", "Aggregate functions"),
        ("SELECT Name FROM Account GROUP BY Name", "API_ERROR", "GROUP BY"),
        ("SELECT Id, (SELECT Id FROM Opportunities) FROM Account", "API_ERROR", "Aggregate Relationships"),
        ("SELECT Id FROM Account LIMIT 5 OFFSET 5", "API_ERROR", "OFFSET"),
        ("SELECT Bogus FROM Account", "INVALID_FIELD", "No such column 'Bogus'"),
        ("SELECT Id FROM Bogus", "INVALID_TYPE", "sObject type 'Bogus'"),
        ("DELETE Account", "MALFORMED_QUERY", "unexpected token"),
    ],
)
def test_soql_that_no_job_takes(server: Server, query: str, code: str, said: str) -> None:
    """The statement is checked when the job is created."""
    assert said in _refused(server.post("jobs/query", {"operation": "query", "query": query}), 400, code)


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ([], "JSON_PARSER_ERROR"),
        ({"operation": "query"}, "API_ERROR"),
        ({"operation": "query", "query": 5}, "API_ERROR"),
        ({"query": "SELECT Id FROM Account"}, "INVALIDJOB"),
        ({"operation": "insert", "query": "SELECT Id FROM Account"}, "JSON_PARSER_ERROR"),
        ({"operation": "query", "query": "SELECT Id FROM Account", "lineEnding": "CR"}, "JSON_PARSER_ERROR"),
    ],
)
def test_orders_that_make_no_job(server: Server, order: Any, code: str) -> None:
    _refused(server.post("jobs/query", order), 400, code)


def test_unknown_jobs(server: Server) -> None:
    """An ingest job is no query job, and the other way round."""
    ingest = server.post("jobs/ingest", {"object": "Account", "operation": "insert"}).json()["id"]
    query = _open(server, "SELECT Id FROM Account LIMIT 1")["id"]
    for path in (
        f"jobs/query/{ingest}",
        f"jobs/ingest/{query}",
        "jobs/query/undefined",
        "jobs/query/undefined/results",
    ):
        _refused(server.get(path), 404, "NOT_FOUND")
    _refused(server.delete("jobs/query/undefined"), 404, "NOT_FOUND")


# --- the life of a job --------------------------------------------------------------------------------------------


def test_a_query_is_aborted_and_deleted(start: Start) -> None:
    """Not aborted when it is done, not deleted before."""
    org = start("--profile", "seed")
    job = _open(org, "SELECT Id FROM Account")
    path = f"jobs/query/{job['id']}"
    assert "UploadComplete" in _refused(_results(org, job), 400, "INVALIDJOBSTATE")
    said = _refused(org.delete(path), 400, "API_ERROR")
    assert said == "Error encountered when deleting the job because the job is not terminated"
    _refused(org.patch(path, {"state": "UploadComplete"}), 400, "JSON_PARSER_ERROR")
    assert org.patch(path, {"state": "Aborted"}).json()["state"] == "Aborted"
    _refused(org.patch(path, {"state": "Aborted"}), 400, "INVALIDJOBSTATE")
    assert org.delete(path).status_code == 204
    _refused(org.get(path), 404, "NOT_FOUND")
    done = _open(org, "SELECT Id FROM Account")
    assert _ended(org, done)["state"] == "JobComplete"
    said = _refused(org.patch(f"jobs/query/{done['id']}", {"state": "Aborted"}), 400, "INVALIDJOBSTATE")
    assert said == "Aborting already Completed Job not allowed"


def test_queries_are_listed(start: Start) -> None:
    """By type; a page has a thousand."""
    org = start()
    assert org.get("jobs/query").json() == {"done": True, "records": [], "nextRecordsUrl": None}
    ids = [_open(org, "SELECT Id FROM Account LIMIT 1")["id"] for _ in range(3)]
    ingest = org.post("jobs/ingest", {"object": "Account", "operation": "insert"}).json()["id"]
    for params, expected in (
        ({}, ids),
        ({"jobType": "V2Query"}, ids),
        ({"jobType": "V2Ingest"}, [ingest]),
        ({"jobType": "Classic"}, []),
        ({"isPkChunkingEnabled": "true"}, []),
        ({"isPkChunkingEnabled": "false"}, ids),
        ({"queryLocator": ids[1]}, ids[1:]),
    ):
        body = org.get(f"{DATA}/jobs/query", params=params).json()
        assert [job["id"] for job in body["records"]] == expected, params
    assert [job["id"] for job in org.get("jobs/ingest").json()["records"]] == [ingest]
    _refused(org.get("jobs/query?jobType=Other"), 400, "INVALID_ARGUMENT")
