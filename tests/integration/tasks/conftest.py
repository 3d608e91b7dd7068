"""The tasks by themselves: their settings, and a broker of the same Redis with nothing in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from _messages import QUEUES
from cryptography.fernet import Fernet

from quotejob.settings import Settings, current
from quotejob.store import client as store
from quotejob.store import keys
from quotejob.store.client import RedisClient
from tasks import broker
from tasks.app import app


@pytest.fixture
def settings(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Those the tasks read; one job of an org is active at a time."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("QUOTEJOB_SECRET_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("QUOTEJOB_ACTIVE_JOBS", "1")
    monkeypatch.setitem(app.conf, "broker_url", redis_url)
    monkeypatch.setattr(broker.Backend, "subscribes", False)  # as in workers; another file's Redis may have ended
    app.loader.import_default_modules()  # a step sends others by their names
    current.cache_clear()
    client = store.client(redis_url, attempts=1)
    client.delete(keys.DUE, keys.FIRED, keys.OPEN, *QUEUES)
    yield current()
    client.delete(keys.DUE, keys.FIRED, keys.OPEN, *QUEUES)
    current.cache_clear()


@pytest.fixture
def client(settings: Settings) -> RedisClient:
    """A client of the Redis that the tasks use."""
    return store.client(settings.redis_url, attempts=1)
