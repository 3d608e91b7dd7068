"""A dry run: nothing is written, everything is shown; and the job after it writes what was seen, and nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from _api import Headers, accepted, refused
from _runs import caller_of, forget_org, run_to_end
from flask.testing import FlaskClient

from harness.api import LocalOrg
from harness.org_reader import OrgReader
from quotejob.errors import JobConflict
from quotejob.jobs.job import Job, Status
from quotejob.jobs.options import Options
from quotejob.salesforce import OrgClient
from quotejob.services import Services
from quotejob.settings import Settings, current
from quotejob.store import keys

Run = Callable[..., Job]


@pytest.fixture
def services(settings: Settings, local_org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """The stores that the tasks of this process use too."""
    monkeypatch.setenv("QUOTEJOB_SECRET_KEY", settings.secret_keys[0])
    monkeypatch.setenv("QUOTEJOB_LOCAL_ORG", "1")
    current.cache_clear()
    made = Services.connected(settings)
    forget_org(made, local_org)
    yield made
    forget_org(made, local_org)
    current.cache_clear()


@pytest.fixture
def org(local_org: LocalOrg) -> OrgReader:
    return OrgReader(local_org)


@pytest.fixture
def deals(org: OrgReader) -> tuple[str, list[str]]:
    """The name of three Opportunities, and their ids: two lines, one line, none."""
    name = f"Dry {uuid.uuid4().hex[:8]}"
    entry = next(org.query("SELECT Id, Pricebook2Id FROM PricebookEntry WHERE Pricebook2.IsStandard = true LIMIT 1"))
    account = org.create("Account", {"Name": name, "BillingCountry": "DE"})
    found = []
    for lines in (2, 1, 0):
        deal = org.create("Opportunity", {
            "Name": name, "AccountId": account, "StageName": "Prospecting", "CloseDate": "2027-02-27",
            "Pricebook2Id": entry["Pricebook2Id"],
        })  # fmt: skip
        for _ in range(lines):
            line = {"OpportunityId": deal, "PricebookEntryId": entry["Id"], "Quantity": 3, "UnitPrice": 100}
            org.create("OpportunityLineItem", line)
        found.append(deal)
    return name, found


@pytest.fixture
def dry_run(client: FlaskClient, headers: Headers, services: Services) -> Run:
    """``dry_run(name)``: the dry run of the Opportunities with this name, at its end."""

    def work(name: str, **more: Any) -> Job:
        body = {"soqlWhereClause": f"Name = '{name}'", "dryRun": True, **more}
        [job] = run_to_end(services, accepted(client.post("/api/executebatch", json=body, headers=headers())))
        return job

    return work


def go(client: FlaskClient, headers: Headers, services: Services, dry: Job, **options: Any) -> tuple[Job, Any]:
    """Run what a dry run has shown, to the end. Returns the job and its results by record."""
    answer = client.post(f"/api/jobs/{dry.job_id}/run", json=options, headers=headers())
    assert answer.status_code == 202, answer.text
    assert answer.get_json()["afterDryRun"] == dry.job_id
    [job] = run_to_end(services, answer.get_json()["jobId"])
    results = client.get(f"/api/jobs/{job.job_id}/results", headers=headers()).get_json()["results"]
    return job, {each["recordId"]: each for each in results}


def test_nothing_is_written_and_everything_shown(
    client: FlaskClient, headers: Headers, dry_run: Run, deals: tuple[str, list[str]], org: OrgReader
) -> None:
    """The results have each would-be Quote, the summary its totals; then the org has them just so."""
    name, (two, one, _) = deals
    job = dry_run(name)
    assert (job.status, job.planned, job.skipped, job.failed) == (Status.COMPLETED, 2, 1, 0)
    assert (job.succeeded, job.quotes_created) == (0, 0)
    assert "nothing was written" in (job.extended_status or "")
    assert org.count(f"SELECT COUNT() FROM Quote WHERE Opportunity.Name = '{name}'") == 0
    listed = client.get(f"/api/jobs/{job.job_id}/results?outcome=planned", headers=headers()).get_json()["results"]
    found = {each["recordId"]: each for each in listed}
    assert set(found) == {two, one}
    assert found[two]["planned"]["lines"] == 2
    assert found[two]["planned"]["listTotal"] == 600
    assert found[two]["planned"]["writes"] == [
        {"operation": "insert", "object": "Quote", "count": 1},
        {"operation": "insert", "object": "QuoteLineItem", "count": 2},
    ]
    said = client.get(f"/api/jobs/{job.job_id}/dryrun", headers=headers()).get_json()
    assert (said["planned"], said["skipped"], said["failed"]) == (2, 1, 0)
    assert said["writes"] == [
        {"operation": "insert", "object": "Quote", "count": 2},
        {"operation": "insert", "object": "QuoteLineItem", "count": 3},
    ]
    [total] = said["totals"]
    assert (total["currency"], total["listTotal"]) == (None, 900)
    assert [each["quotes"] for each in said["byRegion"]] == [2]
    assert sum(each["lines"] for each in said["byDiscount"]) == 3
    assert sum(each["netTotal"] for each in said["byDiscount"]) == pytest.approx(total["netTotal"])
    shown = client.get(f"/api/jobs/{job.job_id}", headers=headers()).get_json()
    assert (shown["dryRun"], shown["records"]["planned"]) == (True, 2)


def test_what_was_seen_is_written(
    client: FlaskClient,
    headers: Headers,
    dry_run: Run,
    deals: tuple[str, list[str]],
    org: OrgReader,
    services: Services,
) -> None:
    """The Quotes have the totals that were shown."""
    name, (*_, none) = deals
    dry = dry_run(name)
    shown = client.get(f"/api/jobs/{dry.job_id}/dryrun", headers=headers()).get_json()
    once = headers({"Idempotency-Key": f"run {dry.job_id}"})
    first = client.post(f"/api/jobs/{dry.job_id}/run", json={"keepApiCalls": 5}, headers=once)
    again = client.post(f"/api/jobs/{dry.job_id}/run", json={"keepApiCalls": 5}, headers=once)
    assert first.get_json()["jobId"] == again.get_json()["jobId"]
    refused(client.post(f"/api/jobs/{dry.job_id}/run", json={}, headers=once), 422)
    [job] = run_to_end(services, first.get_json()["jobId"])
    listed = client.get(f"/api/jobs/{job.job_id}/results", headers=headers()).get_json()["results"]
    results = {each["recordId"]: each for each in listed}
    assert (job.succeeded, job.skipped, job.failed, job.keep_api_calls) == (2, 1, 0, 5)
    assert results[none]["code"] == "NO_LINES"
    quotes = list(org.query(f"SELECT TotalPrice, Subtotal FROM Quote WHERE Opportunity.Name = '{name}'"))
    assert sum(quote["TotalPrice"] for quote in quotes) == pytest.approx(shown["totals"][0]["netTotal"])


def test_what_has_changed_is_not_written(
    client: FlaskClient,
    headers: Headers,
    dry_run: Run,
    deals: tuple[str, list[str]],
    org: OrgReader,
    services: Services,
) -> None:
    """A line's price, and lines where there were none: both records are skipped, the third is written."""
    name, (two, one, none) = deals
    dry = dry_run(name)
    [line] = org.query(f"SELECT Id, PricebookEntryId FROM OpportunityLineItem WHERE OpportunityId = '{one}'")
    org.update("OpportunityLineItem", line["Id"], {"UnitPrice": 150})
    more = {"PricebookEntryId": line["PricebookEntryId"], "Quantity": 1, "UnitPrice": 10}
    org.create("OpportunityLineItem", {"OpportunityId": none, **more})
    job, results = go(client, headers, services, dry)
    assert (job.succeeded, job.skipped) == (1, 2)
    assert {results[one]["code"], results[none]["code"]} == {"CHANGED_SINCE_DRY_RUN"}
    assert results[two]["outcome"] == "succeeded"


