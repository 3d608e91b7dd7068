"""Estimates of real jobs: what is remembered of runs, what is said of open jobs, what is noted to judge it by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet

from quotejob.forecast import org as forecast
from quotejob.forecast.org import Forecast
from quotejob.jobs.conditions import Conditions
from quotejob.jobs.job import BuiltIn, Guess, Job, Status
from quotejob.jobs.moves import PAST_RUNS, PAST_RUNS_KEPT_FOR
from quotejob.jobs.store import JobStore
from quotejob.run.progress import Progress
from quotejob.run.receipt import Receipt
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys
from quotejob.store.client import RedisClient
from tasks import flow

NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)


class Clock:
    """The time, moved by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings(redis_url=redis_url, secret_keys=(Fernet.generate_key().decode(),), active_jobs=2, holding_jobs=9)


@pytest.fixture
def client(redis_url: str) -> RedisClient:
    return store.client(redis_url, attempts=1)


@pytest.fixture
def services(client: RedisClient, settings: Settings, clock: Clock) -> Services:
    return Services(settings, client, clock)


@pytest.fixture
def jobs(services: Services) -> JobStore:
    return services.jobs


@pytest.fixture
def forecasts(services: Services) -> Forecast:
    return services.forecast


def submit(jobs: JobStore, caller: CallerContext, **also: Any) -> str:
    return jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause="a", **also)[0].job_id


def set_going(jobs: JobStore, job_id: str, pages: int = 4) -> None:
    jobs.move(job_id, Status.PREPARING)
    if jobs.get(job_id).waves is None:
        Progress(jobs._redis).store_plan(job_id, [["a", "b"]] * pages, pages, lambda: 1)
    jobs.move(job_id, Status.PROCESSING)


def ran(jobs: JobStore, caller: CallerContext, clock: Clock, seconds: float, pages: int = 4) -> str:
    """A job that has gone from Queued to Completed in so many seconds."""
    job_id = submit(jobs, caller)
    assert jobs.promote(caller.org_id) == [job_id]
    set_going(jobs, job_id, pages)
    clock.pass_by(seconds)
    assert jobs.move(job_id, Status.COMPLETED)
    return job_id


def runs(client: RedisClient, caller: CallerContext) -> list[bytes]:
    return client.items(keys.jobs_of(caller.org_id, "runs:BatchQuote"))


def test_completed_runs_are_remembered_the_last_ones(
    jobs: JobStore, client: RedisClient, clock: Clock, caller: CallerContext
) -> None:
    """Records, milliseconds, schedule; with the move that ends the job, once; not for ever."""
    job_id = ran(jobs, caller, clock, 12.5)
    assert runs(client, caller) == [b"8 12500 "]
    assert not jobs.move(job_id, Status.COMPLETED)
    for seconds in range(PAST_RUNS):
        ran(jobs, caller, clock, seconds)
    assert len(runs(client, caller)) == PAST_RUNS
    assert runs(client, caller)[0] == b"8 49000 "
    assert b"8 12500 " not in runs(client, caller)
    assert 0 < client.ttl(keys.jobs_of(caller.org_id, "runs:BatchQuote")) <= PAST_RUNS_KEPT_FOR


def test_other_ends_and_resumed_runs_are_not_remembered(
    jobs: JobStore, client: RedisClient, clock: Clock, caller: CallerContext
) -> None:
    """They would say nothing of how long a run takes. What a resumed job had done before it rested is known."""
    job_id = submit(jobs, caller)
    jobs.promote(caller.org_id)
    set_going(jobs, job_id)
    Progress(jobs._redis).record_page(job_id, 0, Receipt("0"))
    jobs.fail(job_id, "x")
    clock.pass_by(1000)
    jobs.resume(job_id, caller)
    jobs.promote(caller.org_id)
    set_going(jobs, job_id)
    job = jobs.get(job_id)
    assert (job.started_date, job.resumed_date, job.resumed_items) == (NOON, clock.now, 1)
    jobs.move(job_id, Status.COMPLETED)
    assert runs(client, caller) == []


