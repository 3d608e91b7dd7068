"""Workers without the job type, or with another version of its code: the job says so, waits, and goes on."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from _messages import QUEUES
from _runs import caller_of, run_to_end

from harness.api import LocalOrg
from harness.org_reader import OrgReader
from quotejob.jobs.job import Job, Status
from quotejob.jobtypes import registry
from quotejob.jobtypes.own.handler import OwnJob
from quotejob.services import Services
from quotejob.store import keys
from quotejob.usercode.context import Context
from quotejob.usercode.jobtype import JobType
from quotejob.usercode.rows import Row
from quotejob.usercode.writes import Yielded, updates
from tasks import flow, steps
from tasks.queues import key, waiting


class Account(Row, frozen=True, kw_only=True):
    Name: str


class Following(JobType[Account]):
    page_size = 1
    writes = (updates("Account", "Rating"),)

    def execute(self, records: Sequence[Account], context: Context) -> Iterator[Yielded]:
        for account in records:
            yield account.update(Rating="Hot")


class Pinned(Following, JobType[Account]):
    pinned = True


ALL: tuple[type[JobType[Any]], ...] = (Following, Pinned)
Begin = Callable[[type[JobType[Any]]], Job]


@pytest.fixture
def begin(services: Services, org: OrgReader, local_org: LocalOrg) -> Begin:
    """Submit a job of two records, a page each, and give it a slot."""

    def made(kind: type[JobType[Any]]) -> Job:
        lot = uuid.uuid4().hex[:8]
        for number in range(2):
            org.create("Account", {"Name": f"{lot} {number}"})
        asked = registry.checked(kind.__name__, f"Name LIKE '{lot}%'", [])
        job, _ = services.jobs.submit(caller_of(local_org), kind.__name__, **asked)
        flow.dispatch(org_id=local_org.org_id)
        return job

    return made


@pytest.fixture(autouse=True)
def alone(services: Services) -> Iterator[None]:
    """No other worker lives."""
    services.client.delete(keys.JOB_TYPES)
    yield
    services.client.delete(keys.JOB_TYPES)


def worker_has(kind: type[JobType[Any]], version: str) -> None:
    """From now on this process is a worker with this version of the job type."""
    registry._HANDLERS[kind.__name__] = OwnJob(kind, version)


def look(services: Services, job: Job, step: Any, **numbers: int) -> Job:
    """Let a step try now, whatever pause it has."""
    services.client.delete(keys.job(job.job_id, "leases"))
    step(job_id=job.job_id, **numbers)
    return services.jobs.get(job.job_id)


def ended(services: Services, job: Job) -> Job:
    """Let its pauses be over, and run the job to its end."""
    services.client.delete(keys.job(job.job_id, "leases"))
    return run_to_end(services, job.job_id)[0]


def test_a_job_waits_for_a_worker_that_has_its_type_and_says_so(services: Services, begin: Begin) -> None:
    job = begin(Following)
    has = registry._HANDLERS.pop("Following")
    waits = look(services, job, flow.plan)
    assert waits.status is not Status.FAILED
    said = str(waits.extended_status)
    assert said.startswith(
        "NO_WORKER_HAS: No worker that runs has the job type Following. Start one with QUOTEJOB_JOBS"
    )
    assert services.leases.held(job.job_id)["plan"] == "wait"
    registry._HANDLERS["Following"] = has
    done = ended(services, job)
    assert (done.status, done.succeeded, done.extended_status) == (Status.COMPLETED, 2, None)


def test_a_worker_that_lacks_the_type_leaves_it_to_one_that_has_it(services: Services, begin: Begin) -> None:
    """That is no fault, however often it happens."""
    job = begin(Following)
    has = registry._HANDLERS.pop("Following")
    services.living.note({"Following": "one"})
    for _ in range(3):
        assert look(services, job, flow.plan).extended_status is None
    assert services.client.hash(keys.job(job.job_id, "faults")) == {}
    registry._HANDLERS["Following"] = has
    assert ended(services, job).status is Status.COMPLETED


def test_it_sends_the_step_on(services: Services, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the job does not wait for the sweep; a step without a unit would wait for seconds."""
    monkeypatch.setattr(steps, "HANDED_ON", 0.01)
    job = begin(Following)
    registry._HANDLERS.pop("Following")
    services.living.note({"Following": "one"})
    for step in (flow.plan, flow.round_off):
        services.client.delete(*QUEUES)
        step.apply(kwargs={"job_id": job.job_id})
        assert key(step.name, {"job_id": job.job_id}) in waiting(services.client)


def test_after_minutes_it_is_failed_and_can_be_resumed(
    services: Services, local_org: LocalOrg, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = begin(Following)
    has = registry._HANDLERS.pop("Following")
    monkeypatch.setattr(steps, "MOST_MINUTES", 1e-9)
    look(services, job, flow.plan)
    failed = look(services, job, flow.plan)
    assert failed.status is Status.FAILED
    assert str(failed.extended_status).startswith("NO_WORKER_HAS: No worker that runs has the job type Following.")
    registry._HANDLERS["Following"] = has
    services.jobs.resume(job.job_id, caller_of(local_org))
    assert ended(services, job).status is Status.COMPLETED


def test_a_job_follows_a_deploy_and_says_which_code_decided(services: Services, begin: Begin) -> None:
    worker_has(Following, "one")
    job = begin(Following)
    flow.plan(job_id=job.job_id)
    flow.start_wave(job_id=job.job_id, wave=0)
    flow.price_page(job_id=job.job_id, wave=0, page=0)
    worker_has(Following, "two")
    done = ended(services, job)
    assert (done.status, done.succeeded, done.code_version) == (Status.COMPLETED, 2, "one, two")


def test_a_pinned_job_waits_for_the_version_that_has_begun_it(
    services: Services, local_org: LocalOrg, begin: Begin
) -> None:
    """When it is resumed, it is pinned anew."""
    worker_has(Pinned, "one")
    job = begin(Pinned)
    flow.plan(job_id=job.job_id)
    flow.start_wave(job_id=job.job_id, wave=0)
    worker_has(Pinned, "two")
    services.living.note({"Pinned": "two"})
    waits = look(services, job, flow.price_page, wave=0, page=0)
    assert (waits.status, waits.succeeded) == (Status.PROCESSING, 0)
    assert "No worker that runs has version one of the job type Pinned" in str(waits.extended_status)
    worker_has(Pinned, "one")
    assert look(services, job, flow.price_page, wave=0, page=0).code_version == "one"
    worker_has(Pinned, "two")
    look(services, job, flow.price_page, wave=0, page=1)
    services.jobs.fail(job.job_id, "no such worker comes")
    services.jobs.resume(job.job_id, caller_of(local_org))
    done = ended(services, job)
    assert (done.status, done.succeeded, done.code_version) == (Status.COMPLETED, 2, "one, two")
