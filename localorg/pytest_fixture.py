"""The pytest fixture `salesforce_org`: one local org for all tests of a session, started when the first test asks.

pytest finds it by its entry point when the distribution is installed. Nothing of the org itself is imported here, so
tests that do not use it lose no time.
"""

from __future__ import annotations

import select
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

_OPTIONS = "salesforce_org_options"  # of pytest's configuration file
_START_SECONDS = 60.0


@dataclass(frozen=True)
class SalesforceOrg:
    """Where the org listens, and who its user is."""

    url: str  # the instance URL, such as http://127.0.0.1:43211
    org_id: str  # 00D...
    user_id: str  # 005...
    token: str  # an access token

    def __repr__(self) -> str:
        return f"SalesforceOrg(url={self.url!r}, org_id={self.org_id!r}, user_id={self.user_id!r})"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting with the options of the org."""
    parser.addini(_OPTIONS, "options of the command localorg, such as --opportunities 100 --tls", default="")


@pytest.fixture(scope="session")
def salesforce_org(request: pytest.FixtureRequest) -> Iterator[SalesforceOrg]:
    """Yield a Salesforce org: url, token, org_id, user_id. What tests write stays in it until the end."""
    options = shlex.split(str(request.config.getini(_OPTIONS)))
    command = [sys.executable, "-m", "localorg", "--port", "0", "--until-eof", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield _started(process)
        finally:
            process.terminate()


def _started(process: subprocess.Popen[str]) -> SalesforceOrg:
    """Read the line ``local org URL org ID user ID token TOKEN``."""
    assert process.stdout
    ready, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
    words = process.stdout.readline().split() if ready else []
    if len(words) != 9:
        pytest.fail(f"The local org did not start; its reason is above. It was started with {process.args!r}", False)
    return SalesforceOrg(words[2], words[4], words[6], words[8])
