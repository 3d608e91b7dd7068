"""What the tests of the org client share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from _place import LINES, OPPORTUNITIES, control
from _scripted import Server, serving

from harness.api import LocalOrg
from harness.stack import Stack
from quotejob.salesforce import API_VERSION, OrgAddress, OrgClient
from quotejob.salesforce.guard import pool


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalOrg]:
    """A local org with Opportunities, for this file only."""
    with Stack(tmp_path_factory.mktemp("localorg")) as stack:
        yield stack.start_org(0, "--opportunities", str(OPPORTUNITIES), "--lines", str(LINES))


@pytest.fixture
def as_new(place: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No faults, numbers at zero, short pauses, no connection left open."""
    monkeypatch.setattr("quotejob.salesforce.connection.FIRST_PAUSE", 0.01)
    control(place, "reset", {})
    yield
    pool().close()


@pytest.fixture
def address(place: LocalOrg) -> OrgAddress:
    """Where the local org is."""
    return OrgAddress(place.url, place.token, API_VERSION, place.org_id)


@pytest.fixture
def org(address: OrgAddress) -> OrgClient:
    """A client of it."""
    return OrgClient(address)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of the test's own."""
    with serving() as server:
        yield server


@pytest.fixture
def fresh_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No connection is left open from one test to the next, and pauses are short."""
    monkeypatch.setattr("quotejob.salesforce.connection.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("quotejob.salesforce.bulk.FIRST_PAUSE", 0.01)
    yield
    pool().close()