def test_open_jobs_are_told_when_they_start_and_end(
    jobs: JobStore, forecasts: Forecast, clock: Clock, caller: CallerContext
) -> None:
    """By what ran before and what has slots; of an ended job nothing is said."""
    ended = ran(jobs, caller, clock, 60)
    first, second = submit(jobs, caller), submit(jobs, caller)
    jobs.promote(caller.org_id)
    later = Conditions(not_before=clock.now + timedelta(hours=1))
    timed, third = submit(jobs, caller, conditions=later), submit(jobs, caller)
    fourth = submit(jobs, caller, conditions=Conditions((third,)))
    set_going(jobs, first)
    clock.pass_by(20)

    def seconds_until(moment: datetime | None) -> float | None:
        return None if moment is None else (moment - clock.now).total_seconds()

    def told(*ids: str) -> list[tuple[float | None, float | None]]:
        estimated = forecasts.with_estimates(caller.org_id, jobs.get_many(ids))
        return [(seconds_until(job.estimated_start), seconds_until(job.estimated_end)) for job in estimated]

    everything = [(None, 40), (0, 60), (3580, 3640), (40, 100), (100, 160), (None, None)]
    assert told(first, second, timed, third, fourth, ended) == everything
    assert [told(one) for one in (first, second, timed, third, fourth, ended)] == [[one] for one in everything]
    Progress(jobs._redis).record_page(first, 0, Receipt("0"))
    [(_, end)] = told(first)
    assert end == pytest.approx((1 * 60 + 5 * 45) / 6)  # a page in 20 s, three to go; or three quarters of a minute


def test_a_reserved_slot_is_nobodys(
    jobs: JobStore, forecasts: Forecast, client: RedisClient, clock: Clock, caller: CallerContext
) -> None:
    """Except of the guaranteed job that has fired; whose claim is not counted twice, nor that of one that runs."""
    ran(jobs, caller, clock, 60)
    running = submit(jobs, caller)
    jobs.promote(caller.org_id, reserved=1)
    set_going(jobs, running)
    clock.pass_by(20)
    ids = [submit(jobs, caller) for _ in range(2)]
    assert jobs.promote(caller.org_id, reserved=1) == []

    def starts(*first: str) -> list[float]:
        client.delete(keys.jobs_of(caller.org_id, "first"))
        if first:
            client.zadd(keys.jobs_of(caller.org_id, "first"), dict.fromkeys(first, 1))
        told = forecasts.with_estimates(caller.org_id, jobs.get_many(ids))
        return [(job.estimated_start - clock.now).total_seconds() for job in told if job.estimated_start]

    assert starts() == [40, 100]
    assert starts(running) == [40, 100]
    assert starts(running, ids[1]) == [40, 0]


def test_the_first_estimated_start_is_noted(
    jobs: JobStore, forecasts: Forecast, client: RedisClient, clock: Clock, caller: CallerContext
) -> None:
    """Of each Holding job, once something can be said; who asks again soon does not even look."""

    def look() -> list[Guess | None]:
        client.delete(keys.jobs_of(caller.org_id, "looked"))
        forecasts.note_starts(caller.org_id)
        return [job.start_guess for job in jobs.get_many(ids)]

    ids = [submit(jobs, caller) for _ in range(2)]
    jobs.promote(caller.org_id)
    ids += [submit(jobs, caller) for _ in range(2)]
    assert look() == [None] * 4  # nothing ran before
    set_going(jobs, ids[0])
    clock.pass_by(30)
    jobs.move(ids[0], Status.COMPLETED)
    made = clock.now
    guesses = [None, None, Guess(made, made), Guess(made, made + timedelta(seconds=30))]
    assert look() == guesses
    clock.pass_by(7)
    ids.append(submit(jobs, caller))
    guesses.append(Guess(clock.now, clock.now + timedelta(seconds=30)))
    assert look() == guesses
    ids.append(submit(jobs, caller))
    forecasts.note_starts(caller.org_id)
    assert jobs.get(ids[-1]).start_guess is None
    assert 0 < client.pttl(keys.jobs_of(caller.org_id, "looked")) <= forecast.NOTE_STARTS_INTERVAL


