"""Schedules are changed: what was before stays, and nothing fires that should not."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from _callers import new_caller
from cryptography.fernet import Fernet

from quotejob.errors import InvalidRequest, ScheduleConflict, ScheduleNotFound
from quotejob.jobs.store import JobStore
from quotejob.salesforce.caller import CallerContext
from quotejob.schedules.firing import Firing
from quotejob.schedules.schedule import Overlap, Schedule, State
from quotejob.schedules.store import ScheduleStore
from quotejob.settings import Settings
from quotejob.store import keys
from quotejob.store.client import RedisClient

HOURLY, DAILY = "0 0 * * * ?", "0 0 22 * * ?"


@pytest.fixture
def settings(redis_url: str) -> Settings:
    keys_ = (Fernet.generate_key().decode(),)
    return Settings(redis_url=redis_url, secret_keys=keys_, local_org=True, active_jobs=1, holding_jobs=100)


@pytest.fixture
def caller(jobs: JobStore) -> Iterator[CallerContext]:
    """A user of an org of their own; its jobs are aborted afterwards."""
    context = new_caller()
    yield context
    for job_id in jobs._redis.ranked(keys.jobs_of(context.org_id, "holding")):
        jobs.abort(job_id)


def create(
    schedules: ScheduleStore, caller: CallerContext, name: str = "One", cron: str = HOURLY, **what: Any
) -> Schedule:
    given = {"authorization": "worker", "soql_where_clause": "Name != null", "overlap": Overlap.QUEUE} | what
    return schedules.create(caller, name, cron, **given)


def change(schedules: ScheduleStore, schedule: Schedule, **changes: Any) -> Schedule:
    return schedules.change(schedule.schedule_id, schedule.org_id, changes)


def due(client: RedisClient, schedule: Schedule) -> datetime | None:
    """When the clock will look at it."""
    score = client.zscore(keys.DUE, schedule.schedule_id)
    return None if score is None else datetime.fromtimestamp(float(score) / 1000, UTC)


def test_what_was_before_stays(
    schedules: ScheduleStore, firing: Firing, jobs: JobStore, caller: CallerContext, client: RedisClient
) -> None:
    """Id, counts, last job and next fire time; from then on its jobs are the new ones."""
    schedule = create(schedules, caller)
    assert schedule.next_fire_time is not None
    firing.tick(schedule.next_fire_time)
    fired = schedules.get(schedule.schedule_id)
    assert fired.last_job_id is not None
    changed = change(schedules, schedule, name="Two", soql_where_clause="Amount > 1", authorization="other")
    assert (changed.name, changed.soql_where_clause, changed.authorization) == ("Two", "Amount > 1", "other")
    for field in (
        "schedule_id",
        "times_triggered",
        "last_job_id",
        "previous_fire_time",
        "next_fire_time",
        "created_date",
    ):
        assert getattr(changed, field) == getattr(fired, field)
    assert changed.state is State.EXECUTING
    assert jobs.get(fired.last_job_id).soql_where_clause == "Name != null"
    assert changed.next_fire_time == due(client, schedule)
    firing.tick(changed.next_fire_time)
    last_job_id = schedules.get(schedule.schedule_id).last_job_id
    assert last_job_id is not None
    job = jobs.get(last_job_id)
    assert (job.name, job.soql_where_clause, job.authorization) == ("Two", "Amount > 1", "other")


def test_other_times_begin_now(
    schedules: ScheduleStore, firing: Firing, caller: CallerContext, client: RedisClient
) -> None:
    """The next one is after now, in the new zone; the old one does not fire."""
    schedule = create(schedules, caller)
    old = schedule.next_fire_time
    assert old is not None
    changed = change(schedules, schedule, cron_expression="0 30 22 ? * mon-fri", time_zone="Europe/Zurich")
    assert changed.cron_expression == "0 30 22 ? * MON-FRI"
    assert changed.next_fire_time is not None
    assert changed.next_fire_time > schedules.now()
    assert changed.next_fire_time == due(client, schedule)
    assert firing.fire(schedule, old) == "not_due"
    later = datetime(2031, 5, 1, tzinfo=UTC)
    assert change(schedules, schedule, start_time=later).next_fire_time > later  # type: ignore[operator]
    assert change(schedules, schedule, start_time=None).next_fire_time == changed.next_fire_time


@pytest.mark.parametrize("state", [State.PAUSED, State.ERROR])
def test_a_schedule_that_rests_goes_on_resting(
    schedules: ScheduleStore, caller: CallerContext, client: RedisClient, state: State
) -> None:
    """The new times count when it is resumed."""
    schedule = create(schedules, caller)
    if state is State.PAUSED:
        schedules.pause(schedule.schedule_id, caller.org_id)
    else:
        schedules.stop(schedule.schedule_id, "why")
    changed = change(schedules, schedule, cron_expression=DAILY, guaranteed=True)
    assert (changed.state, changed.next_fire_time, due(client, schedule)) == (state, None, None)
    resumed = schedules.resume(schedule.schedule_id, caller.org_id)
    assert resumed.next_fire_time is not None
    assert resumed.next_fire_time.hour == 22


def test_one_that_is_complete_waits_again(schedules: ScheduleStore, firing: Firing, caller: CallerContext) -> None:
    """If it gets a fire time; another name alone does not wake it."""
    end = schedules.now() + timedelta(hours=1, seconds=1)
    schedule = create(schedules, caller, end_time=end)
    assert schedule.next_fire_time is not None
    firing.tick(schedule.next_fire_time)
    assert schedules.get(schedule.schedule_id).state is State.COMPLETE
    assert change(schedules, schedule, name="Other").state is State.COMPLETE
    with pytest.raises(InvalidRequest):
        change(schedules, schedule, end_time=schedules.now() - timedelta(hours=1))
    again = change(schedules, schedule, end_time=None)
    assert (again.state, again.end_time) == (State.EXECUTING, None)
    assert again.next_fire_time is not None


def test_a_name_is_one_schedules(schedules: ScheduleStore, caller: CallerContext) -> None:
    """A taken one is refused, its own is not; the old one is free."""
    schedule, other = create(schedules, caller), create(schedules, caller, "Other")
    with pytest.raises(ScheduleConflict, match="named Other"):
        change(schedules, schedule, name="Other")
    assert change(schedules, schedule, name="One", overlap=Overlap.SKIP).overlap is Overlap.SKIP
    change(schedules, schedule, name="New")
    assert change(schedules, other, name="One").name == "One"
    create(schedules, caller, "Other")


def test_what_cannot_be_is_refused_and_changes_nothing(schedules: ScheduleStore, caller: CallerContext) -> None:
    schedule = create(schedules, caller)
    wrong: list[dict[str, Any]] = [
        {"cron_expression": "0 0 0 30 2 ?"},
        {"time_zone": "Mars"},
        {"end_time": datetime(2020, 1, 1, tzinfo=UTC)},
        {"start_time": datetime(2031, 1, 2, tzinfo=UTC), "end_time": datetime(2031, 1, 1, tzinfo=UTC)},
    ]
    for changes in wrong:
        with pytest.raises(InvalidRequest):
            change(schedules, schedule, name="Changed", **changes)
    assert schedules.get(schedule.schedule_id) == schedule
    with pytest.raises(ScheduleNotFound):
        schedules.change(schedule.schedule_id, new_caller().org_id, {"name": "Mine"})
    schedules.delete(schedule.schedule_id, caller.org_id)
    with pytest.raises(ScheduleNotFound):
        change(schedules, schedule, name="Gone")


def test_a_guarantee_is_checked_again(schedules: ScheduleStore, caller: CallerContext, client: RedisClient) -> None:
    """When it is asked for, and when the times change; given up, it leaves its slot to another."""
    kept = keys.jobs_of(caller.org_id, "guaranteed")
    first = create(schedules, caller, "First", DAILY, guaranteed=True)
    second = create(schedules, caller, "Second", DAILY)
    with pytest.raises(ScheduleConflict, match="First"):
        change(schedules, second, guaranteed=True)
    change(schedules, second, guaranteed=True, cron_expression="0 0 12 * * ?")
    assert set(client.ranked(kept)) == {first.schedule_id, second.schedule_id}
    with pytest.raises(ScheduleConflict, match="First"):
        change(schedules, second, cron_expression=DAILY)
    change(schedules, first, guaranteed=False)
    assert client.ranked(kept) == [second.schedule_id]
    assert change(schedules, second, cron_expression=DAILY).guaranteed


def test_changes_at_once_are_all_made(schedules: ScheduleStore, firing: Firing, caller: CallerContext) -> None:
    """Several callers change different fields while the schedule fires; no change and no fire time is lost."""
    schedule = create(schedules, caller, cron="* * * * * ?", overlap=Overlap.QUEUE)
    fires = schedule.next_fire_times
    changes: list[dict[str, Any]] = [
        {"name": "Changed"}, {"soql_where_clause": "Amount > 7"}, {"authorization": "other"},
        {"end_time": datetime(2031, 1, 1, tzinfo=UTC)},
    ]  # fmt: skip

    def fire(moment: datetime) -> str:
        return firing.fire(schedules.get(schedule.schedule_id), moment)

    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(change, schedules, schedule, **each) for each in changes]
        fired = [pool.submit(fire, moment) for moment in fires]
        for each in done:
            each.result()
        count = sum(each.result() == "fired" for each in fired)
    found = schedules.get(schedule.schedule_id)
    assert (found.name, found.soql_where_clause, found.authorization) == ("Changed", "Amount > 7", "other")
    assert found.end_time == datetime(2031, 1, 1, tzinfo=UTC)
    assert found.times_triggered == count
