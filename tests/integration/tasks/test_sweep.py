"""The sweep finds what waits in vain, and nothing that happens to one job keeps it from the others."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from _callers import new_caller
from _messages import dispatched, sent, submit

from quotejob import clock
from quotejob.jobs.conditions import Conditions
from quotejob.jobs.job import Status
from quotejob.jobs.store import JobStore
from quotejob.notices.outbox import CALLBACK
from quotejob.run.receipt import Receipt
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from quotejob.settings import Settings, current
from quotejob.store import keys
from quotejob.store.client import RedisClient
from tasks import flow, sweep, ticks


def long_ago(client: RedisClient, caller: CallerContext, *job_ids: str) -> None:
    """As if nobody had looked at them for long."""
    client.zadd(keys.HOLDING, dict.fromkeys(job_ids, 1))
    client.zadd(keys.QUEUES, {caller.org_id: 1})


def test_a_tick_has_a_job_go_whose_time_has_come(
    settings: Settings, client: RedisClient, caller: CallerContext
) -> None:
    """Without a sweep."""
    past = JobStore(client, settings, lambda: datetime.now(UTC) - timedelta(minutes=2))
    job_id = submit(past, caller, conditions=Conditions(not_before=datetime.now(UTC) - timedelta(minutes=1)))
    assert past.promote(caller.org_id) == []
    ticks.tick()
    assert JobStore(client, settings).get(job_id).status is Status.QUEUED
    assert len(sent(client, "quotejob.plan")) == 1


def test_a_job_that_redis_has_lost_keeps_no_other_from_its_start(
    client: RedisClient, caller: CallerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older copy of Redis comes back just after a dispatch has given out the slots."""
    made = Services(replace(current(), active_jobs=5), client)
    lost, kept = [submit(made.jobs, caller) for _ in range(2)]
    promote = made.jobs.promote

    def promoted(*args: Any, **options: Any) -> list[str]:
        found = promote(*args, **options)
        client.delete(keys.job(lost))
        return found

    monkeypatch.setattr(made.jobs, "promote", promoted)
    monkeypatch.setattr(flow, "services", lambda: made)
    flow.dispatch(org_id=caller.org_id)
    assert [kept in header["kwargsrepr"] for header in sent(client, "quotejob.plan")] == [True]


def test_a_sweep_finds_jobs_nobody_was_told_of(settings: Settings, client: RedisClient, caller: CallerContext) -> None:
    """One message for the org, once nobody has looked at it for a while; none when no job of it may go."""
    jobs = JobStore(client, settings)
    waiting = [submit(jobs, caller) for _ in range(3)]
    sweep.sweep()
    assert dispatched(client, caller) == 0
    long_ago(client, caller, *waiting)
    sweep.sweep()
    sweep.sweep()
    assert dispatched(client, caller) == 1
    for job_id in waiting:
        jobs.abort(job_id)
    later = submit(jobs, caller, conditions=Conditions(not_before=datetime.now(UTC) + timedelta(hours=1)))
    long_ago(client, caller, later)
    sweep.sweep()
    assert dispatched(client, caller) == 1
    jobs.abort(later)


@pytest.mark.parametrize("turned_back", [False, True])
def test_a_sweep_looks_at_so_many_waiting_jobs_and_in_turn_at_all(
    settings: Settings, client: RedisClient, caller: CallerContext, monkeypatch: pytest.MonkeyPatch, turned_back: bool
) -> None:
    """However many there are; also when the clock was turned back since it looked last."""
    monkeypatch.setattr(sweep, "HOLDING_PER_SWEEP", 2)
    client.delete(keys.HOLDING)
    jobs = JobStore(client, replace(settings, holding_jobs=100))
    waiting = [submit(jobs, caller) for _ in range(5)]
    then = clock.ms(datetime.now(UTC) + timedelta(hours=1)) if turned_back else 1
    client.zadd(keys.HOLDING, dict.fromkeys(waiting, then))
    left = []
    for _ in range(3):
        sweep.sweep()
        left.append(client.zcount(keys.HOLDING, then, then))
    assert left == [3, 1, 0]
    for job_id in waiting:
        jobs.abort(job_id)


def test_a_sign_of_life_that_lies_ahead_is_none(settings: Settings, client: RedisClient, caller: CallerContext) -> None:
    """Redis's clock was turned back by an hour: the job whose message was lost is found all the same."""
    jobs = JobStore(client, settings)
    job_id = submit(jobs, caller)
    assert jobs.promote(caller.org_id) == [job_id]
    client.zadd(keys.OPEN, {job_id: clock.ms() + 3_600_000})
    sweep.sweep()
    assert [header["kwargsrepr"] for header in sent(client, "quotejob.plan")] == [f"{{'job_id': '{job_id}'}}"]
    assert dict(jobs.open())[job_id] < sweep.SILENT_AFTER
    jobs.abort(job_id)


