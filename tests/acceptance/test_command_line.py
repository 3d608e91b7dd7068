"""bin/quotejob against the running system: its page word for word, --json, exit codes, no ANSI in a pipe."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pytest
import requests
from rich.cells import cell_len

from cli.main import quotejob as program
from harness.api import Api
from harness.org_reader import OrgReader
from harness.process import ROOT, clean_environment
from harness.stack import Stack

Quotejob = Callable[..., subprocess.CompletedProcess[str]]
COMMAND = [sys.executable, "-P", "-m", "cli.main"]  # what bin/quotejob becomes
PAGE = (ROOT / "docs" / "command-line.md").read_text("utf-8")
ANSI = re.compile(r"\x1b")


@pytest.fixture
def environment(stack: Stack) -> dict[str, str]:
    """What a user's shell has: the addresses of the system, nothing else."""
    assert stack.org
    org = {"QUOTEJOB_INSTANCE_URL": stack.org.url, "QUOTEJOB_ACCESS_TOKEN": stack.org.token}
    return {**clean_environment(), "PYTHONPATH": str(ROOT), "QUOTEJOB_URL": stack.web_url, "TZ": "UTC", **org}


@pytest.fixture
def quotejob(environment: dict[str, str]) -> Quotejob:
    """``quotejob("jobs", "--json", input="")``: one command, in a pipe."""

    def call(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        options = {"env": environment, "capture_output": True, "text": True, **options}
        done: subprocess.CompletedProcess[str] = subprocess.run([*COMMAND, *words], **options)
        assert not ANSI.search(done.stdout + done.stderr)
        assert "Traceback" not in done.stderr
        return done

    return call


@pytest.fixture
def bad_opportunity(reader: OrgReader, name: str, make_opportunity: Callable[..., str]) -> str:
    """An Opportunity whose Quote the org refuses: it would expire after the last date there is."""
    record_id = make_opportunity(f"{name} bad")
    reader.update("Opportunity", record_id, {"CloseDate": "4000-12-31"})
    return record_id


def same(line: str) -> str:
    """Return the line without what differs from run to run."""
    line = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", line)
    line = re.sub(r"quotejob job [0-9a-f]{8}", "quotejob job ID", line)
    line = re.sub(r"^(ok +\w+).*", r"\1", line)  # of doctor
    line = re.sub(r"\((now|\d+ \w+ ago)\)", "(AGO)", line)
    line = re.sub(r"(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d", "TIME", line)
    return re.sub(r"(Org requests +)\d+", r"\1N", line)


def session_lines(text: str) -> list[str]:
    """Return the lines to compare; how often a waiting command reports on the way is left to chance."""
    lines = [same(line) for line in text.splitlines()]
    return [line for line in lines if not re.match(r"TIME UTC  (?!Completed)", line)]


def test_the_session_of_the_page(environment: dict[str, str], tmp_path: Path) -> None:
    """Every command of docs/command-line.md prints what stands there."""
    program = tmp_path / "quotejob"
    program.write_text(f'#!/bin/sh\nexec {" ".join(COMMAND)} "$@"\n')
    program.chmod(0o755)
    shell = {**environment, "PATH": f"{tmp_path}:{environment['PATH']}"}
    blocks = "".join(re.findall(r"^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
    for command, printed in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", blocks, re.MULTILINE):
        done = subprocess.run(command, shell=True, env=shell, capture_output=True, text=True)
        assert session_lines(done.stdout) == session_lines(printed), (command, done.stderr)
        time.sleep(0.01)  # so that --last is the later one


def test_a_record_that_fails_is_explained(quotejob: Quotejob, name: str, bad_opportunity: str) -> None:
    """run --wait exits with 1 and names the command that says why; it names the reason and the record."""
    done = quotejob("run", "-", "--wait", "2", input=f"Name LIKE '{name}%'")
    assert done.returncode == 1, done.stderr
    assert "1 record of job" in done.stderr
    job_id = re.search(r"quotejob failures (\S+)", done.stderr)
    assert job_id
    said = quotejob("failures", job_id[1][:13])
    assert said.returncode == 0
    assert bad_opportunity in said.stdout
    [group] = json.loads(quotejob("failures", job_id[1], "--json").stdout)["failures"]
    assert group["count"] == 1
    assert group["records"] == [{"recordId": bad_opportunity, "recordName": f"{name} bad"}]
    assert group["hint"] in said.stdout
    assert group["code"]
    assert group["message"]
    rows = quotejob("results", job_id[1], "--outcome", "failed", "--csv").stdout.splitlines()
    assert rows[0] == "recordId,outcome,quoteId,code,message,recordName"
    assert rows[1].startswith(f"{bad_opportunity},failed,")
    assert quotejob("results", job_id[1], "--csv", "--limit", "1").stdout.splitlines() == rows[:2]
    assert "from 1 to 1,000" in quotejob("results", job_id[1], "--csv", "--limit", "1001").stderr


def test_what_failed_is_retried(quotejob: Quotejob, reader: OrgReader, name: str, bad_opportunity: str) -> None:
    """The job is found by its failed record; the retry has that one only, and exits with 0 once it is mended."""
    first = json.loads(quotejob("run", f"Name LIKE '{name}%'", "--wait", "2", "--json").stdout)
    listed = json.loads(quotejob("jobs", "--has-errors", "--limit", "1", "--json").stdout)["jobs"]
    assert [job["jobId"] for job in listed] == [first["jobId"]]
    [group] = json.loads(quotejob("failures", first["jobId"], "--json").stdout)["failures"]
    assert quotejob("retry", first["jobId"], "--codes", "NO_CODE").returncode == 2
    again = quotejob("retry", first["jobId"], "--codes", f"NO_CODE,{group['code']}")
    assert re.search(rf"is accepted; it retries job {first['jobId']}", again.stdout), again.stderr
    assert quotejob("job", "--last", "--wait", "2").returncode == 1
    reader.update("Opportunity", bad_opportunity, {"CloseDate": "2027-01-31"})
    done = quotejob("retry", "--last", "--wait", "2")
    assert done.returncode == 0, done.stderr
    assert "1 in all: 1 succeeded" in done.stdout
    assert reader.count(f"SELECT COUNT() FROM Quote WHERE OpportunityId = '{bad_opportunity}'") == 1


def commands(command: click.Command, *words: str) -> Iterator[str]:
    """Every command that can be typed: those of groups, and the groups that are commands themselves."""
    if not isinstance(command, click.Group):
        yield " ".join(words)
        return
    if command.invoke_without_command:
        yield " ".join(words)
    for name, each in command.commands.items():
        yield from commands(each, *words, name)


def test_every_command_prints_one_object(
    quotejob: Quotejob, stack: Stack, name: str, bad_opportunity: str, tmp_path: Path
) -> None:
    """With --json, all right or not: every command of the program but ``up``, which ends only with Ctrl-C."""
    seen: set[str] = set()

    def object_of(command: str, *words: str, code: int = 0) -> dict[str, Any]:
        done = quotejob(*command.split(), *words, "--json")
        assert done.returncode == code, (command, words, done.stdout, done.stderr)
        answer = json.loads(done.stdout)
        assert isinstance(answer, dict)
        assert ("error" in answer) == (code in (2, 4, 69))
        seen.add(command)
        return answer

    clause = f"Name LIKE '{name}%'"
    schedule = ("--cron", "0 0 22 ? * MON-FRI", "--clause", clause, "--authorization", "worker")
    file = tmp_path / "accounts.csv"
    file.write_text(f"Name\n{name}\n")
    first = object_of("run", clause, "--wait", "2", code=1)["jobId"]
    later = object_of("run", clause, "--not-before", "2h", "--depends-on", first[:13])["jobId"]
    object_of("jobs", "--status", "holding", "--type", "BatchQuote", "--created-from", "1d", "--sort", "status")
    object_of("job", first)
    object_of("results", first)
    object_of("failures", first)
    object_of("retry", first, "--wait", "2", code=1)
    object_of("queue")
    object_of("queue move", later, "--to", "0")
    object_of("abort", later)
    object_of("resume", later)
    object_of("abort", later)
    object_of("run", "Id != null", "--name", name, "--not-before", "2h")
    object_of("abort", "--all", "--name", name, "--yes")
    object_of("resume", "--all", "--name", name, "--yes")
    object_of("abort", "--last")
    object_of("schedules create", name, *schedule)
    object_of("schedules list")
    object_of("schedules show", name)
    object_of("schedules edit", name, "--cron", "0 0 23 * * ?", "--guaranteed", "--end", "2031-01-01")
    object_of("schedules edit", name, "--no-end", "--not-guaranteed")
    object_of("schedules pause", name)
    object_of("schedules resume", name)
    object_of("schedules run", name, "--wait", "2", code=1)
    object_of("schedules delete", name)
    object_of("data create", "1", "--wait", "2")
    object_of("data delete", "--wait", "2")
    object_of("forecast", "Id != null")
    object_of("run", "Name = 'nobody'", "--dry-run", "--keep-calls", "5", "--wait", "2")
    object_of("dryrun", "--last")
    object_of("jobtypes")
    object_of("audit", "--limit", "3")
    object_of("doctor")
    object_of("console")
    object_of("open")
    object_of("bulk load", str(file), "--object", "Account", "--operation", "insert", "--wait", "2")
    object_of("bulk query", "SELECT Id FROM Account", "--output", str(tmp_path / "found.csv"))
    loaded = object_of("bulk jobs")["jobs"][0]["id"]
    object_of("bulk status", loaded)
    object_of("bulk abort", open_bulk_job(stack))
    object_of("bulk delete", loaded)
    object_of("job", "00000000-0000-4000-8000-000000000000", code=2)
    object_of("run", "Nonsense =", code=2)
    object_of("nonsense", code=2)
    assert set(commands(program)) - seen == {"up"}


def open_bulk_job(stack: Stack) -> str:
    """The id of a Bulk job that takes rows."""
    assert stack.org
    answer = requests.post(
        f"{stack.org.url}/services/data/v66.0/jobs/ingest",
        json={"object": "Account", "operation": "insert"},
        headers={"Authorization": f"Bearer {stack.org.token}"},
        timeout=10,
    )
    return str(answer.json()["id"])


LONG = "Angebote der längsten Abteilung 東京 🚀, every quarter and every region there is"
READING = (
    "jobs", "job ID", "results ID", "results ID --explain", "failures ID", "queue", "schedules list",
    f"schedules show '{LONG}'", "audit", "doctor", "jobtypes", "forecast 'Id != null'", "run", "bulk jobs",
    "run 'Nonsense__c = 1'", "run CLAUSE --wait 2", f"run CLAUSE --not-before 2h --name '{LONG}'",
    "run CLAUSE --dry-run --wait 2", "job 00000000", "retry ID", "abort --all --name Abteilung --status Aborted",
)  # fmt: skip


@pytest.fixture(scope="module")
def much_to_show(api: Api, make_opportunity: Callable[..., str], reader: OrgReader) -> Iterator[tuple[str, str]]:
    """A job whose records did not all succeed, and its clause; long names in two alphabets; a schedule; a queue."""
    reader.update("Opportunity", make_opportunity(f"{LONG} bad"), {"CloseDate": "4000-12-31"})
    make_opportunity(LONG)
    clause = f"Name LIKE '{LONG}%'"
    job_id = api.post("/api/executebatch", {"soqlWhereClause": clause, "name": LONG[:80]})["jobId"]
    assert api.follow(job_id)["records"]["failed"] == 1
    for more in ({"notBefore": "2999-01-01T00:00:00Z"}, {"dependsOn": [job_id], "notBefore": "2999-01-01T00:00:00Z"}):
        api.post("/api/executebatch", {"soqlWhereClause": clause, "name": LONG[:80], **more})
    about = {"name": LONG, "cronExpression": "0 0 22 ? * MON-FRI", "soqlWhereClause": clause, "authorization": "worker"}
    schedule = api.post("/api/schedules", {**about, "timeZone": "America/Argentina/ComodRivadavia"})
    yield job_id, clause
    api.request("DELETE", f"/api/schedules/{schedule['scheduleId']}")
    for job in api.jobs(status="Holding", name="Abteilung"):
        api.post(f"/api/jobs/{job['jobId']}/abort")


EACH = """
import json, sys
from cli.main import quotejob
for words in json.loads(sys.argv[1]):
    print("$", words[0])
    try: quotejob.main(words)
    except SystemExit: pass
"""


def on_a_terminal(width: int, environment: dict[str, str], typed: list[list[str]]) -> str:
    """Return what the commands show on a terminal of this width, all in one process, because starting takes longest."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (40, width))
    command = [sys.executable, "-P", "-c", EACH, json.dumps(typed)]
    with subprocess.Popen(command, env=environment | {"TERM": "xterm-256color"}, stdin=its, stdout=its, stderr=its):
        os.close(its)
        shown = b""
        with suppress(OSError):  # Linux: it has ended
            while part := os.read(ours, 65_536):
                shown += part
    os.close(ours)
    return shown.decode()


@pytest.mark.parametrize("width", [60, 80, 140])
def test_no_line_is_wider_than_the_terminal(
    width: int, environment: dict[str, str], much_to_show: tuple[str, str]
) -> None:
    """Whatever people have named and the org has answered."""
    places = dict(zip(("ID", "CLAUSE"), much_to_show, strict=True))
    typed = [[places.get(word, word) for word in shlex.split(each)] for each in READING]
    shown = on_a_terminal(width, environment, typed)
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-?]*[@-~]", "", shown))
    assert "Traceback" not in shown
    assert [line for line in lines if line.startswith("$ ")] == [f"$ {words[0]}" for words in typed]
    assert [line for line in lines if cell_len(line.rstrip()) > width] == []


def test_a_pipe_has_everything_whole(quotejob: Quotejob, much_to_show: tuple[str, str]) -> None:
    """Ids, long names, records; the fixture looks for ANSI."""
    job_id, _ = much_to_show
    assert job_id in quotejob("jobs").stdout
    assert LONG in quotejob("schedules", "list").stdout
    [group] = json.loads(quotejob("failures", job_id, "--json").stdout)["failures"]
    assert f"  {group['records'][0]['recordId']}  {LONG} bad\n" in quotejob("failures", job_id).stdout


def test_doctor_says_what_is_wrong(environment: dict[str, str], tmp_path: Path) -> None:
    """0 when all is well; 1 without a worker and without Redis, as the page has it, and without the API."""
    with Stack(tmp_path) as stack:
        stack.start_redis()
        org = stack.start_org()
        stack.start_web()
        stack.start_worker()
        stack.start_beat()
        stack.wait_ready()
        named = {"QUOTEJOB_URL": stack.web_url, "QUOTEJOB_INSTANCE_URL": org.url, "QUOTEJOB_ACCESS_TOKEN": org.token}

        def doctor() -> tuple[int, str]:
            done = subprocess.run([*COMMAND, "doctor"], env={**environment, **named}, capture_output=True, text=True)
            return done.returncode, done.stdout

        deadline = time.monotonic() + 60
        while (found := doctor())[0] != 0:  # the first tick comes a second after the start
            assert time.monotonic() < deadline, found
        stack.kill("worker1")
        without_worker, without_redis = re.findall(
            r"^```console doctor\n\$ quotejob doctor\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE
        )
        code, said = doctor()
        assert (code, session_lines(said)) == (1, session_lines(without_worker))
        stack.kill("redis")
        code, said = doctor()
        assert (code, session_lines(said)) == (1, session_lines(without_redis))
        stack.kill("web")
        code, said = doctor()
        assert (code, "cannot be reached" in said) == (1, True), said


def test_the_exit_codes_of_waiting(quotejob: Quotejob, name: str) -> None:
    """69 when the time is over, 3 for an aborted job, 4 for nobody there; the id is always named."""
    done = quotejob("run", f"Name = '{name}'", "--not-before", "2h", "--wait", "0.01")
    assert done.returncode == 69
    job_id = done.stdout.split()[1]
    assert job_id in done.stderr
    assert quotejob("abort", job_id).returncode == 0
    assert quotejob("job", job_id, "--wait", "1").returncode == 3
    assert quotejob("abort", job_id).returncode == 2
    assert quotejob("jobs", "--url", "http://127.0.0.1:9").returncode == 4


def test_ctrl_c_leaves_the_job_alone(environment: dict[str, str], api: Api, name: str) -> None:
    """130, the job's id and how to look; the job goes on."""
    words = ["run", f"Name = '{name}'", "--not-before", "2h", "--wait", "5"]
    with subprocess.Popen(
        [*COMMAND, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as waiting:  # fmt: skip
        assert waiting.stdout
        job_id = waiting.stdout.readline().split()[1]
        waiting.stdout.readline()
        waiting.send_signal(signal.SIGINT)
        _, said = waiting.communicate(timeout=10)
    assert waiting.returncode == 130, said
    assert f"quotejob job {job_id}" in said
    assert api.job(job_id)["status"] == "Holding"
    api.post(f"/api/jobs/{job_id}/abort")
