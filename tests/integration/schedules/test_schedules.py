"""Schedules in Redis, on simulated time: each fire time makes one job, whoever ticks, how often, and after what."""

from __future__ import annotations

import itertools
import random
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from msgspec import structs

from harness.api import LocalOrg
from quotejob.errors import (
    AuthorizationFailed,
    FlexQueueFull,
    InvalidRequest,
    OrgUnreachable,
    ScheduleConflict,
    ScheduleNotFound,
    TooManySchedules,
)
from quotejob.jobs.job import BuiltIn, Job, Status
from quotejob.jobs.search import JobSearch
from quotejob.jobs.store import JobStore
from quotejob.run.context import begin, session
from quotejob.salesforce.caller import CallerContext, to18
from quotejob.schedules.firing import Firing
from quotejob.schedules.schedule import Misfire, Overlap, Schedule, State
from quotejob.schedules.store import MAX_SCHEDULES_PER_ORG, ScheduleStore
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys
from quotejob.store.client import RedisClient

DAILY = "0 0 22 * * ?"
MINUTELY = "0 * * * * ?"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def settings(redis_url: str) -> Settings:
    keys_ = (Fernet.generate_key().decode(),)
    return Settings(redis_url=redis_url, secret_keys=keys_, local_org=True, active_jobs=2, holding_jobs=3)


def create(schedules: ScheduleStore, caller: CallerContext, cron: str = MINUTELY, **what: Any) -> Schedule:
    given = {"authorization": "worker", "soql_where_clause": "Name != null", "overlap": Overlap.QUEUE} | what
    name = given.pop("name", f"s {uuid.uuid4()}")
    return schedules.create(caller, name, cron, **given)


def fires_between(schedule: Schedule, begin: datetime, end: datetime) -> list[datetime]:
    """The fire times after ``begin`` and before ``end``."""
    return list(itertools.takewhile(lambda fire: fire < end, schedule.fires(begin)))


def made(jobs: JobStore, caller: CallerContext) -> list[Job]:
    """The org's jobs, oldest first."""
    return JobSearch(jobs._redis, jobs).recent(caller.org_id, limit=200)[0][::-1]


def end(jobs: JobStore, caller: CallerContext) -> None:
    for job in made(jobs, caller):
        if not job.ended:
            jobs.fail(job.job_id, "enough")


def test_a_schedule_is_kept_as_it_was_asked(schedules: ScheduleStore, caller: CallerContext) -> None:
    """Everything is there again, the next fire times with it."""
    start, stop = datetime(2031, 3, 1, tzinfo=UTC), datetime(2031, 3, 3, 12, tzinfo=UTC)
    made_one = create(
        schedules, caller, "0 0 22 * * ?", name="Nightly", time_zone="Europe/Zurich", misfire=Misfire.SKIP,
        start_time=start, end_time=stop, job_type=BuiltIn.SAMPLE_DATA_CREATE, number_of_opportunities=7,
    )  # fmt: skip
    found = schedules.get(made_one.schedule_id, caller.org_id)
    assert found == made_one
    assert (found.name, found.time_zone, found.misfire, found.overlap) == (
        "Nightly", "Europe/Zurich", Misfire.SKIP, Overlap.QUEUE,
    )  # fmt: skip
    assert (found.job_type, found.number_of_opportunities) == (BuiltIn.SAMPLE_DATA_CREATE, 7)
    assert (found.start_time, found.end_time, found.state) == (start, stop, State.WAITING)
    assert found.next_fire_times == [datetime(2031, 3, 1, 21, tzinfo=UTC), datetime(2031, 3, 2, 21, tzinfo=UTC)]
    assert schedules.list_for_org(caller.org_id) == [found]


def test_what_cannot_be_is_refused(schedules: ScheduleStore, caller: CallerContext) -> None:
    """An expression that never comes, an end before the start, a time without a zone, a name that is taken."""
    refusals: list[tuple[str, dict[str, Any], str]] = [
        ("0 0 0 30 2 ?", {}, "cronExpression"),
        (DAILY, {"end_time": datetime(2020, 1, 1, tzinfo=UTC)}, "cronExpression"),
        (DAILY, {"start_time": datetime(2030, 1, 1)}, "startTime"),  # noqa: DTZ001
        (
            DAILY,
            {"start_time": datetime(2030, 1, 2, tzinfo=UTC), "end_time": datetime(2030, 1, 1, tzinfo=UTC)},
            "endTime",
        ),
        (DAILY, {"time_zone": "Mars"}, "timeZone"),
    ]
    for cron, what, field in refusals:
        with pytest.raises(InvalidRequest) as refused:
            create(schedules, caller, cron, **what)
        assert refused.value.details[0]["field"] == field
    create(schedules, caller, name="one")
    with pytest.raises(ScheduleConflict, match="named one"):
        create(schedules, caller, name="one")
    create(schedules, replace(caller, org_id=to18("00DBBBBBBBBBBBB")), name="one")


