"""The connections to the broker: the channels of a process share few, and make new ones after a refusal to write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError
from redis import Redis

from quotejob.settings import Settings
from tasks.app import app
from tasks.broker import LONGEST_PAUSE, NoRoom

ROOT = Path(__file__).parents[3]
ASK_THEN_SEND = """
from quotejob.services import Services
from quotejob.settings import current
from tasks.workers import dispatch_org, is_worker_running

services = Services.connected(current())

def connections_after_a_message():
    dispatch_org(services, "00D000000000001AAA")
    return services.client.info("stats")["total_connections_received"]

is_worker_running(0.1)  # as GET /ready asks
first = connections_after_a_message()
print(max(connections_after_a_message() for _ in range(5)) - first)
"""


def test_all_operations_of_a_connection_have_one_client(settings: Settings) -> None:
    with app.connection(settings.redis_url) as connection:
        channel = connection.default_channel
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second
            assert first.ping()
        assert channel.client is not first  # it waits for messages, so it has a connection of its own


def test_channels_share_their_connections_and_keep_none_to_wait_with_before_they_wait(
    settings: Settings, client: Redis
) -> None:
    with app.connection(settings.redis_url) as sender, app.connection(settings.redis_url) as other:
        assert sender.default_channel._kept.connection_pool is other.default_channel._kept.connection_pool
        before = client.info("stats")["total_connections_received"]
        channels = [connection.channel() for connection in (sender, other) for _ in range(5)]
        for channel in channels:
            with channel.conn_or_acquire() as shared:
                shared.ping()
        assert client.info("stats")["total_connections_received"] == before
        channels[0].close()
        with channels[1].conn_or_acquire() as shared:
            assert shared.ping()  # the connections outlive a channel


def test_after_a_refusal_to_write_the_next_command_connects_anew(settings: Settings, client: Redis) -> None:
    """A primary that became a replica refuses, and goes on answering on the old connections."""
    with app.connection(settings.redis_url) as connection:
        channel = connection.default_channel
        client.config_set("min-replicas-to-write", 1)
        try:
            with channel.conn_or_acquire() as first, pytest.raises(NoRoom):
                first.set("refused", 1)
            with channel.conn_or_acquire() as renewed, pytest.raises(NoRoom):
                first.set("refused", 1)  # another thread, which had the old connections
        finally:
            client.config_set("min-replicas-to-write", 0)
        with channel.conn_or_acquire() as second:
            assert second.connection_pool is not first.connection_pool
            assert second is renewed
            assert second.set("taken", 1)


def test_web_sends_its_messages_over_one_connection(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it was asked first whether a worker runs: Celery makes its pool of connections then."""
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    monkeypatch.setenv("QUOTEJOB_SECRET_KEY", settings.secret_keys[0])
    done = subprocess.run([sys.executable, "-c", ASK_THEN_SEND], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip().endswith("0"), done.stderr + done.stdout
    assert int(done.stdout.split()[-1]) == 0


def test_a_worker_whose_redis_was_away_for_long_tries_again_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda _: None)
    pauses: list[float] = []
    away = app.connection("redis://127.0.0.1:1/0")
    with away, pytest.raises(OperationalError):
        away.ensure_connection(lambda _, pause: pauses.append(pause), max_retries=20)
    assert len(pauses) == 20
    assert max(pauses) == LONGEST_PAUSE
