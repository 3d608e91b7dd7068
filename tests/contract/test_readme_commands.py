"""The blocks of the local org's README, run as they stand there, each section in a shell of its own.

The org is once that of the checkout, and once the installed distribution in an environment without quotejob.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from _clients import NODE, Node

from harness.orgside.project import SF_ALONE
from harness.process import ROOT

pytestmark = pytest.mark.timeout(1000)  # the first test may have to install the clients

README = (ROOT / "localorg" / "README.md").read_text("utf-8")
_READY = re.compile(r"local org (https?://\S+) org \S+ user \S+ token (\S+)\n")
Run = Callable[..., str]


def script(heading: str, folder: Path) -> str:
    """A shell script of the blocks under a heading: shell as it is, JavaScript and Python handed to their programs."""
    found = re.search(rf"^### {re.escape(heading)}\n(.*?)(?=^##)", README, re.DOTALL | re.MULTILINE)
    assert found, heading
    lines = []
    for number, (language, code) in enumerate(re.findall(r"^```(\w+)\n(.*?)^```", found[1], re.DOTALL | re.MULTILINE)):
        file = folder / f"{number}.{language}"
        file.write_text(code, "utf-8")
        # Node looks for packages from the folder it is in.
        js = f'(cd "{NODE}" && node --input-type=module - < "{file}")'
        lines.append({"sh": code, "js": js, "python": f'"{sys.executable}" "{file}"'}[language])
    return "\n".join(["set -eu", *lines])


@contextmanager
def started(program: list[str], folder: Path, *words: str) -> Iterator[tuple[str, str]]:
    """The address and the token of an org of one's own."""
    command = [*program, "--port", "0", "--opportunities", "3", *words]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready = _READY.fullmatch(process.stdout.readline())
        assert ready
        yield ready[1], ready[2]
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(params=["checkout", "installed"])
def run(request: pytest.FixtureRequest, node: Node, tmp_path: Path) -> Run:
    """``run("curl")``: what the section's blocks print; further words are options of the org."""
    program, folder = [sys.executable, "-m", "localorg"], ROOT
    if request.param == "installed":
        program, folder = [str(request.getfixturevalue("installed_localorg") / "localorg")], tmp_path

    def running(heading: str, *words: str) -> str:
        with started(program, folder, *words) as (url, token):
            done = subprocess.run(
                ["sh", "-c", script(heading, tmp_path)],
                cwd=tmp_path,
                env=node.environment(ORG=url, TOKEN=token, **SF_ALONE),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
            )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
        return done.stdout

    return running


def test_curl(run: Run) -> None:
    printed = run("curl")
    assert '{"totalSize":3,"done":true,"records":[]}' in printed
    assert '"DailyApiRequests"' in printed
    assert '"success":true' in printed


def test_jsforce(run: Run) -> None:
    assert re.fullmatch(r"001\w{15} 3 1\n", run("jsforce"))


def test_simple_salesforce(run: Run) -> None:
    assert re.fullmatch(r"001\w{15} 3 1\n", run("simple-salesforce", "--tls"))


def test_sf(run: Run) -> None:
    printed = run("sf")
    assert "Connected" in printed
    assert "Total number of records retrieved: 3" in printed
    assert '"keyPrefix": "0Q0"' in printed


def test_applink(run: Run) -> None:
    assert run("Heroku AppLink") == "3\n3\n"
