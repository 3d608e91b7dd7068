"""Quote jobs that write by Bulk API 2.0, in an org of their own that refuses some records."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import requests
from _runs import caller_of, forget_org, run_to_end

from harness.api import Json, LocalOrg
from harness.org_reader import OrgReader
from harness.stack import Stack
from quotejob.jobs.job import BuiltIn, CommitBy, Job
from quotejob.jobs.options import Options
from quotejob.run import bulk_speed, incomplete, leases
from quotejob.salesforce import OrgAddress, OrgClient
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import client, keys

SCHEMA = """
objects:
  Quote:
    fields: {Origin__c: {type: string, length: 40}, Way__c: {type: string, length: 40}}
    rules: [{name: NoBad, rule: "Name LIKE '%bad%'", message: No such names here., field: Name}]
  QuoteLineItem:
    fields: {Color__c: {type: string, length: 40}, Shade__c: {type: string, length: 40}}
    rules: [{name: NoThirteen, rule: "Quantity = 1313", message: Thirteen brings bad luck., field: Quantity}]
"""
RECORDS = 12


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalOrg]:
    """An org with 12 Opportunities of two lines."""
    folder = tmp_path_factory.mktemp("by-bulk")
    (folder / "schema.yaml").write_text(SCHEMA)
    given = ("--opportunities", str(RECORDS), "--lines", "2", "--schema", str(folder / "schema.yaml"))
    with Stack(folder) as stack:
        yield stack.start_org(0, *given)


@pytest.fixture(autouse=True)
def _restored(local: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Looks and leases of dead steps are short; afterwards the org is as it was."""
    monkeypatch.setattr(leases, "LEASE_LENGTH", 0.2)
    monkeypatch.setattr(incomplete, "FIRST_PAUSE", 0.2)
    for name in ("START", "SPARE"):
        monkeypatch.setattr(bulk_speed, name, 0.02)
    monkeypatch.setattr(bulk_speed, "PAUSES", (0.1, 1.0))
    yield
    requests.post(f"{local.url}/localorg/faults", json={"clear": True}, timeout=10).raise_for_status()
    org, client = OrgReader(local), OrgClient(OrgAddress.of(caller_of(local)))
    empty_org(client)
    for row in list(org.query("SELECT Id FROM Opportunity WHERE Name = 'bad'")):
        org.update("Opportunity", row["Id"], {"Name": "Good"})
    for row in list(org.query("SELECT Id FROM OpportunityLineItem WHERE Quantity = 1313")):
        org.update("OpportunityLineItem", row["Id"], {"Quantity": 3})
    for row in list(org.query("SELECT Id FROM OpportunityLineItem WHERE Description = '#N/A'")):
        org.update("OpportunityLineItem", row["Id"], {"Description": None})


def empty_org(client: OrgClient) -> None:
    """Delete all Quotes."""
    if ids := [row["Id"] for row in client.query("SELECT Id FROM Quote")]:
        client.delete_many(ids)


@pytest.fixture
def services(settings: Settings, local: LocalOrg) -> Iterator[Services]:
    redis = client.client(settings.redis_url, attempts=1)
    redis.delete(keys.CLEAN_UPS)
    yield (made := Services(settings, redis))
    forget_org(made, local)
    redis.delete(keys.CLEAN_UPS)


@pytest.fixture
def submit(services: Services, local: LocalOrg) -> Callable[..., Job]:
    """``submit(commit_by)``: a job for all Opportunities."""

    def give(commit_by: CommitBy = CommitBy.BULK, clause: str = "Id != null") -> Job:
        options = Options(commit_by=commit_by)
        job, _ = services.jobs.submit(caller_of(local), BuiltIn.BATCH_QUOTE, soql_where_clause=clause, options=options)
        return job

    return give


@pytest.fixture
def ended(services: Services, submit: Callable[..., Job]) -> Callable[..., Job]:
    """``ended(commit_by)``: a job for all Opportunities that has run to its end."""

    def run(*given: CommitBy) -> Job:
        [job] = run_to_end(services, submit(*given).job_id)
        return job

    return run


@pytest.fixture
def empty(local: LocalOrg) -> Callable[[], None]:
    """``empty()``: delete all Quotes."""
    return lambda: empty_org(OrgClient(OrgAddress.of(caller_of(local))))


@pytest.fixture
def in_org(local: LocalOrg) -> Callable[..., list[Json]]:
    """``in_org(*fields)``: the Quotes of the org in the order of their Opportunities, with all their lines."""
    lines = "OpportunityLineItemId, PricebookEntryId, Quantity, UnitPrice, Discount, Description, SortOrder, TotalPrice"
    fields = (
        "Name, Status, OpportunityId, Pricebook2Id, ExpirationDate, QuoteJobKey__c, Subtotal, GrandTotal, "
        f"(SELECT {lines} FROM QuoteLineItems ORDER BY OpportunityLineItemId)"
    )

    def read() -> list[Json]:
        found = list(OrgReader(local).query(f"SELECT Id, {fields} FROM Quote ORDER BY OpportunityId"))
        for quote in found:
            quote["lines"] = quote.pop("QuoteLineItems") or []
            for row in (quote, *quote["lines"]):
                row.pop("attributes", None)
        return found

    return read
