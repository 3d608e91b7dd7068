"""The connection to the broker: its operations share one client, which is a new one after the connection was lost."""

from __future__ import annotations

from quotejob.settings import Settings
from tasks.app import app


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
