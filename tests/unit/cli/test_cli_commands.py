"""Exit codes and ids against a small API that answers as it is told: what a healthy system does not show."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from cli import orgs
from cli.main import quotejob
from harness.process import ROOT

USER = {"user_id": "005AA0000000001AAA", "organization_id": "00DAA0000000001AAA", "preferred_username": "a@b.example"}
IDS = ["1f0c7a2b-fdd0-4652-8bae-a742e541bb37", "1f0c9999-fdd0-4652-8bae-a742e541bb37"]


class Fake(BaseHTTPRequestHandler):
    """An org that knows everybody, and an API with one answer for each path."""

    answers: dict[str, list[tuple[int, Any, dict[str, str]]]] = {}
    sent: list[tuple[str, Any]] = []  # paths and bodies
    asked: list[str] = []  # whole addresses of calls of the API

    def do_GET(self) -> None:
        """Give the path's answers in order, the last one for ever."""
        path = self.path.partition("?")[0]
        if path.startswith("/api/"):
            self.asked.append(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.sent.append((path, json.loads(body) if body.startswith(b"{") else None))
        queued = self.answers.get(path, [(404, {"code": "NOT_FOUND", "message": "Nothing here"}, {})])
        status, body, headers = queued.pop(0) if len(queued) > 1 else queued[0]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(json.dumps(USER if path.endswith("userinfo") else body).encode())

    do_POST = do_GET

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Fake]]:
    """The API's answers, to be filled; the environment names it and the org."""
    Fake.sent, Fake.asked = [], []
    Fake.answers = {"/services/oauth2/userinfo": [(200, {}, {})]}
    with ThreadingHTTPServer(("127.0.0.1", 0), Fake) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("QUOTEJOB_URL", url)
        monkeypatch.setenv("QUOTEJOB_INSTANCE_URL", url)
        monkeypatch.setenv("QUOTEJOB_ACCESS_TOKEN", "00DAA0000000001!AQ.verysecret")
        yield Fake
        server.shutdown()


def call(*words: str) -> Result:
    """Run one command."""
    return CliRunner().invoke(quotejob, words)


def refused(status: int, **headers: str) -> tuple[int, Any, dict[str, str]]:
    """Return an error as the API words it."""
    return status, {"code": "SOME_CODE", "message": f"Answer {status}"}, headers


@pytest.mark.parametrize(
    ("status", "exit_code"), [(400, 2), (404, 2), (409, 2), (401, 4), (403, 4), (429, 4), (500, 4), (503, 4)]
)
def test_a_refusal_has_its_exit_code(fake: type[Fake], status: int, exit_code: int) -> None:
    """One sentence on standard error; with --json the error object on standard output."""
    fake.answers["/api/jobs"] = [refused(status)]
    done = call("jobs", "--json")
    assert done.exit_code == exit_code
    assert json.loads(done.stdout) == {"error": {"code": "SOME_CODE", "message": f"Answer {status}"}}
    assert done.stderr == f"Error: Answer {status}\n"


def test_retry_after_is_kept(fake: type[Fake]) -> None:
    """A 429 that names a time is tried again."""
    fake.answers["/api/jobs"] = [refused(429, **{"Retry-After": "0"}), (200, {"jobs": [], "nextCursor": None}, {})]
    assert call("jobs", "--json").exit_code == 0


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch, fake: type[Fake]) -> None:
    """An API that is not there, and an org that is not there: 4, and the token is not shown."""
    monkeypatch.setenv("QUOTEJOB_URL", "http://127.0.0.1:9")
    away = call("jobs")
    assert (away.exit_code, away.stdout) == (4, "")
    assert "cannot be reached" in away.stderr
    monkeypatch.setenv("QUOTEJOB_INSTANCE_URL", "http://127.0.0.1:9")
    lost = call("jobs", "--json")
    assert lost.exit_code == 4
    assert json.loads(lost.stdout)["error"]["code"] == "ORG_REFUSED"
    assert "verysecret" not in lost.output + away.output


def test_something_else_answers(fake: type[Fake]) -> None:
    """A page that is not the API's is said, not shown."""
    fake.answers["/api/jobs"] = [(200, ["not", "an", "object"], {})]
    done = call("jobs")
    assert done.exit_code == 4
    assert "check that --url" in done.stderr


