"""Users' own jobs run in processes of their own: harm costs only its own records, and our secrets are not there."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from _runs import _run_outstanding, caller_of, run_to_end
from own_jobs import harmful

from harness.api import LocalOrg
from harness.org_reader import OrgReader
from quotejob.errors import OrgClosed
from quotejob.jobs.job import Job, Status
from quotejob.jobtypes import registry
from quotejob.jobtypes.own import calling
from quotejob.run.context import begin
from quotejob.run.receipt import Outcome, Result
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import keys
from quotejob.usercode.isolation import crew
from quotejob.usercode.isolation.hands import Kind, Limits
from quotejob.usercode.jobtype import JobType
from tasks import flow, steps

ALL: tuple[type[JobType[Any]], ...] = (
    harmful.Harmful,
    harmful.Telling,
    harmful.Pieces,
    harmful.WrongKeys,
    harmful.EndsAtStart,
    harmful.EndsAtFinish,
    harmful.Away,
)
Submit = Callable[..., Job]
KIND = Kind("own_jobs.computing:Computing", "", Limits())


@pytest.fixture
def submit(services: Services, local_org: LocalOrg) -> Submit:
    """Submit a job, and run it to its end with this process as the worker."""

    def run(job_type: str, clause: str | None = None) -> Job:
        asked = registry.checked(job_type, clause, [])
        job, _ = services.jobs.submit(caller_of(local_org), job_type, **asked)
        return run_to_end(services, job.job_id)[0]

    return run


def results(services: Services, job: Job) -> dict[str, Result]:
    return {result.record_id: result for result in services.results.page(job.job_id)[0]}


def test_harm_costs_only_its_own_records(services: Services, org: OrgReader, submit: Submit) -> None:
    """An exit, a crash, a loop, a leak and an exception among good records of one page; the good ones are written."""
    lot = uuid.uuid4().hex[:8]
    bad = ("exit", "sys.exit", "crash", "loop", "leak", "raise")
    sites = ["fine", *bad[:3], "fine", *bad[3:], "fine", "fine"]
    ids = {
        org.create("Account", {"Name": f"{lot} {n}", "Site": site, "NumberOfEmployees": 7}): site
        for n, site in enumerate(sites)
    }
    empty = org.create("Account", {"Name": f"{lot} without a site"})
    job = submit("Harmful", f"Name LIKE '{lot}%'")
    assert (job.status, job.succeeded, job.failed) == (Status.COMPLETED, 4, 7)
    found = results(services, job)
    assert {site: found[key].code for key, site in ids.items()} == {
        "fine": None,
        "exit": "USER_CODE_DIED",
        "sys.exit": "USER_CODE_DIED",
        "crash": "USER_CODE_DIED",
        "loop": "USER_CODE_TOO_SLOW",
        "leak": "USER_CODE_MEMORY",
        "raise": "USER_CODE_ERROR",
    }
    [raised] = [found[key] for key, site in ids.items() if site == "raise"]
    assert str(raised.message).startswith("ValueError: no such site (line ")
    assert str(raised.message).endswith(" of harmful.py)")
    assert (found[empty].code, found[empty].record_name) == ("BAD_RECORD", f"{lot} without a site")
    assert "Account.Site is empty in the org" in str(found[empty].message)
    hot = {row["Id"] for row in org.query(f"SELECT Id FROM Account WHERE Name LIKE '{lot}%' AND Rating = 'Hot'")}
    assert hot == {key for key, site in ids.items() if site == "fine"}
    [made] = org.query(f"SELECT Name FROM Opportunity WHERE QuoteJobKey__c = '{job.job_id}:finish'")
    assert made["Name"] == "4 with 28, 7 failed"


def test_no_secret_is_in_its_environment(
    services: Services, org: OrgReader, submit: Submit, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """start, execute and finish run in another process, without the Redis URL, under any name, and without our key."""
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    monkeypatch.setenv("OTHER_NAME_OF_THE_URL", settings.redis_url)
    monkeypatch.setenv("QUOTEJOB_SECRET_KEY", "a-secret-key-of-this-test")
    assert all(name in harmful.told() for name in harmful.HIDDEN)  # in this process it would see them
    lot = uuid.uuid4().hex[:8]
    account = org.create("Account", {"Name": lot, "Site": "a"})
    job = submit("Telling", f"Name = '{lot}'")
    assert (job.status, job.skipped) == (Status.COMPLETED, 1)
    [made] = org.query(f"SELECT Name FROM Opportunity WHERE QuoteJobKey__c = '{job.job_id}:finish'")
    told = [str(results(services, job)[account].message), str(made["Name"])]
    assert all(each.endswith(" sees nothing") and not each.startswith(f"{os.getpid()} ") for each in told)


def test_pieces_without_records_go_there_too(services: Services, submit: Submit) -> None:
    job = submit("Pieces")
    assert (job.status, job.skipped) == (Status.COMPLETED, 3)
    assert {key: one.message for key, one in results(services, job).items()} == {
        f"piece {n}": f"done piece {n}" for n in range(3)
    }


@pytest.mark.parametrize(
    ("job_type", "said"),
    [
        ("WrongKeys", "BAD_KEYS: Keys has a int: keys are texts"),
        ("EndsAtStart", "START_FAILED: It ended its process (exit status 4)"),
        ("EndsAtFinish", "FINISH_FAILED: It ended its process (exit status 5)"),
    ],
)
def test_harm_in_start_and_finish_fails_the_job_and_says_why(submit: Submit, job_type: str, said: str) -> None:
    job = submit(job_type)
    assert job.status is Status.FAILED
    assert str(job.extended_status).startswith(said)


@pytest.mark.parametrize("away", ["start", "execute", "finish", "processes"])
def test_code_that_asks_to_wait_waits_so_long_and_its_org_is_not_throttled(
    away: str, services: Services, local_org: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it needs is away, or all processes for users' code are at work. The org is well, and no record fails."""
    throttled: list[object] = []
    monkeypatch.setattr(steps._Passage, "trouble", throttled.append)
    asked = registry.checked("Away", None, [("method", away)])
    job, _ = services.jobs.submit(caller_of(local_org), "Away", **asked)
    waits: list[int] = []
    with ExitStack() as lent:
        for _ in range(crew.cores() if away == "processes" else 0):
            lent.enter_context(crew.of_process(services.settings.code_processes).hands(KIND))
        if away == "processes":
            monkeypatch.setattr(crew, "LONGEST_WAIT", 0.1)
        while not waits:
            flow.dispatch(org_id=job.org_id) if services.jobs.get(job.job_id).status is Status.HOLDING else None
            _run_outstanding(services, services.jobs.get(job.job_id))
            leases = services.client.hash(keys.job(job.job_id, "leases")).values()
            waits = [int(lease.split()[2]) for lease in leases if len(lease.split()) > 2]
    assert waits == [5_000 if away == "processes" else 240_000]
    assert not throttled
    assert services.jobs.get(job.job_id).failed == 0


def test_what_cannot_be_found_ends_the_job(services: Services, local_org: LocalOrg) -> None:
    """A class that is not at its path."""
    asked = registry.checked("Away", None, [])
    job, _ = services.jobs.submit(caller_of(local_org), "Away", **asked)
    run = begin(job.job_id, services.jobs, services.progress, services.leases, services.settings)

    class Hidden(harmful.Pieces):
        pass

    with pytest.raises(OrgClosed, match=r"Hidden cannot be used: AttributeError") as closed:
        calling.execute(run, Hidden, [("a", ["a"])])
    assert closed.value.code == "USER_CODE_UNFIT"
    assert Outcome.FAILED not in {one.outcome for one in services.results.page(job.job_id)[0]}
