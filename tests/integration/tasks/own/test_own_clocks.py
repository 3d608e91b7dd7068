"""Clocks of our hosts that differ from the org's: what the job has written is its own, what was there before is not."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from _runs import caller_of, run_to_end

from harness.api import LocalOrg
from harness.org_reader import OrgReader
from quotejob import clock
from quotejob.errors import OrgUnreachable
from quotejob.jobs.job import Status
from quotejob.jobs.retry import Retry
from quotejob.jobtypes import registry
from quotejob.salesforce import Graph, GraphOutcome, OrgClient
from quotejob.services import Services
from quotejob.usercode.context import Context
from quotejob.usercode.jobtype import JobType
from quotejob.usercode.rows import Row
from quotejob.usercode.writes import Yielded, inserts


class Account(Row, frozen=True, kw_only=True):
    Name: str
    Site: str | None


class Keyed(JobType[Account]):
    writes = (inserts("Opportunity", key="QuoteJobKey__c"),)

    def execute(self, records: Sequence[Account], context: Context) -> Iterator[Yielded]:
        for one in records:
            if one.Site == "bad":
                raise ValueError("bad")
            yield one.insert(
                "Opportunity", key=f"k/{one.Name}", Name=one.Name, StageName="New", CloseDate=context.today
            )


ALL: tuple[type[JobType[Any]], ...] = (Keyed,)


@pytest.fixture(params=[-180, 180])
def skewed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clocks of our hosts are three minutes behind the org's, or ahead of it."""
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(seconds=request.param))


@pytest.fixture
def answer_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer to a write is lost."""
    send, lost = OrgClient.send_graphs, iter([True])

    def once_lost(org: OrgClient, graphs: Sequence[Graph]) -> Mapping[str, GraphOutcome]:
        answer = send(org, graphs)
        if next(lost, False):
            raise OrgUnreachable("The answer was lost")
        return answer

    monkeypatch.setattr(OrgClient, "send_graphs", once_lost)


@pytest.fixture
def lot(org: OrgReader) -> str:
    """Three Accounts. The Opportunity of the first was there before."""
    lot = uuid.uuid4().hex[:8]
    for n, site in enumerate(("good", "good", "bad")):
        org.create("Account", {"Name": f"{lot} {n}", "Site": site})
    there(org, f"{lot} 0")
    time.sleep(1.1)  # the org knows seconds
    return lot


def there(org: OrgReader, name: str) -> None:
    fields = {"Name": name, "StageName": "New", "CloseDate": "2027-01-01", "QuoteJobKey__c": f"k/{name}"}
    org.create("Opportunity", fields)


@pytest.mark.usefixtures("skewed", "answer_lost")
def test_what_the_job_has_written_is_not_taken_for_older(
    services: Services, org: OrgReader, local_org: LocalOrg, lot: str
) -> None:
    """An answer is lost, so its records are found by their keys. One of them was there before the job, and stays so."""
    asked = registry.checked("Keyed", f"Name LIKE '{lot}%'", [])
    job, _ = services.jobs.submit(caller_of(local_org), "Keyed", **asked)
    [job] = run_to_end(services, job.job_id)
    assert (job.status, job.succeeded, job.skipped, job.failed) == (Status.COMPLETED, 1, 1, 1)
    assert [result.code for result in services.results.page(job.job_id)[0] if result.code] == [
        "USER_CODE_ERROR",
        "ALREADY_THERE",
    ]


@pytest.mark.usefixtures("skewed")
def test_what_its_chain_has_written_is_a_retrys_own(
    services: Services, org: OrgReader, local_org: LocalOrg, lot: str
) -> None:
    """A write of the first job was done late, after its record had failed: the retry finds it."""
    asked = registry.checked("Keyed", f"Name LIKE '{lot}%'", [])
    first, _ = services.jobs.submit(caller_of(local_org), "Keyed", **asked)
    [first] = run_to_end(services, first.job_id)
    there(org, f"{lot} 2")
    [bad] = org.query(f"SELECT Id FROM Account WHERE Name = '{lot} 2'")
    org.update("Account", bad["Id"], {"Site": "good"})
    time.sleep(1.1)
    again, _ = services.retries.submit(caller_of(local_org), Retry(of=first))
    [again] = run_to_end(services, again.job_id)
    assert (again.status, again.succeeded, again.skipped) == (Status.COMPLETED, 1, 0)
