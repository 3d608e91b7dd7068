"""Ticks and sweeps take turns with their rest: beat sends none while the one before works or rests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from _messages import sent

from quotejob.settings import Settings
from quotejob.store.client import RedisClient, server_time
from tasks import housekeeping, sweep
from tasks.app import app
from tasks.housekeeping import Scheduler, turn

TURN = "quotejob:turn:quotejob.sweep"


@pytest.fixture
def beat(settings: Settings, client: RedisClient, tmp_path: Path) -> Iterator[Scheduler]:
    """Beat's scheduler, and nothing that it has sent."""
    client.delete(TURN)
    made = Scheduler(app=app, schedule_filename=str(tmp_path / "beat"), lazy=False)
    yield made
    made.close()
    client.delete(TURN)


def sends(beat: Scheduler, client: RedisClient) -> int:
    """Return how many sweeps beat sends when one is due."""
    before = len(sent(client, "quotejob.sweep"))
    beat.apply_entry(beat.schedule["sweep"])
    return len(sent(client, "quotejob.sweep")) - before


def test_one_waits_at_a_time(beat: Scheduler, client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is done. If that takes too long, it may be lost."""
    monkeypatch.setattr(housekeeping, "WAITING", 0.5)
    assert [sends(beat, client) for _ in range(3)] == [1, 0, 0]
    time.sleep(0.6)
    assert sends(beat, client) == 1
    sweep.sweep()
    while client.exists(TURN):  # a short work, and a short rest
        time.sleep(0.01)
    assert sends(beat, client) == 1


def test_it_rests_several_times_as_long_as_it_worked(beat: Scheduler, client: RedisClient) -> None:
    """So it has a share of the time and not all of it, however slow Redis is."""
    with turn(client, "quotejob.sweep"):
        time.sleep(0.3)
    assert sends(beat, client) == 0
    assert client.pttl(TURN) > 300 * (housekeeping.REST - 1)
    client.delete(TURN)
    assert sends(beat, client) == 1


def test_one_that_works_for_long_says_so(beat: Scheduler, client: RedisClient) -> None:
    """No second one is sent meanwhile."""
    with turn(client, "quotejob.sweep") as mine:
        assert sends(beat, client) == 1
        time.sleep(1.1)
        mine.go_on()
        assert client.pttl(TURN) > housekeeping.WAITING * 1000
        assert sends(beat, client) == 0


def test_a_host_that_was_cut_off_does_not_make_the_others_rest(
    beat: Scheduler, client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut is no work, and the turn is over meanwhile: beat on another host has it."""
    monkeypatch.setattr(housekeeping, "WORKING", 0.5)
    monkeypatch.setattr(housekeeping, "WAITING", 0.4)
    with turn(client, "quotejob.sweep"):
        time.sleep(0.6)
        assert sends(beat, client) == 1
    assert client.pttl(TURN) <= 400


def test_the_time_of_a_cut_is_no_work(beat: Scheduler, client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "WORKING", 0.5)
    with turn(client, "quotejob.sweep") as mine:
        time.sleep(1.1)
        mine.go_on()
    assert client.pttl(TURN) < 100


def test_a_clock_that_is_turned_back_takes_no_turn(beat: Scheduler, client: RedisClient) -> None:
    """What would last longer than it was set for is over."""
    assert sends(beat, client) == 1
    client.pexpire(TURN, 3_600_000)
    assert sends(beat, client) == 1


@pytest.mark.parametrize(("waited", "works"), [(1, True), (11, False)])
def test_what_waited_while_no_worker_ran_is_dropped(
    beat: Scheduler, client: RedisClient, monkeypatch: pytest.MonkeyPatch, waited: float, works: bool
) -> None:
    """By the clock of Redis alone: those of beat and of the workers may be wrong."""
    assert sends(beat, client) == 1
    [header] = sent(client, "quotejob.sweep")[-1:]
    assert header["expires"] is None
    asked = Mock(side_effect=server_time)
    monkeypatch.setattr(housekeeping, "server_time", asked)
    assert works_after(client, header[housekeeping.SENT] - waited * 1000) is works
    assert asked.called is not works  # Redis is not asked about what does not look late


@pytest.mark.parametrize("wrong", [None, 3600.0])
def test_redis_says_whether_what_looks_late_is(
    beat: Scheduler, client: RedisClient, monkeypatch: pytest.MonkeyPatch, wrong: float | None
) -> None:
    """This process has done nothing yet, or the clock of Redis was turned back since it did."""
    assert sends(beat, client) == 1
    [header] = sent(client, "quotejob.sweep")[-1:]
    monkeypatch.setattr(housekeeping, "_ahead", wrong and (housekeeping._ahead or 0.0) + wrong)
    assert works_after(client, header[housekeeping.SENT])


def works_after(client: RedisClient, sent: float) -> bool:
    """Return whether the sweep works for a message of that time."""
    client.delete(TURN)
    sweep.sweep.push_request(**{housekeeping.SENT: sent})
    sweep.sweep.run()
    sweep.sweep.pop_request()
    return bool(client.exists(TURN))
