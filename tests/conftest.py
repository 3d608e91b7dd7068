"""What every test may use: a real Redis, a real local org, and an environment without the developer's own settings."""

from __future__ import annotations

import logging
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from harness.api import LocalOrg
from harness.process import clean_environment
from harness.stack import Stack
from quotejob import tally
from quotejob.testing import redis_server

TIERS = ["unit", "integration", "orgside", "contract", "acceptance"]
# Files that take a minute or more, the longest first. They start before the others: one that starts as the last would
# leave the other processes without work.
LONG = [
    "test_innocents.py", "test_demo.py", "test_chaos.py", "test_pages_run.py", "test_faults.py", "test_up.py",
    "test_command_line.py", "test_schedules_run.py", "test_console.py", "test_console_attacks.py",
    "test_hosts.py", "test_openapi.py", "test_two_versions.py", "test_gates.py",
    "test_redis_kinds.py", "test_histories.py",
]  # fmt: skip
GIVEN_REDIS_URL = os.environ.get("REDIS_URL", "").strip()

for _name in set(os.environ) - set(clean_environment()):
    del os.environ[_name]


def pytest_configure(config: pytest.Config) -> None:
    """SIGTERM ends the run like Ctrl-C does, so that every fixture stops what it started.

    A shell ignores SIGINT for its background jobs, and so would every program that a test starts.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test's folder is its tier: `-m unit`, `-m "not acceptance"`. What is long runs first, then what needs least."""
    tests = Path(__file__).parent
    for item in items:
        item.add_marker(item.path.relative_to(tests).parts[0])
    items.sort(key=lambda item: TIERS.index(item.path.relative_to(tests).parts[0]))
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server: the one of REDIS_URL when that was set, else a private one with an append-only file.

    Of several processes that run tests, only the first takes the one of REDIS_URL: it is not to be shared.
    """
    if GIVEN_REDIS_URL and os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0":
        yield GIVEN_REDIS_URL
        return
    with redis_server.private(durable=True) as url:
        yield url


@pytest.fixture(scope="session")
def local_org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalOrg]:
    """A local org with its seed data only, shared by the session: what a test adds, others see."""
    with Stack(tmp_path_factory.mktemp("localorg")) as stack:
        yield stack.start_org()


@pytest.fixture(scope="session")
def optional_tool() -> Callable[[str], str]:
    """``optional_tool("node")`` gives its path; without it the test is skipped on a laptop and fails in CI."""

    def find(name: str) -> str:
        if path := shutil.which(name):
            return path
        message = f"{name} is not on PATH"
        if os.environ.get("CI"):
            pytest.fail(f"{message}; in CI every tool must be there")
        pytest.skip(message)

    return find


@pytest.fixture(scope="module", autouse=True)
def _nothing_counts_on() -> Iterator[None]:
    """The thread that hands counts on to a file's Redis does not go on during the next file."""
    yield
    tally.hand_to(None)


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """The process's logging is afterwards what it was before."""
    with _logging_kept():
        yield


@pytest.fixture(scope="module")
def logging_restored_after_all() -> Iterator[None]:
    """The same, after the last test of the file."""
    with _logging_kept():
        yield


@contextmanager
def _logging_kept() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