@pytest.fixture
def hanging_applink(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """An AppLink that takes connections and never answers; the list has one entry for each."""
    taken: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(server.accept())

        threading.Thread(target=take, daemon=True).start()
        monkeypatch.setenv("HEROKU_APPLINK_API_URL", f"http://127.0.0.1:{server.getsockname()[1]}/addons/1")
        monkeypatch.setenv("HEROKU_APPLINK_TOKEN", "t")
        current.cache_clear()
        yield taken


def silent(client: RedisClient, jobs: JobStore, caller: CallerContext, **what: Any) -> str:
    """A job that has a slot, and of which nothing has been heard for a minute."""
    job_id = submit(jobs, caller, **what)
    assert jobs.promote(caller.org_id) == [job_id]
    client.zadd(keys.OPEN, {job_id: clock.ms() - 60_000})
    return job_id


def test_a_hanging_applink_holds_nobody_up(
    settings: Settings, client: RedisClient, hanging_applink: list[object]
) -> None:
    """Five scheduled jobs without a session are silent: AppLink is not asked, and 200 other jobs are looked after."""
    jobs = Services(current(), client).jobs
    for _ in range(5):
        job_id = silent(client, jobs, new_caller(), authorization="worker")
        client.delete(keys.job(job_id, "context"))
    others = [silent(client, jobs, new_caller()) for _ in range(200)]
    sweep.sweep()  # in 2 s where nothing else runs; one answer of AppLink would take 15
    planned = {header["kwargsrepr"] for header in sent(client, "quotejob.plan")}
    assert planned >= {repr({"job_id": job_id}) for job_id in others}
    assert hanging_applink == []


def test_what_cannot_be_understood_keeps_nobody_from_being_looked_after(
    settings: Settings, client: RedisClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A job type of another version, a hash that says nonsense, messages of another form: the others go on."""
    jobs = Services(settings, client).jobs
    newer, broken, good = (silent(client, jobs, new_caller()) for _ in range(3))
    client.hset(keys.job(newer), mapping={"jobType": "Renewal", "status": "Processing", "waves": 1, "totalJobItems": 1})
    client.hset(keys.job(newer, "marks"), "wave 0 sent", "1")
    client.hset(keys.job(broken), "waves", "many")
    strange = ("no JSON", "[]", '{"body": 7}')
    client.lpush("pages", *strange)
    sweep.sweep()
    for message in strange:
        client.lrem("pages", 1, message)
    planned = {header["kwargsrepr"] for header in sent(client, "quotejob.plan")}
    assert repr({"job_id": good}) in planned
    assert jobs.get(newer).status is Status.PROCESSING  # it is for a worker that knows it
    client.delete(keys.job(broken))
    assert [job.job_type for job in jobs.get_many([newer])] == ["Renewal"]


def test_the_queues_are_read_once_a_sweep(
    settings: Settings, client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many jobs are silent."""
    jobs = Services(settings, client).jobs
    for _ in range(3):
        silent(client, jobs, new_caller())
    read = []

    def waiting(client: RedisClient) -> set[str]:
        read.append(client)
        return set()

    monkeypatch.setattr(sweep, "waiting", waiting)
    sweep.sweep()
    assert len(read) == 1


@pytest.mark.parametrize("wrong_by", [timedelta(hours=1), timedelta(hours=-1)])
def test_signs_of_life_go_by_the_clock_of_redis(
    settings: Settings, client: RedisClient, caller: CallerContext, monkeypatch: pytest.MonkeyPatch, wrong_by: timedelta
) -> None:
    """A worker whose clock is an hour wrong makes neither a silent job look alive nor one that is alive look silent."""
    true_now = clock.now
    monkeypatch.setattr(clock, "now", lambda: true_now() + wrong_by)
    services = Services(settings, client)
    job_id = submit(services.jobs, caller)
    assert services.jobs.promote(caller.org_id) == [job_id]
    for act in (
        lambda: services.jobs.move(job_id, Status.PREPARING),
        lambda: services.jobs.move(job_id, Status.PROCESSING),
        lambda: services.progress.record_page(job_id, 0, Receipt("0")),
        lambda: services.jobs.touch(job_id),
    ):
        assert dict(services.jobs.open())[job_id] < 5
        client.zadd(keys.OPEN, {job_id: true_now().timestamp() * 1000 - 60_000})
        assert dict(services.jobs.open())[job_id] > 50
        act()
    assert dict(services.jobs.open())[job_id] < 5
    looked_at = client.zscore(keys.HOLDING, submit(services.jobs, caller))
    assert looked_at
    assert abs(looked_at - true_now().timestamp() * 1000) < 5000


def test_what_is_owed_is_done_although_the_clock_was_turned_back(
    settings: Settings, client: RedisClient, caller: CallerContext
) -> None:
    """The mirror, a clean-up and a notice were due at times that are now far ahead."""
    made = Services(replace(settings, mirror=True), client)
    job_id = submit(made.jobs, caller)
    notice = f"{CALLBACK} {job_id} 1"
    client.hset(keys.notice(notice), "since", clock.ms(datetime.now(UTC)))
    ahead = clock.ms(datetime.now(UTC) + timedelta(hours=5))
    client.delete(keys.CLEAN_UPS, keys.NOTICES, keys.MIRRORS)
    client.zadd(keys.MIRRORS, {caller.org_id: ahead})
    client.zadd(keys.CLEAN_UPS, {job_id: ahead})
    client.zadd(keys.NOTICES, {notice: ahead})
    assert caller.org_id in made.mirror.due()
    assert job_id in made.progress.incomplete.due()
    assert notice in [text for text, _ in made.outbox.due()]
    assert made.progress.incomplete.due() == []  # not again before its pause is over
    client.delete(keys.CLEAN_UPS, keys.NOTICES, keys.notice(notice), keys.MIRRORS)
