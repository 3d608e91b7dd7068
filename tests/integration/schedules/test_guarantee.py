"""Guaranteed schedules: a slot is free when their time comes, and no more is promised than there are slots."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet

from quotejob.dispatch import Claims, Dispatcher
from quotejob.errors import ScheduleConflict
from quotejob.jobs.job import BuiltIn, Status
from quotejob.jobs.listing import JobFilter
from quotejob.jobs.search import JobSearch
from quotejob.jobs.store import JobStore
from quotejob.run.progress import Progress
from quotejob.run.receipt import Receipt
from quotejob.salesforce.caller import CallerContext
from quotejob.schedules.firing import Firing
from quotejob.schedules.schedule import Overlap, Schedule
from quotejob.schedules.store import ScheduleStore
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import keys
from quotejob.store.client import RedisClient

NOW = datetime(2031, 5, 1, 12, tzinfo=UTC)
HOLDING = JobFilter(frozenset([Status.HOLDING]))


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings(redis_url=redis_url, secret_keys=(Fernet.generate_key().decode(),), active_jobs=2, holding_jobs=5)


@pytest.fixture
def dispatcher(services: Services) -> Dispatcher:
    return services.dispatcher


def create(schedules: ScheduleStore, caller: CallerContext, cron: str, **what: Any) -> Schedule:
    given: dict[str, Any] = {"authorization": "worker", "soql_where_clause": "Name != null", "guaranteed": True} | what
    return schedules.create(caller, given.pop("name", f"s {uuid.uuid4()}"), cron, **given)


def submit(jobs: JobStore, caller: CallerContext) -> str:
    return jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause="a")[0].job_id


def test_a_slot_is_kept_free_and_the_queue_passed(
    firing: Firing, dispatcher: Dispatcher, schedules: ScheduleStore, jobs: JobStore, caller: CallerContext
) -> None:
    """With a full flex queue and other jobs waiting, the job is Queued in the moment it fires."""
    fire = create(schedules, caller, "0 0 22 1 5 ? 2031").next_fire_time
    assert fire is not None
    long_before, before = fire - timedelta(hours=1), fire - timedelta(minutes=9)
    waiting = [submit(jobs, caller) for _ in range(7)]
    assert dispatcher.claims(caller.org_id, long_before).reserved == 0
    assert dispatcher.promote(caller.org_id, before) == waiting[:1]
    assert dispatcher.promote(caller.org_id, before) == []
    assert firing.tick(fire) == [caller.org_id]
    [job_id] = dispatcher.promote(caller.org_id, fire)
    assert jobs.get(job_id).schedule_id
    assert dispatcher.claims(caller.org_id, fire).priority_job_ids == ()
    jobs.abort(job_id)
    assert dispatcher.promote(caller.org_id, fire) == waiting[1:2]


def test_between_firing_and_submitting_the_slot_is_kept(
    firing: Firing, dispatcher: Dispatcher, schedules: ScheduleStore, jobs: JobStore, caller: CallerContext
) -> None:
    """A tick that dies in the middle does not lose the slot to another job."""
    schedule = create(schedules, caller, "0 0 22 1 5 ? 2031")
    assert schedule.next_fire_time
    for _ in range(3):
        submit(jobs, caller)
    firing.fire(schedule, schedule.next_fire_time)
    assert len(dispatcher.claims(caller.org_id, schedule.next_fire_time).priority_job_ids) == 1
    assert len(dispatcher.promote(caller.org_id, schedule.next_fire_time)) == 1
    firing.tick(schedule.next_fire_time)
    [job_id] = dispatcher.promote(caller.org_id, schedule.next_fire_time)
    assert jobs.get(job_id).schedule_id == schedule.schedule_id


def test_a_deleted_schedule_claims_nothing(
    firing: Firing, dispatcher: Dispatcher, schedules: ScheduleStore, jobs: JobStore, caller: CallerContext
) -> None:
    """Nor one that is paused, nor what had fired and was not submitted before the end."""
    schedule = create(schedules, caller, "0 0 22 1 5 ? 2031")
    assert schedule.next_fire_time
    at = schedule.next_fire_time
    schedules.pause(schedule.schedule_id, caller.org_id)
    assert dispatcher.claims(caller.org_id, at).reserved == 0
    schedules.resume(schedule.schedule_id, caller.org_id)
    assert dispatcher.claims(caller.org_id, at).reserved == 1
    firing.fire(schedule, at)
    schedules.delete(schedule.schedule_id, caller.org_id)
    firing.tick(at)
    assert dispatcher.claims(caller.org_id, at) == Claims(0, ())


def test_a_slot_is_kept_earlier_when_the_others_will_not_be_done(
    dispatcher: Dispatcher, schedules: ScheduleStore, jobs: JobStore, client: RedisClient, caller: CallerContext
) -> None:
    """A running job that says it will take until after the fire time makes the last slot count."""
    fire = create(schedules, caller, "0 0 22 1 5 ? 2031").next_fire_time
    assert fire
    job_id, now = submit(jobs, caller), fire - timedelta(hours=2)
    jobs.promote(caller.org_id)
    jobs.move(job_id, Status.PREPARING)
    Progress(jobs._redis).store_plan(job_id, [["a"], ["b"], ["c"]], 5, lambda: 1)
    jobs.move(job_id, Status.PROCESSING)
    assert dispatcher.claims(caller.org_id, now).reserved == 0
    Progress(jobs._redis).record_page(job_id, 0, Receipt("0"))
    client.hset(keys.job(job_id), "startedDate", (now - timedelta(minutes=59)).isoformat())
    assert dispatcher.claims(caller.org_id, now).reserved == 0  # done two minutes before
    client.hset(keys.job(job_id), "startedDate", (now - timedelta(minutes=61)).isoformat())
    assert dispatcher.claims(caller.org_id, now).reserved == 1


def test_a_job_without_progress_counts_by_what_others_took(
    dispatcher: Dispatcher, schedules: ScheduleStore, jobs: JobStore, client: RedisClient, caller: CallerContext
) -> None:
    """A job that was Queued just now, of a kind that took three hours; and one that waits for its org to have calls."""
    fire = create(schedules, caller, "0 0 22 1 5 ? 2031").next_fire_time
    assert fire
    job_id, now = submit(jobs, caller), fire - timedelta(hours=2)
    jobs.promote(caller.org_id)
    client.lpush(keys.jobs_of(caller.org_id, "runs:BatchQuote"), f"1000 {2 * 3600 * 1000 - 1} ")
    assert dispatcher.claims(caller.org_id, now).reserved == 0
    client.lpush(keys.jobs_of(caller.org_id, "runs:BatchQuote"), f"1000 {3 * 3600 * 1000} ")
    assert dispatcher.claims(caller.org_id, now).reserved == 1  # two and a half hours, the median
    client.delete(keys.jobs_of(caller.org_id, "runs:BatchQuote"))
    assert dispatcher.claims(caller.org_id, now).reserved == 0
    jobs.explain(job_id, "Waiting: the org's daily API allocation is used up; the job goes on by itself")
    assert dispatcher.claims(caller.org_id, now).reserved == 1


def test_an_early_reservation_goes_by_the_clock_that_was_given(
    client: RedisClient, settings: Settings, caller: CallerContext
) -> None:
    """A job of three hours that began an hour ago is late for a fire time in an hour, in simulated 2031."""
    simulated = Services(settings, client, lambda: NOW)
    create(simulated.schedules, caller, "0 0 13 1 5 ? 2031")
    client.lpush(keys.jobs_of(caller.org_id, "runs:BatchQuote"), f"1000 {3 * 3600 * 1000} ")
    earlier = Services(settings, client, lambda: NOW - timedelta(hours=1))
    job_id = submit(earlier.jobs, caller)
    earlier.jobs.promote(caller.org_id)
    for status in (Status.PREPARING, Status.PROCESSING):
        earlier.jobs.move(job_id, status)
    assert simulated.dispatcher.claims(caller.org_id).reserved == 1
    in_time = Services(settings, client, lambda: NOW - timedelta(hours=3))
    assert in_time.dispatcher.claims(caller.org_id).reserved == 0


@pytest.mark.parametrize(
    ("crons", "clashes"),
    [
        (["0 0 22 * * ?", "0 5 22 * * ?", "0 10 22 * * ?"], True),
        (["0 0 22 * * ?", "0 5 22 * * ?", "0 11 22 * * ?"], False),
        (["0 0 22 * * ?", "0 0 22 1 * ?", "0 0 22 ? * 1#1"], True),  # a first that is a Sunday comes
        (["0 0 22 1 * ?", "0 0 22 2 * ?", "0 0 22 3 * ?"], False),
        (["0 0/5 * * * ?", "0 0/7 * * * ?", "0 30 3 29 3 ?"], True),
        (["0 30 3 29 3 ?", "0 0/5 * * * ?", "0 0/7 * * * ?"], True),
        (["0 30 3 29 3 ?", "0 0/5 * * * ?", "0 0/7 5-6 * * ?"], False),
    ],
)
def test_more_than_the_slots_can_carry_is_refused(
    schedules: ScheduleStore, caller: CallerContext, crons: list[str], clashes: bool
) -> None:
    """Three within ten minutes need three slots; the refusal says when, and names the others."""
    begin = {"start_time": NOW}
    for name, cron in zip(("one", "two"), crons[:2], strict=True):
        create(schedules, caller, cron, name=name, **begin)
    create(schedules, caller, crons[2], guaranteed=False, **begin)
    if clashes:
        with pytest.raises(ScheduleConflict, match=r"one, two|two, one"):
            create(schedules, caller, crons[2], name="three", **begin)
    else:
        create(schedules, caller, crons[2], name="three", **begin)


def test_a_paused_schedule_comes_back_only_if_there_is_a_slot(schedules: ScheduleStore, caller: CallerContext) -> None:
    """Its place may have been given away meanwhile."""
    first = create(schedules, caller, "0 0 22 * * ?", name="first")
    schedules.pause(first.schedule_id, caller.org_id)
    others = [create(schedules, caller, "0 0 22 * * ?") for _ in range(2)]
    with pytest.raises(ScheduleConflict, match="2 slots"):
        schedules.resume(first.schedule_id, caller.org_id)
    schedules.delete(others[0].schedule_id, caller.org_id)
    schedules.resume(first.schedule_id, caller.org_id)


def test_two_hundred_fires_under_a_saturated_queue(
    firing: Firing, dispatcher: Dispatcher, schedules: ScheduleStore, jobs: JobStore, caller: CallerContext
) -> None:
    """Simulated: every ten minutes, with the flex queue always full: each time the job is Queued as it fires."""
    schedule = create(schedules, caller, "0 0/10 * * * ?", overlap=Overlap.QUEUE, start_time=NOW)
    fire = schedule.next_fire_time
    late = 0
    for _ in range(200):
        assert fire is not None
        while len(JobSearch(jobs._redis, jobs).recent(caller.org_id, HOLDING, limit=10)[0]) < 5:
            submit(jobs, caller)
        dispatcher.promote(caller.org_id, fire - timedelta(seconds=1))
        assert firing.tick(fire) == [caller.org_id]
        promoted = dispatcher.promote(caller.org_id, fire)
        late += schedule.job_id(fire) not in promoted
        for job_id in promoted[:2]:
            jobs.fail(job_id, "done")
        fire = schedule.fires_after(fire)
    assert late == 0