def test_a_short_id(fake: type[Fake]) -> None:
    """Enough of it finds the job; too little names the candidates; less than four characters is refused."""
    fake.answers["/api/jobs"] = [(200, {"jobs": [{"jobId": each} for each in IDS], "nextCursor": None}, {})]
    fake.answers[f"/api/jobs/{IDS[1]}/failures"] = [(200, {"jobId": IDS[1], "failed": 0, "failures": []}, {})]
    assert json.loads(call("failures", "1F0C9", "--json").stdout)["jobId"] == IDS[1]
    several = call("failures", "1f0c")
    assert several.exit_code == 2
    assert all(each in several.stderr for each in IDS)
    for wrong in ("1f0", "77777", "../x", "job!", "", " "):
        assert call("failures", wrong).exit_code == 2


@pytest.mark.parametrize("given", ["Nop", "Feed", "N\u00e4chtlich", "a b", "x", "1F0"])
def test_a_schedule_that_is_not_there_is_named_as_it_was_typed(fake: type[Fake], given: str) -> None:
    """And the message says that a name is allowed: whoever typed one would look for an id."""
    fake.answers["/api/schedules"] = [(200, {"schedules": [{"name": "Nightly", "scheduleId": IDS[0]}]}, {})]
    done = call("schedules", "show", given)
    assert done.exit_code == 2
    assert repr(given) in done.stderr
    assert "name" in done.stderr


def test_an_address_where_nothing_runs_names_the_one_where_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs is known, so that it need not be started once more."""
    monkeypatch.delenv("QUOTEJOB_ORG", raising=False)
    monkeypatch.setattr(orgs, "running_systems", lambda: [{"web_url": "http://127.0.0.1:8003"}])
    done = call("jobs", "--url", "http://127.0.0.1:8004")
    assert done.exit_code == 2
    assert "runs at http://127.0.0.1:8004, but at http://127.0.0.1:8003: correct --url" in done.stderr
    monkeypatch.setattr(orgs, "running_systems", list)
    none = call("jobs", "--url", "http://127.0.0.1:8004")
    assert "No org is named: start" in none.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["job"],
        ["job", "1f0c", "--last"],
        ["retry"],
        ["jobs", "--has-errors", "true"],
        ["abort"],
        ["abort", "1f0c", "--all"],
        ["abort", "--last", "--status", "Holding"],
        ["abort", "1f0c", "--yes"],
        ["resume", "--all", "--wait", "5"],
        ["resume", "--all", "--status", "Nonsense"],
        ["run"],
        ["run", "a", "--file", __file__],
        ["jobs", "--created-from", "yesterday"],
        ["data", "create", "0"],
        ["queue", "move", "1f0c"],
        ["queue", "move", "1f0c", "--front", "--end"],
        ["queue", "--json", "move", "1f0c", "--front"],
        ["results", "1f0c", "--csv", "--json"],
        ["schedules", "create", "x"],
        ["schedules", "create", "x", "--cron", "0 0 22 * * ?", "--parameter", "months"],
        ["run", "--type", "Renewals", "--parameter", "=24"],
        ["run", "Id != null", "--parameter", "months=24"],
        ["schedules", "edit", "x"],
        ["schedules", "edit", "x", "--end", "1d", "--no-end"],
        ["nonsense"],
        ["open", "--url", "example.org"],
    ],
)
def test_a_wrong_command_is_2(fake: type[Fake], words: list[str]) -> None:
    """One sentence, no usage page, no traceback."""
    done = call(*words)
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.splitlines()) == 1


def test_every_help_has_examples() -> None:
    """And the group's help has the exit codes."""
    commands = [["queue", "move"], *([name] for name in quotejob.commands)]
    for group in ("schedules", "data"):
        of_group = quotejob.commands[group]
        assert isinstance(of_group, click.Group)
        commands += [[group, name] for name in of_group.commands]
    for words in commands:
        done = call(*words, "--help")
        assert done.exit_code == 0
        assert "Examples:" in done.stdout, words
    assert "69" in call("--help").stdout


def test_the_page_names_every_command() -> None:
    """Those of groups too, each in the row of its group."""
    page = (ROOT / "docs" / "command-line.md").read_text("utf-8")
    named = [set(re.findall(r"`([a-z -]+)`", row)) for row in page.splitlines() if row.startswith("|")]
    for name, command in quotejob.commands.items():
        of_group = set(command.commands) if isinstance(command, click.Group) else set()
        wanted = {name} | (of_group if name in ("bulk", "schedules") else {f"{name} {each}" for each in of_group})
        assert any(wanted - {"data"} <= row for row in named), wanted


