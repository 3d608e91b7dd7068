"""The fixture local_run: a user's own job in a whole system, with a real worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from quotejob import Context, Finish, JobType, Row, Write, Yielded, deletes, inserts, path, updates

if TYPE_CHECKING:
    from harness.local_run import LocalRun

pytest_plugins = ["harness.local_run"]


class Opportunity(Row, frozen=True, kw_only=True):
    Name: str
    AccountId: str | None
    country: str | None = path("Account.BillingCountry", default=None)


class CleaningUp(JobType[Opportunity]):
    """Deletes Opportunities whose names begin with Old, and makes a Product2 for the others."""

    page_size = 2
    writes = (inserts("Opportunity", key="QuoteJobKey__c"), updates("Opportunity", "NextStep"), deletes("Opportunity"))

    def execute(self, records: Sequence[Opportunity], context: Context) -> Iterator[Yielded]:
        for one in records:
            if one.Name.startswith("Old"):
                yield one.delete()
            elif one.country is None:
                yield one.skip("no country")
            else:
                yield one.update(NextStep=f"{one.country}, {context.where[:5]}")
            yield one.tally("seen")

    def finish(self, finish: Finish) -> Iterator[Write]:
        name = f"{finish.succeeded} done, {finish.total('seen')} seen"
        yield finish.insert("Opportunity", Name=name, StageName="New", CloseDate=finish.context.today)


def deal(number: int, name: str, account: str | None = "001000000000000001") -> Opportunity:
    return Opportunity(Id=f"006{number:015}", Name=name, AccountId=account, country="CH")


def test_records_are_made_updated_and_deleted_by_a_real_worker(local_run: LocalRun) -> None:
    """Two kinds of writes and finish. The results have the ids of the rows; one Account stands for its id."""
    rows = [deal(1, "Old one"), deal(2, "Old two"), deal(3, "New"), deal(4, "Nobody's", account=None)]
    ran = local_run(CleaningUp, rows)
    assert ran.job["status"] == "Completed", ran.job
    assert {key: ran.results[key]["outcome"] for key in ran.results} == {
        rows[0].Id: "succeeded", rows[1].Id: "succeeded", rows[2].Id: "succeeded", rows[3].Id: "skipped",
    }  # fmt: skip
    listed = ", ".join(f"'{made}'" for made in ran.ids.values())
    left = list(ran.org.query(f"SELECT Name, NextStep, AccountId FROM Opportunity WHERE Id IN ({listed})"))
    assert {row["Name"]: row["NextStep"] for row in left} == {"New": "CH, Id IN", "Nobody's": None}
    assert ran.org.count("SELECT COUNT() FROM Opportunity WHERE Name = '3 done, 3 seen'") == 1


def test_the_records_that_the_org_has_can_be_used(local_run: LocalRun) -> None:
    """With a clause in place of rows; the system is the one of the test before."""
    ran = local_run(CleaningUp, where="Name LIKE 'Opportunity 1%'")
    assert (ran.count("succeeded") + ran.count("skipped"), ran.count("failed")) == (11, 0)
