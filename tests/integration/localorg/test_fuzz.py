"""Nothing that can be sent makes the local org answer 500, hang, or keep half of a transaction.

`FUZZ_SECONDS=300 FUZZ_SEED=7 pytest tests/integration/localorg/test_fuzz.py` runs for longer, with other requests.
"""

from __future__ import annotations

import http.client
import os
import random
import re
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from _fuzz import Fuzz, Request, V
from _server import Server, Start

SECONDS = float(os.environ.get("FUZZ_SECONDS", "6"))
STATUSES, ENOUGH = {200, 201, 400, 404, 405}, 2_000  # each of them is an answer to one of so many requests
SEED = int(os.environ.get("FUZZ_SEED", "1"))
PATIENCE = 10  # seconds for one answer; none of these requests is much work


@pytest.fixture
def org(start: Start) -> Server:
    running = start("--opportunities", "20", "--lines", "2")
    # What it has to say of such requests must not fill the pipe it says it through.
    threading.Thread(target=running.process.stderr.read if running.process.stderr else None, daemon=True).start()
    return running


def some_ids(org: Server) -> dict[str, str]:
    names = ("Account", "Opportunity", "Quote", "Product2", "PricebookEntry", "User", "OpportunityLineItem")
    found = {name: org.query(f"SELECT Id FROM {name} LIMIT 1") for name in names}
    return {name: rows[0]["Id"] for name, rows in found.items() if rows}


def some_jobs(org: Server) -> list[str]:
    bodies = [{"object": "Account", "operation": operation} for operation in ("insert", "update", "delete")]
    return [org.post("jobs/ingest", body).json()["id"] for body in bodies]


class Plain(http.client.HTTPConnection):
    """Sends a path as it is, whatever is in it."""

    def _validate_path(self, url: str) -> None:
        pass

    def _encode_request(self, request: str) -> bytes:
        return request.encode("latin-1", "replace")


def send(org: Server, request: Request) -> tuple[int, bytes]:
    """Status and body; the path goes out as it is, however wrong."""
    method, path, body, headers = request
    connection = Plain(urlsplit(org.url).netloc, timeout=PATIENCE)
    try:
        connection.putrequest(method, path.translate({10: None, 13: None, 32: "%20"}), skip_accept_encoding=True)
        for name, value in {
            "Authorization": f"Bearer {org.token}",
            "Content-Length": str(len(body)),
            **headers,
        }.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def alive(org: Server) -> bool:
    """Whether the org still does what it is asked, and no transaction was left open."""
    created = org.post("sobjects/Account", {"Name": "alive"})
    if created.status_code != 201:
        return False
    record_id = created.json()["id"]
    return (
        bool(org.query(f"SELECT Id FROM Account WHERE Id = '{record_id}'"))
        and org.delete(f"sobjects/Account/{record_id}").ok
    )


def test_no_request_breaks_the_org(org: Server) -> None:
    fuzz = Fuzz(SEED, some_ids(org), some_jobs(org))
    until, sent = time.monotonic() + SECONDS, 0
    statuses: set[int] = set()
    while time.monotonic() < until or (sent < ENOUGH and not statuses >= STATUSES):  # the machine may be busy
        request = fuzz.request()
        status, body = send(org, request)
        # SOAP answers a refusal with 500 and a fault, as the platform does.
        assert status < 500 or status == 501 or b"faultcode>" in body, (request, status, body)
        assert b"Traceback" not in body, (request, body)
        statuses.add(status)
        sent += 1
        if sent % 200 == 0:
            assert alive(org), f"after {sent} requests"
            org.request("POST", "/localorg/faults", json={"clear": True})
            org.request("POST", "/localorg/reset", json={})
    assert alive(org)
    assert statuses >= STATUSES
    print(f"{sent} requests, statuses {sorted(statuses)}")


def test_graphs_and_collections_are_all_or_nothing(org: Server) -> None:
    """Requests with broken rows among good ones: what was kept is exactly what the answer says was kept."""
    rnd, until, number = random.Random(SEED), time.monotonic() + SECONDS / 2, 0
    ids = some_ids(org)
    while time.monotonic() < until:
        number += 1
        graphs = [_graph(rnd, f"whole {number} {n}", ids) for n in range(rnd.randint(1, 4))]
        answer = org.post("composite/graph", {"graphs": graphs})
        good = {each["graphId"] for each in answer.json()["graphs"] if each["isSuccessful"]} if answer.ok else set()
        for graph in graphs:
            marker = graph["compositeRequest"][0]["body"]["Name"]
            kept = org.get("query", params={"q": f"SELECT COUNT() FROM Account WHERE Name = '{marker}'"}).json()
            whole = [node for node in graph["compositeRequest"] if node["body"].get("Name") == marker]
            assert kept["totalSize"] == (len(whole) if graph["graphId"] in good else 0), (graph, answer.text)


def _graph(rnd: random.Random, marker: str, ids: dict[str, str]) -> dict[str, Any]:
    nodes = [
        {"referenceId": f"n{n}", "method": "POST", "url": f"{V}/sobjects/Account", "body": {"Name": marker}}
        for n in range(rnd.randint(1, 5))
    ]
    if rnd.random() < 0.6:
        wrong: list[dict[str, Any]] = [
            {"method": "POST", "url": f"{V}/sobjects/Account", "body": {}},
            {"method": "POST", "url": f"{V}/sobjects/Quote", "body": {"Name": "q", "OpportunityId": "@{n0.id}"}},
            {"method": "PATCH", "url": f"{V}/sobjects/Account/{ids['Account']}", "body": {"Name": None}},
            {"method": "POST", "url": f"{V}/sobjects/Account", "body": {"Name": "x", "AnnualRevenue": "a"}},
            {"method": "POST", "url": f"{V}/sobjects/Account", "body": {"Name": "x", "ParentId": "@{nowhere.id}"}},
            {"method": "POST", "url": f"{V}/sobjects/Bogus", "body": {}},
        ]
        nodes.insert(rnd.randint(1, len(nodes)), {"referenceId": "bad", **rnd.choice(wrong)})
    return {"graphId": f"g{rnd.getrandbits(30)}", "compositeRequest": nodes}


@pytest.mark.parametrize(
    "raw",
    [
        b"\0\1\2\3\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /services/data HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /services/data/v66.0/composite/graph HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /services/data/v66.0/limits HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
        b"GET /%%%/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /services/data/v66.0/sobjects/Account HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"GET " + b"/a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["bytes", "version", "length", "chunk", "header", "path", "half", "long"],
)
def test_bytes_that_are_no_request(server: Server, raw: bytes) -> None:
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=PATIENCE) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(100_000)
    assert b" 500 " not in answer.split(b"\r\n")[0]
    assert alive(server)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "nonsense"])
@pytest.mark.parametrize("path", ["/sobjects/Account", "/composite/graph", "/jobs/ingest"])
def test_a_broken_compressed_body_is_answered(server: Server, path: str, encoding: str) -> None:
    """The body comes in a packet of its own, after the org has begun to work on the request."""
    place = urlsplit(server.url)
    head = (
        f"POST {V}{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
        f"Content-Type: application/json\r\nContent-Encoding: {encoding}\r\nContent-Length: 2\r\n\r\n"
    )
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=PATIENCE) as connection:
        connection.sendall(head.encode())
        time.sleep(0.05)
        connection.sendall(b"{}")
        answer = connection.recv(100_000).decode()
    assert re.match(r"HTTP/1\.\d 4\d\d ", answer), answer
