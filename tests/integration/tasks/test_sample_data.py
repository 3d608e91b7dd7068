"""Sample data goes by the key that its creation gave it: nothing else is deleted, whatever it is called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _runs import caller_of, forget_org, run_to_end
from structlog.testing import capture_logs

from harness.api import LocalOrg
from harness.org_reader import OrgReader
from harness.stack import Stack
from quotejob.jobs.job import BuiltIn, Job, Status
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store.client import RedisClient

NAMES = [
    "Sample Opportunity 0",
    "Sample Opportunity 1",
    "Sample Opportunity 01",
    "Sample Opportunity 12345678901234567890",
    "Sample Opportunity ٣",  # Arabic
    "Sample Opportunity \uff13",  # full width
    "Sample Opportunity 1 renewal",
    "sample opportunity 2",
    "Sample Opportunity",
]
JOB = "1f0c7a2b-fdd0-4652-8bae-a742e541bb37"
KEYS = ["sample", "sample:", "sample:7", f"sample:{JOB}", f"sample:{JOB}:", f"sample:{JOB}:1a", f"sample:{JOB}:\u0663",
        f"{JOB}:1", f"sample:{JOB}:1 of ours", "sample data of ours"]  # fmt: skip


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalOrg]:
    """An org of this module's own."""
    with Stack(tmp_path_factory.mktemp("samples")) as stack:
        yield stack.start_org(0, "--opportunities", "3", "--profile", "instant")


@pytest.fixture
def services(settings: Settings, client: RedisClient, org: LocalOrg) -> Iterator[Services]:
    services = Services(settings, client)
    yield services
    forget_org(services, org)


def run(services: Services, org: LocalOrg, job_type: BuiltIn, **what: Any) -> Job:
    return run_to_end(services, services.jobs.submit(caller_of(org), job_type, **what)[0].job_id)[0]


def ids(reader: OrgReader, object_name: str) -> set[str]:
    return {row["Id"] for row in reader.query(f"SELECT Id FROM {object_name}")}


def test_what_was_created_is_deleted_and_nothing_else(services: Services, org: LocalOrg) -> None:
    """Not what has such a name, nor what has another key; but what was created and has another name now."""
    reader = OrgReader(org)
    about = {"StageName": "Prospecting", "CloseDate": "2027-02-27"}
    named = [reader.create("Opportunity", {"Name": name, **about}) for name in NAMES]
    keyed = [reader.create("Opportunity", {"Name": "x", "QuoteJobKey__c": key, **about}) for key in KEYS]
    quote = reader.create("Quote", {"Name": "ours", "OpportunityId": named[0], "QuoteJobKey__c": f"sample:{JOB}:1"})
    before = {name: ids(reader, name) for name in ("Opportunity", "OpportunityLineItem", "Account", "PricebookEntry")}

    made = run(services, org, BuiltIn.SAMPLE_DATA_CREATE, number_of_opportunities=12)
    assert (made.status, made.succeeded) == (Status.COMPLETED, 12)
    created = {row["QuoteJobKey__c"]: row["Id"] for row in reader.query(
        f"SELECT Id, QuoteJobKey__c FROM Opportunity WHERE QuoteJobKey__c LIKE 'sample:{made.job_id}:%'")}  # fmt: skip
    assert set(created) == {f"sample:{made.job_id}:{number}" for number in range(12)}
    assert set(created.values()) == ids(reader, "Opportunity") - before["Opportunity"]
    reader.update("Opportunity", created[f"sample:{made.job_id}:7"], {"Name": "A deal"})
    reader.create("Quote", {"Name": "of a sample", "OpportunityId": created[f"sample:{made.job_id}:3"]})

    gone = run(services, org, BuiltIn.SAMPLE_DATA_DELETE)
    assert (gone.status, gone.total, gone.succeeded) == (Status.COMPLETED, 12, 12)
    assert before == {name: ids(reader, name) for name in before}
    assert set(named + keyed) <= ids(reader, "Opportunity")
    assert ids(reader, "Quote") == {quote}


def test_each_page_has_a_line_in_the_log(services: Services, org: LocalOrg) -> None:
    """How many were created or deleted, with the seconds and the calls."""
    with capture_logs() as logs:
        run(services, org, BuiltIn.SAMPLE_DATA_CREATE, number_of_opportunities=3)
        run(services, org, BuiltIn.SAMPLE_DATA_DELETE)
    lines = {line["event"]: line for line in logs if " a page of " in line["event"]}
    assert list(lines) == ["Created a page of 3 Opportunities", "Deleted a page of 3 Opportunities"]
    assert all((line["wave"], line["page"]) == (0, 0) and line["calls"] >= 2 for line in lines.values())
    assert all(isinstance(line["seconds"], float) for line in lines.values())


def test_two_creations_have_keys_of_their_own(services: Services, org: LocalOrg) -> None:
    """Their names are the same; one deletion takes both."""
    for _ in range(2):
        assert run(services, org, BuiltIn.SAMPLE_DATA_CREATE, number_of_opportunities=2).succeeded == 2
    assert run(services, org, BuiltIn.SAMPLE_DATA_DELETE).succeeded == 4
    nothing = run(services, org, BuiltIn.SAMPLE_DATA_DELETE)
    assert (nothing.status, nothing.total) == (Status.COMPLETED, 0)
    assert "nothing to delete" in (nothing.extended_status or "")


@pytest.mark.parametrize("job_type", [BuiltIn.SAMPLE_DATA_CREATE, BuiltIn.SAMPLE_DATA_DELETE])
def test_an_org_without_the_field_is_told_so(services: Services, tmp_path: Path, job_type: BuiltIn) -> None:
    """Nothing is made that could not be found again, and nothing is deleted by its name."""
    (tmp_path / "source").mkdir()
    with Stack(tmp_path / "stack") as stack:
        bare = stack.start_org(0, "--opportunities", "3", "--force-app", str(tmp_path / "source"))
        before = ids(OrgReader(bare), "Opportunity")
        job = run(services, bare, job_type, number_of_opportunities=2)
        assert (job.status, job.total) == (Status.FAILED, 0)
        assert "lacks the field Opportunity.QuoteJobKey__c" in (job.extended_status or "")
        assert "sf project deploy start" in (job.extended_status or "")
        assert ids(OrgReader(bare), "Opportunity") == before


def test_samples_have_one_currency(services: Services, tmp_path: Path) -> None:
    """The price book has prices in several, and a line needs one in that of its Opportunity."""
    with Stack(tmp_path) as stack:
        org = stack.start_org(0, "--currencies", "EUR,USD")
        reader = OrgReader(org)
        for entry in list(reader.query("SELECT Product2Id, Pricebook2Id FROM PricebookEntry ORDER BY Id LIMIT 20")):
            wanted = {name: entry[name] for name in ("Product2Id", "Pricebook2Id")}
            reader.create("PricebookEntry", {**wanted, "CurrencyIsoCode": "USD", "UnitPrice": 1, "IsActive": True})
        job = run(services, org, BuiltIn.SAMPLE_DATA_CREATE, number_of_opportunities=150)
        assert (job.status, job.failed) == (Status.COMPLETED, 0)
        assert reader.count("SELECT COUNT() FROM OpportunityLineItem") == 300
        forget_org(services, org)
