"""Jobs that have fired and cannot be submitted: they wait, say why, and hold up no other schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from _callers import new_caller
from cryptography.fernet import Fernet

from quotejob.errors import FlexQueueFull, InvalidRequest, StoreUnavailable, TooManyJobs
from quotejob.jobs.job import BuiltIn
from quotejob.jobs.search import JobSearch
from quotejob.jobs.store import JobStore
from quotejob.salesforce.caller import CallerContext
from quotejob.schedules.firing import MAX_FIRES_TO_SUBMIT, Firing
from quotejob.schedules.schedule import Overlap, Schedule
from quotejob.schedules.store import ScheduleStore
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import keys
from quotejob.store.client import RedisClient

NOW = datetime(2031, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOURLY, QUEUE = 4, 6
SECRET = "a text that nobody foresaw"


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings(
        redis_url=redis_url, secret_keys=(Fernet.generate_key().decode(),), hourly_jobs=HOURLY, holding_jobs=QUEUE
    )


@pytest.fixture
def services(client: RedisClient, settings: Settings) -> Services:
    return Services(settings, client, lambda: NOW)


@pytest.fixture
def caller() -> CallerContext:
    return new_caller()


def create(schedules: ScheduleStore, caller: CallerContext, **what: Any) -> Schedule:
    given: dict[str, Any] = {"authorization": "worker", "soql_where_clause": "a", "overlap": Overlap.QUEUE} | what
    return schedules.create(caller, given.pop("name", "s"), given.pop("cron", "0 * * * * ?"), **given)


def submit(jobs: JobStore, caller: CallerContext) -> str:
    return jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause="a")[0].job_id


def scheduled(jobs: JobStore, schedule: Schedule) -> set[str]:
    """The schedule's jobs."""
    found = JobSearch(jobs._redis, jobs).recent(schedule.org_id, limit=200)[0]
    return {job.job_id for job in found if job.schedule_id == schedule.schedule_id}


def too_often(jobs: JobStore, caller: CallerContext) -> Callable[[], object]:
    """The org has submitted as many jobs as it may within an hour. Returns what ends this."""
    for _ in range(HOURLY):
        submit(jobs, caller)
    return partial(jobs._redis.delete, keys.jobs_of(caller.org_id, "submitted"))


def full(jobs: JobStore, caller: CallerContext) -> Callable[[], object]:
    """The org's flex queue is full. Returns what ends this."""
    of_queue = JobStore(jobs._redis, replace(jobs.settings, hourly_jobs=100), lambda: NOW)
    while True:
        try:
            waiting = submit(of_queue, caller)
        except FlexQueueFull:
            jobs._redis.delete(keys.jobs_of(caller.org_id, "submitted"))
            return partial(jobs.abort, waiting)


def error(error: Exception, jobs: JobStore, caller: CallerContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """No job of this org can be submitted."""
    submit = JobStore.submit

    def submitting(self: JobStore, context: CallerContext, *args: Any, **what: Any) -> Any:
        if context.org_id == caller.org_id:
            raise error
        return submit(self, context, *args, **what)

    monkeypatch.setattr(JobStore, "submit", submitting)


@pytest.mark.parametrize(("refuse", "why"), [(too_often, "QUOTEJOB_HOURLY_JOBS"), (full, "flex queue")])
def test_an_org_that_takes_no_job_holds_up_no_other(
    firing: Firing, schedules: ScheduleStore, jobs: JobStore, caller: CallerContext,
    refuse: Callable[..., Callable[[], object]], why: str,
) -> None:  # fmt: skip
    """Its schedules say why their jobs wait, and then have them; a guaranteed one has its job at once."""
    other = new_caller()
    waits, guaranteed = create(schedules, caller), create(schedules, caller, name="g", guaranteed=True)
    others = create(schedules, other, cron="1 1 * * * ?")
    again = refuse(jobs, caller)
    assert set(firing.tick(NOW + MINUTE + timedelta(seconds=1))) == {caller.org_id, other.org_id}
    assert (len(scheduled(jobs, others)), len(scheduled(jobs, guaranteed)), scheduled(jobs, waits)) == (1, 1, set())
    said = schedules.get(waits.schedule_id).extended_status or ""
    assert said.startswith("Its job waits: ")
    assert why in said
    assert schedules.get(guaranteed.schedule_id).extended_status is None
    again()
    jobs.abort(next(iter(scheduled(jobs, guaranteed))))
    firing.tick(NOW + MINUTE + timedelta(seconds=1))
    assert scheduled(jobs, waits) == {waits.job_id(NOW + MINUTE)}
    assert schedules.get(waits.schedule_id).extended_status is None


def test_so_many_fire_times_wait(
    firing: Firing, schedules: ScheduleStore, jobs: JobStore, caller: CallerContext
) -> None:
    """Those after them are skipped."""
    schedule = create(schedules, caller)
    too_often(jobs, caller)
    for minute in range(1, MAX_FIRES_TO_SUBMIT + 3):
        firing.tick(NOW + minute * MINUTE)
    found = schedules.get(schedule.schedule_id)
    assert (found.times_triggered, found.times_skipped) == (MAX_FIRES_TO_SUBMIT, 2)


@pytest.mark.parametrize(
    ("why", "says"), [(InvalidRequest("because of this"), "because of this"), (KeyError(SECRET), "error in this app")]
)
def test_an_error_of_one_schedule_holds_up_no_other(
    firing: Firing, schedules: ScheduleStore, jobs: JobStore, caller: CallerContext, monkeypatch: pytest.MonkeyPatch,
    why: Exception, says: str,
) -> None:  # fmt: skip
    """Whatever it is. The job waits, and the schedule says so without words that nobody foresaw."""
    broken, others = create(schedules, caller), create(schedules, new_caller(), cron="1 1 * * * ?")
    with monkeypatch.context() as patch:
        error(why, jobs, caller, patch)
        assert firing.tick(NOW + MINUTE + timedelta(seconds=1)) == [others.org_id]
    said = schedules.get(broken.schedule_id).extended_status or ""
    assert says in said
    assert SECRET not in said
    assert firing.tick(NOW + MINUTE + timedelta(seconds=1)) == [broken.org_id]
    assert scheduled(jobs, broken) == {broken.job_id(NOW + MINUTE)}


def test_without_redis_a_tick_ends(
    firing: Firing, schedules: ScheduleStore, jobs: JobStore, caller: CallerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(schedules, caller)
    error(StoreUnavailable("away"), jobs, caller, monkeypatch)
    with pytest.raises(StoreUnavailable):
        firing.tick(NOW + MINUTE)


@pytest.mark.parametrize("refusal", [TooManyJobs, FlexQueueFull, KeyError])
def test_what_could_not_run_now_does_not_run_later(
    firing: Firing, schedules: ScheduleStore, jobs: JobStore, caller: CallerContext, monkeypatch: pytest.MonkeyPatch,
    refusal: type[Exception],
) -> None:  # fmt: skip
    """Who asked for it has had the refusal."""
    schedule = create(schedules, caller)
    with monkeypatch.context() as patch:
        error(TooManyJobs(1, 1) if refusal is TooManyJobs else refusal("x"), jobs, caller, patch)
        with pytest.raises(refusal):
            firing.run_now(schedule.schedule_id, caller.org_id)
    firing.tick(NOW)
    assert scheduled(jobs, schedule) == set()
