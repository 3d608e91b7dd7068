"""Users' own jobs on the engine, against a real Redis and a local org: each kind of write, once."""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from _runs import caller_of, run_to_end
from marshmallow import Schema, fields, validate

from harness.api import LocalOrg
from harness.org_reader import OrgReader
from quotejob.errors import InvalidRequest
from quotejob.jobs.job import Job, Status
from quotejob.jobtypes import registry
from quotejob.run.receipt import Result
from quotejob.services import Services
from quotejob.usercode.context import Context, Finish
from quotejob.usercode.jobtype import JobType
from quotejob.usercode.rows import Row, path
from quotejob.usercode.writes import Write, Yielded, deletes, inserts, updates, upserts


class Account(Row, frozen=True, kw_only=True):
    Name: str
    Site: str | None


class RenewalParameters(Schema):
    months = fields.Integer(load_default=12, validate=validate.Range(1, 60))


class Renewals(JobType[Account]):
    """Makes an Opportunity for each Account, and marks the Account."""

    parameters = RenewalParameters
    page_size = 3
    writes = (
        inserts("Opportunity", key="QuoteJobKey__c"),
        inserts("Product2"),
        updates("Account", "Rating"),
    )

    def execute(self, records: Sequence[Account], context: Context) -> Iterator[Yielded]:
        for account in records:
            if account.Site == "skip":
                yield account.skip("not wanted")
                continue
            if account.Site == "raise":
                raise ValueError("no such site")
            name = f"{account.Name} for {context.parameters['months']} months"
            close = context.today
            stage = None if account.Site == "refuse" else "New"
            renewal = account.insert("Opportunity", Name=name, AccountId=account.Id, StageName=stage, CloseDate=close)
            yield renewal
            yield account.insert("Product2", Name=f"Of {account.Name}", Description=renewal)
            yield account.update(Rating="Hot")
            yield account.tally("amount", Decimal("10.50"), by=account.Site or "none")

    def finish(self, finish: Finish) -> Iterator[Write]:
        name = f"Run of {finish.context.job_id}: {finish.succeeded} of {finish.total('amount')}"
        yield finish.insert("Opportunity", Name=name, StageName="New", CloseDate=finish.context.today)


class Upserting(JobType[Account]):
    writes = (upserts("Opportunity", "QuoteJobKey__c", "Name", "StageName", "CloseDate"),)

    def execute(self, records: Sequence[Account], context: Context) -> Iterator[Yielded]:
        for one in records:
            values: dict[str, Any] = {"Name": one.Name, "StageName": "New", "CloseDate": context.today}
            yield one.upsert("Opportunity", "QuoteJobKey__c", f"up/{one.Name}", **values)


class Opportunity(Row, frozen=True, kw_only=True):
    Name: str
    account: str = path("Account.Name")


class Deleting(JobType[Opportunity]):
    writes = (deletes("Opportunity"),)

    def execute(self, records: Sequence[Opportunity], context: Context) -> Iterator[Yielded]:
        return (one.delete() for one in records)


class Broken(JobType[Account]):
    """Its finish fails once."""

    writes = (inserts("Opportunity", key="QuoteJobKey__c"),)

    def execute(self, records: Sequence[Account], context: Context) -> Iterator[Yielded]:
        for one in records:
            stage: dict[str, Any] = {"StageName": "New", "CloseDate": context.today}
            yield one.insert("Opportunity", key=f"broken/{one.Name}", Name=one.Name, **stage)

    def finish(self, finish: Finish) -> Iterator[Write]:
        if not Path(os.environ["MAIL_SERVER"]).exists():  # a file, because this runs in a process of its own
            raise KeyError("no mail server")
        yield finish.insert("Opportunity", Name="Done", StageName="New", CloseDate=finish.context.today)


class Unready(JobType[Account]):
    writes = (
        inserts("Contact", key="QuoteJobKey__c"),
        inserts("Account", key="QuoteJobKey__c"),
        updates("Account", "No__c"),
    )

    def execute(self, records: Sequence[Account], context: Context) -> Iterator[Yielded]:
        return iter(())


class Product2(Row, frozen=True, kw_only=True):
    Name: str
    IsActive: bool


