"""bin/invoke.sh: the header the mesh would send, the token never shown, sf of this year and of last year."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from _scripted import Reply, serving

from harness.process import clean_environment

INVOKE = Path(__file__).resolve().parents[3] / "bin" / "invoke.sh"
TOKEN = "00DAA0000000001!AQ.verysecret"
USER = {"user_id": "005AA0000000001AAA", "organization_id": "00DAA0000000001AAA", "preferred_username": "a@b.example"}


class Both(BaseHTTPRequestHandler):
    """An org that knows one token, and an API that keeps what it was sent."""

    calls: list[tuple[str, str, dict[str, Any], bytes]] = []

    def do_GET(self) -> None:
        """userinfo is the org's; anything else is the API's."""
        if self.path == "/services/oauth2/userinfo":
            known = self.headers["Authorization"] == f"Bearer {TOKEN}"
            self.answer(200 if known else 401, USER if known else {})
        else:
            context = json.loads(base64.b64decode(self.headers["x-client-context"]))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.calls.append((self.command, self.path, context, body))
            self.answer(404 if "missing" in self.path else 202, {"jobId": "1"})

    do_POST = do_GET

    def answer(self, status: int, body: Any) -> None:
        """JSON out."""
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *words: Any) -> None:
        """Silence."""


@pytest.fixture
def url() -> Iterator[str]:
    """Where both listen."""
    Both.calls.clear()
    with HTTPServer(("127.0.0.1", 0), Both) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def invoke(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, as typed."""
    return subprocess.run([INVOKE, *words], env=clean_environment() | environment, capture_output=True, text=True)


def sf_command(folder: Path, answers: dict[str, Any]) -> str:
    """A PATH whose sf answers with JSON by its second word; gives the PATH."""
    program = folder / "sf"
    lookup = f"import sys, json; a = json.loads({json.dumps(answers)!r}).get(' '.join(sys.argv[1:3]))"
    end = "print(json.dumps(a or {'message': 'no such command'})); sys.exit(0 if a and 'result' in a else 1)"
    program.write_text(f"#!{sys.executable}\n{lookup}\n{end}\n")
    program.chmod(0o755)
    return f"{folder}:{clean_environment()['PATH']}"


def test_local_with_a_body_is_a_post(url: str) -> None:
    """The context has all the parts of the contract; the answer's body goes to standard output."""
    done = invoke("local", f"{url}/api/executebatch", '{"a": 1}', LOCAL_ORG_URL=url, LOCAL_ORG_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"jobId": "1"}
    [(method, path, context, body)] = Both.calls
    assert (method, path, body) == ("POST", "/api/executebatch", b'{"a": 1}')
    assert context.pop("requestId")
    assert context == {
        "orgId": USER["organization_id"],
        "orgDomainUrl": url,
        "apiVersion": "66.0",
        "namespace": "",
        "accessToken": TOKEN,
        "userContext": {"userId": USER["user_id"], "username": USER["preferred_username"]},
    }
    assert TOKEN not in done.stdout + done.stderr


def test_without_a_body_it_is_a_get_and_an_error_is_exit_code_1(url: str) -> None:
    """Empty JSON or none; the status goes to standard error."""
    for words in (["/api/jobs"], ["/api/jobs", ""]):
        done = invoke("local", url + words[0], *words[1:], LOCAL_ORG_URL=url, LOCAL_ORG_TOKEN=TOKEN)
        assert done.returncode == 0, done.stderr
    missing = invoke("local", f"{url}/api/jobs/missing", LOCAL_ORG_URL=url, LOCAL_ORG_TOKEN=TOKEN)
    assert (missing.returncode, missing.stderr.strip()) == (1, "404")
    assert [call[0] for call in Both.calls] == ["GET", "GET", "GET"]


@pytest.mark.parametrize("shown", [TOKEN, "[REDACTED] Use 'sf org auth show-access-token' to view", None])
def test_an_sf_alias(url: str, tmp_path: Path, shown: str | None) -> None:
    """sf shows the token in `org display` (before May 2026) or in `org auth show-access-token` (since)."""
    answers: dict[str, Any] = {"org display": {"result": {"instanceUrl": url, "accessToken": shown}}}
    if shown != TOKEN:
        answers["org auth"] = {"result": {"accessToken": TOKEN}}
    done = invoke("my-org", f"{url}/api/jobs", PATH=sf_command(tmp_path, answers))
    assert done.returncode == 0, done.stderr
    assert Both.calls[0][2]["accessToken"] == TOKEN
    assert TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "does not accept the token"),
        (403, "does not accept the token"),
        (404, "does not answer as a Salesforce org"),
        (503, "is not available now (503). Try again later"),
        (429, "is not available now"),
        (200, "did not answer with JSON"),
    ],
)
def test_an_org_that_refuses_or_is_away_is_said(url: str, status: int, words: str) -> None:
    """Only a refusal is about the token."""
    with serving() as server:
        server.script = [Reply(b"<html>", status)]
        done = invoke("local", f"{url}/api/jobs", LOCAL_ORG_URL=server.url, LOCAL_ORG_TOKEN=TOKEN)
    assert done.returncode == 2
    assert words in done.stderr
    assert ("token" in done.stderr) is (status in (401, 403))


def test_what_is_missing_is_said(url: str, tmp_path: Path) -> None:
    """Exit code 2 and one sentence; nothing is sent."""
    org = {"LOCAL_ORG_URL": url, "LOCAL_ORG_TOKEN": TOKEN}
    refused = sf_command(tmp_path, {"org display": {"message": "No authorization information found for x."}})
    for done, words in (
        (invoke("local"), "usage"),
        (invoke("local", "example.org/api/jobs", **org), "not an http"),
        (invoke("local", f"{url}/api/jobs", "{", **org), "not JSON"),
        (invoke("local", f"{url}/api/jobs", LOCAL_ORG_URL=url, LOCAL_ORG_TOKEN="wrong"), "does not accept the token"),
        (invoke("x", f"{url}/api/jobs", PATH=refused), "No authorization information"),
    ):
        assert done.returncode == 2, done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    assert Both.calls == []
