"""Sample data through Bulk API 2.0: ``Sample Opportunity 0..N-1`` with two lines each, and their removal.

A page is 10,000 records, what Bulk takes as one internal batch. The ids of its Bulk jobs are kept as checkpoints, so a
page that is run again picks the same Bulk jobs up instead of writing its rows twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from quotejob.errors import OrgClosed
from quotejob.jobs.job import Job, JobType
from quotejob.jobtypes.base import JobHandler
from quotejob.run.context import Run
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.run.waves import store_plan

PREFIX = "Sample Opportunity "
PAGE = 10_000  # records
ALL_AT_ONCE = 1_000_000  # pages a wave: nothing waits in Redis between the steps of these jobs, so one wave does
LINES = 2  # lines of each Opportunity
_NAME = re.compile(re.escape(PREFIX) + r"\d+")
_GONE = "ENTITY_IS_DELETED"  # what a delete says of a record that is deleted already

log = structlog.get_logger()


class SampleDataCreate(JobHandler):
    """The job type that creates sample Opportunities with their lines."""

    name = JobType.SAMPLE_DATA_CREATE
    slow = True

    def purpose(self, job: Job) -> str:
        return f"to create {job.number_of_opportunities} sample Opportunities"

    def plan(self, run: Run) -> None:
        plan_create(run)

    def work_page(self, run: Run, wave: int, page: int) -> None:
        create_page(run, wave, page)


class SampleDataDelete(JobHandler):
    """The job type that deletes the sample Opportunities and their Quotes."""

    name = JobType.SAMPLE_DATA_DELETE
    slow = True

    def purpose(self, job: Job) -> str:  # noqa: ARG002 (all of them are deleted, whoever asks)
        return "to delete the sample Opportunities"

    def plan(self, run: Run) -> None:
        plan_delete(run)

    def work_page(self, run: Run, wave: int, page: int) -> None:
        delete_page(run, wave, page)


def plan_create(run: Run) -> None:
    """Number the Opportunities to make."""
    numbers = (str(number) for number in range(run.job.number_of_opportunities or 0))
    store_plan(run, numbers, page_size=PAGE, wave_size=ALL_AT_ONCE)


def create_page(run: Run, wave: int, page: int) -> None:
    """Make a page of Opportunities and then their lines; each a Bulk job."""
    run.go_on()
    numbers = run.progress.page(run.id, page)
    made, results = _make_opportunities(run, page, numbers, _shelf(run))
    results += _make_lines(run, page, made, _shelf(run))
    run.progress.record_page(run.id, wave, Receipt(str(page), tuple(results), api_calls=run.org.calls))


def plan_delete(run: Run) -> None:
    """Find the sample Opportunities: those whose whole name is one that create gives, and no others."""
    found = run.org.query(f"SELECT Id, Name FROM Opportunity WHERE Name LIKE '{PREFIX}%' ORDER BY Id")
    ids = (row["Id"] for row in found if _NAME.fullmatch(row["Name"]))
    store_plan(run, ids, page_size=PAGE, wave_size=ALL_AT_ONCE)


def delete_page(run: Run, wave: int, page: int) -> None:
    """Delete a page of sample Opportunities, their Quotes first; they go to the recycle bin."""
    run.go_on()
    ids = run.progress.page(run.id, page)
    wanted = frozenset(ids)
    between = f"OpportunityId >= '{ids[0]}' AND OpportunityId <= '{ids[-1]}'"  # pages are in id order
    quotes = run.org.query(f"SELECT Id, OpportunityId FROM Quote WHERE {between} ORDER BY Id")
    _delete(run, page, "Quote", (row["Id"] for row in quotes if row["OpportunityId"] in wanted))
    refused = _delete(run, page, "Opportunity", iter(ids))
    results = (refused.get(record_id, Result(record_id, Outcome.SUCCEEDED)) for record_id in ids)
    run.progress.record_page(run.id, wave, Receipt(str(page), tuple(results), api_calls=run.org.calls))


@dataclass(frozen=True, slots=True)
class _Shelf:
    """What the org has to make Opportunities of."""

    accounts: tuple[str, ...]
    pricebook2_id: str
    entries: tuple[tuple[str, str], ...]  # (id, price)


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """The ids of a page's Bulk jobs, kept with the job."""

    run: Run
    what: str

    def load(self) -> list[str]:
        return (self.run.progress.note(self.run.id, self.what) or "").split()

    def save(self, job_ids: list[str]) -> None:
        self.run.progress.note(self.run.id, self.what, " ".join(job_ids))


