"""Redis comes back with an older copy while a step is under way: what the step made belongs to what is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from _runs import being_planned
from cryptography.fernet import Fernet

from quotejob.errors import LeaseLost
from quotejob.jobs.job import CommitBy, Status
from quotejob.jobtypes.bulk_jobs import Checkpoint
from quotejob.run import waves
from quotejob.run.context import Run
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys
from quotejob.testing import redis_server

IDS = ("0061", "0062")


def page(run: Run) -> bool:
    return run.progress.record_page(run.id, 0, Receipt("0", to_write=len(IDS)), b"quotes", lease=run.lease)


def packing(run: Run) -> bool:
    return run.progress.store_batches(run.id, 0, [{"0": list(IDS)}], lease=run.lease)


def batch(run: Run) -> bool:
    results = tuple(Result(each, Outcome.SUCCEEDED, f"0Q0{each}") for each in IDS)
    receipt = Receipt("0.0", results, pages={0: (len(IDS), 0)})
    return run.progress.record_batch(run.id, 0, receipt, lease=run.lease)


STEPS = [("page 0 0", page), ("commit 0", packing), ("batch 0 0", batch)]
Work = Callable[[Run], bool]


@pytest.fixture
def services() -> Iterator[Services]:
    """Those of a Redis that no other test has."""
    with redis_server.private(durable=True) as url, store.client(url, attempts=1) as client:
        yield Services(Settings(redis_url=url, secret_keys=(Fernet.generate_key().decode(),)), client)


@pytest.fixture
def run(services: Services, caller: CallerContext) -> Run:
    """A job that has no plan yet."""
    return being_planned(services, caller)


def holding(run: Run, unit: str) -> Run:
    """The run of a step that has begun on the unit."""
    return replace(run, lease=run.leases.claim(run.id, unit, run.job.org_id))


def copied(services: Services) -> dict[bytes, bytes]:
    """A copy of all that Redis has."""
    found = ((key, services.client.dump(key)) for key in services.client.scan_iter())
    return {key: dumped for key, dumped in found if dumped is not None}


def bring_back(services: Services, copy: dict[bytes, bytes]) -> None:
    services.client.flushdb()
    for key, dumped in copy.items():
        services.client.restore(key, 0, dumped)


@pytest.mark.parametrize(("at", "what"), list(enumerate(STEPS)), ids=[unit for unit, _ in STEPS])
def test_a_step_that_redis_does_not_know_stores_nothing(
    services: Services, run: Run, at: int, what: tuple[str, Work]
) -> None:
    """The copy is older than the plan. The plan is made again, and each of its steps does its work."""
    unit, work = what
    older = copied(services)
    waves.stream_plan(run, IDS, page_size=2, wave_size=1)
    for before, its_work in STEPS[:at]:
        assert its_work(holding(run, before))
    late = holding(run, unit)
    bring_back(services, older)
    back = copied(services)
    with pytest.raises(LeaseLost, match="does not know the lease"):
        work(late)
    assert copied(services) == back
    waves.stream_plan(run, IDS, page_size=2, wave_size=1)
    assert all(its_work(holding(run, each)) for each, its_work in STEPS)
    job = services.jobs.get(run.id)
    assert (job.succeeded, job.total) == (2, 2)
    assert waves.wave_is_written(job, run.progress, 0)


def test_a_job_without_its_plan_is_not_processing(services: Services, run: Run) -> None:
    """Redis comes back when the plan is made. A job without a plan has nothing left to do, so it would be Completed."""
    older = copied(services)
    waves.stream_plan(run, IDS, page_size=2, wave_size=1)
    planned = services.jobs.get(run.id)
    newest = copied(services)
    bring_back(services, older)
    assert not services.jobs.move(run.id, Status.PROCESSING, planned)
    assert services.jobs.get(run.id).status is Status.PREPARING
    bring_back(services, newest)
    assert services.jobs.move(run.id, Status.PROCESSING, planned)


def test_a_job_is_not_completed_by_what_is_lost(services: Services, run: Run) -> None:
    """The step that ends the job has seen every receipt."""
    older = copied(services)
    waves.stream_plan(run, IDS, page_size=2, wave_size=1)
    services.jobs.move(run.id, Status.PROCESSING)
    processing = copied(services)
    assert all(work(holding(run, unit)) for unit, work in STEPS)
    seen, newest = services.jobs.get(run.id), copied(services)
    for copy, status in ((older, Status.PREPARING), (processing, Status.PROCESSING)):
        bring_back(services, copy)
        assert not services.jobs.move(run.id, Status.COMPLETED, seen)
        assert services.jobs.get(run.id).status is status
    bring_back(services, newest)
    assert services.jobs.move(run.id, Status.COMPLETED, seen)


def test_a_wave_is_not_over_by_receipts_that_are_lost(services: Services, run: Run) -> None:
    """Redis comes back between the look at the receipts and the end of the wave, which deletes what its steps need."""
    waves.stream_plan(run, IDS, page_size=2, wave_size=1)
    older = copied(services)
    assert all(work(holding(run, unit)) for unit, work in STEPS)
    newest = copied(services)
    bring_back(services, older)
    assert not run.progress.end_wave(run.id, 0, 1, {"wave 0 over": range(1)})
    assert copied(services) == older
    bring_back(services, newest)
    assert waves.wave_is_written(services.jobs.get(run.id), run.progress, 0)
    assert copied(services).keys() < newest.keys() | {keys.job(run.id, "marks").encode()}


@pytest.mark.parametrize(("unit", "work"), STEPS[::2], ids=["page 0 0", "batch 0 0"])
def test_what_was_done_when_the_job_was_aborted_is_stored(services: Services, run: Run, unit: str, work: Work) -> None:
    """The leases of a job may end with it."""
    waves.stream_plan(run, IDS, page_size=2, wave_size=1)
    late = holding(run, unit)
    services.jobs.abort(run.id)
    assert work(late)


@pytest.mark.parametrize(("unit", "work"), STEPS, ids=[unit for unit, _ in STEPS])
def test_a_step_whose_unit_another_one_has_taken_stores_nothing(
    services: Services, run: Run, unit: str, work: Work
) -> None:
    waves.stream_plan(run, IDS, page_size=2, wave_size=1)
    late = holding(run, unit)
    assert late.lease is not None
    late.lease.release()
    other = holding(run, unit)
    with pytest.raises(LeaseLost):
        work(late)
    assert work(other)
    assert not work(late)  # it is done


def test_no_step_keeps_the_bulk_jobs_of_one_that_redis_does_not_know(services: Services, run: Run) -> None:
    """Else the next one would take new Quotes together with the lines of a Bulk job from before."""
    older = copied(services)
    late = holding(run, "batch 0 0")
    Checkpoint(late, "bulk").save(["750A"])
    assert Checkpoint(late, "bulk").load() == ["750A"]
    bring_back(services, older)
    with pytest.raises(LeaseLost):
        Checkpoint(late, "bulk").save(["750A", "750B"])
    assert Checkpoint(holding(run, "batch 0 0"), "bulk").load() == []


@pytest.mark.parametrize("what", ["decide", "explain", "calls", "forecast"])
def test_nothing_is_written_of_a_job_that_redis_has_lost(services: Services, run: Run, what: str) -> None:
    """Else a part of a job would be there, which nobody can read and nothing ever ends."""
    services.forecast_notes.keep(run.job.org_id, run.job.job_type, run.job.soql_where_clause or "", 5, 1.0)
    write: dict[str, Callable[[], object]] = {
        "decide": lambda: services.jobs.decide(run.id, CommitBy.BULK),
        "explain": lambda: services.jobs.explain(run.id, "It waits"),
        "calls": lambda: run.progress.add_calls(run.id, 1),
        "forecast": lambda: services.forecast_notes.planned(run.job, 1),
    }
    write[what]()
    assert services.client.exists(keys.job(run.id))
    services.client.delete(keys.job(run.id))
    write[what]()
    assert not services.client.exists(keys.job(run.id))
