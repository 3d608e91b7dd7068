"""What beat has workers do, by its tasks themselves: what waits is found, what is coming is told in time."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
import redis
from cryptography.fernet import Fernet

from quotejob import clock
from quotejob.jobs.conditions import Conditions
from quotejob.jobs.job import JobType, Status
from quotejob.jobs.store import JobStore
from quotejob.salesforce.caller import CallerContext
from quotejob.schedules.schedule import Overlap
from quotejob.services import Services
from quotejob.settings import Settings, current
from quotejob.store import client as store
from quotejob.store import keys
from tasks import flow, ticks
from tasks.app import app

QUEUES = ("clock", "control", "pages")


@pytest.fixture
def settings(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Those the tasks read, and a broker of the same Redis with nothing in it."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("QUOTEJOB_SECRET_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("QUOTEJOB_ACTIVE_JOBS", "1")
    monkeypatch.setitem(app.conf, "broker_url", redis_url)
    current.cache_clear()
    client = store.client(redis_url, attempts=1)
    client.delete(keys.DUE, keys.FIRED, *QUEUES)
    yield current()
    client.delete(keys.DUE, keys.FIRED, *QUEUES)
    current.cache_clear()


@pytest.fixture
def client(settings: Settings) -> redis.Redis:
    return store.client(settings.redis_url, attempts=1)


def sent(client: redis.Redis, task: str) -> list[dict[str, Any]]:
    """The headers of the messages for a task that wait in the broker."""
    headers = [orjson.loads(message)["headers"] for queue in QUEUES for message in client.lrange(queue, 0, -1)]
    return [header for header in headers if header["task"] == task]


def submit(jobs: JobStore, caller: CallerContext, **what: Any) -> str:
    return jobs.submit(caller, JobType.BATCH_QUOTE, soql_where_clause="a", **what)[0].job_id


def dispatched(client: redis.Redis, caller: CallerContext) -> int:
    return sum(caller.org_id in header["kwargsrepr"] for header in sent(client, "quotejob.dispatch"))


def test_a_tick_has_a_job_go_whose_time_has_come(
    settings: Settings, client: redis.Redis, caller: CallerContext
) -> None:
    """Without a sweep."""
    past = JobStore(client, settings, lambda: datetime.now(UTC) - timedelta(minutes=2))
    job_id = submit(past, caller, conditions=Conditions(not_before=datetime.now(UTC) - timedelta(minutes=1)))
    assert past.promote(caller.org_id) == []
    ticks.tick()
    assert JobStore(client, settings).get(job_id).status is Status.QUEUED
    assert len(sent(client, "quotejob.plan")) == 1


def test_a_tick_tells_what_is_coming_by_how_far_it_is(
    settings: Settings, client: redis.Redis, caller: CallerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis's clock is an hour ahead of the worker's: the tick of the moment is for the next seconds, not for then."""
    services = Services(settings, client, lambda: datetime.now(UTC) + timedelta(hours=1))
    monkeypatch.setattr(ticks, "services", lambda: services)
    ahead = services.schedules
    what = {"soql_where_clause": "a", "authorization": "worker", "overlap": Overlap.QUEUE}
    ahead.create(caller, f"s {uuid.uuid4()}", "* * * * * ?", **what)
    ticks.tick()
    found = sent(client, "quotejob.tick_at")
    assert found
    for header in found:
        assert datetime.fromisoformat(header["eta"]) < datetime.now(UTC) + timedelta(minutes=1)


def test_a_sweep_finds_jobs_nobody_was_told_of(settings: Settings, client: redis.Redis, caller: CallerContext) -> None:
    """One message for the org, once nobody has looked at it for a while; none when no job of it may go."""
    jobs = JobStore(client, settings)
    waiting = [submit(jobs, caller) for _ in range(3)]
    flow.sweep()
    assert dispatched(client, caller) == 0
    long_ago(client, caller, *waiting)
    flow.sweep()
    flow.sweep()
    assert dispatched(client, caller) == 1
    for job_id in waiting:
        jobs.abort(job_id)
    later = submit(jobs, caller, conditions=Conditions(not_before=datetime.now(UTC) + timedelta(hours=1)))
    long_ago(client, caller, later)
    flow.sweep()
    assert dispatched(client, caller) == 1
    jobs.abort(later)


@pytest.mark.parametrize("turned_back", [False, True])
def test_a_sweep_looks_at_so_many_waiting_jobs_and_in_turn_at_all(
    settings: Settings, client: redis.Redis, caller: CallerContext, monkeypatch: pytest.MonkeyPatch, turned_back: bool
) -> None:
    """However many there are; also when the clock was turned back since it looked last."""
    monkeypatch.setattr(flow, "LOOKS", 2)
    client.delete(keys.HOLDING)
    jobs = JobStore(client, replace(settings, holding_jobs=100))
    waiting = [submit(jobs, caller) for _ in range(5)]
    then = clock.ms(datetime.now(UTC) + timedelta(hours=1)) if turned_back else 1
    client.zadd(keys.HOLDING, dict.fromkeys(waiting, then))
    left = []
    for _ in range(3):
        flow.sweep()
        left.append(sum(score == then for _, score in client.zrange(keys.HOLDING, 0, -1, withscores=True)))
    assert left == [3, 1, 0]
    for job_id in waiting:
        jobs.abort(job_id)


def test_a_sign_of_life_that_lies_ahead_is_none(settings: Settings, client: redis.Redis, caller: CallerContext) -> None:
    """Redis's clock was turned back by an hour: the job whose message was lost is found all the same."""
    jobs = JobStore(client, settings)
    job_id = submit(jobs, caller)
    assert jobs.promote(caller.org_id) == [job_id]
    client.zadd(keys.OPEN, {job_id: clock.ms() + 3_600_000})
    flow.sweep()
    assert [header["kwargsrepr"] for header in sent(client, "quotejob.plan")] == [f"{{'job_id': '{job_id}'}}"]
    assert dict(jobs.open())[job_id] < flow.SILENCE
    jobs.abort(job_id)


def long_ago(client: redis.Redis, caller: CallerContext, *job_ids: str) -> None:
    """As if nobody had looked at them for long."""
    client.zadd(keys.HOLDING, dict.fromkeys(job_ids, 1))
    client.zadd(keys.QUEUES, {caller.org_id: 1})
