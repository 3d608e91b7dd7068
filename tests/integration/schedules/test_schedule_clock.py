"""Schedules fire by a clock that jumps, ahead and back, by seconds to days, while ticks may die anywhere.

Each fire time is decided once and in order, and none is lost against the policy. So it is on the days when the clocks
change.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from _callers import new_caller
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from quotejob.schedules.firing import MISFIRE_AFTER
from quotejob.schedules.schedule import Misfire, Overlap, Schedule
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store.client import RedisClient

# cron, time zone
PLANS = (
    ("0/20 * * * * ?", "UTC"),
    ("30 0/7 * * * ?", "UTC"),
    ("0 0/30 * * * ?", "Europe/Zurich"),
    ("0 30 2 * * ?", "Europe/Zurich"),
    ("0 15 1 ? * SUN", "America/New_York"),
)
DAYS = (  # some minutes before something happens
    datetime(2031, 3, 30, 0, 55, tzinfo=UTC),  # Zurich goes from 2 to 3 o'clock
    datetime(2031, 10, 26, 0, 25, tzinfo=UTC),  # and back: 2:30 comes twice
    datetime(2031, 11, 2, 5, 10, tzinfo=UTC),  # New York's clocks go back
    datetime(2031, 6, 1, 12, tzinfo=UTC),
)
JUMPS = (1, 19, 45, 59, 61, 90, 600, 3600, 3 * 3600, 86_400, 3 * 86_400)


class Died(BaseException):
    """A process was killed."""


class Mortal(store.RedisClient):
    """A client whose process is killed at its n-th command, before Redis hears of it or after."""

    def __init__(self, url: str, life: int, heard: bool) -> None:
        super().__init__(connection_pool=redis.ConnectionPool.from_url(url))
        self._life, self._heard = life, heard

    def _live(self, send: Any) -> Any:
        self._life -= 1
        if self._life == 0 and not self._heard:
            raise Died
        answer = send()
        if self._life == 0:
            raise Died
        return answer

    def execute_command(self, *args: Any, **options: Any) -> Any:
        send: Callable[..., Any] = super().execute_command
        return self._live(lambda: send(*args, **options))

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Any:
        made = super().pipeline(transaction, shard_hint)
        run = made.execute
        made.execute = lambda raise_on_error=True: self._live(lambda: run(raise_on_error))  # type: ignore[method-assign]
        return made


@dataclass
class JumpingClock:
    """One clock for all; it may jump whenever somebody looks. Every time it showed is noted."""

    now: datetime
    jumps: list[timedelta] = field(default_factory=list)  # each made at a look
    seen: set[datetime] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> datetime:
        with self._lock:
            if self.jumps:
                self.now += self.jumps.pop()
            self.seen.add(self.now)
            return self.now


@dataclass(frozen=True)
class Step:
    """Some ticks at once: by how much the clock jumps before and among them, where each of them dies (0: nowhere)."""

    jumps: tuple[int, ...]
    deaths: tuple[int, ...]
    heard: bool


jump = some.builds(lambda size, way: size * way, some.sampled_from(JUMPS), some.sampled_from((1, 1, -1)))
steps = some.lists(
    some.builds(
        Step,
        jumps=some.lists(jump, min_size=1, max_size=3).map(tuple),
        deaths=some.lists(some.integers(0, 12), min_size=1, max_size=3).map(tuple),
        heard=some.booleans(),
    ),
    min_size=2,
    max_size=8,
)


@pytest.fixture
def roomy(redis_url: str, client: RedisClient) -> Settings:
    """A flex queue that is never full; ``client`` sees to it that nothing else is due."""
    secret = (Fernet.generate_key().decode(),)
    return Settings(redis_url=redis_url, secret_keys=secret, local_org=True, holding_jobs=100_000)


def test_every_fire_time_is_decided_once_however_the_clock_jumps(roomy: Settings) -> None:
    """Held to a plain model of the written policy."""

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(begin=some.sampled_from(DAYS), steps=steps, misfire=some.sampled_from(list(Misfire)))
    def run(begin: datetime, steps: list[Step], misfire: Misfire) -> None:
        clock, caller = JumpingClock(begin), new_caller()
        services = Services(roomy, store.client(roomy.redis_url, attempts=1), clock)
        schedules, firing = services.schedules, services.firing
        what: dict[str, Any] = {
            "soql_where_clause": "a", "authorization": "worker", "overlap": Overlap.QUEUE, "misfire": misfire,
        }  # fmt: skip
        made = [schedules.create(caller, f"s {uuid.uuid4()}", cron, time_zone=zone, **what) for cron, zone in PLANS]
        for step in steps:
            together(roomy, clock, step)
            firing.tick()  # so that no more than the dead of one step wait to be submitted
        clock.now = max(clock.seen)
        firing.tick()
        there = list(services.search.scan(caller.org_id, fields=["scheduleId"]))
        for schedule in made:
            jobs = {job.job_id for job in there if job.schedule_id == schedule.schedule_id}
            check(schedule, schedules.get(schedule.schedule_id), jobs, clock.seen)
            schedules.delete(schedule.schedule_id, caller.org_id)

    run()


def together(settings: Settings, clock: JumpingClock, step: Step) -> None:
    """The step's ticks, all at once."""
    clock.jumps[:] = [timedelta(seconds=jump) for jump in step.jumps]
    start = threading.Barrier(len(step.deaths))

    def tick(death: int) -> None:
        client = Mortal(settings.redis_url, death, step.heard)
        start.wait()
        try:
            Services(settings, client, clock).firing.tick()
        except Died:
            pass
        finally:
            client.connection_pool.disconnect()

    with ThreadPoolExecutor(len(step.deaths)) as pool:
        list(pool.map(tick, step.deaths))
    clock.jumps.clear()


def check(first: Schedule, last: Schedule, jobs: set[str], seen: Iterable[datetime]) -> None:
    """The schedule's jobs are what the policy makes of some of the looks at the clock, in some order.

    From its first fire time on each one is decided: it makes a job, and the next is the one after it. With one missed
    by over a minute the next is the first that is yet to come (runOnce: this one makes a job for all of them), or the
    first that is not missed (skip: this one makes none).
    """
    assert first.next_fire_time
    assert last.next_fire_time
    assert last.next_fire_time > max(seen), "what was due is not decided"
    assert last.times_triggered == len(jobs)
    # By fire time, how many jobs and how many skips there may have been before it.
    ways: dict[datetime, set[tuple[int, int]]] = {first.next_fire_time: {(0, 0)}}
    while (fire := min(ways)) < last.next_fire_time:
        before = ways.pop(fire)
        late = [look for look in seen if look - fire > MISFIRE_AFTER]
        if runs := first.job_id(fire) in jobs:
            nexts = {first.fires_after(fire)}
            if first.misfire is Misfire.RUN_ONCE:
                nexts |= {first.fires_after(look) for look in late}
        else:
            nexts = {first.fires_after(look - MISFIRE_AFTER) for look in late if first.misfire is Misfire.SKIP}
        for following in nexts:
            assert following
            ways.setdefault(following, set()).update((made + runs, skipped + (not runs)) for made, skipped in before)
        assert ways, f"{fire} was lost"
    assert (len(jobs), last.times_skipped) in ways.get(last.next_fire_time, ())
