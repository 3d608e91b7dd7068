"""Jobs of users' own types. A file names its types in ``ALL``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from _runs import forget_org

from harness.api import LocalOrg
from harness.org_reader import OrgReader
from quotejob.jobtypes import registry
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store.client import RedisClient


@pytest.fixture(autouse=True)
def types(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job types of the file, in this process only."""
    monkeypatch.setattr(registry, "_HANDLERS", dict(registry._HANDLERS))
    for job in request.module.ALL:
        registry.add(job)


@pytest.fixture
def org(local_org: LocalOrg) -> OrgReader:
    return OrgReader(local_org)


@pytest.fixture
def services(settings: Settings, client: RedisClient, local_org: LocalOrg) -> Iterator[Services]:
    made = Services(settings, client)
    yield made
    forget_org(made, local_org)
