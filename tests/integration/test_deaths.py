"""A death counts against a unit only when it alone explains it. Leases and processes are those of a real Redis."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from quotejob.run import leases, processes
from quotejob.run.leases import CLEAR_DEATH, Lease, Leases
from quotejob.run.processes import Room, SignsOfLife
from quotejob.store import client as store
from quotejob.store import keys, scripts
from quotejob.store.client import RedisClient

ORG = "00DRO0000000001EAA"
LENGTH = 0.6  # seconds of a lease


@pytest.fixture
def client(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisClient]:
    """A Redis that knows of no processes, and short leases."""
    monkeypatch.setattr(leases, "LEASE_LENGTH", LENGTH)
    made = store.client(redis_url, attempts=1)
    made.delete("quotejob:processes", *made.scan_iter("quotejob:process:*"))
    yield made
    made.delete("quotejob:processes", *made.scan_iter("quotejob:process:*"))


@pytest.fixture
def job_id(client: RedisClient) -> str:
    """A job at work."""
    made = str(uuid.uuid4())
    client.hset(keys.job(made), "status", "Processing")
    return made


@pytest.fixture
def by(client: RedisClient, job_id: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Lease]:
    """``by("A", "page 0 1")``: a step in the process A takes the unit."""

    def claim(process: str, unit: str) -> Lease:
        alive(client, process)
        monkeypatch.setattr(leases, "this_process", lambda: process)
        return Leases(client).claim(job_id, unit, ORG)

    return claim


def alive(client: RedisClient, process: str, *, ends: bool = False) -> None:
    scripts.run(client, "run/alive", process=process, ends=ends)


def deaths(lease: Lease) -> tuple[int, int]:
    return lease.died_alone, lease.died_in_company


def test_a_unit_that_ends_its_process_again_and_again_is_given_up(by: Callable[..., Lease]) -> None:
    """Three times, while it was alone there and nobody else died."""
    for process in "ABC":
        assert not by(process, "page 0 1").is_given_up
        time.sleep(LENGTH + 0.1)
    last = by("D", "page 0 1")
    assert deaths(last) == (3 * CLEAR_DEATH, 0)
    assert last.is_given_up


def test_who_was_in_the_same_process_is_suspected_and_not_given_up(by: Callable[..., Lease]) -> None:
    """However often: it is to work alone."""
    units = [f"page 0 {number}" for number in range(21)]
    for process in "ABCD":
        held = [by(process, unit) for unit in units]
        assert [lease.is_suspected for lease in held] == [process in "CD"] * 21
        time.sleep(LENGTH + 0.1)
    held = [by("E", unit) for unit in units]
    assert {deaths(lease) for lease in held} == {(0, 4 * CLEAR_DEATH)}
    assert not any(lease.is_given_up for lease in held)


def test_who_has_left_is_not_company(by: Callable[..., Lease]) -> None:
    """A unit that was given back before is no excuse for the one that is left."""
    by("A", "page 0 2").release()
    by("A", "page 0 1")
    time.sleep(LENGTH + 0.1)
    assert deaths(by("B", "page 0 1")) == (CLEAR_DEATH, 0)


def test_all_processes_die_at_once(by: Callable[..., Lease]) -> None:
    """Each works on one unit, and none of them is the cause."""
    for processes_of_a_round in ("AB", "CD", "EF", "GH"):
        for number, process in enumerate(processes_of_a_round):
            by(process, f"page 0 {number}")
        time.sleep(LENGTH + 0.1)
    for number in (0, 1):
        lease = by("I", f"page 0 {number}")
        assert deaths(lease) == (4, 0)
        assert not lease.is_given_up


def test_an_idle_process_that_dies_with_it_is_an_excuse(by: Callable[..., Lease], client: RedisClient) -> None:
    """Also one that has died since the death before; one that ended in good order is none."""
    alive(client, "idle")
    by("A", "page 0 1")
    time.sleep(LENGTH + 0.1)
    assert deaths(by("B", "page 0 1")) == (1, 0)
    time.sleep(LENGTH + 0.1)
    alive(client, "idle 2")
    time.sleep(LENGTH)
    assert deaths(by("C", "page 0 1")) == (1 + CLEAR_DEATH, 0)  # died before the other one was there
    time.sleep(LENGTH + 0.1)
    assert deaths(by("D", "page 0 1")) == (2 + CLEAR_DEATH, 0)
    alive(client, "stopped")
    alive(client, "stopped", ends=True)
    time.sleep(LENGTH + 0.1)
    assert deaths(by("E", "page 0 1")) == (2 + 2 * CLEAR_DEATH, 0)


def test_a_process_that_is_alive_has_not_died(by: Callable[..., Lease], client: RedisClient) -> None:
    """It was only too slow to renew the lease."""
    by("A", "page 0 1")
    time.sleep(LENGTH + 0.1)
    alive(client, "A")
    assert deaths(by("B", "page 0 1")) == (1, 0)


def test_signs_of_life(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """They go on until the process ends in good order; then nobody takes it for dead."""
    monkeypatch.setattr(processes, "ALIVE_INTERVAL", 0.05)
    signs, me = SignsOfLife(client), processes.this_process()

    def newer_than(time_before: float) -> float:
        deadline = time.monotonic() + 30
        while (seen := client.zscore("quotejob:processes", me) or 0) <= time_before and time.monotonic() < deadline:
            time.sleep(0.01)
        return float(seen)

    signs.start()
    signs.start()
    first = newer_than(0)
    assert newer_than(first) > first > 0
    signs.end()
    deadline = time.monotonic() + 30
    while client.zscore("quotejob:processes", me) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert client.zscore("quotejob:processes", me) is None


def test_one_works_alone_in_a_room() -> None:
    """It waits until the others have left, and who comes waits until it has ended; a second one hears no."""
    room, seen = Room(), []
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with room.entered():
            inside.set()
            leave.wait(30)
            seen.append("other")

    def late() -> None:
        with room.entered():
            seen.append("late")

    first, last = threading.Thread(target=other), threading.Thread(target=late)
    with room.entered():
        first.start()
        inside.wait(30)
        with room.alone(0.05) as alone:
            assert not alone
        leave.set()
        with room.alone(30) as alone:
            assert alone
            last.start()
            with room.alone(30) as second:
                assert not second
            seen.append("alone")
    first.join(30)
    last.join(30)
    assert seen == ["other", "alone", "late"]


def test_one_that_works_alone_for_long_holds_nobody_up() -> None:
    """The others go in after its time. It does not take the room from the one that comes next."""
    room, entered, ended = Room(), threading.Event(), threading.Event()

    def late() -> None:
        with room.entered():
            entered.set()
            ended.wait(30)

    thread = threading.Thread(target=late)
    with room.entered():
        with room.alone(0.2) as alone:
            assert alone
            thread.start()
            assert entered.wait(30)
            with room.alone(0.05) as second:
                assert not second
        ended.set()
        thread.join(30)
        with room.alone(30) as alone:
            assert alone


@pytest.mark.parametrize(("deaths", "seconds"), [((0, 14), 5), ((0, 21), 10), ((7, 21), 20), ((0, 999), 60)])
def test_a_suspected_unit_gets_more_time_after_each_death(
    client: RedisClient, deaths: tuple[int, int], seconds: float
) -> None:
    assert Lease(client, "job", "page 0 1", ORG, "A/1", deaths).longest_alone == seconds