def test_a_tick_leaves_the_noting_to_others(
    jobs: JobStore, client: RedisClient, settings: Settings, clock: Clock, caller: CallerContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It calls dispatch itself, for one org after the other, and those behind are in a hurry."""
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    monkeypatch.setattr(flow, "services", lambda: Services(settings, client, clock))
    ran(jobs, caller, clock, 10)
    job_id = submit(jobs, caller, conditions=Conditions(not_before=clock.now + timedelta(hours=1)))
    flow.dispatch(org_id=caller.org_id)
    assert jobs.get(job_id).start_guess is None
    flow.dispatch.apply(kwargs={"org_id": caller.org_id}, throw=True)
    assert jobs.get(job_id).start_guess == Guess(clock.now, clock.now + timedelta(hours=1))


def test_nothing_is_noted_of_a_job_that_has_gone_on_or_is_gone(
    jobs: JobStore, forecasts: Forecast, client: RedisClient, clock: Clock, caller: CallerContext
) -> None:
    """A note after the fact would flatter; one on a forgotten job would stay for ever. The first one stays."""
    ran(jobs, caller, clock, 10)
    job_id, noted = submit(jobs, caller), submit(jobs, caller)
    forecasts._note("startGuess", Status.HOLDING, {noted: NOON})
    forecasts._note("startGuess", Status.HOLDING, {noted: clock.now})
    assert jobs.get(noted).start_guess == Guess(clock.now, NOON)
    jobs.promote(caller.org_id)
    forecasts._note("startGuess", Status.HOLDING, {job_id: NOON, "gone": NOON})
    forecasts.note_end(jobs.get(job_id))
    assert (jobs.get(job_id).start_guess, jobs.get(job_id).end_guess) == (None, None)
    assert not client.exists(keys.job("gone"))


def test_the_end_is_noted_when_the_pages_are_known(
    jobs: JobStore, forecasts: Forecast, clock: Clock, caller: CallerContext
) -> None:
    """Once; not of a job that was resumed."""
    ran(jobs, caller, clock, 10, pages=5)
    job_id = submit(jobs, caller)
    jobs.promote(caller.org_id)
    set_going(jobs, job_id, pages=10)
    forecasts.note_end(jobs.get(job_id))
    guess = jobs.get(job_id).end_guess
    assert guess == Guess(clock.now, clock.now + timedelta(seconds=20))
    clock.pass_by(5)
    forecasts.note_end(jobs.get(job_id))
    assert jobs.get(job_id).end_guess == guess
    resumed = submit(jobs, caller)
    jobs.promote(caller.org_id)
    set_going(jobs, resumed)
    jobs.fail(resumed, "x")
    jobs.resume(resumed, caller)
    jobs.promote(caller.org_id)
    set_going(jobs, resumed)
    forecasts.note_end(jobs.get(resumed))
    assert jobs.get(resumed).end_guess is None


def test_a_queue_longer_than_is_looked_at(
    jobs: JobStore, forecasts: Forecast, monkeypatch: pytest.MonkeyPatch, clock: Clock, caller: CallerContext
) -> None:
    """Of the jobs far behind nothing is said."""
    monkeypatch.setattr(forecast, "MAX_ESTIMATED_HOLDING", 3)
    ran(jobs, caller, clock, 10)
    ids = [submit(jobs, caller) for _ in range(5)]
    told: list[Job] = forecasts.with_estimates(caller.org_id, jobs.get_many(ids))
    assert [job.estimated_start is None for job in told] == [False, False, False, True, True]
