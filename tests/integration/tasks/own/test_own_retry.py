"""A retry of a user's own job: it has the keys of its first job for its records, and a finish of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from _runs import caller_of, run_to_end

from harness.api import LocalOrg
from harness.org_reader import OrgReader
from quotejob.jobs.job import Job, Status
from quotejob.jobs.retry import Retry
from quotejob.jobtypes import registry
from quotejob.services import Services
from quotejob.usercode.context import Context, Finish
from quotejob.usercode.decisions import Decision, Node, Wire
from quotejob.usercode.jobtype import JobType
from quotejob.usercode.rows import Row
from quotejob.usercode.writes import Verb, Write, Yielded, inserts, updates


class Account(Row, frozen=True, kw_only=True):
    Name: str
    Site: str | None


class Summing(JobType[Account]):
    writes = (updates("Account", "Description"), inserts("Opportunity", key="QuoteJobKey__c"))

    def execute(self, records: Sequence[Account], context: Context) -> Iterator[Yielded]:
        for one in records:
            if one.Site == "bad":
                raise ValueError("bad")
            yield one.update(Description="done")

    def finish(self, finish: Finish) -> Iterator[Write]:
        said = f"{finish.succeeded} succeeded, {finish.failed} failed"
        yield finish.insert("Opportunity", Name=said, StageName="New", CloseDate=finish.context.today)


ALL: tuple[type[JobType[Any]], ...] = (Summing,)


@pytest.fixture
def first(services: Services, org: OrgReader, local_org: LocalOrg) -> Job:
    """A job with a failed record, which is well now."""
    lot = uuid.uuid4().hex[:8]
    ids = [org.create("Account", {"Name": lot, "Site": site}) for site in ("good", "bad")]
    asked = registry.checked("Summing", f"Name = '{lot}'", [])
    job, _ = services.jobs.submit(caller_of(local_org), "Summing", **asked)
    [done] = run_to_end(services, job.job_id)
    org.update("Account", ids[1], {"Site": "good"})
    return done


def said(org: OrgReader, job: Job) -> list[str]:
    """What the finish of a job has written under its key."""
    return [
        row["Name"] for row in org.query(f"SELECT Name FROM Opportunity WHERE QuoteJobKey__c = '{job.job_id}:finish'")
    ]


def test_each_job_of_a_chain_has_a_finish_of_its_own(
    services: Services, org: OrgReader, local_org: LocalOrg, first: Job
) -> None:
    """What it inserts is there once for each job, with the numbers of this job."""
    again, _ = services.retries.submit(caller_of(local_org), Retry(of=first))
    [again] = run_to_end(services, again.job_id)
    assert (again.status, again.succeeded) == (Status.COMPLETED, 1)
    assert said(org, first) == ["1 succeeded, 1 failed"]
    assert said(org, again) == ["1 succeeded, 0 failed"]


def test_what_a_version_before_has_decided_is_written_by_its_key(
    services: Services, org: OrgReader, local_org: LocalOrg, first: Job
) -> None:
    """It took the key of the first job. Its step may have died after the write, so the next one takes that key too."""
    again, _ = services.retries.submit(caller_of(local_org), Retry(of=first))
    body: dict[str, Wire] = {"Name": "as before", "StageName": "New", "CloseDate": "2027-01-01"}
    decided = Decision("finish", "write", [Node(Verb.INSERT, "Opportunity", None, "QuoteJobKey__c", body)])
    services.progress.note(again.job_id, "finish decided", msgspec.json.encode(decided).decode())
    [again] = run_to_end(services, again.job_id)
    assert again.status is Status.COMPLETED
    assert said(org, first) == ["1 succeeded, 1 failed"]
    assert said(org, again) == []
