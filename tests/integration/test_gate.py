"""The gate in Redis: how many steps of an org go at a time, who goes next, and what dies does not stay inside."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from _callers import new_caller
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from quotejob.run import gate as gates
from quotejob.run.gate import Gate, in_rooms
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys
from quotejob.store.client import RedisClient

MOST = 25
_numbers = itertools.count(1)


class Crowd:
    """The gate, and steps that come, go and die at it."""

    def __init__(self, client: RedisClient, redis_url: str, most: int = MOST) -> None:
        self.client = client
        self.gate = Gate(client, Settings(redis_url=redis_url, secret_keys=(), org_requests=most))
        self.queue = f"pages of test {next(_numbers)}"

    def come(self, org_id: str, count: int = 1, priority: int = 5) -> list[str]:
        """Messages of so many steps; the ids of those that may go."""
        names = [f"{org_id} {next(_numbers)}" for _ in range(count)]
        return [name for name in names if self.gate.enter(org_id, name, priority, self.queue, json.dumps(name))]

    def taken(self) -> list[str]:
        """What workers take from the queue now."""
        found = [json.loads(item) for item in reversed(self.client.items(self.queue))]
        self.client.delete(self.queue)
        return found

    def leave(self, name: str, *, well: bool = True) -> None:
        self.gate.leave(name.split()[0], name, well=well)


@pytest.fixture
def client(redis_url: str) -> Iterator[RedisClient]:
    made = store.client(redis_url, attempts=1)
    clear(made)
    yield made
    clear(made)


def clear(client: RedisClient) -> None:
    """No step is under way and no worker is known."""
    rooms = [keys.jobs_of(org_id, "room") for org_id in client.ranked(keys.WAITING)]
    client.delete(keys.INSIDE, keys.THREADS, keys.WAITING, *rooms)


@pytest.fixture
def crowd(client: RedisClient, redis_url: str) -> Crowd:
    return Crowd(client, redis_url)


def org() -> str:
    return new_caller().org_id


def test_an_org_has_at_most_its_number_of_requests(crowd: Crowd) -> None:
    """One of them is for plans and first pages; what waits goes when others end, each once and in order."""
    mine = org()
    inside = crowd.come(mine, 40)
    assert len(inside) == 24
    assert len(crowd.come(mine, 5, priority=0)) == 1
    assert len(in_rooms(crowd.client)) == 20
    crowd.taken()
    order = []
    for name in inside:
        crowd.leave(name)
        order += crowd.taken()
    assert len(order) == len(set(order)) == 20
    assert [int(name.split()[1]) for name in order[4:]] == sorted(int(name.split()[1]) for name in order[4:])
    assert in_rooms(crowd.client) == []


def test_first_pages_go_before_what_waits_longer(crowd: Crowd) -> None:
    mine = org()
    inside = crowd.come(mine, 30)
    crowd.come(mine, 1, priority=0)
    crowd.come(mine, 1, priority=4)
    [first] = [json.loads(message) for message in in_rooms(crowd.client)][:1]
    crowd.taken()
    crowd.leave(inside[0])
    assert crowd.taken() == []  # the place beyond that of urgent steps is taken: 23 and one
    crowd.leave(inside[1])
    assert crowd.taken()[0] == first


@pytest.mark.parametrize("hanging", [1, 2, 4])
def test_orgs_that_hang_leave_threads_for_others(crowd: Crowd, hanging: int) -> None:
    """However much work they have: the next org's steps go at once, and so do steps that ask no org."""
    crowd.gate.announce("one", 40)
    crowd.gate.announce("two", 24)
    for name in [org() for _ in range(hanging)]:
        assert crowd.come(name, 100)
    assert len(crowd.come(org(), 3)) >= 1
    assert len(crowd.taken()) <= 60