class Asking(JobType[Account]):
    """Asks what its Site says, once a page, and writes what it was told."""

    writes = (updates("Account", "Description"),)
    queries_a_page = 1

    def execute(self, records: Sequence[Account], context: Context) -> Iterator[Yielded]:
        found = context.query(Product2, records[0].Site or "")
        for account in records:
            if account.Name.endswith("bad"):
                raise ValueError("a bad one")
            yield account.update(Description=" ".join(f"{row.Name}/{row.IsActive}" for row in found))


ALL: tuple[type[JobType[Any]], ...] = (Renewals, Upserting, Deleting, Broken, Unready, Asking)


@pytest.fixture
def lot(org: OrgReader) -> tuple[str, list[str]]:
    """Some Accounts of one test, and the clause for them."""
    lot = uuid.uuid4().hex[:8]
    sites = ["a", "b", "skip", "raise", "a", "refuse", "b"]
    ids = [org.create("Account", {"Name": f"{lot} {n}", "Site": site}) for n, site in enumerate(sites)]
    return lot, ids


@pytest.fixture
def submit(services: Services, local_org: LocalOrg) -> Callable[..., Job]:
    """Submit a job and run it to its end in this process."""

    def run(job_type: str, clause: str | None = None, **parameters: str) -> Job:
        asked = registry.checked(job_type, clause, list(parameters.items()))
        job, _ = services.jobs.submit(caller_of(local_org), job_type, **asked)
        return run_to_end(services, job.job_id)[0]

    return run


def results(services: Services, job: Job) -> dict[str, Result]:
    found, _ = services.results.page(job.job_id)
    assert len({result.record_id for result in found}) == len(found)
    return {result.record_id: result for result in found}


def test_a_job_of_ones_own_runs_through(
    services: Services, org: OrgReader, lot: tuple[str, list[str]], submit: Callable[..., Job]
) -> None:
    """Each record has one result. What belongs to a record is written completely or not at all, and finish sums up."""
    name, ids = lot
    job = submit("Renewals", f"Name LIKE '{name}%'", months="24")
    assert (job.status, job.total, job.succeeded, job.skipped, job.failed) == (Status.COMPLETED, 7, 4, 1, 2)
    found = results(services, job)
    assert [found[key].code for key in ids] == [
        None,
        None,
        "SKIPPED",
        "USER_CODE_ERROR",
        None,
        found[ids[5]].code,
        None,
    ]
    assert found[ids[5]].code == "REQUIRED_FIELD_MISSING"
    assert "ValueError: no such site (line" in (found[ids[3]].message or "")
    made = {row["QuoteJobKey__c"]: row for row in org.query(
        f"SELECT Id, Name, QuoteJobKey__c FROM Opportunity WHERE QuoteJobKey__c LIKE '{job.job_id}%'"
    )}  # fmt: skip
    assert len(made) == 5
    assert made[f"{job.job_id}:{ids[0]}"]["Name"] == f"{name} 0 for 24 months"
    assert found[ids[0]].written_id == made[f"{job.job_id}:{ids[0]}"]["Id"]
    assert made[f"{job.job_id}:finish"]["Name"] == f"Run of {job.job_id}: 4 of 42.00"
    assert org.count(f"SELECT COUNT() FROM Product2 WHERE Name LIKE 'Of {name}%'") == 4
    assert org.count(f"SELECT COUNT() FROM Account WHERE Name LIKE '{name}%' AND Rating = 'Hot'") == 4


def test_upserts_and_deletes_are_repeatable(
    services: Services, org: OrgReader, lot: tuple[str, list[str]], submit: Callable[..., Job]
) -> None:
    """An upsert that comes again changes the same records. What is deleted already counts as deleted."""
    name, _ = lot
    for _ in range(2):
        job = submit("Upserting", f"Name LIKE '{name}%'")
        assert (job.status, job.succeeded, job.failed) == (Status.COMPLETED, 7, 0)
    clause = f"QuoteJobKey__c LIKE 'up/{name}%'"
    assert org.count(f"SELECT COUNT() FROM Opportunity WHERE {clause}") == 7
    job = submit("Deleting", f"{clause} AND Account.Name = null")
    assert (job.status, job.failed) == (Status.COMPLETED, 7)  # the type of the path says that it is never empty
    assert {result.code for result in results(services, job).values()} == {"BAD_RECORD"}


