"""Keys that a user's own job gives instead of records: each gets a record of its own, or the plan says why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pytest
from _runs import caller_of, run_to_end
from marshmallow import Schema, fields

from harness.api import LocalOrg
from harness.org_reader import OrgReader
from quotejob.jobs.job import Job, Status
from quotejob.jobtypes import registry
from quotejob.services import Services
from quotejob.usercode.context import Context, Finish
from quotejob.usercode.jobtype import JobType, Keys
from quotejob.usercode.rows import Key
from quotejob.usercode.writes import May, Write, Yielded, inserts


class Given(Schema):
    keys = fields.List(fields.String())


class Inserting(JobType[Key]):
    parameters = Given
    writes: ClassVar[tuple[May, ...]] = (inserts("Opportunity", key="QuoteJobKey__c"),)

    def start(self, context: Context) -> Keys:
        return Keys(context.parameters["keys"])

    def execute(self, records: Sequence[Key], context: Context) -> Iterator[Yielded]:
        for one in records:
            yield one.insert("Opportunity", Name=one.Id, StageName="New", CloseDate=context.today)


class Counting(Inserting):
    writes = ()

    def execute(self, records: Sequence[Key], context: Context) -> Iterator[Yielded]:
        return (one.tally("keys") for one in records)


class Finishing(Inserting):
    def finish(self, finish: Finish) -> Iterator[Write]:
        yield finish.insert("Opportunity", Name="sum", StageName="New", CloseDate=finish.context.today)


ALL: tuple[type[JobType[Any]], ...] = (Inserting, Counting, Finishing)


def run(services: Services, local_org: LocalOrg, job_type: str, *keys: str) -> Job:
    asked = registry.checked(job_type, None, [("keys", key) for key in keys])
    job, _ = services.jobs.submit(caller_of(local_org), job_type, **asked)
    return run_to_end(services, job.job_id)[0]


@pytest.mark.parametrize(
    ("job_type", "keys", "said"),
    [
        ("Inserting", ["sku-a", "other", "SKU-A"], "BAD_KEYS: Keys has 'sku-a' and 'SKU-A': an org takes them for the"),
        ("Inserting", ["a", "a"], "BAD_KEYS: Keys has 'a' twice"),
        ("Counting", ["a", "a"], "BAD_KEYS: Keys has 'a' twice"),
        ("Inserting", ["x" * 201], "BAD_KEYS: Keys has 'xxx"),
        ("Finishing", ["a", "Finish"], "BAD_KEYS: Keys has 'Finish', which is the key of what finish inserts"),
        (
            "Inserting",
            ["short", "x" * 44],
            "NOT_READY: Opportunity.QuoteJobKey__c holds 80 characters; 37 of the job and 44 of the longest of Keys "
            "need 81. Deploy a text field of 81 or more characters, unique and external id, and name it in writes;",
        ),
    ],
)
def test_keys_that_cannot_have_a_record_each_are_refused_by_the_plan(
    job_type: str, keys: list[str], said: str, services: Services, org: OrgReader, local_org: LocalOrg
) -> None:
    """Before anything is written. One of two that the org takes for the same would be lost without a word."""
    job = run(services, local_org, job_type, *keys)
    assert (job.status, job.total) == (Status.FAILED, 0)
    assert str(job.extended_status).startswith(said)
    assert org.count(f"SELECT COUNT() FROM Opportunity WHERE QuoteJobKey__c LIKE '{job.job_id}%'") == 0


@pytest.mark.parametrize(
    ("job_type", "keys"),
    [
        ("Inserting", ["sku-a", "sku-b", "finish", "x" * 43]),
        ("Counting", ["sku-a", "SKU-A", "x" * 200]),  # nothing is inserted for them
        ("Finishing", ["finished"]),
    ],
)
def test_all_others_are_taken(
    job_type: str, keys: list[str], services: Services, org: OrgReader, local_org: LocalOrg
) -> None:
    job = run(services, local_org, job_type, *keys)
    assert (job.status, job.succeeded, job.failed) == (Status.COMPLETED, len(keys), 0)
    made = {"Inserting": len(keys), "Counting": 0, "Finishing": len(keys) + 1}[job_type]
    assert org.count(f"SELECT COUNT() FROM Opportunity WHERE QuoteJobKey__c LIKE '{job.job_id}%'") == made