def test_an_org_has_so_many(schedules: ScheduleStore, caller: CallerContext) -> None:
    """One hundred, as on the platform; a deleted one makes room."""
    ids = [create(schedules, caller, DAILY).schedule_id for _ in range(MAX_SCHEDULES_PER_ORG)]
    with pytest.raises(TooManySchedules, match="100"):
        create(schedules, caller, DAILY)
    assert schedules.delete(ids[0], caller.org_id).state is State.DELETED
    create(schedules, caller, DAILY)
    with pytest.raises(ScheduleNotFound):
        schedules.get(ids[0])


def test_another_orgs_schedule_is_not_there(firing: Firing, schedules: ScheduleStore, caller: CallerContext) -> None:
    """However it is asked for."""
    schedule_id, other = create(schedules, caller).schedule_id, to18("00DAAAAAAAAAAAA")
    for ask in (schedules.get, schedules.pause, schedules.resume, schedules.delete, firing.run_now):
        with pytest.raises(ScheduleNotFound):
            ask(schedule_id, other)
    assert schedules.list_for_org(other) == []


def test_each_fire_time_makes_one_job(
    firing: Firing, schedules: ScheduleStore, jobs: JobStore, caller: CallerContext
) -> None:
    """Ticks long before, at, and twice after; the job says which schedule made it."""
    schedule = create(schedules, caller)
    first = schedule.next_fire_time
    assert first is not None
    assert firing.tick(first - timedelta(seconds=1)) == []
    for moment in (first, first, first + timedelta(seconds=2)):
        firing.tick(moment)
    [job] = made(jobs, caller)
    assert (job.job_id, job.schedule_id, job.authorization) == (schedule.job_id(first), schedule.schedule_id, "worker")
    assert (job.status, job.soql_where_clause, job.created_by_id) == (Status.HOLDING, "Name != null", caller.user_id)
    assert (job.name, job.created_by_name) == (schedule.name, caller.user_name)
    found = schedules.get(schedule.schedule_id)
    assert (found.previous_fire_time, found.next_fire_time) == (first, first + MINUTE)
    assert (found.times_triggered, found.last_job_id, found.state) == (1, job.job_id, State.EXECUTING)
    jobs.fail(job.job_id, "x")
    assert schedules.get(schedule.schedule_id).state is State.WAITING


def test_a_schedule_ends_with_its_last_fire_time(
    firing: Firing, schedules: ScheduleStore, jobs: JobStore, caller: CallerContext
) -> None:
    """Then it is COMPLETE and never due again."""
    last = schedules.now().replace(second=0, microsecond=0) + 2 * MINUTE
    schedule = create(schedules, caller, end_time=last)
    firing.tick(last + 5 * MINUTE)
    end(jobs, caller)
    assert [job.job_id for job in made(jobs, caller)] == [schedule.job_id(last - MINUTE)]  # the missed made good by one
    found = schedules.get(schedule.schedule_id)
    assert (found.state, found.next_fire_time, found.next_fire_times) == (State.COMPLETE, None, [])
    with pytest.raises(ScheduleConflict, match="COMPLETE"):
        schedules.pause(schedule.schedule_id, caller.org_id)


@pytest.mark.parametrize(("policy", "runs", "skipped"), [(Misfire.RUN_ONCE, 1, 0), (Misfire.SKIP, 0, 1)])
def test_what_passed_while_nothing_ran(
    firing: Firing,
    schedules: ScheduleStore,
    jobs: JobStore,
    caller: CallerContext,
    policy: Misfire,
    runs: int,
    skipped: int,
) -> None:
    """An hour without a tick: the missed times are made good by one run, or by none; the next time is as planned."""
    schedule = create(schedules, caller, "0 0/10 * * * ?", misfire=policy)
    assert schedule.next_fire_time
    late = schedule.next_fire_time + timedelta(minutes=65)
    firing.tick(late)
    assert len(made(jobs, caller)) == runs
    found = schedules.get(schedule.schedule_id)
    assert (found.times_triggered, found.times_skipped) == (runs, skipped)
    assert found.next_fire_time == schedule.next_fire_time + timedelta(minutes=70)


