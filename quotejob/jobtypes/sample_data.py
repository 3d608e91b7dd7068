"""Create and delete sample data with Bulk API 2.0: ``Sample Opportunity 0..N-1``, each with two lines.

Each sample Opportunity has a key, ``sample:{jobId}:{number}``, in a unique field of the org. What has such a key was
made here and is deleted here, whatever its name is now. Its lines and Quotes go with it.

A page is 10,000 records, which Bulk processes as one internal batch. The ids of its Bulk jobs are kept as checkpoints:
a page that is run again continues the same Bulk jobs instead of writing its rows twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import structlog

from quotejob.errors import OrgClosed
from quotejob.jobs.job import BuiltIn, Job
from quotejob.jobtypes import key_field
from quotejob.jobtypes.base import JobHandler
from quotejob.jobtypes.bulk_jobs import Checkpoint, reason, show_life
from quotejob.run.context import Run
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.run.waves import store_plan
from quotejob.salesforce import IngestResult

NAME_PREFIX = "Sample Opportunity "
MAX_OPPORTUNITIES, DEFAULT_OPPORTUNITIES = 1_000_000, 10  # that one job creates
RECORDS_PER_PAGE = 10_000
PAGES_PER_WAVE = 1_000_000  # all of them: no priced quotes wait in Redis in these jobs, so nothing has to be bounded
LINES_PER_OPPORTUNITY = 2
KEY_PREFIX = "sample:"
_KEY = re.compile(re.escape(KEY_PREFIX) + "[0-9a-f-]{36}:[0-9]+")
_CURRENCY = "CurrencyIsoCode"  # of records, if the org has several currencies; and the note of a job in such an org
_ALREADY_DELETED = "ENTITY_IS_DELETED"  # the org's error code for deleting a record a second time

log = structlog.get_logger()


class SampleDataCreate(JobHandler):
    """Create sample Opportunities with their lines."""

    name = BuiltIn.SAMPLE_DATA_CREATE
    slow = True

    def purpose(self, job: Job) -> str:
        """Return how many Opportunities the job creates."""
        return f"to create {job.number_of_opportunities} sample Opportunities"

    def plan(self, run: Run) -> None:
        """Give each Opportunity to create a number. A page holds these numbers."""
        _check_key_field(run)
        numbers = (str(number) for number in range(run.job.number_of_opportunities or 0))
        store_plan(run, numbers, page_size=RECORDS_PER_PAGE, wave_size=PAGES_PER_WAVE)

    def work_page(self, run: Run, wave: int, page: int) -> None:
        """Create a page of Opportunities, then their lines: two Bulk jobs."""
        run.go_on()
        numbers, catalog = run.progress.page(run.id, page), _read_catalog(run)
        ids, refused = _create_opportunities(run, page, numbers, catalog)
        results = (*refused, *_create_lines(run, page, ids, catalog))
        run.record_page(wave, Receipt(str(page), results, api_calls=run.org.calls))
        log.info(f"Created a page of {len(ids)} Opportunities", wave=wave, page=page, **run.figures())


class SampleDataDelete(JobHandler):
    """Delete the sample Opportunities and their Quotes."""

    name = BuiltIn.SAMPLE_DATA_DELETE
    nothing = "The org has no sample Opportunity of this service, so there was nothing to delete"
    slow = True

    def purpose(self, job: Job) -> str:  # noqa: ARG002 (all of them are deleted, whoever asks)
        """Return that all sample Opportunities are deleted."""
        return "to delete the sample Opportunities"

    def plan(self, run: Run) -> None:
        """Find the sample Opportunities: those with a key that SampleDataCreate gives, whatever their names are."""
        _check_key_field(run)
        store_plan(run, _ids_of_samples(run), page_size=RECORDS_PER_PAGE, wave_size=PAGES_PER_WAVE)

    def work_page(self, run: Run, wave: int, page: int) -> None:
        """Delete a page of sample Opportunities, their Quotes first. They go to the recycle bin."""
        run.go_on()
        ids = run.progress.page(run.id, page)
        _delete(run, page, "Quote", _ids_of_quotes(run, ids))
        refused = _delete(run, page, "Opportunity", iter(ids))
        results = (refused.get(record_id, Result(record_id, Outcome.SUCCEEDED)) for record_id in ids)
        run.record_page(wave, Receipt(str(page), tuple(results), api_calls=run.org.calls))
        gone = len(ids) - len(refused)
        log.info(f"Deleted a page of {gone} Opportunities", wave=wave, page=page, **run.figures())


@dataclass(frozen=True, slots=True)
class _Catalog:
    """The records of the org that sample Opportunities refer to."""

    accounts: tuple[str, ...]
    pricebook2_id: str
    entries: tuple[tuple[str, str], ...]  # (id, price)
    currency: str | None  # of the prices; None: the org has only one


def _check_key_field(run: Run) -> None:
    described = run.org.describe("Opportunity")
    with run.org.reading("the fields of Opportunity"):
        key_field.check(described)
        if any(field["name"] == _CURRENCY for field in described["fields"]):
            run.progress.note(run.id, _CURRENCY, "1")


def _ids_of_samples(run: Run) -> Iterator[str]:
    key = key_field.NAME
    found = run.org.query(f"SELECT Id, {key} FROM Opportunity WHERE {key} LIKE '{KEY_PREFIX}%' ORDER BY Id")
    with run.org.reading("the keys of the Opportunities"):
        yield from (row["Id"] for row in found if _KEY.fullmatch(row[key]))


def _read_catalog(run: Run) -> _Catalog:
    several = run.progress.note(run.id, _CURRENCY) is not None
    soql = (
        f"SELECT Id, Pricebook2Id, UnitPrice{f', {_CURRENCY}' if several else ''} FROM PricebookEntry "
        "WHERE Pricebook2.IsStandard = true AND IsActive = true AND Product2.IsActive = true ORDER BY Id LIMIT 200"
    )
    entries = list(run.org.query(soql))
    if not entries:
        raise OrgClosed("The standard price book has no active entries; add products with standard prices first")
    with run.org.reading("Accounts and prices"):
        accounts = tuple(row["Id"] for row in run.org.query("SELECT Id FROM Account ORDER BY Id LIMIT 200"))
        currency = entries[0][_CURRENCY] if several else None
        sold = [row for row in entries if row.get(_CURRENCY) == currency]
        prices = tuple((row["Id"], f"{Decimal(row['UnitPrice']):f}") for row in sold)  # no exponents in CSV
        return _Catalog(accounts, entries[0]["Pricebook2Id"], prices, currency)


def _create_opportunities(
    run: Run, page: int, numbers: Sequence[str], catalog: _Catalog
) -> tuple[dict[int, str], list[Result]]:
    """Create Opportunities with these numbers. Returns the new ids by number, and the results of those refused."""
    log.info(f"Creating {len(numbers)} Opportunities with Bulk API 2.0")
    currency = {} if catalog.currency is None else {_CURRENCY: catalog.currency}
    closes = (run.job.created_date.date() + timedelta(days=30)).isoformat()
    rows = (
        {
            "Name": NAME_PREFIX + number,
            "AccountId": catalog.accounts[int(number) % len(catalog.accounts)] if catalog.accounts else "",
            "StageName": "Prospecting",
            "CloseDate": closes,
            "Pricebook2Id": catalog.pricebook2_id,
            key_field.NAME: f"{KEY_PREFIX}{run.id}:{number}",
            **currency,
        }
        for number in numbers
    )
    columns = ["Name", "AccountId", "StageName", "CloseDate", "Pricebook2Id", key_field.NAME, *currency]
    written = _ingest(run, page, "Opportunity", "insert", rows, columns)
    ids = {int(row["Name"].removeprefix(NAME_PREFIX)): row["sf__Id"] for row in written.succeeded()}
    return ids, [_refused(row["Name"], row) for row in written.failed()]


def _create_lines(run: Run, page: int, ids: Mapping[int, str], catalog: _Catalog) -> list[Result]:
    """Create the lines of the new Opportunities. Returns the result of each Opportunity."""
    columns = ["OpportunityId", "PricebookEntryId", "Quantity", "UnitPrice"]
    written = _ingest(run, page, "OpportunityLineItem", "insert", _line_rows(ids, catalog), columns)
    refused = {row["OpportunityId"]: _refused(row["OpportunityId"], row) for row in written.failed()}
    return [refused.get(record_id, Result(record_id, Outcome.SUCCEEDED)) for record_id in ids.values()]


def _line_rows(ids: Mapping[int, str], catalog: _Catalog) -> Iterator[dict[str, str]]:
    for number, record_id in sorted(ids.items()):
        for line in range(LINES_PER_OPPORTUNITY):
            entry, price = catalog.entries[(number * LINES_PER_OPPORTUNITY + line) % len(catalog.entries)]
            quantity = str(1 + (number + line) % 10)
            yield {"OpportunityId": record_id, "PricebookEntryId": entry, "Quantity": quantity, "UnitPrice": price}


def _ids_of_quotes(run: Run, opportunity_ids: Sequence[str]) -> Iterator[str]:
    """Yield the ids of the Opportunities' Quotes. The Opportunities are in the order of their ids."""
    wanted = frozenset(opportunity_ids)
    between = f"OpportunityId >= '{opportunity_ids[0]}' AND OpportunityId <= '{opportunity_ids[-1]}'"
    found = run.org.query(f"SELECT Id, OpportunityId FROM Quote WHERE {between} ORDER BY Id")
    with run.org.reading("the ids of the Quotes"):
        yield from (row["Id"] for row in found if row["OpportunityId"] in wanted)


def _delete(run: Run, page: int, object_name: str, ids: Iterator[str]) -> dict[str, Result]:
    """Delete the records. Returns the results of those refused, by record id."""
    deleted = _ingest(run, page, object_name, "delete", ({"Id": record_id} for record_id in ids), ["Id"])
    refused = (_refused(row["Id"], row) for row in deleted.failed())
    return {result.record_id: result for result in refused if result.code != _ALREADY_DELETED}


def _ingest(
    run: Run, page: int, object_name: str, operation: str, rows: Iterator[dict[str, str]], columns: list[str]
) -> IngestResult:
    """Write the rows by a Bulk job, or continue the one that an earlier try began. Raises OrgClosed if it stopped."""
    checkpoint = Checkpoint(run, f"bulk:{object_name}:{page}")
    result = run.org.ingest(object_name, operation, rows, columns, checkpoint=checkpoint, on_look=show_life(run))
    if result.errors:
        raise OrgClosed(f"Bulk API 2.0 stopped the job for {object_name}: {result.errors[0]}")
    return result


def _refused(record_id: str, row: Mapping[str, str]) -> Result:
    code, message = reason(row)
    return Result(record_id, Outcome.FAILED, code=code, message=message)
