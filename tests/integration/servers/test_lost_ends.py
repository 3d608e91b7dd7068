"""Redis has lost the end of a script, after any of its commands: the job goes on, or there is no such job.

This happens when its append-only file is cut in the middle of a script (valkey#4342).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest
from _callers import new_caller
from cryptography.fernet import Fernet
from systems.lost_ends import MOST_COMMANDS, is_lost

from quotejob.errors import JobNotFound, TooManyJobs
from quotejob.jobs.job import BuiltIn, Status
from quotejob.jobs.store import JobStore
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys
from quotejob.testing import redis_server
from tasks import sweep

Do = Callable[[Services, CallerContext, str], object]


def submit(services: Services, caller: CallerContext, job_id: str) -> object:
    return services.jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause="Name != null", job_id=job_id)


def promote(services: Services, caller: CallerContext, _: str) -> object:
    return services.jobs.promote(caller.org_id)


def fail(services: Services, _: CallerContext, job_id: str) -> object:
    return services.jobs.fail(job_id, "X: because")


def resume(services: Services, caller: CallerContext, job_id: str) -> object:
    return services.jobs.resume(job_id, caller)


@pytest.fixture
def services() -> Iterator[Services]:
    """Those of a Redis that no other test has."""
    with redis_server.private(durable=True) as url, store.client(url, attempts=1) as client:
        yield Services(Settings(redis_url=url, secret_keys=(Fernet.generate_key().decode(),), active_jobs=1), client)


def look(services: Services, org_id: str) -> None:
    """Do what sweeps do for the jobs that wait, and for those that have ended."""
    for _ in range(2):
        for job in services.jobs.get_many([job_id for job_id, _ in services.jobs.open()]):
            if job.ended:
                services.jobs.forget(job.job_id, job)
        services.jobs.look_again(0, 1000)
        services.jobs.promote(org_id)


def goes_on(services: Services, caller: CallerContext, job_id: str, again: Do) -> None:
    """The job runs, or it is as before and ``again`` succeeds. At its end the next job has the slot."""
    look(services, caller.org_id)
    try:
        if services.jobs.get(job_id).status in (Status.FAILED, Status.PREPARING):
            again(services, caller, job_id)
    except JobNotFound:
        again(services, caller, job_id)
    look(services, caller.org_id)
    assert services.jobs.get(job_id).status in (Status.QUEUED, Status.FAILED)
    assert services.client.zscore(keys.OPEN, job_id) is not None or again is fail
    services.jobs.fail(job_id, "X: because")
    assert services.client.ttl(keys.job(job_id)) > 0
    submit(services, caller, job_id[:-4] + "next")
    look(services, caller.org_id)
    assert services.jobs.get(job_id[:-4] + "next").status is Status.QUEUED


@pytest.mark.parametrize(
    ("before", "do"),
    [((), submit), ((submit,), promote), ((submit, promote), fail), ((submit, promote, fail), resume)],
    ids=["submit", "promote", "end", "resume"],
)
def test_a_job_goes_on(services: Services, monkeypatch: pytest.MonkeyPatch, before: tuple[Do, ...], do: Do) -> None:
    lost = 0
    for commands in range(MOST_COMMANDS):
        caller, job_id = new_caller(), str(uuid.uuid4())
        for each in before:
            each(services, caller, job_id)
        if not is_lost(monkeypatch, commands, partial(do, services, caller, job_id)):
            break
        lost += 1
        goes_on(services, caller, job_id, do)
    assert lost > 5


def test_an_org_is_not_locked_out(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """The count of what it has submitted within an hour ends, wherever the script that makes it was cut."""
    jobs = JobStore(services.client, replace(services.settings, hourly_jobs=1))
    lost = 0
    for commands in range(MOST_COMMANDS):
        caller = new_caller()
        first = partial(jobs.submit, caller, BuiltIn.BATCH_QUOTE, soql_where_clause="Name != null")
        if not is_lost(monkeypatch, commands, first):
            break
        lost += 1
        assert services.client.ttl(keys.jobs_of(caller.org_id, "submitted")) != -1
    assert lost > 5


def test_a_count_without_an_end_gets_one(services: Services) -> None:
    """An earlier version left it so; or the clock of Redis has jumped back."""
    jobs = JobStore(services.client, replace(services.settings, hourly_jobs=1))
    for seconds in (None, 2 * 3600):
        caller = new_caller()
        count = keys.jobs_of(caller.org_id, "submitted")
        services.client.set(count, 1, ex=seconds)
        with pytest.raises(TooManyJobs):
            jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause="Name != null")
        assert 0 < services.client.ttl(count) <= 3600


def test_the_sweep_lets_go_of_a_job_that_has_ended(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of one that was resumed since it was found."""
    monkeypatch.setattr(sweep, "services", lambda: services)
    caller, job_id = new_caller(), str(uuid.uuid4())
    for each in (submit, promote, fail):
        each(services, caller, job_id)
    services.client.zadd(keys.OPEN, {job_id: 1})
    sweep._send_lost(job_id, {}, set, silent=True)
    assert services.client.zscore(keys.OPEN, job_id) is None
    resume(services, caller, job_id)
    promote(services, caller, job_id)
    services.jobs.forget(job_id)
    assert services.client.zscore(keys.OPEN, job_id) is not None
