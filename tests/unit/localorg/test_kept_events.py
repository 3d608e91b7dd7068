"""Messages are kept for 72 hours, and a replay id is never used twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from localorg.data.kept_events import KeptEvents
from localorg.data.limits import Rolling


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        yield made


def test_a_message_is_kept_for_72_hours(connection: sqlite3.Connection) -> None:
    clock = Clock()
    kept = KeptEvents(connection, clock)
    assert kept.newest() == 0
    kept.add([("A__e", "u1", "{}"), ("B__e", "u2", "{}")])
    clock.now += timedelta(hours=71)
    kept.add([("A__e", "u3", "{}")])
    assert [each.uuid for each in kept.after(0, "A__e", 10)] == ["u1", "u3"]
    clock.now += timedelta(hours=1, seconds=1)
    assert [each.uuid for each in kept.after(0, "A__e", 10)] == ["u3"]
    assert (kept.has(1), kept.has(3)) == (False, True)
    clock.now += timedelta(hours=80)
    kept.add([])
    assert kept.last(10) == []
    assert kept.newest() == 3
    kept.add([("A__e", "u4", "{}")])
    assert [each.number for each in kept.last(10)] == [4]


def test_an_allowance_rolls_on() -> None:
    clock = Clock()
    allowance = Rolling(5, 1, clock)
    assert allowance.spend(3)
    clock.now += timedelta(minutes=30)
    assert allowance.spend(2)
    assert not allowance.spend(1)
    clock.now += timedelta(minutes=31)
    assert allowance.remaining == 3
    assert allowance.spend(3)
    clock.now += timedelta(hours=2)
    assert allowance.body() == {"Max": 5, "Remaining": 5}
