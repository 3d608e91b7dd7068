"""The connection to the broker: its operations share one client, which is a new one after the connection was lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from quotejob.settings import Settings
from tasks.app import app

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
        channel._disconnect_pools()  # as after a lost connection
        with channel.conn_or_acquire() as third:
            assert third is not first
            assert third.ping()


def test_web_sends_its_messages_over_one_connection(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it was asked first whether a worker runs: Celery makes its pool of connections then."""
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    monkeypatch.setenv("QUOTEJOB_SECRET_KEY", settings.secret_keys[0])
    done = subprocess.run([sys.executable, "-c", ASK_THEN_SEND], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip().endswith("0"), done.stderr + done.stdout
    assert int(done.stdout.split()[-1]) == 0
