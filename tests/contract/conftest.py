"""One local org for all contract tests, with enough in it for pages, and the clients that talk to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from _clients import OPPORTUNITIES, Node, Sf, installed, pip_of

from harness.api import LocalOrg
from harness.npm import ToolError
from harness.org_reader import OrgReader
from harness.process import ROOT
from harness.stack import Stack

_numbers = count(1)


@pytest.fixture(scope="session")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalOrg]:
    """`python -m localorg` with 2,500 Opportunities of one line. Tests leave what they make behind."""
    with Stack(tmp_path_factory.mktemp("contract")) as stack:
        yield stack.start_org(0, "--opportunities", str(OPPORTUNITIES), "--lines", "1")


@pytest.fixture(scope="session")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the local org's sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("distribution")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT / "localorg")]
    subprocess.run(build, cwd=folder, check=True, capture_output=True, text=True)
    return folder


@pytest.fixture(scope="session")
def installed_localorg(distribution: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment in which only the wheel, what it requires, and pytest are."""
    environment = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    [wheel] = distribution.glob("*.whl")
    pip = [*pip_of(environment / "bin" / "python"), "--no-cache-dir"]
    done = subprocess.run([*pip, str(wheel), "pytest"], capture_output=True, text=True)
    if done.returncode != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"pip cannot install the wheel: {done.stderr[-1000:]}")
    return environment / "bin"


@pytest.fixture(autouse=True)
def _no_checkout_on_the_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """bin/test puts the checkout on the path. What is installed must do without it."""
    if "installed_localorg" in request.fixturenames:
        monkeypatch.delenv("PYTHONPATH", raising=False)


@pytest.fixture(scope="session")
def reader(org: LocalOrg) -> OrgReader:
    """The org's rows, read without any of the clients under test."""
    return OrgReader(org)


@pytest.fixture(scope="session")
def node(optional_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Node:
    """Node and the npm packages of node/package-lock.json."""
    try:
        program = installed(optional_tool("npm"))
    except ToolError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    return Node(program, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def js(node: Node, org: LocalOrg) -> Callable[..., Any]:
    """``js("jsforce_rows.crud", name="A")``: runs one function of a script in node/ against the org."""

    def run(case: str, **given: Any) -> Any:
        where = {"url": org.url, "token": org.token, "userId": org.user_id, "orgId": org.org_id}
        return node.run(case, {**where, **given})

    return run


@pytest.fixture(scope="session")
def sf(node: Node, org: LocalOrg) -> Sf:
    """The sf command, logged in to the org by access token; it is the default org."""
    command = Sf(node, org.token)
    login = command("org", "login", "access-token", "--instance-url", org.url, "--set-default", "--no-prompt")
    assert login["orgId"] == org.org_id
    # sf may lose its own note of the default when several of its processes run.
    return Sf(node, org.token, {"SF_TARGET_ORG": login["username"]})


@pytest.fixture
def name() -> str:
    """A name for this test's rows that no other test uses."""
    return f"Contract {os.getpid()}-{next(_numbers)}"


@pytest.fixture
def account(reader: OrgReader, name: str) -> str:
    """An Account with this test's name."""
    return reader.create("Account", {"Name": name})


@pytest.fixture
def opportunity(reader: OrgReader, account: str, name: str) -> str:
    """An Opportunity of that Account, without a price book."""
    return reader.create(
        "Opportunity", {"Name": name, "AccountId": account, "StageName": "Prospecting", "CloseDate": "2027-01-31"}
    )


@pytest.fixture
def many_children(reader: OrgReader, account: str, name: str) -> int:
    """Gives that Account more Opportunities than a page holds; how many."""
    number = 2300
    for start in range(0, number, 460):
        reader.graph([
            reader.node(
                f"o{each}",
                "Opportunity",
                {"Name": f"{name} {each:04}", "AccountId": account, "StageName": "Prospecting",
                 "CloseDate": "2027-01-31"},
            )
            for each in range(start, start + 460)
        ])  # fmt: skip
    return number