def test_a_schedule_of_a_job_type_of_ones_own(fake: type[Fake]) -> None:
    """Its name is sent as it is typed, the parameters in their order; that of a built-in one in any case."""
    fake.answers["/api/schedules"] = [(201, {"scheduleId": IDS[0]}, {})]
    create = ["schedules", "create", "Yearly", "--json", "--cron", "0 0 6 1 1 ?", "--type"]
    assert call(*create, "renewals", "--parameter", "months=24", "--parameter", "rule=a=b").exit_code == 0
    assert call(*create, "batchquote", "--clause", "Id != null").exit_code == 0
    own, built_in = [body for path, body in fake.sent if path == "/api/schedules"]
    given = [{"name": "months", "value": "24"}, {"name": "rule", "value": "a=b"}]
    assert (own["jobType"], own["parameters"], "soqlWhereClause" in own) == ("renewals", given, False)
    assert (built_in["jobType"], "parameters" in built_in) == ("BatchQuote", False)


@pytest.mark.parametrize(("typed", "sent"), [("batchquote", "BatchQuote"), ("renewals", "renewals")])
def test_the_type_of_a_job_is_read_as_that_of_a_schedule(fake: type[Fake], typed: str, sent: str) -> None:
    """By `run` and `forecast`: a built-in one in any case, one of the user's own as it is typed."""
    fake.answers["/api/jobs"] = [(201, {"jobId": IDS[0]}, {})]
    assert call("run", "Id != null", "--json", "--type", typed).exit_code == 0
    call("forecast", "Id != null", "--json", "--type", typed)
    bodies = [body for path, body in fake.sent if path in ("/api/jobs", "/api/forecast")]
    assert [body["jobType"] for body in bodies] == [sent, sent]


def test_a_hint_has_the_command_as_it_was_typed(fake: type[Fake], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the one for failures that are not in a group."""
    monkeypatch.setattr("cli.commands.results.NAME", "bin/quotejob")
    group = {"code": "A", "message": "B", "hint": None, "count": 1, "records": [{"recordId": "1", "recordName": "C"}]}
    fake.answers[f"/api/jobs/{IDS[0]}"] = [(200, {"jobId": IDS[0]}, {})]
    fake.answers[f"/api/jobs/{IDS[0]}/failures"] = [(200, {"failed": 3, "failures": [group]}, {})]
    assert "2 records failed for other reasons: `bin/quotejob results ID" in call("failures", IDS[0]).stdout


def changed(count: int, **more: Any) -> dict[str, Any]:
    """Return an answer of abortJobs about the first ``count`` of IDS; the last one could not be changed."""
    jobs = [
        {"jobId": job_id, "status": "Aborted", "jobType": "BatchQuote", "changed": True}
        | dict.fromkeys(("name", "soqlWhereClause", "code", "message"))
        for job_id in IDS[:count]
    ]
    return {"matched": count, "changed": count, "jobs": jobs, "nextCursor": None, **more}


def test_all_that_match_are_aborted_only_with_yes(fake: type[Fake]) -> None:
    """In a pipe and with --json nobody can be asked; with --yes the number that was seen is the bound."""
    fake.answers["/api/abortjobs"] = [(200, changed(2), {})]
    for words in (["abort", "--all"], ["abort", "--all", "--json"]):
        done = call(*words, "--status", "holding")
        assert done.exit_code == 2
        assert "Abort these 2 jobs? Nobody can be asked here: add --yes." in done.stderr
    assert len(fake.asked) == 2
    fake.asked.clear()
    done = call("abort", "--all", "--status", "holding", "--name", "a b", "--yes")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "2 jobs are aborted.")
    assert fake.asked == [
        "/api/abortjobs?status=Holding&name=a+b",
        "/api/abortjobs?status=Holding&name=a+b&atMost=2",
    ]
    fake.answers["/api/abortjobs"] = [(200, changed(0), {})]
    done = call("abort", "--all")
    assert (done.exit_code, done.stdout) == (0, "No job matches.\n")


def test_what_could_not_be_changed_is_said(fake: type[Fake]) -> None:
    """All pages are asked for; the exit code is 2, and the object has each job."""
    first, second = changed(2, nextCursor="1:2"), changed(1)
    second["jobs"][0] |= {"changed": False, "code": "JOB_CONFLICT", "message": "It has ended."}
    fake.answers["/api/resumejobs"] = [(200, changed(2), {}), (200, first, {}), (200, second, {})]
    done = call("resume", "--all", "--yes", "--json")
    assert done.exit_code == 2
    assert "1 of 3 jobs could not be changed" in done.stderr
    answer = json.loads(done.stdout)
    assert (answer["matched"], answer["changed"], len(answer["jobs"])) == (2, 2, 3)
    assert fake.asked[1:] == ["/api/resumejobs?atMost=2", "/api/resumejobs?atMost=2&cursor=1%3A2"]