def test_what_has_died_counts_no_more(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps and workers that say nothing for some time; one that says something stays."""
    mine = org()
    crowd.gate.announce("alive", 4)
    crowd.gate.announce("alive", 4)  # the same one
    monkeypatch.setattr(gates, "HOLDS", 0.4)
    crowd.gate.announce("dead", 400)
    inside = crowd.come(mine, 40)
    assert len(inside) == 24
    crowd.taken()
    until, let_in = time.monotonic() + 30, list[str]()
    while not let_in and time.monotonic() < until:
        crowd.gate.stay(mine, inside[0])
        crowd.gate.announce("alive", 4)
        time.sleep(0.05)
        crowd.gate.look()
        let_in = crowd.taken()
    assert len(let_in) == 2  # of four threads, beside the one that stayed


def test_without_a_known_worker_only_the_limit_counts(crowd: Crowd) -> None:
    assert [len(crowd.come(org(), 40)) for _ in range(3)] == [24, 24, 24]


def test_one_thread_is_enough(crowd: Crowd) -> None:
    """Each step goes after the other, and no org waits for ever."""
    crowd.gate.announce("small", 1)
    orgs = [org(), org()]
    crowd.come(orgs[0], 5)
    crowd.come(orgs[1], 5)
    done = []
    while names := crowd.taken():
        assert len(names) == 1
        done += names
        crowd.leave(names[0])
    assert len(done) == 10
    assert {name.split()[0] for name in done[:4]} == set(orgs)  # side by side


def test_trouble_makes_the_limit_small_and_success_large_again(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for many faults at a time; never below one; to the full number in the end."""
    mine, key = org(), "quotejob:org:{}:limit"
    crowd.come(mine, 25)
    for _ in range(10):
        crowd.gate.shrink(mine)
    assert crowd.client.value(key.format(mine)) == b"16"
    monkeypatch.setattr(gates, "SHRINK_PAUSE", 0.001)
    crowd.client.delete(key.format(mine) + ":shrunk")
    for _ in range(30):
        time.sleep(0.002)
        crowd.gate.shrink(mine)
    assert crowd.client.value(key.format(mine)) == b"1"
    for name in crowd.taken():
        crowd.leave(name, well=False)
    assert crowd.come(mine, 5) == []
    assert len(crowd.client.items(crowd.queue)) == 1
    steps = 0
    while crowd.client.value(key.format(mine)) is not None:
        for name in crowd.taken():
            crowd.leave(name)
            steps += 1
        crowd.come(mine, MOST)
        assert steps < 2000
    assert steps > MOST


def test_many_orgs_that_wait_cost_little(crowd: Crowd) -> None:
    """Nothing if no thread is free, else a look at some of them. Each has its turn before one has its second."""
    count = 250
    crowd.gate.announce("small", 1)
    for _ in range(2):
        for number in range(count):
            crowd.come(f"{number:018}")
    orgs: list[str] = []
    assert rooms_read(crowd, crowd.gate.look) <= 1
    while names := crowd.taken():
        [name] = names
        orgs.append(name.split()[0])
        assert rooms_read(crowd, partial(crowd.leave, name)) <= 110
        crowd.gate.announce("small", 1)
    assert len(orgs) == 2 * count
    assert len(set(orgs[1 : count + 1])) == count, "the very first one has not waited"


def rooms_read(crowd: Crowd, do: Callable[[], object]) -> int:
    """How many commands that read a room or the list of them this takes."""
    crowd.client.config_resetstat()
    do()
    return int(crowd.client.info("commandstats").get("cmdstat_zrange", {"calls": 0})["calls"])


@pytest.mark.parametrize("priority", [0, 4])
def test_what_is_urgent_goes_first_among_many(crowd: Crowd, priority: int) -> None:
    """Of orgs that have waited as long."""
    crowd.gate.announce("small", 1)
    [inside] = crowd.come(org())
    for _ in range(50):
        crowd.come(org(), 2)
    urgent = org()
    crowd.come(urgent, 1, priority=priority)
    crowd.taken()
    crowd.leave(inside)
    assert [name.split()[0] for name in crowd.taken()] == [urgent]


class AnyOrder(RuleBasedStateMachine):
    """Messages come, steps end and the sweep looks in any order: none is lost, none is doubled, no limit is passed."""

    crowd: Crowd
    working = Bundle("working")

    def __init__(self) -> None:
        super().__init__()
        clear(self.crowd.client)
        self.crowd.taken()
        self.crowd.gate.announce("worker", 8)
        self.sent = 0
        self.inside: list[str] = []

    @rule(which=st.sampled_from("ABC"), count=st.integers(1, 12), priority=st.integers(0, 9))
    def come(self, which: str, count: int, priority: int) -> None:
        self.crowd.come(which, count, priority)
        self.sent += count

    @rule(target=working)
    def take(self) -> list[str]:
        names = self.crowd.taken()
        assert not set(names) & set(self.inside)
        self.inside += names
        return names

    @rule(names=consumes(working))
    def leave(self, names: list[str]) -> None:
        for name in names:
            self.inside.remove(name)
            self.crowd.leave(name)
            self.sent -= 1

    @rule()
    def look(self) -> None:
        self.crowd.gate.look()

    @invariant()
    def nothing_is_lost(self) -> None:
        queued = len(self.crowd.client.items(self.crowd.queue))
        waiting = len(in_rooms(self.crowd.client))
        assert queued + waiting + len(self.inside) == self.sent
        assert queued + len(self.inside) <= 8
        if waiting:
            assert queued + len(self.inside) >= 1


def test_any_order(crowd: Crowd) -> None:
    AnyOrder.crowd = crowd
    run_state_machine_as_test(
        AnyOrder, settings=settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    )
