"""One job at a time in this process, against a local org with a few custom fields and a Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from _callers import new_caller
from _quoting import Ran
from _runs import run_to_end
from cryptography.fernet import Fernet

from harness.api import Json, LocalOrg
from harness.org_reader import OrgReader
from harness.stack import Stack
from quotejob.jobs.job import BuiltIn
from quotejob.jobtypes.quotes import pages
from quotejob.services import Services
from quotejob.settings import Settings, current
from quotejob.store import client as store
from tasks.app import app

SCHEMA = """
objects:
  Opportunity: {fields: {Region__c: {type: string, length: 40}, Seats__c: {type: double, precision: 12, scale: 4},
                         Notes__c: {type: textarea, length: 131072}, More__c: {type: textarea, length: 262144}}}
  Quote: {fields: {Region__c: {type: string, length: 40}, Origin__c: {type: string, length: 40},
                   Notes__c: {type: textarea, length: 131072}, More__c: {type: textarea, length: 262144},
                   Seats__c: {type: double, precision: 12, scale: 4}, Automatic__c: {type: boolean}}}
  OpportunityLineItem: {fields: {Color__c: {type: string, length: 40}}}
  QuoteLineItem: {fields: {Color__c: {type: string, length: 40}}}
"""


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalOrg]:
    """An org with custom fields on both sides."""
    folder = tmp_path_factory.mktemp("quotes")
    (folder / "schema.yaml").write_text(SCHEMA)
    with Stack(folder) as stack:
        yield stack.start_org(0, "--opportunities", "1", "--schema", str(folder / "schema.yaml"))


@pytest.fixture(scope="session")
def reader(local: LocalOrg) -> OrgReader:
    """The org, read and prepared through its own REST API."""
    return OrgReader(local)


@pytest.fixture
def settings(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Those that the tasks read."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("QUOTEJOB_SECRET_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("QUOTEJOB_LOCAL_ORG", "1")
    monkeypatch.setitem(app.conf, "broker_url", redis_url)
    current.cache_clear()
    yield current()
    current.cache_clear()


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Callable[[str], None]:
    """``rules(text)``: a file with this text is the job's rules file."""

    def use(text: str) -> None:
        path = tmp_path / "rules.yaml"
        path.write_text(text, encoding="utf-8")
        monkeypatch.setenv("QUOTEJOB_PRICING_RULES", str(path))
        current.cache_clear()
        pages.rules.cache_clear()

    return use


@pytest.fixture
def run(local: LocalOrg, settings: Settings) -> Callable[[str], Ran]:
    """``run(clause)``: the job of that clause, worked off here, step by step, to its end."""

    def work(clause: str) -> Ran:
        services = Services(current(), store.client(current().redis_url, attempts=1))
        caller = replace(new_caller(), org_id=local.org_id, org_domain_url=local.url, access_token=local.token)
        job, _ = services.jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause=clause)
        [ended] = run_to_end(services, job.job_id)
        return Ran(ended, services.results.stream(job.job_id))

    return work


@pytest.fixture
def make(reader: OrgReader) -> Callable[..., str]:
    """``make(*lines, country="US", **fields)``: write an Opportunity with these lines; returns its id."""
    entry = next(reader.query("SELECT Id, Pricebook2Id FROM PricebookEntry WHERE Pricebook2.IsStandard = true LIMIT 1"))

    def write(*lines: Json, country: str | None = "US", name: str = "Deal", **fields: Any) -> str:
        account = reader.create("Account", {"Name": name, "BillingCountry": country})
        opportunity = {
            "Name": name, "AccountId": account, "StageName": "Prospecting", "CloseDate": "2027-02-27",
            "Pricebook2Id": entry["Pricebook2Id"],
        }  # fmt: skip
        made = reader.create("Opportunity", opportunity | fields)
        for line in lines:
            reader.create("OpportunityLineItem", {"OpportunityId": made, "PricebookEntryId": entry["Id"]} | line)
        return made

    return write


@pytest.fixture
def quote_of(reader: OrgReader) -> Callable[..., Json]:
    """``quote_of(opportunity_id, *fields)``: its only Quote, with these fields too, and its lines in their order."""

    def find(opportunity_id: str, *fields: str, lines: tuple[str, ...] = ()) -> Json:
        of_quote = ", ".join(("Id", "Subtotal", "TotalPrice", "GrandTotal", "Discount", *fields))
        of_line = ", ".join(("Quantity", "UnitPrice", "Discount", "TotalPrice", *lines))
        soql = (
            f"SELECT {of_quote}, (SELECT {of_line} FROM QuoteLineItems ORDER BY LineNumber) "
            f"FROM Quote WHERE OpportunityId = '{opportunity_id}'"
        )
        (quote,) = reader.query(soql)
        return quote

    return find
