"""Empty values, odd addresses, answers of something else, outputs that take nothing: a sentence and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import quotejob
from harness.process import ROOT

USER = {"user_id": "005AA0000000001AAA", "organization_id": "00DAA0000000001AAA", "preferred_username": "a@b.example"}
ID = "1f0c7a2b-fdd0-4652-8bae-a742e541bb37"
MANY = "9" * 5000


class Other(BaseHTTPRequestHandler):
    """An org that knows everybody, and beside it a service that is not the API: it answers everything with JSON."""

    asked: list[tuple[str, str]] = []  # method and address
    body: bytes = b'{"status": "ok"}'

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/services/"):
            body = json.dumps(USER).encode()
        else:
            self.asked.append((self.command, self.path))
            body = self.body
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) + 100 * self.path.endswith("/results")))  # it ends too early
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PATCH = do_DELETE = do_GET

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Other]]:
    """What is asked of it. The environment names it as API and as org."""
    Other.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        for name in ("QUOTEJOB_URL", "QUOTEJOB_INSTANCE_URL"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("QUOTEJOB_ACCESS_TOKEN", "a-token-of-the-org")
        yield Other
        server.shutdown()


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(quotejob, list(words))
    assert "Traceback" not in done.output
    return done.exit_code, done.output


@pytest.mark.parametrize("options", [["--name", ""], ["--reason", ""], ["--type", ""]])
def test_an_empty_filter_is_for_the_api_to_refuse(other: type[Other], options: list[str]) -> None:
    """It is sent, never dropped: without it all jobs would match."""
    for words in (["jobs"], ["abort", "--all", "--yes"], ["resume", "--all", "--yes"]):
        run(*words, *options)
    parameter = {"--name": "name=", "--reason": "extendedStatus=", "--type": "jobType="}[options[0]]
    assert len(other.asked) == 3
    assert all(parameter in address.partition("?")[2].split("&") for _, address in other.asked)


@pytest.mark.parametrize(
    "words",
    [
        ["abort", ""], ["abort", "", "--last"], ["abort", "", "--all", "--yes"], ["resume", "", "--last"],
        ["job", "", "--last"], ["retry", "", "--last"], ["dryrun", "", "--last", "--run"], ["results", "", "--last"],
        ["abort", "--all", "--yes", "--parent", ""], ["audit", "--job", ""], ["run", "x", "--depends-on", ""],
        ["queue", "move", ID, "--front", "--before", ""], ["queue", "move", ID, "--before", ""],
        ["abort", "--all", "--yes", "--created-from", ""], ["abort", "--all", "--yes", "--status", ""],
        ["jobs", "--url", ""], ["jobs", "--org", ""],
    ],
)  # fmt: skip
def test_an_empty_value_is_not_left_out(other: type[Other], words: list[str]) -> None:
    """Nothing is asked of the API: not for the newest job either."""
    assert run(*words)[0] == 2
    assert not other.asked


def test_an_empty_name_of_a_schedule_is_looked_for(other: type[Other], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other, "body", b'{"schedules": [], "entries": []}')
    for words in (["audit", "--schedule", ""], ["abort", "--all", "--yes", "--schedule", ""]):
        assert run(*words)[0] == 2
    assert {address for _, address in other.asked} == {"/api/schedules"}


@pytest.mark.parametrize(
    "words",
    [
        ["run", "x"], ["run", "x", "--wait", "1"], ["data", "create", "3"], ["jobs"], ["job", ID], ["queue"],
        ["schedules", "list"], ["schedules", "run", "x"], ["forecast", "x"], ["dryrun", ID], ["failures", ID],
        ["results", ID, "--explain"], ["abort", ID], ["abort", "--all", "--yes"], ["jobtypes"], ["audit"], ["console"],
    ],
)  # fmt: skip
@pytest.mark.parametrize("body", [b'{"status": "ok"}', b"[]", b"0", b'{"jobs": 1, "schedules": 1, "jobTypes": 1}'])
def test_another_service_is_not_the_api(
    other: type[Other], monkeypatch: pytest.MonkeyPatch, words: list[str], body: bytes
) -> None:
    """A message; never the exit code that says that records have failed."""
    monkeypatch.setattr(other, "body", body)
    code, output = run(*words)
    assert (code, "Error: " in output) == (4, True)


@pytest.mark.parametrize("body", [b'{"status": "ok"}', b"[]", b'{"jobs": [{}]}', b'{"jobs": 1}'])
def test_with_json_it_is_an_object(other: type[Other], monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    """As every error is."""
    monkeypatch.setattr(other, "body", body)
    code, output = run("job", "--last", "--json")
    said = json.loads(output.splitlines()[-1])["error"]
    assert (code, said["code"] in ("NOT_THE_API", "UNEXPECTED")) == (4, True)


def test_doctor_says_that_it_is_not_the_api(other: type[Other]) -> None:
    code, output = run("doctor")
    assert (code, "The answer has no checks" in output) == (1, True)


def test_an_answer_that_ends_too_early(other: type[Other]) -> None:
    code, output = run("results", ID, "--csv")
    assert (code, "rows are missing" in output) == (4, True)


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://127.0.0.1:1/?x=1", "http://127.0.0.1:1/#x", "http://127.0.0.1:99999", "http://", "x"]
)
def test_an_address_that_is_none(other: type[Other], url: str) -> None:
    code, output = run("jobs", "--url", url)
    assert (code, "--url" in output) == (2, True)


@pytest.mark.parametrize(
    "words",
    [
        ["run", "x", "--not-before", f"{MANY}h"], ["jobs", "--created-from", f"{MANY}d"], ["job", ID, "--wait", "nan"],
        ["job", ID, "--wait", "inf"], ["job", ID, "--wait", "-inf"], ["data", "create", MANY],
        ["bulk", "load", __file__, "--part-mb", "nan"],
    ],
)  # fmt: skip
def test_a_number_that_is_none(other: type[Other], words: list[str]) -> None:
    assert run(*words)[0] == 2
    assert not other.asked


def shell(line: str, **environment: str) -> tuple[int, str]:
    """Run a line of bash in which $quotejob is the command. Returns its exit code, and what was said as an error."""
    command = f"{sys.executable} -m cli.main"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        cwd=ROOT, env={**os.environ, "quotejob": command, **environment}, capture_output=True, text=True,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", ["--help", "open", "open --json", "run --help"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_nobody_takes_the_output(other: type[Other], words: str, unbuffered: str) -> None:
    """A full disk, a reader that has ended, and an output that is closed."""
    code, said = shell(f"$quotejob {words} > /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert (code, "cannot be written" in said) == (2, True)
    assert shell(f"$quotejob {words} | true", PYTHONUNBUFFERED=unbuffered) in ((141, ""), (0, ""))
    assert shell(f"$quotejob {words} >&-", PYTHONUNBUFFERED=unbuffered) == (0, "")


def test_an_error_that_cannot_be_written(other: type[Other]) -> None:
    """Its exit code stays."""
    assert shell("$quotejob jobs --url x --json > /dev/full")[0] == 2
    assert shell("$quotejob jobs --url x --json > /dev/full 2> /dev/full")[0] == 2


def test_a_clause_that_cannot_be_read(other: type[Other]) -> None:
    """Without a standard input it is empty; with other bytes than UTF-8 it is no text. Neither is sent as a clause."""
    assert shell("$quotejob run - <&-")[0] == 2
    for locale in ("C", "C.UTF-8"):
        assert shell("printf '\\xff\\xfe' | $quotejob run -", LC_ALL=locale)[0] == 2
        code, said = shell("$quotejob jobs --name $'\\xff'", LC_ALL=locale)
        assert (code, "UTF-8" in said) == (2, True)
