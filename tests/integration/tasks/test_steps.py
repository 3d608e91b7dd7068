"""What a step does after a fault: patience counts time and not steps, and a session is renewed once for all steps."""

from __future__ import annotations

import inspect
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from _callers import new_caller
from _runs import being_planned, forget_org
from cryptography.fernet import Fernet
from kombu.exceptions import OperationalError

from harness.api import LocalOrg
from harness.stack import Stack
from quotejob import clock
from quotejob.errors import OrgUnreachable, SessionExpired, StoreUnavailable
from quotejob.jobs.job import Job, Status
from quotejob.jobtypes.quotes.handler import BatchQuote
from quotejob.run import progress
from quotejob.run.context import Run
from quotejob.run.waves import stream_plan
from quotejob.salesforce import API_VERSION
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from quotejob.settings import Settings, current
from quotejob.store import keys
from quotejob.store.client import RedisClient
from tasks import flow, steps
from tasks.app import app

STEPS = 40  # that work for one job at the same time


@pytest.fixture
def services(settings: Settings, client: RedisClient) -> Services:
    return Services(settings, client)


@pytest.fixture
def job(services: Services) -> Job:
    """A job that is being processed."""
    return going(services, new_caller())


def going(services: Services, caller: CallerContext) -> Job:
    job, _ = services.jobs.submit(caller, "BatchQuote", soql_where_clause="Name = 'x'")
    services.jobs.promote(caller.org_id)
    services.jobs.move(job.job_id, Status.PREPARING)
    services.jobs.move(job.job_id, Status.PROCESSING)
    return services.jobs.get(job.job_id)


@pytest.fixture
def make() -> Iterator[Callable[[Callable[..., None]], Any]]:
    """Make a step of a function of a run and a number."""
    names = []

    def made(work: Callable[..., None]) -> Any:
        names.append(f"test.{uuid.uuid4()}")
        return steps.step(names[-1], unit="{number}")(work)

    yield made
    for name in names:
        app.tasks.unregister(name)


def unreachable(run: Run, number: int) -> None:
    raise OrgUnreachable("The org does not answer")


