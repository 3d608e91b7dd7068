"""Other tenants of a fault run: one org that hangs and one that drips a byte a second, and their jobs.

Both know their callers, so that their jobs are accepted. All else they are asked takes longer than anybody waits.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from harness.api import Api, ApiError, LocalOrg


class Neighbour(ThreadingHTTPServer):
    """An org. ``drips``: its answers come byte by byte; otherwise none comes."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, number: int, *, drips: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.drips = drips
        self.ended = threading.Event()
        url = f"http://127.0.0.1:{self.server_port}"
        self.org = LocalOrg(url, f"00D{number:012}EAA", "005000000000001AAA", f"token-of-{number}")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of callers who went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Neighbour

    def do_GET(self) -> None:
        org = self.server.org
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        user = {"user_id": org.user_id, "organization_id": org.org_id, "preferred_username": "u@x.example"}
        known = "userinfo" in self.path or "explain=" in self.path
        body = json.dumps(user if "userinfo" in self.path else {"totalSize": 0, "done": True, "records": []}).encode()
        with suppress(OSError):
            if known or self.server.drips:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
            for place in range(1 if known else len(body)):
                if not known and self.server.ended.wait(1):
                    return
                if known or self.server.drips:
                    self.wfile.write(body if known else body[place : place + 1])
            self.close_connection = not known

    do_POST = do_PATCH = do_GET

    def log_message(self, *args: Any) -> None:
        pass


class Neighbours:
    """The two orgs, and the jobs that they have at the moment."""

    def __init__(self, orgs: list[Neighbour]) -> None:
        self._orgs = orgs
        self._jobs: list[tuple[Api, str]] = []

    def submit(self, web_url: str) -> None:
        """Submit a job of each. Without an answer there is none in this round."""
        for neighbour in self._orgs:
            api = Api(web_url, neighbour.org, "u@x.example")
            with suppress(ApiError, OSError):
                self._jobs.append((api, api.submit("Name = 'x'")))

    def abort(self) -> None:
        """Abort their jobs, so that the next ones get slots."""
        for api, job_id in self._jobs:
            with suppress(ApiError, OSError):
                api.post(f"/api/jobs/{job_id}/abort")
        self._jobs.clear()


@contextmanager
def neighbours() -> Iterator[Neighbours]:
    """Run the two orgs for the length of the block."""
    with Neighbour(901, drips=False) as hangs, Neighbour(902, drips=True) as drips:
        for org in (hangs, drips):
            threading.Thread(target=org.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield Neighbours([hangs, drips])
        finally:
            for org in (hangs, drips):
                org.ended.set()
                org.shutdown()
