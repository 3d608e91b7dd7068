"""A server that answers as a script says: broken connections, proxies' pages, odd answers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple

from quotejob.salesforce import API_VERSION, OrgAddress, OrgClient

TOKEN = "00D000000000001!SECRET"
BASE = f"/services/data/v{API_VERSION}"


class Seen(NamedTuple):
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    client: tuple[str, int]  # tells connections apart


@dataclass
class Reply:
    """What the server does with one request."""

    body: Any = b""  # bytes as they are, anything else as JSON
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0  # seconds before it answers
    reset: bool = False  # closes the connection instead
    missing: int = 0  # bytes it promises and does not send
    drip: float = 0  # seconds before each byte, from the first of the headers

    def data(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def error(code: str, status: int = 400, message: str = "the org's own words") -> Reply:
    """An error as an org answers it."""
    return Reply([{"message": message, "errorCode": code}], status)


class Server(ThreadingHTTPServer):
    """Answers by script; requests beyond it get 500."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Reply] = []
        self.seen: list[Seen] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def org(self, *script: Reply, retry_for: float = 10, read_timeout: float = 5) -> OrgClient:
        """A client of this server, which will answer so."""
        self.script = list(script)
        return OrgClient(OrgAddress(self.url, TOKEN), retry_for=retry_for, read_timeout=read_timeout)

    @property
    def asked(self) -> list[str]:
        """The requests so far, without what is the same in all."""
        return [f"{seen.method} {seen.path.removeprefix(BASE)}" for seen in self.seen]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append(Seen(self.command, self.path, headers, body, self.client_address))
        self.reply(self.server.script.pop(0) if self.server.script else error("UNKNOWN_EXCEPTION", 500))

    def reply(self, reply: Reply) -> None:
        time.sleep(reply.wait)
        self.close_connection = reply.reset or reply.missing > 0 or reply.drip > 0
        if reply.reset:
            return
        if reply.drip:
            self.drip(reply)
            return
        self.send_response(reply.status)
        for name, value in ({"Content-Type": "application/json;charset=UTF-8"} | reply.headers).items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(reply.data()) + reply.missing))
        self.end_headers()
        self.wfile.write(reply.data())

    def drip(self, reply: Reply) -> None:
        """Send one byte now and then, until the client has gone or nobody waits any more."""
        head = f"HTTP/1.1 {reply.status} OK\r\nContent-Length: {len(reply.data())}\r\n\r\n".encode()
        with suppress(OSError):
            for number in range(len(head + reply.data())):
                time.sleep(reply.drip)
                self.wfile.write((head + reply.data())[number : number + 1])

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a free port."""
    with Server() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
