"""What gunicorn itself refuses, before the API sees it."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import pytest

from harness.api import Api
from harness.stack import Stack


def raw(url: str, request: bytes) -> tuple[str, str]:
    """Head and body of the answer to bytes sent as they are."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.decode().partition("\r\n\r\n")
    return head, body


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"this is not HTTP\r\n\r\n", 400),
        (b"GET /api/jobs?cursor=%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"x" * 9000), 414),
        (b"GET /api/jobs HTTP/1.1\r\nHost: x\r\nx-client-context: %s\r\n\r\n" % (b"x" * 17_000), 431),
        (b"GET /api/jobs HTTP/1.1\r\nHost: x\r\nx-client-context secret-token-in-here: 1\r\n\r\n", 400),
    ],
)
def test_gunicorns_own_errors_are_json(stack: Stack, request_bytes: bytes, status: int) -> None:
    """Never HTML; the form is the API's; what was sent stands neither in the answer nor in the log."""
    head, body = raw(stack.web_url, request_bytes)
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert "application/json" in head
    answer = json.loads(body)
    assert set(answer) == {"code", "message", "details"}
    log = stack.process("web").log.read_text()
    for text in ("xxxxxxxx", "secret-token-in-here"):
        assert text not in body
        assert text not in log


def test_a_long_context_is_taken(api: Api) -> None:
    """A token of 9,000 characters, as a JWT may have, reaches the API: it is the org that does not know it."""
    answer = api.request("GET", "/api/jobs", headers=api.context(accessToken="x" * 9000))
    assert answer.status_code == 401
