"""An org that takes every request and does not answer: first a caller's, later any."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from _callers import new_caller

from quotejob.salesforce.caller import CallerContext


class HangingOrg(ThreadingHTTPServer):
    """It knows its one user and takes any clause, while ``knows_callers``. It answers all else when it is ``awake``."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.knows_callers = threading.Event()
        self.awake = threading.Event()
        self.ended = threading.Event()
        self.asked: list[str] = []  # the paths of the requests that it did not answer at once
        self.caller: CallerContext = replace(new_caller(), org_domain_url=f"http://127.0.0.1:{self.server_port}")

    def answer(self, path: str) -> dict[str, Any]:
        """Return what it says, as soon as it says something."""
        known = self.knows_callers if "userinfo" in path or "explain=" in path else self.awake
        if not known.is_set():
            self.asked.append(path)
        while not known.wait(0.05) and not self.ended.is_set():
            pass
        caller = self.caller
        user = {"user_id": caller.user_id, "organization_id": caller.org_id, "preferred_username": caller.username}
        return user if "userinfo" in path else {"totalSize": 0, "done": True, "records": []}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HangingOrg

    def do_GET(self) -> None:
        with suppress(OSError):
            body = json.dumps(self.server.answer(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def hanging() -> Iterator[HangingOrg]:
    """An org of its own that hangs; see HangingOrg."""
    with HangingOrg() as org:
        thread = threading.Thread(target=org.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield org
        finally:
            org.ended.set()
            org.shutdown()
            thread.join()