def test_what_was_there_before_the_job_is_skipped(
    services: Services,
    org: OrgReader,
    local_org: LocalOrg,
    lot: tuple[str, list[str]],
    submit: Callable[..., Job],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key of the user's own holds for all jobs. And a finish that fails can be resumed: only it runs again."""
    name, ids = lot
    monkeypatch.setenv("MAIL_SERVER", str(tmp_path / "server"))
    fields = {"Name": name, "StageName": "New", "CloseDate": "2027-01-01", "QuoteJobKey__c": f"broken/{name} 0"}
    before = org.create("Opportunity", fields)
    time.sleep(1.1)  # the org knows seconds
    job = submit("Broken", f"Name LIKE '{name}%'")
    assert (job.status, job.succeeded, job.skipped) == (Status.FAILED, 6, 1)
    assert (job.extended_status or "").startswith("FINISH_FAILED: KeyError: 'no mail server' (line ")
    found = results(services, job)[ids[0]]
    assert (found.code, found.written_id) == ("ALREADY_THERE", before)
    (tmp_path / "server").touch()
    services.jobs.resume(job.job_id, caller_of(local_org))
    [job] = run_to_end(services, job.job_id)
    assert (job.status, job.succeeded, job.skipped) == (Status.COMPLETED, 6, 1)
    assert org.count(f"SELECT COUNT() FROM Opportunity WHERE QuoteJobKey__c = '{job.job_id}:finish'") == 1


def test_a_plan_says_everything_that_the_org_lacks(submit: Callable[..., Job]) -> None:
    """Each missing object, field and key, in one message, before a record is read."""
    job = submit("Unready", "Id != null")
    assert (job.status, job.total) == (Status.FAILED, 0)
    said = job.extended_status or ""
    assert said.startswith("NOT_READY: 3 problems: (1) Contact: the org has no such object")
    assert "Account.QuoteJobKey__c: the org lacks this field" in said
    assert "Account.No__c: the org has no such field" in said


@pytest.mark.parametrize(
    ("job_type", "clause", "parameters", "said"),
    [
        ("Renewals", "Id != null", {"months": "99"}, "parameters.months: Must be greater"),
        ("Renewals", "Id != null", {"month": "9"}, "parameters.month: is no parameter of this job type; it has months"),
        ("Renewals", None, {}, "soqlWhereClause: is missing"),
        ("Nope", "Id != null", {}, "jobType: 'Nope' is no job type of this app; it has BatchQuote, Renewals"),
        ("Renewals", "Id != null) OR (", {}, "soqlWhereClause"),
    ],
)
def test_a_wrong_submission_is_refused(
    job_type: str, clause: str | None, parameters: dict[str, str], said: str, submit: Callable[..., Job]
) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        submit(job_type, clause, **parameters)


def test_a_query_of_the_job_reaches_the_org(services: Services, org: OrgReader, submit: Callable[..., Job]) -> None:
    """Once for a page, also if it is decided in parts because of a bad record. It counts in apiCalls."""
    lot = uuid.uuid4().hex[:8]
    for name in ("one", "two"):
        org.create("Product2", {"Name": f"{lot} {name}", "IsActive": True})
    clause = f"Name LIKE '{lot}%'"
    ids = [org.create("Account", {"Name": f"{lot} {n}", "Site": clause}) for n in (1, 2, "bad")]
    before = org.stats()["requests"]["total"]
    job = submit("Asking", clause)
    assert (job.status, job.succeeded, job.failed) == (Status.COMPLETED, 2, 1)
    assert job.api_calls == org.stats()["requests"]["total"] - before
    told = {row["Description"] for row in org.query(f"SELECT Description FROM Account WHERE Id IN ('{ids[0]}')")}
    assert told == {f"{lot} one/True {lot} two/True"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("NoSuchField = 1", "QueryRefused: The org refused the query: INVALID_FIELD"),
        ("Name = 'x' LIMIT 1", "QueryRefused: soqlWhereClause"),
    ],
)
def test_a_wrong_query_costs_its_records_and_says_why(
    services: Services, org: OrgReader, submit: Callable[..., Job], asked: str, said: str
) -> None:
    name = uuid.uuid4().hex[:8]
    account = org.create("Account", {"Name": name, "Site": asked})
    job = submit("Asking", f"Name = '{name}'")
    assert (job.status, job.failed) == (Status.COMPLETED, 1)
    [result] = services.results.page(job.job_id)[0]
    assert (result.record_id, result.code) == (account, "USER_CODE_ERROR")
    assert str(result.message).startswith(said)