def _shelf(run: Run) -> _Shelf:
    soql = (
        "SELECT Id, Pricebook2Id, UnitPrice FROM PricebookEntry "
        "WHERE Pricebook2.IsStandard = true AND IsActive = true AND Product2.IsActive = true ORDER BY Id LIMIT 200"
    )
    entries = list(run.org.query(soql))
    if not entries:
        raise OrgClosed("The standard price book has no active entries; add products with standard prices first")
    accounts = tuple(row["Id"] for row in run.org.query("SELECT Id FROM Account ORDER BY Id LIMIT 200"))
    prices = tuple((row["Id"], str(row["UnitPrice"])) for row in entries)
    return _Shelf(accounts, entries[0]["Pricebook2Id"], prices)


def _make_opportunities(
    run: Run, page: int, numbers: Sequence[str], shelf: _Shelf
) -> tuple[dict[int, str], list[Result]]:
    """Make the Opportunities. Return the new ids by number, and the refused ones."""
    log.info(f"Creating {len(numbers)} Opportunities with Bulk API 2.0")
    closes = (run.job.created_date.date() + timedelta(days=30)).isoformat()
    rows = (
        {
            "Name": PREFIX + number,
            "AccountId": shelf.accounts[int(number) % len(shelf.accounts)] if shelf.accounts else "",
            "StageName": "Prospecting",
            "CloseDate": closes,
            "Pricebook2Id": shelf.pricebook2_id,
        }
        for number in numbers
    )
    columns = ["Name", "AccountId", "StageName", "CloseDate", "Pricebook2Id"]
    made = _ingest(run, page, "Opportunity", "insert", rows, columns)
    ids = {int(row["Name"].removeprefix(PREFIX)): row["sf__Id"] for row in made.succeeded()}
    return ids, [_refused(row["Name"], row) for row in made.failed()]


def _make_lines(run: Run, page: int, made: Mapping[int, str], shelf: _Shelf) -> list[Result]:
    """Make the lines of each new Opportunity. Return the result of each Opportunity."""
    columns = ["OpportunityId", "PricebookEntryId", "Quantity", "UnitPrice"]
    written = _ingest(run, page, "OpportunityLineItem", "insert", _line_rows(made, shelf), columns)
    refused = {row["OpportunityId"]: _refused(row["OpportunityId"], row) for row in written.failed()}
    return [refused.get(record_id, Result(record_id, Outcome.SUCCEEDED)) for record_id in made.values()]


def _line_rows(made: Mapping[int, str], shelf: _Shelf) -> Iterator[dict[str, str]]:
    for number, record_id in sorted(made.items()):
        for line in range(LINES):
            entry, price = shelf.entries[(number * LINES + line) % len(shelf.entries)]
            quantity = str(1 + (number + line) % 10)
            yield {"OpportunityId": record_id, "PricebookEntryId": entry, "Quantity": quantity, "UnitPrice": price}


def _delete(run: Run, page: int, object_name: str, ids: Iterator[str]) -> dict[str, Result]:
    """Delete the records. Return the refused ones, by id."""
    deleted = _ingest(run, page, object_name, "delete", ({"Id": record_id} for record_id in ids), ["Id"])
    refused = (_refused(row["Id"], row) for row in deleted.failed())
    return {result.record_id: result for result in refused if result.code != _GONE}


def _ingest(
    run: Run, page: int, object_name: str, operation: str, rows: Iterator[dict[str, str]], columns: list[str]
) -> Any:
    checkpoint = _Checkpoint(run, f"bulk:{object_name}:{page}")
    alive = lambda processed, failed: run.jobs.touch(run.id)  # noqa: E731, ARG005
    result = run.org.ingest(object_name, operation, rows, columns, checkpoint=checkpoint, on_progress=alive)
    if result.errors:
        raise OrgClosed(f"Bulk API 2.0 stopped the job for {object_name}: {result.errors[0]}")
    return result


def _refused(record_id: str, row: Mapping[str, str]) -> Result:
    code, _, message = row["sf__Error"].partition(":")
    return Result(record_id, Outcome.FAILED, code=code, message=message)