def test_patience_counts_time_and_not_steps(
    services: Services, job: Job, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One outage that 40 steps meet is one outage. The job fails when it has lasted too long."""
    step = make(unreachable)
    for number in range(STEPS):
        step(job_id=job.job_id, number=number)
    assert services.jobs.get(job.job_id).status is Status.PROCESSING
    waits = {
        unit: int(lease.split()[2]) for unit, lease in services.client.hash(f"{keys.job(job.job_id)}:leases").items()
    }
    assert len(waits) == STEPS
    assert max(waits.values()) < 2 * 1000 * steps.SHORTEST_PAUSE  # a short outage costs a short pause
    monkeypatch.setattr(steps, "LONGEST_OUTAGE", 0.001)
    step(job_id=job.job_id, number=STEPS)
    assert services.jobs.get(job.job_id).status is Status.FAILED


def test_a_message_that_cannot_be_sent_is_a_passing_fault(
    services: Services, job: Job, make: Callable[..., Any]
) -> None:
    """The broker is away, as Redis is while it restarts: however often that is met, the job does not fail."""

    def send(run: Run, number: int) -> None:
        raise OperationalError("Connection refused")

    step = make(send)
    for number in range(5):
        step(job_id=job.job_id, number=number)
    assert services.jobs.get(job.job_id).status is Status.PROCESSING


def test_the_pause_grows_with_the_outage(services: Services, job: Job, make: Callable[..., Any]) -> None:
    step = make(unreachable)
    services.client.hset(keys.job(job.job_id, "faults"), mapping={"passing last": clock.ms(), "passing waited": 30_000})
    step(job_id=job.job_id, number=0)
    [lease] = services.client.hash(keys.job(job.job_id, "leases")).values()
    assert 15_000 <= int(lease.split()[2]) < 46_000


@pytest.mark.parametrize("hours", [-10, 10])
def test_a_clock_that_jumps_does_not_end_patience(services: Services, job: Job, hours: int) -> None:
    services.progress.another_fault(job.job_id, "passing")
    services.client.hset(keys.job(job.job_id, "faults"), "passing last", str(clock.ms() - hours * 3_600_000))
    faults = services.progress.another_fault(job.job_id, "passing")
    assert faults.count == 2
    assert 0 <= faults.waited <= progress.LONGEST_COUNTED_PAUSE


def test_a_job_that_ends_while_a_step_handles_an_error(services: Services, job: Job, make: Callable[..., Any]) -> None:
    """The session ends, and before the step renews it, the job is aborted. The step ends, and raises nothing."""

    def expired(run: Run, number: int) -> None:
        services.jobs.abort(run.id)
        raise SessionExpired("Session expired or invalid")

    make(expired)(job_id=job.job_id, number=0)
    assert services.jobs.get(job.job_id).status is Status.ABORTED


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalOrg]:
    with Stack(tmp_path_factory.mktemp("steps")) as stack:
        yield stack.start_org(0)


@pytest.fixture
def applinked(
    settings: Settings, local: LocalOrg, client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Services, Job]]:
    """A job with a session that has expired, and an AppLink authorization."""
    monkeypatch.setenv("HEROKU_APPLINK_API_URL", f"{local.url}/localorg/applink")
    monkeypatch.setenv("HEROKU_APPLINK_TOKEN", "local")
    monkeypatch.setenv("QUOTEJOB_AUTHORIZATION", "worker")
    monkeypatch.setenv("QUOTEJOB_LOCAL_ORG", "1")
    current.cache_clear()
    services = Services(current(), client)
    expired = replace(
        new_caller(), org_id=local.org_id, org_domain_url=local.url, api_version=API_VERSION, user_id=local.user_id
    )
    job = going(services, expired)
    yield services, job
    forget_org(services, local)


def test_many_steps_meet_the_end_of_one_session(applinked: tuple[Services, Job], make: Callable[..., Any]) -> None:
    """All have sent a request with the old session when the first renews it. None fails the job, and all go on."""
    services, job = applinked
    together, done = threading.Barrier(8), []

    def ask(run: Run, number: int) -> None:
        if number not in tried:
            tried.add(number)
            assert run.org.address.access_token == services.jobs.context(job.job_id).access_token
            together.wait(20)
        run.org.whoami()
        done.append(number)

    tried: set[int] = set()
    step = make(ask)
    while len(done) < 8 and not services.jobs.get(job.job_id).ended:  # as the sweep does
        time.sleep(0.1)
        waiting = [number for number in range(8) if number not in done]
        threads = [threading.Thread(target=step, kwargs={"job_id": job.job_id, "number": n}) for n in waiting]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert services.jobs.get(job.job_id).status is Status.PROCESSING
    assert sorted(done) == list(range(8))
    assert int(services.client.hash(keys.job(job.job_id, "faults"))[b"session"]) == 1


@pytest.mark.parametrize("lost", ["key", "session"])
def test_a_session_that_cannot_be_read_is_not_the_orgs_word(
    services: Services, job: Job, make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """A worker with another Fernet key, and a session that has expired in Redis: each says what to do."""
    if lost == "key":
        monkeypatch.setenv("QUOTEJOB_SECRET_KEY", Fernet.generate_key().decode())
        current.cache_clear()
    else:
        services.client.delete(keys.job(job.job_id, "context"))

    def ask(run: Run, number: int) -> None:
        run.org.whoami()

    make(ask)(job_id=job.job_id, number=0)
    said = services.jobs.get(job.job_id).extended_status or ""
    assert said.startswith("INVALID_SESSION_ID: ")
    assert ("QUOTEJOB_SECRET_KEY" if lost == "key" else "no longer stored") in said
    assert "resume" in said
    assert "org said" not in said


def test_a_new_session_that_is_refused_too(
    applinked: tuple[Services, Job], make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not renewed for ever."""
    services, job = applinked

    def refused(context: CallerContext, settings: Settings) -> CallerContext:
        return replace(context, access_token=f"00D000000000001!{uuid.uuid4().hex}")

    monkeypatch.setattr("quotejob.salesforce.applink.renewed", refused)

    def ask(run: Run, number: int) -> None:
        run.org.whoami()

    step = make(ask)
    step(job_id=job.job_id, number=0)
    assert services.jobs.get(job.job_id).status is Status.PROCESSING
    step(job_id=job.job_id, number=1)
    failed = services.jobs.get(job.job_id)
    assert failed.status is Status.FAILED
    assert (failed.extended_status or "").startswith("INVALID_SESSION_ID")


def test_a_plan_that_redis_loses_at_its_end_is_made_again(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older copy of Redis comes back. A job without a plan has nothing left to do, so it must not be Processing."""
    run = being_planned(services, new_caller())

    class Handler(BatchQuote):
        def plan(self, run: Run) -> None:
            stream_plan(run, ["0061"], page_size=2, wave_size=1)
            services.client.hdel(keys.job(run.id), "waves", "wavesBegun", "total", "totalJobItems")

    monkeypatch.setattr(flow, "handler_of", lambda _: Handler())
    monkeypatch.setattr(flow, "clean_up_for_others", lambda _: None)
    monkeypatch.setattr(flow, "services", lambda: services)
    with pytest.raises(StoreUnavailable, match="made again"):
        inspect.unwrap(flow.plan.run)(run)
    assert services.jobs.get(run.id).status is Status.PREPARING
