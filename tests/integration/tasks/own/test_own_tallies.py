"""Tallies of a user's own job: what was written keeps its results, however many groups there are."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest
from _runs import caller_of, run_to_end

from harness.api import LocalOrg
from harness.org_reader import OrgReader
from quotejob.jobs.job import Status
from quotejob.jobtypes import registry
from quotejob.services import Services
from quotejob.usercode.context import OTHERS, Context, Finish
from quotejob.usercode.jobtype import JobType
from quotejob.usercode.rows import Row
from quotejob.usercode.writes import Write, Yielded, inserts, updates


class Account(Row, frozen=True, kw_only=True):
    Name: str


class Writing(JobType[Account]):
    writes = (updates("Account", "Description"), inserts("Opportunity", key="QuoteJobKey__c"))

    def execute(self, records: Sequence[Account], context: Context) -> Iterator[Yielded]:
        for one in records:
            yield one.update(Description="written")
            yield from tallies(one)

    def finish(self, finish: Finish) -> Iterator[Write]:
        lines = finish.by("lines")
        said = f"{len(lines)} groups, {lines[OTHERS]} in the last, {finish.total('lines')} in all"
        yield finish.insert("Opportunity", Name=said, StageName="New", CloseDate=finish.context.today)


class Counting(Writing, JobType[Account]):
    def execute(self, records: Sequence[Account], context: Context) -> Iterator[Yielded]:
        return (tally for one in records for tally in tallies(one))


def tallies(one: Account) -> Iterator[Yielded]:
    """400 groups of its own; a bad one has an amount that cannot be summed, too."""
    if one.Name.endswith("bad"):
        yield one.tally("lines", Decimal("9E+999999"))
    yield from (one.tally("lines", 1, by=f"{one.Name} {n}") for n in range(400))


ALL: tuple[type[JobType[Any]], ...] = (Writing, Counting)


@pytest.mark.parametrize("job_type", ["Writing", "Counting"])
def test_many_groups_and_huge_amounts_lose_no_result(
    job_type: str, services: Services, org: OrgReader, local_org: LocalOrg
) -> None:
    """Those after the thousandth are counted together, and a bad amount costs its record. All have results."""
    lot = uuid.uuid4().hex[:8]
    ids = [org.create("Account", {"Name": f"{lot} {n}"}) for n in (0, 1, 2, "bad")]
    asked = registry.checked(job_type, f"Name LIKE '{lot}%'", [])
    job, _ = services.jobs.submit(caller_of(local_org), job_type, **asked)
    [job] = run_to_end(services, job.job_id)
    assert (job.status, job.succeeded, job.failed) == (Status.COMPLETED, 3, 1), job.extended_status
    codes = {result.record_id: result.code for result in services.results.page(job.job_id)[0]}
    assert codes == dict.fromkeys(ids[:3]) | {ids[3]: "NOT_A_NUMBER"}
    [made] = org.query(f"SELECT Name FROM Opportunity WHERE QuoteJobKey__c = '{job.job_id}:finish'")
    assert made["Name"] == "1001 groups, 200 in the last, 1200 in all"
    written = "written" if job_type == "Writing" else None
    found = {row["Description"] for row in org.query(f"SELECT Description FROM Account WHERE Name LIKE '{lot} %'")}
    assert found == {written, None}
