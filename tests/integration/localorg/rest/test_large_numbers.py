"""Numbers from ten million on: written with an exponent in every answer, as on the platform, and taken back as such."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
from _server import DATA, Deal, Server

LARGE = {"115000000": "1.15E8", "10000000": "1.0E7", "123456789.12": "1.2345678912E8", "-98765432.1": "-9.87654321E7"}
PLAIN = {"9999999.99": "9999999.99", "100": "100.0", "0": "0.0"}


def price(org: Server, deal: Deal, amount: str) -> str:
    """The Opportunity's address, with this Amount."""
    path = f"sobjects/Opportunity/{deal.opportunity}"
    answer = org.request("PATCH", path, data=f'{{"Amount": {amount}}}', headers={"Content-Type": "application/json"})
    assert answer.status_code == 204, answer.text
    return path


def query(deal: Deal, what: str = "Amount") -> str:
    return f"SELECT {what} FROM Opportunity WHERE Id = '{deal.opportunity}'"


@pytest.mark.parametrize(("amount", "written"), [*LARGE.items(), *PLAIN.items()])
def test_every_resource_writes_them(server: Server, deal: Deal, amount: str, written: str) -> None:
    path = price(server, deal, amount)
    composite = {"compositeRequest": [{"method": "GET", "url": f"{DATA}/{path}?fields=Amount", "referenceId": "a"}]}
    collection = {"ids": [deal.opportunity], "fields": ["Amount"]}
    answers = [
        server.get(path),
        server.get(f"{path}?fields=Amount"),
        server.get("query", params={"q": query(deal)}),
        server.get("query", params={"q": query(deal, "SUM(Amount) total")}),
        server.post("composite", composite),
        server.post("composite/batch", {"batchRequests": [{"method": "GET", "url": f"v66.0/{path}"}]}),
        server.post("composite/sobjects/Opportunity", collection),
        server.post("composite/graph", {"graphs": [{"graphId": "g", **composite}]}),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert f'"Amount":{written},' in answer.text.replace("}", ",") or f'"total":{written}}}' in answer.text
        assert Decimal(amount) in _numbers(answer.json(parse_float=Decimal))


def _numbers(body: Any) -> list[Any]:
    if isinstance(body, dict | list):
        return [one for each in (body.values() if isinstance(body, dict) else body) for one in _numbers(each)]
    return [body]


@pytest.mark.parametrize(("amount", "written"), LARGE.items())
def test_a_bulk_query_writes_them_and_a_bulk_update_takes_them(
    server: Server, deal: Deal, amount: str, written: str
) -> None:
    price(server, deal, amount)
    text = _bulk_query(server, query(deal, "Id, Amount"))
    assert text == f'"Id","Amount"\n"{deal.opportunity}","{written}"\n'
    price(server, deal, "1")
    job = server.post("jobs/ingest", {"object": "Opportunity", "operation": "update"}).json()
    assert server.put(f"/{job['contentUrl']}", text, headers={"Content-Type": "text/csv"}).status_code == 201
    server.patch(f"jobs/ingest/{job['id']}", {"state": "UploadComplete"})
    _ended(server, f"jobs/ingest/{job['id']}")
    assert server.row("Opportunity", deal.opportunity)["Amount"] == float(amount)


def _bulk_query(server: Server, soql: str) -> str:
    job = server.post("jobs/query", {"operation": "query", "query": soql}).json()
    _ended(server, f"jobs/query/{job['id']}")
    return server.get(f"jobs/query/{job['id']}/results").text


def _ended(server: Server, path: str) -> None:
    deadline = time.monotonic() + 30
    while server.get(path).json()["state"] != "JobComplete":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_reference_carries_the_number_over(server: Server, deal: Deal) -> None:
    """Into the body of another request of a composite, and of a graph."""
    path = price(server, deal, "115000000")
    body = {"Name": "Copy", "StageName": "Prospecting", "CloseDate": "2026-12-31", "Amount": "@{read.Amount}"}
    parts = [
        {"method": "GET", "url": f"{DATA}/{path}", "referenceId": "read"},
        {"method": "POST", "url": f"{DATA}/sobjects/Opportunity", "referenceId": "made", "body": body},
    ]
    made = server.post("composite", {"compositeRequest": parts}).json()["compositeResponse"][1]["body"]
    assert server.row("Opportunity", made["id"])["Amount"] == 115_000_000
    graphs = server.post("composite/graph", {"graphs": [{"graphId": "g", "compositeRequest": parts}]}).json()
    made = graphs["graphs"][0]["graphResponse"]["compositeResponse"][1]["body"]
    assert server.row("Opportunity", made["id"])["Amount"] == 115_000_000
    for where in ("= 115000000", "= 115000000.0", "> 114999999.99", "IN (115000000)"):
        found = server.query(f"SELECT Id FROM Opportunity WHERE Amount {where} AND Id = '{made['id']}'")
        assert len(found) == 1


def test_the_largest_amount_there_is(server: Server, deal: Deal) -> None:
    """An Amount has 18 digits, two of them after the point."""
    path = f"sobjects/Opportunity/{deal.opportunity}"
    for most in ('"9999999999999999.99"', "9999999999999999"):
        answer = server.request(
            "PATCH", path, data=f'{{"Amount": {most}}}', headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 204, answer.text
        assert '"Amount":1.0E16' in server.get(path).text
    for more in ('"9999999999999999.995"', "10000000000000000", '"1E16"', "1e300"):
        answer = server.request(
            "PATCH", path, data=f'{{"Amount": {more}}}', headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "NUMBER_OUTSIDE_VALID_RANGE")
