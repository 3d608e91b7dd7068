"""Dry runs of users' own jobs: what would be written, of any object; and then just that, with the same time."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest
from _runs import caller_of, run_to_end

from harness.api import LocalOrg
from harness.org_reader import OrgReader
from quotejob.jobs.job import Job, Status
from quotejob.jobs.options import PLAIN, Options
from quotejob.jobtypes import registry
from quotejob.run.receipt import Outcome
from quotejob.services import Services
from quotejob.usercode.context import Context, Finish
from quotejob.usercode.jobtype import JobType
from quotejob.usercode.rows import Row
from quotejob.usercode.writes import Write, Yielded, inserts, updates

Submit = Callable[..., Job]


class Account(Row, frozen=True, kw_only=True):
    Name: str
    Site: str | None


class Marking(JobType[Account]):
    """Makes an Opportunity for each Account, and marks it; an Account without a site is only counted."""

    page_size = 2
    writes = (inserts("Opportunity", key="QuoteJobKey__c"), updates("Account", "Rating"))

    def execute(self, records: Sequence[Account], context: Context) -> Iterator[Yielded]:
        for account in records:
            yield account.tally("seen", Decimal(1))
            if account.Site == "skip":
                continue
            name = f"{account.Name} at {context.now.isoformat()}, {account.Site}"
            yield account.insert("Opportunity", Name=name, StageName="New", CloseDate=context.today)
            yield account.update(Rating="Hot")

    def finish(self, finish: Finish) -> Iterator[Write]:
        name = f"Finish {finish.context.where}"[:100]
        yield finish.insert("Opportunity", Name=name, StageName="New", CloseDate=finish.context.today)


class Wrong(JobType[Account]):
    """Writes what its Site says: most of it the org refuses."""

    writes = (inserts("Opportunity", key="QuoteJobKey__c"), updates("Account"))

    def execute(self, records: Sequence[Account], context: Context) -> Iterator[Yielded]:
        good: dict[str, Any] = {"Name": "Wrong or not", "StageName": "New", "CloseDate": context.today}
        bodies: dict[str, dict[str, Any]] = {
            "fine": good,
            "long": good | {"Name": "x" * 121},
            "missing": {"Name": "Wrong", "StageName": "New"},
            "empty": good | {"StageName": None},
            "unknown": good | {"NoSuchField__c": "x"},
            "read only": good | {"IsWon": True},
        }
        for account in records:
            if account.Site == "clear":
                yield account.update(Name=None)
            elif account.Site == "computed":
                yield account.update(LastModifiedDate=context.now)
            else:
                yield account.insert("Opportunity", **bodies[account.Site or "fine"])


ALL: tuple[type[JobType[Any]], ...] = (Marking, Wrong)


@pytest.fixture
def lot(org: OrgReader) -> tuple[str, list[str]]:
    """A clause for four Accounts, and their ids."""
    lot = uuid.uuid4().hex[:8]
    sites = ["a", "b", "skip", "c"]
    return f"Name LIKE '{lot}%'", [
        org.create("Account", {"Name": f"{lot} {n}", "Site": site}) for n, site in enumerate(sites)
    ]


@pytest.fixture
def submit(services: Services, local_org: LocalOrg) -> Submit:
    """Submit a job and run it to its end in this process."""

    def run(clause: str, options: Options = PLAIN, job_type: str = "Marking") -> Job:
        asked = registry.checked(job_type, clause, [])
        job, _ = services.jobs.submit(caller_of(local_org), job_type, options=options, **asked)
        return run_to_end(services, job.job_id)[0]

    return run


def test_what_was_seen_is_written_and_nothing_else(
    services: Services, org: OrgReader, local_org: LocalOrg, lot: tuple[str, list[str]], submit: Submit
) -> None:
    """One Account changes in between: it is skipped. The others get what was shown, with the time of the dry run."""
    clause, ids = lot
    dry = submit(clause, Options(dry_run=True))
    assert (dry.status, dry.planned, dry.succeeded, dry.failed) == (Status.COMPLETED, 4, 0, 0)
    said = services.dry_runs.summary(dry)
    writes = {(each.operation, each.object): each.count for each in said.writes}
    assert writes == {("insert", "Opportunity"): 3, ("update", "Account"): 3}
    assert said.totals == []
    name = clause.split("'")[1]
    assert org.count(f"SELECT COUNT() FROM Opportunity WHERE Name LIKE '{name}'") == 0
    assert org.count(f"SELECT COUNT() FROM Account WHERE {clause} AND Rating = 'Hot'") == 0
    org.update("Account", ids[1], {"Site": "changed"})
    new, _ = services.dry_runs.run(caller_of(local_org), Options(after_dry_run=dry))
    [job] = run_to_end(services, new.job_id)
    assert (job.status, job.succeeded, job.skipped, job.failed) == (Status.COMPLETED, 3, 1, 0)
    [skipped] = services.results.stream(job.job_id, Outcome.SKIPPED)
    assert (skipped.record_id, skipped.code) == (ids[1], "CHANGED_SINCE_DRY_RUN")
    made = [row["Name"] for row in org.query(f"SELECT Name FROM Opportunity WHERE Name LIKE '{name}'")]
    assert len(made) == 2
    assert all(dry.created_date.isoformat() in each for each in made)


def test_finish_writes_only_in_a_real_run(org: OrgReader, lot: tuple[str, list[str]], submit: Submit) -> None:
    clause, _ = lot
    count = "SELECT COUNT() FROM Opportunity WHERE Name LIKE 'Finish Name LIKE%'"
    before = org.count(count)
    submit(clause, Options(dry_run=True))
    assert org.count(count) == before
    submit(clause)
    assert org.count(count) == before + 1


def test_what_the_org_will_refuse_is_known_before(services: Services, org: OrgReader, submit: Submit) -> None:
    """The dry run fails the records that the real run fails, with the same codes, and plans the others."""
    lot = uuid.uuid4().hex[:8]
    sites = ("fine", "long", "missing", "empty", "unknown", "read only", "clear", "computed", "fine")
    of = {org.create("Account", {"Name": f"{lot} {n}", "Site": site}): site for n, site in enumerate(sites)}
    said = []
    for options in (Options(dry_run=True), PLAIN):
        job = submit(f"Name LIKE '{lot}%'", options, "Wrong")
        assert (job.status, job.failed) == (Status.COMPLETED, 7)
        said.append({result.record_id: result for result in services.results.page(job.job_id)[0]})
    before, after = said
    assert {key: one.code for key, one in before.items()} == {key: one.code for key, one in after.items()}
    [long] = [before[key].message for key, site in of.items() if site == "long"]
    assert long == "Opportunity.Name holds 120 characters, and the text has 121"
    assert [site for key, site in of.items() if before[key].outcome is Outcome.PLANNED] == ["fine", "fine"]
