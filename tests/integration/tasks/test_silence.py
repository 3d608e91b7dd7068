"""An org that does not answer is asked by one step at a time; others give their places back. A real server hangs."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from _hanging import HangingOrg, hanging

from quotejob.errors import OrgSilent
from quotejob.jobs.job import Job, Status
from quotejob.run import silence
from quotejob.run.context import Run
from quotejob.run.leases import SHORTEST_ALONE, SUSPECTED_AT
from quotejob.run.processes import ROOM
from quotejob.run.silence import SILENT_CALLS, Silence
from quotejob.services import Services
from quotejob.settings import current
from quotejob.store import keys
from quotejob.store.client import RedisClient
from tasks import steps
from tasks.app import app

STEPS = 12


@pytest.fixture
def org() -> Iterator[HangingOrg]:
    with hanging() as org:
        yield org


@pytest.fixture
def services(settings: None, client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> Services:
    """A request to an org has one second, and the first pause is short."""
    monkeypatch.setenv("QUOTEJOB_ORG_TIMEOUT", "1")
    monkeypatch.setenv("QUOTEJOB_LOCAL_ORG", "1")
    monkeypatch.setattr(silence, "FIRST_PAUSE", 1.0)
    monkeypatch.setattr(silence, "LONGEST_PAUSE", 2.0)
    current.cache_clear()
    return Services(current(), client)


@pytest.fixture
def job(services: Services, org: HangingOrg) -> Job:
    """A job of that org which is being processed."""
    job, _ = services.jobs.submit(org.caller, "BatchQuote", soql_where_clause="Name = 'x'")
    services.jobs.promote(org.caller.org_id)
    services.jobs.move(job.job_id, Status.PREPARING)
    services.jobs.move(job.job_id, Status.PROCESSING)
    return services.jobs.get(job.job_id)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """A step that asks the org for records; ``done`` has the numbers of those that were answered."""
    done: list[int] = []

    def work(run: Run, number: int) -> None:
        run.go_on()
        list(run.org.query("SELECT Id FROM Opportunity"))
        done.append(number)

    name = f"test.{uuid.uuid4()}"
    step = steps.step(name, unit="{number}")(work)
    step.done = done
    yield step
    app.tasks.unregister(name)


def waiting(services: Services, job: Job) -> set[str]:
    """The units that nobody may take before their time."""
    return {unit for unit, holder in services.leases.held(job.job_id).items() if holder == "wait"}


def free(services: Services, job: Job) -> None:
    """Let the units be taken now, as the sweep does when their time has come."""
    services.client.delete(keys.job(job.job_id, "leases"))


def test_a_silent_org_is_asked_by_one_step_at_a_time(services: Services, job: Job, org: HangingOrg, ask: Any) -> None:
    """The first calls hang. Then steps give their places back without a call, until the org answers one of them."""
    ask(job_id=job.job_id, number=0)
    assert len(org.asked) == SILENT_CALLS  # the step itself stops trying then
    for number in range(1, STEPS):
        ask(job_id=job.job_id, number=number)
    assert len(org.asked) == SILENT_CALLS
    assert waiting(services, job) == {str(number) for number in range(STEPS)}
    going = services.jobs.get(job.job_id)
    assert (going.status, going.extended_status) == (
        Status.PROCESSING,
        "Waiting: the org does not answer; the job goes on by itself",
    )

    time.sleep(1.1)  # the pause is over: of many at once, one asks
    free(services, job)
    threads = [threading.Thread(target=ask, kwargs={"job_id": job.job_id, "number": n}) for n in range(STEPS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(org.asked) == SILENT_CALLS + 1
    assert ask.done == []

    org.awake.set()
    free(services, job)
    deadline = time.monotonic() + 30
    while not ask.done and time.monotonic() < deadline:  # the pause is two seconds now
        ask(job_id=job.job_id, number=0)
        time.sleep(0.1)
        free(services, job)
    for number in range(1, STEPS):
        ask(job_id=job.job_id, number=number)
    assert sorted(ask.done) == list(range(STEPS))
    assert not services.client.exists(keys.jobs_of(job.org_id, "silence"))
    assert services.jobs.get(job.job_id).extended_status is None


def test_a_suspected_unit_of_a_silent_org_holds_nobody_up(
    services: Services, job: Job, org: HangingOrg, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It works beside the others, who would have to wait for the org too. Once the org answers, it works alone."""
    seen: list[float] = []
    alone = ROOM.alone

    def noted(longest: float) -> AbstractContextManager[bool]:
        seen.append(longest)
        return alone(longest)

    monkeypatch.setattr(ROOM, "alone", noted)
    services.client.hset(keys.job(job.job_id, "deaths"), "1 company", SUSPECTED_AT)
    ask(job_id=job.job_id, number=0)
    free(services, job)
    ask(job_id=job.job_id, number=1)
    assert (seen, ask.done) == ([], [])
    org.awake.set()
    free(services, job)
    services.client.delete(keys.jobs_of(job.org_id, "silence"), f"{keys.jobs_of(job.org_id, 'silence')}:still")
    ask(job_id=job.job_id, number=1)
    assert (seen, ask.done) == ([SHORTEST_ALONE], [1])


