"""Runs the third-party clients of tests/contract as their users would: Node scripts, sf, a session for requests.

node/package-lock.json pins the clients written in JavaScript and the Node they run on.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.exceptions import SalesforceError

from harness.api import LocalOrg
from harness.npm import installed as npm_packages
from harness.orgside.project import SF_ALONE

Untyped: TypeAlias = Any  # of simple-salesforce, whose own types do not know what its attributes give
NODE = Path(__file__).parents[1] / "contract" / "node"
MODULES = NODE / "node_modules"
COMPILED = MODULES / ".compiled"  # where Node keeps what it compiled, so that each sf command starts sooner
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
OPPORTUNITIES = 2500  # in the org of the contract tests: more than a page of 2,000


def installed(npm: str) -> Path:
    """The node program in node_modules, installed with everything else by npm if it is not yet there."""
    return npm_packages(NODE, npm) / ".bin" / "node"


@dataclass(frozen=True)
class Node:
    """Node and the clients installed for it, with a home folder of their own."""

    program: Path
    home: Path

    def environment(self, **more: str) -> dict[str, str]:
        """Little but PATH: nothing of the developer's own settings reaches a client."""
        passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        passed["PATH"] = f"{self.program.parent}{os.pathsep}{passed.get('PATH', '')}"
        own = {"HOME": str(self.home), "NO_PROXY": "127.0.0.1", "NODE_COMPILE_CACHE": str(COMPILED)}
        return {**passed, **own, **more}

    def run(self, case: str, given: Mapping[str, Any], **environment: str) -> Any:
        """``run("jsforce_rows.crud", {...})``: what the function crud of node/jsforce_rows.mjs answers to this."""
        file, _, name = case.partition(".")
        done = subprocess.run(
            [str(self.program), "run.mjs", f"{file}.mjs", name],
            cwd=NODE,
            env=self.environment(**environment),
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, f"{case} failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}"
        return json.loads(done.stdout.splitlines()[-1])


def pip_of(program: Path) -> list[str]:
    """The beginning of a pip install for the Python of another environment.

    It needs no pip of its own, and only what is imported is compiled: that is half of the work of making it.
    """
    return [sys.executable, "-m", "pip", "--python", str(program), "--disable-pip-version-check", "install",
            "-q", "--no-compile"]  # fmt: skip


class HttpOnly(HTTPAdapter):
    """Takes what a client sends to https:// and brings it to a local org, which speaks http.

    simple-salesforce writes https:// into every address, and logs in at https://DOMAIN.salesforce.com, without a
    setting for either; its `session` argument is the one thing to hand it.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: requests.PreparedRequest, *given: Any, **options: Any) -> requests.Response:
        assert request.url
        request.url = self._url + request.path_url
        request.headers.pop("Host", None)
        return super().send(request, *given, **options)


def http_session(org: LocalOrg) -> requests.Session:
    """A session for simple-salesforce."""
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", HttpOnly(org.url))
    return session


def content(refusal: pytest.ExceptionInfo[SalesforceError]) -> Any:
    """What the org answered, which simple-salesforce raised. Its types do not know that this is JSON."""
    return refusal.value.content


class SfError(Exception):
    """An sf command failed; the message holds what it said."""


@dataclass(frozen=True)
class Sf:
    """The sf command, with folders, telemetry and update checks of its own."""

    node: Node
    token: str
    more: Mapping[str, str] = field(default_factory=dict)  # environment

    def __call__(self, *words: str, cwd: Path | None = None) -> Any:
        """``sf WORDS --json``: the result of it; raises SfError when it failed."""
        return result(self.run(*words, "--json", cwd=cwd))

    def at_once(self, *commands: Sequence[str], cwd: Path | None = None) -> list[subprocess.CompletedProcess[str]]:
        """Several commands as they are, two at a time: each of them takes a second to start.

        Each has a copy of the home: sf writes its settings anew, and another sf would read a half-written file.
        """

        def run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
            with tempfile.TemporaryDirectory() as folder:
                home = shutil.copytree(self.node.home, Path(folder) / "home")
                return replace(self, node=replace(self.node, home=home)).run(*words, cwd=cwd)

        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(run, commands))

    def run(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """``sf WORDS`` as it is."""
        environment = self.node.environment(SF_ACCESS_TOKEN=self.token, **SF_ALONE, **self.more)
        return subprocess.run(
            [str(self.node.program), str(MODULES / "@salesforce" / "cli" / "bin" / "run.js"), *words],
            cwd=cwd or self.node.home,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )


def result(done: subprocess.CompletedProcess[str]) -> Any:
    """What an sf command with --json found; raises SfError when it failed."""
    words = " ".join(str(word) for word in done.args[2:])
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise SfError(f"sf {words} said no JSON:\n{done.stdout[-2000:]}{done.stderr[-2000:]}") from None
    if answer["status"] != 0:
        raise SfError(f"sf {words}: {answer.get('name')}: {answer.get('message')} {answer.get('data')}")
    return answer["result"]