def test_a_short_stop_loses_nothing(
    firing: Firing, schedules: ScheduleStore, jobs: JobStore, caller: CallerContext
) -> None:
    """Fire times of less than a minute ago are each made good, also where missed ones are to be skipped."""
    schedule = create(schedules, caller, "0/20 * * * * ?", misfire=Misfire.SKIP)
    assert schedule.next_fire_time
    firing.tick(schedule.next_fire_time + timedelta(seconds=45))
    assert [job.job_id for job in made(jobs, caller)] == [
        schedule.job_id(schedule.next_fire_time + timedelta(seconds=20 * n)) for n in range(3)
    ]


def test_overlap_skip_waits_for_its_own_job(
    firing: Firing, schedules: ScheduleStore, jobs: JobStore, caller: CallerContext
) -> None:
    """A fire time at which the job before has not ended is skipped, with the reason; afterwards it runs again."""
    schedule = create(schedules, caller, overlap=Overlap.SKIP)
    assert schedule.next_fire_time
    for minute in range(3):
        firing.tick(schedule.next_fire_time + minute * MINUTE)
    [job] = made(jobs, caller)
    found = schedules.get(schedule.schedule_id)
    assert (found.times_triggered, found.times_skipped) == (1, 2)
    assert job.job_id in (found.extended_status or "")
    with pytest.raises(ScheduleConflict, match=job.job_id):
        firing.run_now(schedule.schedule_id, caller.org_id)
    jobs.abort(job.job_id)
    firing.tick(schedule.next_fire_time + 3 * MINUTE)
    assert len(made(jobs, caller)) == 2
    assert schedules.get(schedule.schedule_id).extended_status is None


def test_paused_is_paused(firing: Firing, schedules: ScheduleStore, jobs: JobStore, caller: CallerContext) -> None:
    """No fire time counts until it is resumed, and none is made good then."""
    schedule = create(schedules, caller, "0 0 * * * ?")
    assert schedule.next_fire_time
    paused = schedules.pause(schedule.schedule_id, caller.org_id)
    assert (paused.state, paused.next_fire_time) == (State.PAUSED, None)
    with pytest.raises(ScheduleConflict, match="PAUSED"):
        schedules.pause(schedule.schedule_id, caller.org_id)
    firing.tick(schedule.next_fire_time)
    assert made(jobs, caller) == []
    resumed = schedules.resume(schedule.schedule_id, caller.org_id)
    assert (resumed.state, resumed.next_fire_time) == (State.WAITING, schedule.next_fire_time)
    with pytest.raises(ScheduleConflict, match="WAITING"):
        schedules.resume(schedule.schedule_id, caller.org_id)


def test_run_now_is_outside_the_plan(
    firing: Firing, schedules: ScheduleStore, jobs: JobStore, caller: CallerContext
) -> None:
    """It runs at once, in whatever state, and leaves the next fire time alone; a full flex queue refuses it."""
    schedule = create(schedules, caller, DAILY)
    schedules.pause(schedule.schedule_id, caller.org_id)
    for _ in range(5):
        job_id = firing.run_now(schedule.schedule_id, caller.org_id)
        assert jobs.get(job_id).schedule_id == schedule.schedule_id
    with pytest.raises(FlexQueueFull):
        firing.run_now(schedule.schedule_id, caller.org_id)
    firing.tick()
    assert len(made(jobs, caller)) == 5
    assert schedules.resume(schedule.schedule_id, caller.org_id).next_fire_time == schedule.next_fire_time


def test_a_full_flex_queue_delays_and_loses_nothing(
    firing: Firing, schedules: ScheduleStore, jobs: JobStore, caller: CallerContext
) -> None:
    """What has fired waits outside and goes in as soon as there is room."""
    schedule = create(schedules, caller)
    for _ in range(5):
        jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause="a")
    assert schedule.next_fire_time
    for minute in range(2):
        firing.tick(schedule.next_fire_time + minute * MINUTE)
    assert "flex queue" in (schedules.get(schedule.schedule_id).extended_status or "")
    end(jobs, caller)
    firing.tick()
    fired = {job.job_id for job in made(jobs, caller) if job.schedule_id}
    assert fired == {schedule.job_id(schedule.next_fire_time + n * MINUTE) for n in range(2)}


