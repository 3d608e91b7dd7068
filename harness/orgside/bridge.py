"""Shows the Lightning components in a browser, against a running API and a running local org.

It serves the page that page/ builds. It plays two parts of the platform: the Apex classes that components call, and the
session with which a browser reads CometD. Lists are the queries of the Apex classes themselves.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from harness.api import Api, LocalOrg, new_session
from harness.npm import installed
from harness.org_reader import OrgReader

PAGE = Path(__file__).resolve().parent / "page"
_QUERY = re.compile(r"\[\s*(SELECT.*?)\]", re.DOTALL)
_STEPS = {"abort": "abort", "resume": "resume", "retry": "retry"}
_KINDS = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


def build(root: Path) -> Path:
    """Build the page of the components below ``root``, unless it is built, and return its folder.

    This takes half a minute. The folder is beside the packages, and named after all that goes into it.
    """
    modules, source = installed(PAGE), root / "force-app" / "main" / "default" / "lwc"
    ours = [file for file in (*PAGE.iterdir(), *source.rglob("*")) if file.is_file()]
    mark = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(ours))).hexdigest()
    built = modules / ".built" / mark
    if not (built / "index.html").is_file():
        built.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=PAGE, prefix="project-") as made:
            components = Path(made) / "c"
            shutil.copytree(source, components, ignore=shutil.ignore_patterns("__tests__"))
            where = {"QUOTEJOB_COMPONENTS": str(components), "QUOTEJOB_PAGE": str(built / "page.js")}
            command = [str(modules / ".bin" / "rollup"), "-c"]
            subprocess.run(command, cwd=PAGE, env={**os.environ, **where}, check=True, capture_output=True, text=True)
        shutil.copy(PAGE / "index.html", built)
    return built


def queries(root: Path) -> dict[str, str]:
    """Return the query of each method of QuoteJobController that has one, as SOQL for the REST API."""
    text = next((root / "force-app").rglob("QuoteJobController.cls")).read_text(encoding="utf-8")
    found = {}
    for method in text.split("@AuraEnabled")[1:]:
        name, query = re.search(r"(\w+)\(", method), _QUERY.search(method)
        if name and query:
            found[name[1]] = re.sub(r"\s+", " ", query[1].replace("WITH USER_MODE", "")).strip()
    return found


class Apex:
    """What the Apex classes answer. Raises LookupError for a method that is not there."""

    def __init__(self, root: Path, api: Api, org: OrgReader) -> None:
        self._queries, self._api, self._org = queries(root), api, org

    def call(self, name: str, given: dict[str, Any]) -> tuple[int, Any]:
        """Return the status and the body for a component: 200, or 500 with a message."""
        of_class, _, method = name.partition(".")
        if of_class == "QuoteJobController" and method in self._queries:
            return 200, [_plain(row) for row in self._org.query(self._queries[method])]
        verb, path, body = _sent(name, given)
        answer = self._api.another().request(verb, path, json=body)
        said = answer.json()
        if not answer.ok:
            return 500, {"message": said["message"]}
        if method == "failures":
            return 200, [{**reason, "advice": reason["hint"]} for reason in said["failures"]]
        return 200, None


def _sent(name: str, given: dict[str, Any]) -> tuple[str, str, Any]:
    """Return what QuoteJobHttp sends for a call."""
    if name == "QuoteJobSteps.change":
        return "POST", f"/api/jobs/{given['jobId']}/{_STEPS[given['step']]}", {} if given["step"] == "retry" else None
    if name == "QuoteJobSteps.move":
        return "POST", "/api/flexqueue/moveToPosition", given
    if name == "QuoteJobController.failures":
        return "GET", f"/api/jobs/{given['jobId']}/failures", None
    raise LookupError(name)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as Apex gives it: without empty fields; numbers as JSON has them."""
    return {
        field: value if isinstance(value, str | int | bool) else float(value)
        for field, value in row.items()
        if value is not None and field != "attributes"
    }


@contextmanager
def bridge(folder: Path, root: Path, api: Api, org: LocalOrg) -> Iterator[str]:
    """Serve the page that is in ``folder``, and yield its address."""

    class Handler(_Handler):
        pages, apex, where = folder, Apex(root, api, OrgReader(org)), org

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    pages: ClassVar[Path]
    apex: ClassVar[Apex]
    where: ClassVar[LocalOrg]

    def do_GET(self) -> None:
        """Answer with a file of the page, or with a style of the design system."""
        name = self.path.partition("?")[0].lstrip("/") or "index.html"
        styles = PAGE / "node_modules" / "@salesforce-ux" / "design-system" / "assets"
        for folder in (self.pages, styles):
            file = (folder / name).resolve()
            if file.is_relative_to(folder.resolve()) and file.is_file():
                self._answer(200, file.read_bytes(), _KINDS.get(file.suffix, "application/octet-stream"))
                return
        self._answer(404, b"", "text/plain")

    def do_POST(self) -> None:
        """Answer a call of Apex, or pass CometD on to the org."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/apex/"):
            status, answer = self.apex.call(self.path.removeprefix("/apex/"), json.loads(body))
            self._answer(status, json.dumps(answer).encode(), "application/json")
            return
        headers = {"Authorization": f"Bearer {self.where.token}", "Content-Type": "application/json"}
        said = new_session().post(self.where.url + self.path, data=body, headers=headers, timeout=150)
        self._answer(said.status_code, said.content, "application/json")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(ConnectionError):  # the window is closed
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
