"""Schedules in Redis, with nothing of another test due. Each file has the settings that it needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from quotejob.jobs.store import JobStore
from quotejob.schedules.firing import Firing
from quotejob.schedules.store import ScheduleStore
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys
from quotejob.store.client import RedisClient


@pytest.fixture
def client(redis_url: str) -> Iterator[RedisClient]:
    """A client of Redis; no schedule is due there, before and afterwards."""
    client = store.client(redis_url, attempts=1)
    client.delete(keys.DUE, keys.FIRED)
    yield client
    client.delete(keys.DUE, keys.FIRED)


@pytest.fixture
def services(client: RedisClient, settings: Settings) -> Services:
    """The stores, with the settings of the file."""
    return Services(settings, client)


@pytest.fixture
def jobs(services: Services) -> JobStore:
    """The jobs that schedules submit."""
    return services.jobs


@pytest.fixture
def schedules(services: Services) -> ScheduleStore:
    """What callers do with schedules."""
    return services.schedules


@pytest.fixture
def firing(services: Services) -> Firing:
    """What the clock does with schedules."""
    return services.firing
