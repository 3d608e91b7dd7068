"""Redis has lost the end of a script of schedules: no fire time is lost, and none makes two jobs.

The end begins after any of its commands. This happens when its append-only file is cut in the middle of a script
(valkey#4342).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from _callers import new_caller
from cryptography.fernet import Fernet
from systems.lost_ends import MOST_COMMANDS, is_lost

from quotejob.errors import ScheduleConflict, ScheduleNotFound
from quotejob.jobs.search import JobSearch
from quotejob.salesforce.caller import CallerContext
from quotejob.schedules.schedule import Overlap, Schedule, State
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys
from quotejob.testing import redis_server

MINUTELY, HOURLY = "0 * * * * ?", "0 0 * * * ?"
Do = Callable[[Services, Schedule], object]


@pytest.fixture
def services() -> Iterator[Services]:
    """Those of a Redis that no other test has."""
    with redis_server.private(durable=True) as url, store.client(url, attempts=1) as client:
        settings = Settings(redis_url=url, secret_keys=(Fernet.generate_key().decode(),), local_org=True)
        yield Services(settings, client)


def create(services: Services, caller: CallerContext, **what: Any) -> Schedule:
    given = {"authorization": "worker", "soql_where_clause": "Name != null", "overlap": Overlap.QUEUE} | what
    return services.schedules.create(caller, "Nightly", MINUTELY, guaranteed=True, **given)


def jobs_of(services: Services, org_id: str) -> list[str]:
    """The org's jobs, as its users see them, each of which exists."""
    found = JobSearch(services.client, services.jobs).recent(org_id, limit=200)[0]
    return [job.job_id for job in found]


def place(services: Services, schedule: Schedule) -> tuple[float | None, float | None]:
    """When ticks look at a schedule, and for when a slot is kept for it; ms."""
    guaranteed = keys.jobs_of(schedule.org_id, "guaranteed")
    return tuple(services.client.zscore(key, schedule.schedule_id) for key in (keys.DUE, guaranteed))  # type: ignore[return-value]


def fires_as_it_says(services: Services, schedule_id: str, org_id: str) -> None:
    """The next fire time makes its job, and is counted. What does not wait for one makes none."""
    before, jobs = services.schedules.get(schedule_id), jobs_of(services, org_id)
    now = before.next_fire_time or services.schedules.now() + timedelta(hours=2)
    services.firing.tick(now)
    after = services.schedules.get(schedule_id)
    if before.state is State.WAITING or before.state is State.EXECUTING:
        assert {*jobs_of(services, org_id)} == {*jobs, before.job_id(now)}
        assert after.times_triggered == before.times_triggered + 1
        assert after.previous_fire_time == now
        assert after.next_fire_time
        assert place(services, after) == (after.next_fire_time.timestamp() * 1000,) * 2
    else:
        assert jobs_of(services, org_id) == jobs
        assert place(services, after) == (None, None)


@pytest.mark.parametrize("last", [False, True], ids=["others follow", "it is the last"])
def test_a_fire_time_makes_one_job(services: Services, monkeypatch: pytest.MonkeyPatch, last: bool) -> None:
    lost = 0
    for commands in range(MOST_COMMANDS):
        caller = new_caller()
        schedule = create(services, caller)
        first = schedule.next_fire_time
        assert first
        if last:
            services.schedules.change(schedule.schedule_id, caller.org_id, {"end_time": first + timedelta(seconds=1)})
        if not is_lost(monkeypatch, commands, partial(services.firing.tick, first)):
            break
        lost += 1
        services.firing.tick(first + timedelta(seconds=1))
        after = services.schedules.get(schedule.schedule_id)
        assert jobs_of(services, caller.org_id) == [schedule.job_id(first)] == [after.last_job_id]
        assert (after.times_triggered, after.times_skipped, after.previous_fire_time) == (1, 0, first)
        if last:
            assert (after.next_fire_time, place(services, after)) == (None, (None, None))
        else:
            fires_as_it_says(services, schedule.schedule_id, caller.org_id)
    assert lost > 10


def test_a_new_schedule_is_there_or_its_name_is_free(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = 0
    for commands in range(MOST_COMMANDS):
        caller = new_caller()
        if not is_lost(monkeypatch, commands, partial(create, services, caller)):
            break
        lost += 1
        with suppress(ScheduleConflict):  # there is one of this name
            create(services, caller)
        [schedule] = services.schedules.list_for_org(caller.org_id)
        fires_as_it_says(services, schedule.schedule_id, caller.org_id)
    assert lost > 5


def pause(services: Services, schedule: Schedule) -> object:
    return services.schedules.pause(schedule.schedule_id, schedule.org_id)


def resume(services: Services, schedule: Schedule) -> object:
    return services.schedules.resume(schedule.schedule_id, schedule.org_id)


def change(services: Services, schedule: Schedule) -> object:
    changes = {"name": "Hourly", "cron_expression": HOURLY, "soql_where_clause": "Name = 'b'"}
    return services.schedules.change(schedule.schedule_id, schedule.org_id, changes)


def change_back(services: Services, schedule: Schedule) -> object:
    changes = {"name": "Nightly", "cron_expression": MINUTELY, "soql_where_clause": "Name = 'b'"}
    return services.schedules.change(schedule.schedule_id, schedule.org_id, changes)


def stop(services: Services, schedule: Schedule) -> None:
    services.schedules.stop(schedule.schedule_id, "because")


def delete(services: Services, schedule: Schedule) -> object:
    return services.schedules.delete(schedule.schedule_id, schedule.org_id)


@pytest.mark.parametrize(
    "steps",
    [(pause,), (pause, resume), (change,), (change, change_back), (stop,), (stop, resume), (delete,)],
    ids=lambda steps: steps[-1].__name__ + " after" * (len(steps) > 1),
)
def test_what_users_do_is_done_or_not(
    services: Services, monkeypatch: pytest.MonkeyPatch, steps: tuple[Do, ...]
) -> None:
    """The schedule fires as it says of itself."""
    lost = 0
    for commands in range(MOST_COMMANDS):
        caller = new_caller()
        schedule = create(services, caller)
        for each in steps[:-1]:
            each(services, schedule)
        if not is_lost(monkeypatch, commands, partial(steps[-1], services, schedule)):
            break
        lost += 1
        try:
            fires_as_it_says(services, schedule.schedule_id, caller.org_id)
        except ScheduleNotFound:
            assert steps[-1] is delete
            create(services, caller)  # its name is free
    assert lost > 5