def test_a_quote_that_the_org_will_refuse_has_failed(
    dry_run: Run, deals: tuple[str, list[str]], services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the org's describe of Quotes and lines says: here a name has less room than it has in the local org."""
    describe = OrgClient.describe

    def short(org: OrgClient, name: str) -> dict[str, Any]:
        found = describe(org, name)
        for field in found["fields"]:
            field["length"] = 9 if (name, field["name"]) == ("Quote", "Name") else field["length"]
        return found

    monkeypatch.setattr(OrgClient, "describe", short)
    name, (two, *_) = deals
    job = dry_run(name)
    assert (job.status, job.planned, job.skipped, job.failed) == (Status.COMPLETED, 0, 1, 2)
    results = {one.record_id: one for one in services.results.page(job.job_id)[0]}
    assert (results[two].code, results[two].record_name) == ("STRING_TOO_LONG", name)
    assert str(results[two].message).startswith("Quote.Name holds 9 characters, and the text has ")


def test_only_a_completed_dry_run_can_be_run(
    client: FlaskClient, headers: Headers, dry_run: Run, deals: tuple[str, list[str]], services: Services
) -> None:
    """Not one that waits or was aborted, not a job that writes; and a dry run cannot be retried."""
    clause = f"Name = '{deals[0]}'"
    body = {"soqlWhereClause": clause, "dryRun": True}
    waiting = accepted(client.post("/api/executebatch", json=body, headers=headers()))
    refused(client.post(f"/api/jobs/{waiting}/run", json={}, headers=headers()), 409)
    client.post(f"/api/jobs/{waiting}/abort", headers=headers())
    refused(client.post(f"/api/jobs/{waiting}/run", json={}, headers=headers()), 409)
    assert client.post(f"/api/jobs/{waiting}/resume", headers=headers()).status_code == 202
    [resumed] = run_to_end(services, waiting)
    assert (resumed.status, resumed.planned) == (Status.COMPLETED, 2)
    refused(client.post(f"/api/jobs/{waiting}/retry", json={}, headers=headers()), 409)
    writes = accepted(client.post("/api/executebatch", json={"soqlWhereClause": clause}, headers=headers()))
    refused(client.post(f"/api/jobs/{writes}/run", json={}, headers=headers()), 409)
    refused(client.get(f"/api/jobs/{writes}/dryrun", headers=headers()), 409)
    refused(client.get(f"/api/jobs/{uuid.uuid4()}/dryrun", headers=headers()), 404)
    wrong = client.post("/api/executebatch", json={"soqlWhereClause": clause, "dryRun": "yes"}, headers=headers())
    assert refused(wrong, 400)["details"][0]["field"] == "dryRun"


def test_a_dry_run_of_nothing(client: FlaskClient, headers: Headers, dry_run: Run) -> None:
    """It says so, and there is nothing to run."""
    job = dry_run("nobody has this name")
    assert job.status is Status.COMPLETED
    refused(client.post(f"/api/jobs/{job.job_id}/run", json={}, headers=headers()), 409)


def test_a_dry_run_is_run_once(
    client: FlaskClient,
    headers: Headers,
    dry_run: Run,
    deals: tuple[str, list[str]],
    org: OrgReader,
    services: Services,
) -> None:
    """Whoever asks again is told which job runs it, also when that one was aborted: it can be resumed."""
    name, _ = deals
    dry = dry_run(name)
    url = f"/api/jobs/{dry.job_id}/run"
    first = client.post(url, json={}, headers=headers()).get_json()["jobId"]

    def again() -> None:
        said = refused(client.post(url, json={"keepApiCalls": 1}, headers=headers()), 409, "DRY_RUN_ALREADY_RUN")
        assert first in said["message"]

    again()
    client.post(f"/api/jobs/{first}/abort", headers=headers())
    again()
    assert client.post(f"/api/jobs/{first}/resume", headers=headers()).status_code == 202
    run_to_end(services, first)
    again()
    assert org.count(f"SELECT COUNT() FROM Quote WHERE Opportunity.Name = '{name}'") == 2


def test_of_several_at_once_one_runs_it(
    dry_run: Run, deals: tuple[str, list[str]], services: Services, local_org: LocalOrg
) -> None:
    """The same submission may come twice, because its answer was lost; others are refused."""
    dry = dry_run(deals[0])
    seen = Options(after_dry_run=dry)

    def one(job_id: str) -> str:
        try:
            return services.jobs.submit(caller_of(local_org), dry.job_type, options=seen, job_id=job_id)[0].job_id
        except JobConflict as error:
            return error.code

    ids = [str(uuid.uuid4()) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(one, ids))
    [ran] = set(done) - {"DRY_RUN_ALREADY_RUN"}
    assert done.count(ran) == 1
    assert [one(job_id) for job_id in (ran, str(uuid.uuid4()))] == [ran, "DRY_RUN_ALREADY_RUN"]


def test_a_run_that_is_not_there_does_not_count(
    dry_run: Run, deals: tuple[str, list[str]], services: Services, local_org: LocalOrg
) -> None:
    """Redis may have lost the end of the script that accepted it."""
    dry = dry_run(deals[0])
    services.client.hset(keys.job(dry.job_id), mapping={"runBy": str(uuid.uuid4())})
    job, new = services.dry_runs.run(caller_of(local_org), Options(after_dry_run=dry))
    assert (job.after_dry_run, new) == (dry.job_id, True)