def test_a_tick_that_died_in_between_is_finished_by_the_next(
    firing: Firing, schedules: ScheduleStore, jobs: JobStore, client: RedisClient, caller: CallerContext
) -> None:
    """Decided and not submitted, or submitted and not noted: the job is made, and made once."""
    schedule = create(schedules, caller)
    assert schedule.next_fire_time
    firing.fire(schedules.get(schedule.schedule_id), schedule.next_fire_time)
    assert made(jobs, caller) == []
    [member] = client.ranked(keys.FIRED)
    firing.tick(schedule.next_fire_time)
    client.zadd(keys.FIRED, {member: 1})  # as if it had not been noted
    firing.tick(schedule.next_fire_time)
    assert [job.job_id for job in made(jobs, caller)] == [schedule.job_id(schedule.next_fire_time)]
    assert client.zcard(keys.FIRED) == 0


def test_many_ticks_at_once(redis_url: str, settings: Settings, caller: CallerContext) -> None:
    """Eight tickers over two simulated hours, their clocks jumping: every fire time once, no other."""
    roomy = replace(settings, holding_jobs=10_000)
    schedules = Services(roomy, store.client(redis_url, attempts=1)).schedules
    several = [create(schedules, caller, cron) for cron in (MINUTELY, "30 0/7 * * * ?", "0 0/30 * * * ?")]
    begin_at = min(each.next_fire_time for each in several if each.next_fire_time)
    start = threading.Barrier(8)

    def ticker(seed: int) -> None:
        mine, dice = Services(roomy, store.client(redis_url, attempts=1)).firing, random.Random(seed)
        start.wait()
        for minute in range(120):
            for jump in (dice.choice((-3600, -1, 1, 25)), 0):
                mine.tick(begin_at + minute * MINUTE + timedelta(seconds=jump))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ticker, range(8)))
    found = [job.job_id for job in Services(roomy, store.client(redis_url, attempts=1)).search.scan(caller.org_id)]
    expected = []
    for each in several:
        now = schedules.get(each.schedule_id)
        assert each.next_fire_time
        assert now.next_fire_time
        assert now.next_fire_time >= begin_at + 119 * MINUTE
        before = each.next_fire_time - timedelta(seconds=1)
        fires = fires_between(each, before, now.next_fire_time)
        assert now.times_triggered == len(fires)
        expected += [each.job_id(fire) for fire in fires]
    assert sorted(found) == sorted(expected)


# -- whom the jobs work as ---------------------------------------------------------------------------------------------


@pytest.fixture
def theirs(local_org: LocalOrg, caller: CallerContext) -> CallerContext:
    """A caller of the local org."""
    return replace(caller, org_id=local_org.org_id, org_domain_url=local_org.url, user_id=local_org.user_id)


@pytest.fixture
def applinked(settings: Settings, local_org: LocalOrg) -> Settings:
    return replace(settings, applink_api_url=f"{local_org.url}/localorg/applink", applink_token="add-on token")


def scheduled(firing: Firing, schedules: ScheduleStore, jobs: JobStore, caller: CallerContext, **what: Any) -> Job:
    schedule = create(schedules, caller, DAILY, **what)
    return jobs.get(firing.run_now(schedule.schedule_id, caller.org_id))


def test_a_scheduled_job_works_with_its_authorization(
    firing: Firing,
    schedules: ScheduleStore,
    jobs: JobStore,
    applinked: Settings,
    theirs: CallerContext,
    client: RedisClient,
) -> None:
    """A fresh token when it starts, kept for its further steps, and fetched again once it is gone."""
    job = scheduled(firing, schedules, jobs, theirs)
    made = Services(applinked, client)
    org = begin(job.job_id, jobs, made.progress, made.leases, applinked).org
    assert to18(org.whoami().organization_id) == theirs.org_id
    token = jobs.context(job.job_id).access_token
    assert token
    assert session(job, jobs, applinked).access_token == token
    client.delete(keys.job(job.job_id, "context"))
    assert session(job, jobs, applinked).access_token
    assert jobs.context(job.job_id).access_token
    jobs.abort(job.job_id)
    jobs.renew_context(job.job_id, theirs)
    assert not client.exists(keys.job(job.job_id, "context"))