def test_patience_with_a_silent_org_ends(
    services: Services, job: Job, org: HangingOrg, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Units that are put off count as time without progress. The job then fails with the reason."""
    for number in range(2):
        ask(job_id=job.job_id, number=number)
    monkeypatch.setattr(steps, "LONGEST_OUTAGE", 0.001)
    ask(job_id=job.job_id, number=2)
    failed = services.jobs.get(job.job_id)
    assert failed.status is Status.FAILED
    assert (failed.extended_status or "").startswith(f"ORG_SILENT: Org {job.org_id} does not answer")


def of_new_org(client: RedisClient, timeout: float = 1.0) -> tuple[str, Callable[[], Silence]]:
    """An org, and what makes its silence as another step sees it."""
    org_id = f"00D{uuid.uuid4().hex[:15]}"
    return org_id, lambda: Silence(client, org_id, timeout)


def hush(step: Silence, times: int = SILENT_CALLS) -> float:
    """Calls that were not answered; the seconds of the pause."""
    for _ in range(times - 1):
        step.not_answered()
    with pytest.raises(OrgSilent) as caught:
        step.not_answered()
    return caught.value.wait


def test_an_answer_between_two_silent_calls_begins_anew(client: RedisClient) -> None:
    """Calls that were not answered count only in a row."""
    _, step = of_new_org(client)
    for _ in range(3):
        for _ in range(SILENT_CALLS - 1):
            step().not_answered()
        other = step()
        other.ask()
        other.known = True  # from its lease
        other.answered()


def test_pauses_grow_up_to_a_limit(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(silence, "LONGEST_PAUSE", 0.35)
    _, step = of_new_org(client)
    pauses = [hush(step())]
    for _ in range(4):
        time.sleep(pauses[-1] + 0.05)
        probe = step()
        probe.ask()
        assert probe.probing
        pauses.append(hush(probe, 1))
    assert pauses == [0.1, 0.2, 0.35, 0.35, 0.35]


def test_a_probe_that_dies_is_followed_by_another(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time is that of a call."""
    monkeypatch.setattr(silence, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(silence, "PROBE_MARGIN", 0.1)
    _, step = of_new_org(client, timeout=0.2)
    hush(step())
    time.sleep(0.15)
    step().ask()
    with pytest.raises(OrgSilent):
        step().ask()
    time.sleep(0.35)
    step().ask()


def test_a_clock_that_is_turned_back_ends_the_pause(client: RedisClient) -> None:
    """Nobody waits for as long as the clock was turned back."""
    org_id, step = of_new_org(client)
    hush(step())
    assert 0 < silence.with_silence(client, org_id, "none")[1] <= silence.FIRST_PAUSE
    client.pexpire(keys.jobs_of(org_id, "silence:still"), 3_600_000)
    assert silence.with_silence(client, org_id, "none") == ([None], 0)
    step().ask()


def test_the_silence_of_one_org_is_not_that_of_another(client: RedisClient) -> None:
    _, silent_org = of_new_org(client)
    _, other = of_new_org(client)
    hush(silent_org())
    other().ask()
