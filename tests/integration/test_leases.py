"""Leases in Redis: one holder a unit, however many ask; who falls silent loses it; deaths are counted, ends are not."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from quotejob.errors import JobStopped, LeaseLost
from quotejob.run import leases
from quotejob.run.leases import SENT_AGAIN, Lease, Leases
from quotejob.store import client as store
from quotejob.store import keys
from quotejob.store.client import RedisClient

ORG = "00DRO0000000001EAA"


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of a third of a second."""
    monkeypatch.setattr(leases, "LEASE_LENGTH", 0.3)
    monkeypatch.setattr(leases, "RENEWAL_INTERVAL", 0.1)
    monkeypatch.setattr(leases, "RESEND_AFTER", 0.3)


@pytest.fixture
def client(redis_url: str) -> RedisClient:
    return store.client(redis_url, attempts=1)


@pytest.fixture
def held(client: RedisClient) -> Leases:
    return Leases(client)


@pytest.fixture
def job_id(client: RedisClient) -> str:
    """A job at work."""
    made = str(uuid.uuid4())
    client.hset(keys.job(made), "status", "Processing")
    return made


def claim(held: Leases, job_id: str) -> Lease:
    return held.claim(job_id, "page 0 1", ORG)


def clear_deaths(lease: Lease) -> float:
    return (lease.died_alone + lease.died_in_company) / leases.CLEAR_DEATH


def test_one_of_many_gets_it(held: Leases, job_id: str) -> None:
    """Eight at once: one holds it, seven hear that it is held."""
    start = threading.Barrier(8)

    def ask(_: int) -> bool:
        start.wait()
        try:
            claim(held, job_id)
        except LeaseLost:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 1


def test_who_works_keeps_it(held: Leases, job_id: str) -> None:
    """Renewed from its thread, it outlives its length; released, it is free at once and nobody has died."""
    lease = claim(held, job_id)
    with lease.kept():
        time.sleep(0.7)
        assert not held.offer(job_id, "page 0 1")
        lease.go_on()
    lease.release()
    assert held.held(job_id) == {}
    assert clear_deaths(claim(held, job_id)) == 0


def test_who_falls_silent_loses_it_and_hears_so(held: Leases, job_id: str) -> None:
    """The next one knows that somebody died at it; the one who slept is told before its next request."""
    slept = claim(held, job_id)
    time.sleep(0.4)
    assert clear_deaths(claim(held, job_id)) == 1
    with pytest.raises(LeaseLost):
        slept.go_on()
    slept.release()
    assert list(held.held(job_id)) == ["page 0 1"]


def test_a_unit_that_is_to_wait_is_nobodys_until_then(held: Leases, job_id: str) -> None:
    """An early message finds it held; afterwards it is offered, and waiting was no death."""
    claim(held, job_id).release(wait=0.3)
    with pytest.raises(LeaseLost):
        claim(held, job_id)
    assert not held.offer(job_id, "page 0 1")
    time.sleep(0.4)
    assert held.offer(job_id, "page 0 1")
    assert held.held(job_id) == {"page 0 1": SENT_AGAIN}
    assert clear_deaths(claim(held, job_id)) == 0


def test_of_several_sweeps_one_sends(held: Leases, job_id: str) -> None:
    """And the one who then takes the message gets the unit."""
    claim(held, job_id)
    time.sleep(0.4)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: held.offer(job_id, "page 0 1"), range(8))) == 1
    assert clear_deaths(claim(held, job_id)) == 1


def turn_back(client: RedisClient, job_id: str, seconds: float) -> None:
    """As if Redis's clock had been turned back: every lease of the job ends that much further ahead."""
    for unit, lease in client.hash(keys.job(job_id, "leases")).items():
        holder, ends, length = lease.decode().split()
        client.hset(keys.job(job_id, "leases"), unit, f"{holder} {int(ends) + int(seconds * 1000)} {length}")


@pytest.mark.parametrize("way", ["held", "sent", "wait"])
def test_a_clock_turned_back_holds_nothing(held: Leases, client: RedisClient, job_id: str, way: str) -> None:
    """A lease that ends further ahead than one can is nobody's: offered and claimed at once; nobody died of it."""
    lease = claim(held, job_id)
    if way == "wait":
        lease.release(wait=0.3)
    elif way == "sent":
        lease.release()
        assert held.offer(job_id, "page 0 1")
        assert not held.offer(job_id, "page 0 1")
    turn_back(client, job_id, 3600)
    assert held.offer(job_id, "page 0 1")
    assert clear_deaths(claim(held, job_id)) == 0
    turn_back(client, job_id, 3600)
    assert clear_deaths(claim(held, job_id)) == 0


def test_a_clock_that_is_set_right_by_a_little_takes_no_lease(held: Leases, client: RedisClient, job_id: str) -> None:
    """Less than a lease's length back: it is held on."""
    lease = claim(held, job_id)
    turn_back(client, job_id, 0.2)
    assert not held.offer(job_id, "page 0 1")
    lease.go_on()


def test_a_clock_turned_back_makes_nobody_rest(held: Leases, client: RedisClient, job_id: str) -> None:
    """A slowdown that would last longer than any was ordered is over."""
    org = f"00D{uuid.uuid4().hex[:15]}"
    lease = held.claim(job_id, "batch 0 0", org)
    held.slow_down(org, 0.25)
    client.pexpire(keys.jobs_of(org, "slow"), 3_600_000)
    assert lease._renew()[0] == 0
    held.slow_down(org, 0.25)
    assert 0 < lease._renew()[0] <= 0.25


@pytest.mark.parametrize("status", ["Completed", "Failed", "Aborted", None])
def test_an_ended_job_gives_no_leases(held: Leases, client: RedisClient, job_id: str, status: str | None) -> None:
    """Who asks for one, or holds one, hears that the job has ended."""
    lease = claim(held, job_id)
    client.delete(keys.job(job_id)) if status is None else client.hset(keys.job(job_id), "status", status)
    for ask in (lease.go_on, lambda: claim(held, job_id)):
        with pytest.raises(JobStopped):
            ask()
    assert not held.offer(job_id, "page 0 1")


def test_all_rest_when_the_org_is_to_be_spared(held: Leases, job_id: str) -> None:
    """A slowdown ordered by one is kept by all of the org, once."""
    org = f"00D{uuid.uuid4().hex[:15]}"
    lease = held.claim(job_id, "batch 0 0", org)
    held.slow_down(org, 0.8)
    began = time.monotonic()
    lease.go_on()
    assert time.monotonic() - began > 0.2


def test_a_death_before_the_end_is_not_counted_after_it(client: RedisClient, held: Leases, job_id: str) -> None:
    """Who cleans up after an ended job takes the unit of a dead step. Nobody would delete a count that begins then."""
    claim(held, job_id)
    client.hset(keys.job(job_id), "status", "Failed")
    time.sleep(0.4)
    held.claim(job_id, "page 0 1", ORG, after_end=True)
    assert not client.exists(keys.job(job_id, "deaths"))