def test_an_authorization_that_gives_nothing(
    firing: Firing,
    schedules: ScheduleStore,
    jobs: JobStore,
    applinked: Settings,
    theirs: CallerContext,
    caller: CallerContext,
) -> None:
    """Unknown, of another org, or no add-on: it failed. AppLink away: try again."""
    job = scheduled(firing, schedules, jobs, theirs)
    with pytest.raises(AuthorizationFailed, match="no such developer name"):
        session(structs.replace(job, authorization="unknown"), jobs, applinked)
    with pytest.raises(AuthorizationFailed, match="another org"):
        session(structs.replace(job, org_id=caller.org_id), jobs, applinked)
    with pytest.raises(AuthorizationFailed, match="HEROKU_APPLINK_API_URL"):
        session(job, jobs, replace(applinked, applink_token=None))
    with pytest.raises(OrgUnreachable):
        session(job, jobs, replace(applinked, applink_api_url="http://127.0.0.1:1"))
    jobs.abort(job.job_id)


def test_a_schedule_in_error_says_so_and_can_be_resumed(schedules: ScheduleStore, caller: CallerContext) -> None:
    """It fires no more until then."""
    schedule = create(schedules, caller)
    schedules.stop(schedule.schedule_id, "no session")
    found = schedules.get(schedule.schedule_id)
    assert (found.state, found.extended_status, found.next_fire_time) == (State.ERROR, "no session", None)
    assert schedules.resume(schedule.schedule_id, caller.org_id).state is State.WAITING
    schedules.stop(str(uuid.uuid4()), "gone meanwhile")


def test_what_a_newer_version_keeps_is_passed_over(
    firing: Firing, schedules: ScheduleStore, client: RedisClient, caller: CallerContext
) -> None:
    """While a deploy is going on, as with jobs: the schedule is read, and fires."""
    schedule = create(schedules, caller)
    client.hset(f"quotejob:schedule:{schedule.schedule_id}", "fieldOfTomorrow", "1")
    assert schedules.get(schedule.schedule_id) == schedule
    assert firing.tick(schedule.next_fire_time) == [caller.org_id]


def test_a_time_zone_that_this_machine_lacks_stops_no_other(
    firing: Firing, schedules: ScheduleStore, client: RedisClient, caller: CallerContext
) -> None:
    """A zone was renamed, or two machines have different data: it is listed, and says what is wrong when it is due."""
    strange, other = create(schedules, caller, guaranteed=True), create(schedules, caller)
    client.hset(f"quotejob:schedule:{strange.schedule_id}", "timeZone", "Asia/Hanoi")
    listed = {schedule.schedule_id: schedule.next_fire_times for schedule in schedules.list_for_org(caller.org_id)}
    assert listed[strange.schedule_id] == [strange.next_fire_time]
    assert listed[other.schedule_id] == other.next_fire_times
    create(schedules, caller, guaranteed=True)
    assert firing.tick(strange.next_fire_time) == [caller.org_id]
    found = schedules.get(strange.schedule_id)
    assert (found.state, found.next_fire_times) == (State.ERROR, [])
    assert "timeZone" in str(found.extended_status)


def test_a_schedule_that_only_another_version_can_read_stops_no_other(
    firing: Firing, schedules: ScheduleStore, jobs: JobStore, client: RedisClient, caller: CallerContext
) -> None:
    """It neither fires here nor is lost: not its fire time, and not a job that it has fired and not submitted."""
    strange, other = create(schedules, caller), create(schedules, caller)
    due = strange.next_fire_time
    assert due is not None
    assert firing.fire(strange, due) == "fired"
    client.hset(f"quotejob:schedule:{strange.schedule_id}", "misfire", "tomorrow")
    firing.tick(due + timedelta(minutes=1))
    assert {job.schedule_id for job in made(jobs, caller)} == {other.schedule_id}
    assert [schedule.schedule_id for schedule in schedules.list_for_org(caller.org_id)] == [other.schedule_id]
    end(jobs, caller)
    client.hset(f"quotejob:schedule:{strange.schedule_id}", "misfire", strange.misfire)
    firing.tick(due + timedelta(minutes=1))
    ids = [job.job_id for job in made(jobs, caller) if job.schedule_id == strange.schedule_id]
    assert ids == [strange.job_id(due), strange.job_id(due + timedelta(minutes=1))]
