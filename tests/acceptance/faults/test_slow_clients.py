"""Clients that send slowly, send nothing, or do not read: the API answers all others, and the health checks always."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from harness.stack import Stack

MANY = 100  # more than all threads of the web process
PROMPT = 10  # seconds; each request of these clients is waited for as long as the service allows, and that is longer
HEAD = b"POST /api/executebatch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an API of one process."""
    with Stack(tmp_path_factory.mktemp("slow"), extra={"WEB_CONCURRENCY": "1"}) as stack:
        stack.start_redis()
        stack.start_web()
        yield stack.web_url
        stack.check()
        assert "Traceback" not in stack.process("web").log.read_text()


@contextmanager
def clients(web: str, sends: bytes, number: int = MANY) -> Iterator[list[socket.socket]]:
    """So many clients, each of which has sent this."""
    with ExitStack() as stack:
        parts, made = urlsplit(web), []
        for _ in range(number):
            made.append(stack.enter_context(socket.create_connection((parts.hostname or "", parts.port or 0), 10)))
            made[-1].sendall(sends)
        yield made


def dripping(connections: list[socket.socket], done: threading.Event) -> None:
    """Send a byte on each, again and again."""
    while not done.wait(0.2):
        for connection in connections:
            try:
                connection.sendall(b"x")
            except OSError:
                continue


def answers(web: str) -> None:
    """The health check answers, and so does an operation of the API."""
    assert requests.get(f"{web}/health", timeout=PROMPT).json()["status"] == "ok"
    assert requests.get(f"{web}/api/jobs", timeout=PROMPT).status_code == 401


@pytest.mark.parametrize(
    "sends",
    [
        b"",
        b"POST /api/executebatch HTT",
        HEAD,
        HEAD + b"Content-Length: 1000\r\n\r\n{",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        HEAD + b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n",
    ],
    ids=["nothing", "a line", "a head", "a body", "a chunk", "a promise"],
)
def test_slow_requests_stop_nobody(web: str, sends: bytes) -> None:
    """Without a session, and more of them than there are threads; each sends on, a byte at a time."""
    done = threading.Event()
    with clients(web, sends) as connections:
        thread = threading.Thread(target=dripping, args=(connections if sends else [], done))
        thread.start()
        try:
            for _ in range(3):
                answers(web)
        finally:
            done.set()
            thread.join()


def test_clients_that_do_not_read_stop_nobody(web: str) -> None:
    """A file of a megabyte for each, without a session: a thread gives each up after some seconds."""
    with clients(web, b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * 40, 64):
        for _ in range(3):
            assert requests.get(f"{web}/health", timeout=PROMPT).status_code == 200
        assert requests.get(f"{web}/api/jobs", timeout=120).status_code == 401


def test_a_request_that_does_not_arrive_in_time_is_told_so(web: str) -> None:
    """In the form of the API, though the API has never seen it."""
    with clients(web, HEAD + b"Content-Length: 1000\r\n\r\n{", 1) as [connection]:
        connection.settimeout(60)
        status, body = answer(connection)
    assert (status, body["code"]) == (408, "REQUEST_TIMEOUT")


def test_a_request_that_is_too_large_is_told_so_before_it_is_sent(web: str) -> None:
    """At once: its rest is not waited for. A client that sends it all the same still reads the answer."""
    with clients(web, HEAD + b"Content-Length: 10000000\r\n\r\n" + b"x" * 50_000, 1) as [connection]:
        status, body = answer(connection)
    assert (status, body["code"]) == (413, "REQUEST_ENTITY_TOO_LARGE")


def test_a_client_that_waits_to_continue_gets_its_answer(web: str) -> None:
    with clients(web, HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n", 1) as [connection]:
        assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        time.sleep(0.5)
        said = connection.recv(65_536)
    assert b"HTTP/1.1 401 " in said


def test_requests_in_one_piece_are_answered_in_order(web: str) -> None:
    """Several on one connection, without waiting for the answers between."""
    one = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /api/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with clients(web, one * 3 + last, 1) as [connection]:
        said = b""
        while chunk := connection.recv(65_536):
            said += chunk
    assert [line.split()[1] for line in said.splitlines() if line.startswith(b"HTTP/1.1")] == [b"200", b"404"] * 3 + [
        b"401"
    ]


def test_connections_of_clients_that_stay_are_kept(web: str) -> None:
    """The next request needs no new connection."""
    with closing(http.client.HTTPConnection(urlsplit(web).netloc, timeout=PROMPT)) as connection:
        connection.connect()
        first = connection.sock
        for _ in range(5):
            for method, path, status in (("GET", "/health", 200), ("POST", "/api/executebatch", 401)):
                connection.request(method, path, b"{}" if method == "POST" else None)
                with connection.getresponse() as said:
                    assert (said.status, connection.sock) == (status, first)
                    said.read()


def test_idle_connections_leave_room_for_new_ones(web: str, tmp_path: Path) -> None:
    """More than gunicorn takes at once: the oldest make room."""
    with clients(web, b"", 1100):
        answers(web)


def answer(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and body of an answer after which the server closes."""
    said = b""
    while chunk := connection.recv(65_536):
        said += chunk
    head, _, body = said.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)
