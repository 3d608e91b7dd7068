"""Several users: whose name is on what they write, and what a profile does not allow."""

from __future__ import annotations

import time
from typing import Any

import pytest
from _people import as_user, people
from _server import DATA, Deal, Server

REFUSED = "INSUFFICIENT_ACCESS_OR_READONLY"


@pytest.fixture(scope="module")
def reader(server: Server) -> Server:
    return as_user(server, "Read Only")


@pytest.fixture(scope="module")
def standard(server: Server) -> Server:
    return as_user(server, "Standard User")


def refusal(answer: Any) -> tuple[int, str]:
    (error,) = answer.json()
    return answer.status_code, error["errorCode"]


def test_every_user_is_a_row_and_has_an_identity(server: Server) -> None:
    known = people(server)
    assert set(known) >= {"System Administrator", "Standard User", "Read Only", "QuoteJobUser"}
    assert known["System Administrator"]["id"] == server.user_id
    rows = {row["Id"]: row["Username"] for row in server.query("SELECT Id, Username FROM User")}
    assert {user["id"]: user["username"] for user in known.values()}.items() <= rows.items()
    for profile, user in known.items():
        asked = as_user(server, profile)
        who = asked.get("/services/oauth2/userinfo").json()
        assert (who["user_id"], who["preferred_username"]) == (user["id"], user["username"])
        identity = asked.get(DATA).json()["identity"].removeprefix(server.url)
        assert asked.get(identity).json()["username"] == user["username"]


def test_only_the_administrator_may_see_another_identity(server: Server, reader: Server) -> None:
    path = f"/id/{server.organization_id}"
    assert server.get(f"{path}/{reader.user_id}").status_code == 200
    assert refusal(reader.get(f"{path}/{server.user_id}")) == (403, "FORBIDDEN")


def test_rows_carry_the_name_of_who_wrote_them(server: Server, standard: Server) -> None:
    record_id = standard.create("Account", Name="Signed")
    row = server.row("Account", record_id)
    assert {row["CreatedById"], row["OwnerId"], row["LastModifiedById"]} == {standard.user_id}
    server.patch(f"sobjects/Account/{record_id}", {"Site": "x"})
    row = server.row("Account", record_id)
    assert (row["CreatedById"], row["LastModifiedById"]) == (standard.user_id, server.user_id)


def test_rows_of_a_graph_carry_it_too(server: Server, standard: Server) -> None:
    node = {"referenceId": "a", "method": "POST", "url": f"{DATA}/sobjects/Account", "body": {"Name": "Graphed"}}
    answer = standard.post("composite/graph", {"graphs": [{"graphId": "g", "compositeRequest": [node]}]}).json()
    made = answer["graphs"][0]["graphResponse"]["compositeResponse"][0]["body"]["id"]
    assert server.row("Account", made)["CreatedById"] == standard.user_id


def test_a_reader_reads(reader: Server, deal: Deal) -> None:
    assert reader.row("Account", deal.account)["Id"] == deal.account
    assert len(reader.query("SELECT Id FROM Opportunity LIMIT 1")) == 1
    assert reader.get("sobjects/Account/describe").status_code == 200


def test_a_reader_writes_no_row(reader: Server, deal: Deal) -> None:
    path = f"sobjects/Account/{deal.account}"
    for answer in (
        reader.post("sobjects/Account", {"Name": "x"}),
        reader.patch(path, {"Name": "x"}),
        reader.delete(path),
        reader.patch("sobjects/Quote/QuoteJobKey__c/new", {"Name": "x"}),
        reader.post("composite/tree/Account", {"records": []}),
    ):
        assert refusal(answer) == (403, REFUSED), answer.request.url


def test_a_reader_writes_no_row_inside_other_requests_either(reader: Server, deal: Deal) -> None:
    row = {"attributes": {"type": "Account"}, "Name": "x"}
    made = reader.post("composite/sobjects", {"records": [row]}).json()
    assert made[0]["errors"][0]["statusCode"] == REFUSED
    made = reader.patch("composite/sobjects", {"records": [{**row, "Id": deal.account}]}).json()
    assert made[0]["errors"][0]["statusCode"] == REFUSED
    made = reader.delete("composite/sobjects", params={"ids": deal.account}).json()
    assert made[0]["errors"][0]["statusCode"] == REFUSED
    node = {"referenceId": "a", "method": "POST", "url": f"{DATA}/sobjects/Account", "body": {"Name": "x"}}
    result = reader.post("composite", {"compositeRequest": [node]}).json()["compositeResponse"][0]
    assert (result["httpStatusCode"], result["body"][0]["errorCode"]) == (403, REFUSED)
    graphs = {"graphs": [{"graphId": "g", "compositeRequest": [node]}]}
    result = reader.post("composite/graph", graphs).json()["graphs"][0]["graphResponse"]["compositeResponse"][0]
    assert (result["httpStatusCode"], result["body"][0]["errorCode"]) == (403, REFUSED)
    batch = {"batchRequests": [{"method": "POST", "url": node["url"], "richInput": node["body"]}]}
    assert reader.post("composite/batch", batch).json()["results"][0]["statusCode"] == 403


def load(server: Server, csv: str, **order: str) -> str:
    """Runs an ingest job to its end and gives its id."""
    job = server.post("jobs/ingest", order).json()["id"]
    server.put(f"jobs/ingest/{job}/batches", data=csv, headers={"Content-Type": "text/csv"})
    server.patch(f"jobs/ingest/{job}", {"state": "UploadComplete"})
    until = time.monotonic() + 20
    while server.get(f"jobs/ingest/{job}").json()["state"] not in ("JobComplete", "Failed"):
        assert time.monotonic() < until
        time.sleep(0.05)
    return str(job)


def test_rows_of_a_bulk_job_carry_its_creators_name(server: Server, standard: Server) -> None:
    job = load(standard, "Name\nBulk Signed\n", object="Account", operation="insert")
    assert server.get(f"jobs/ingest/{job}").json()["createdById"] == standard.user_id
    (row,) = server.query("SELECT CreatedById, OwnerId FROM Account WHERE Name = 'Bulk Signed'")
    assert {row["CreatedById"], row["OwnerId"]} == {standard.user_id}


def test_a_reader_loads_no_rows(server: Server, reader: Server) -> None:
    answer = reader.post("jobs/ingest", {"object": "Account", "operation": "insert"})
    if answer.status_code == 200:
        job = load(reader, "Name\nBulk Refused\n", object="Account", operation="insert")
        assert REFUSED in reader.get(f"jobs/ingest/{job}/failedResults").text
    assert server.query("SELECT Id FROM Account WHERE Name = 'Bulk Refused'") == []


def test_hard_delete_needs_a_permission_of_its_own(server: Server, standard: Server) -> None:
    job = {"object": "Account", "operation": "hardDelete"}
    assert standard.post("jobs/ingest", job).status_code == 400
    assert "hardDelete" in standard.post("jobs/ingest", job).json()[0]["message"]
    assert server.post("jobs/ingest", job).status_code == 200
    assert standard.post("jobs/ingest", {**job, "operation": "delete"}).status_code == 200
