"""A wave that is written by Bulk: the same Quotes as by graphs, and each is whole or gone at every end of its job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import requests
from _runs import caller_of, run_to_end, wait_for_lease

from harness.api import Json, LocalOrg
from harness.org_reader import OrgReader
from quotejob.asking.forecast import forecast
from quotejob.errors import OrgRefused
from quotejob.jobs.job import BuiltIn, CommitBy, Job, Status
from quotejob.jobs.options import Options
from quotejob.jobtypes import key_field, registry
from quotejob.jobtypes.batches import records
from quotejob.jobtypes.quotes import commit, reading
from quotejob.jobtypes.quotes.writer import Writer
from quotejob.pricing.model import PricedQuote
from quotejob.run import bulk_speed, leases
from quotejob.run.context import begin
from quotejob.run.receipt import Outcome
from quotejob.salesforce import OrgClient, bulk
from quotejob.salesforce.connection import Connection
from quotejob.salesforce.translate import URI_TOO_LONG
from quotejob.salesforce.wire import Wire
from quotejob.services import Services
from quotejob.settings import current
from tasks import clean_up

RECORDS = 12
InOrg = Callable[[], list[Json]]
Ended = Callable[..., Job]


class Died(BaseException):
    """Nothing in a step handles it, so it ends the step as SIGKILL does: no lease is given back, no receipt stored."""


def die_at(patch: pytest.MonkeyPatch, number: int, *, after: bool) -> None:
    """Die before or after the writing request with this number, or the look at a job."""
    send, sent = Wire.request, []

    def sending(wire: Wire, method: str, url: str, *args: object, **kwargs: object) -> requests.Response:
        counts = "jobs/ingest" in str(url) or "composite" in str(url)
        sent.extend([url] if counts else [])
        if counts and len(sent) == number and not after:
            raise Died
        answer = send(wire, method, url, *args, **kwargs)
        if counts and len(sent) == number:
            raise Died
        return answer

    patch.setattr(Wire, "request", sending)


def whole(found: list[Json]) -> None:
    """Every Quote has two lines, and every Opportunity one Quote at most."""
    assert [len(quote["lines"]) for quote in found] == [2] * len(found)
    assert len({quote["OpportunityId"] for quote in found}) == len(found)


def results_are_true(services: Services, job: Job, found: list[Json]) -> None:
    """What the results call written is in the org, and nothing else."""
    results = list(services.results.stream(job.job_id))
    assert len({result.record_id for result in results}) == len(results)
    written = {result.record_id: result.quote_id for result in results if result.outcome is Outcome.SUCCEEDED}
    assert written == {quote["OpportunityId"]: quote["Id"] for quote in found}
    assert job.succeeded == len(found) == job.quotes_created


@pytest.mark.parametrize("way", [CommitBy.GRAPH, CommitBy.BULK])
def test_what_a_part_has_decided_counts_once(
    submit: Callable[..., Job], services: Services, local: LocalOrg, in_org: InOrg, monkeypatch: pytest.MonkeyPatch,
    way: CommitBy,
) -> None:  # fmt: skip
    """A batch was half written when its job was aborted. Resumed, it ends its workers, and its rest is given up."""
    monkeypatch.setattr(leases, "LEASE_LENGTH", 2.0)
    job = submit(way)
    with monkeypatch.context() as patch:
        die_at(patch, 1, after=False)
        with pytest.raises(Died):
            run_to_end(services, job.job_id)
    wait_for_lease(services, job)
    step = partial(begin, job.job_id, services.jobs, services.progress, services.leases, services.settings)
    run = step("batch 0 0")
    page_of, parts = records.undecided(run, 0, 0)
    some = dict(list(page_of.items())[:5])
    writer = commit._writer(run, 0, 0)
    writer.write(commit.quotes(run, some))
    run.record_batch(0, records.receipt_of("0.0.0", writer.results, page_of, run.org.calls), whole=False)
    assert (len(page_of), parts, len(in_org())) == (RECORDS, 0, len(some))
    services.jobs.abort(job.job_id)
    services.jobs.resume(job.job_id, caller_of(local))
    wait_for_lease(services, job)
    registry.handler_of(job.job_type).give_up_batch(step("batch 0 0"), 0, 0)
    job = run_to_end(services, job.job_id)[0]
    assert (job.succeeded, job.failed, job.total) == (len(some), RECORDS - len(some), RECORDS)
    results_are_true(services, job, in_org())


def test_the_same_quotes_as_by_graphs(empty: Callable[[], None], ended: Ended, in_org: InOrg) -> None:
    """All fields of all of them, in far fewer calls than a graph for each would need."""
    first = ended(CommitBy.GRAPH)
    by_graph = in_org()
    empty()
    job = ended()
    by_bulk = in_org()
    assert (job.status, job.commit_by, job.succeeded) == (Status.COMPLETED, CommitBy.BULK, RECORDS)
    for quotes, of in ((by_graph, first), (by_bulk, job)):
        for quote in quotes:
            assert quote.pop("QuoteJobKey__c") == f"{of.job_id}:{quote['OpportunityId']}"
            del quote["Id"]
    assert by_graph == by_bulk


def test_empty_values_are_empty(
    empty: Callable[[], None], ended: Ended, local: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By graphs and by Bulk alike. Bulk needs no graph for them."""
    monkeypatch.setenv("QUOTEJOB_PRICING", "_own_pricing:empty")
    current.cache_clear()
    write, graphs = Writer.write, list[PricedQuote]()

    def writing(self: Writer, quotes: Sequence[PricedQuote]) -> None:
        graphs.extend(quotes)
        write(self, quotes)

    monkeypatch.setattr(Writer, "write", writing)
    for way, by_graph in ((CommitBy.GRAPH, RECORDS), (CommitBy.BULK, 0)):
        empty()
        graphs.clear()
        assert (ended(way).succeeded, len(graphs)) == (RECORDS, by_graph)
        lines = "SELECT Color__c, Shade__c FROM QuoteLineItems"
        for quote in OrgReader(local).query(f"SELECT Origin__c, Way__c, ({lines}) FROM Quote"):
            assert (quote["Origin__c"], quote["Way__c"]) == (None, None)
            assert {(line["Color__c"], line["Shade__c"]) for line in quote["QuoteLineItems"]} == {(None, None)}


def test_records_that_the_org_refuses(local: LocalOrg, services: Services, ended: Ended, in_org: InOrg) -> None:
    """A bad Quote and a bad line cost their own Quote, with the org's reason; nothing is left of it."""
    org = OrgReader(local)
    one, two, three = [row["Id"] for row in org.query("SELECT Id FROM Opportunity ORDER BY Id LIMIT 3")]
    org.update("Opportunity", one, {"Name": "bad"})
    [line] = list(org.query(f"SELECT Id FROM OpportunityLineItem WHERE OpportunityId = '{two}' LIMIT 1"))
    org.update("OpportunityLineItem", line["Id"], {"Quantity": 1313})
    [line] = list(org.query(f"SELECT Id FROM OpportunityLineItem WHERE OpportunityId = '{three}' LIMIT 1"))
    org.update("OpportunityLineItem", line["Id"], {"Description": "#N/A"})
    job = ended()
    refused = {result.record_id: result.message for result in services.results.stream(job.job_id, Outcome.FAILED)}
    assert refused == {one: "No such names here.", two: "Thirteen brings bad luck."}
    found = in_org()
    whole(found)
    results_are_true(services, job, found)
    [quote] = [quote for quote in found if quote["OpportunityId"] == three]
    assert {line["Description"] for line in quote["lines"]} == {"#N/A", None}


@pytest.mark.parametrize("number", range(10))
def test_killed_in_every_step(
    services: Services, submit: Ended, in_org: InOrg, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The next holder of the lease goes on with the same Bulk jobs. Nothing is written twice."""
    job = submit()
    with monkeypatch.context() as patch:
        die_at(patch, number or 1, after=number > 0)
        with pytest.raises(Died):
            run_to_end(services, job.job_id)
    assert services.progress.incomplete.of_job(job)
    wait_for_lease(services, job)
    [job] = run_to_end(services, job.job_id)
    found = in_org()
    whole(found)
    results_are_true(services, job, found)
    assert (job.status, len(found)) == (Status.COMPLETED, RECORDS)
    assert services.progress.incomplete.of_job(job) == []


@pytest.mark.parametrize("number", range(1, 10))
def test_aborted_in_every_step_and_resumed(
    local: LocalOrg, services: Services, submit: Ended, in_org: InOrg, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """After the clean-up each Quote is whole or gone, and the results say which. A resume writes the rest."""
    job = submit()
    with monkeypatch.context() as patch:
        die_at(patch, number, after=True)
        with pytest.raises(Died):
            run_to_end(services, job.job_id)
    services.jobs.abort(job.job_id)
    monkeypatch.setattr(commit, "LATE_REQUESTS", -10_000)
    wait_for_lease(services, job, after_end=True)
    clean_up.clean_up(job.job_id)
    whole(in_org())
    results_are_true(services, services.jobs.get(job.job_id), in_org())
    assert services.progress.incomplete.due() == []
    services.jobs.resume(job.job_id, caller_of(local))
    [job] = run_to_end(services, job.job_id)
    found = in_org()
    whole(found)
    results_are_true(services, job, found)
    assert (job.status, len(found)) == (Status.COMPLETED, RECORDS)


def test_given_up_batch(services: Services, submit: Ended, in_org: InOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its Quotes without lines are removed, and the results say why."""
    job = submit()
    with monkeypatch.context() as patch:
        die_at(patch, 6, after=False)
        with pytest.raises(Died):
            run_to_end(services, job.job_id)
    assert [len(quote["lines"]) for quote in in_org()] == [0] * RECORDS
    wait_for_lease(services, job)
    monkeypatch.setattr("quotejob.run.leases.Lease.is_given_up", True)
    run_to_end(services, job.job_id)
    assert in_org() == []
    assert {result.code for result in services.results.stream(job.job_id)} == {"WORKER_LOST"}


@pytest.mark.parametrize("name", ["Quote", "QuoteLineItem"])
def test_a_bulk_job_that_somebody_aborts(
    services: Services, ended: Ended, in_org: InOrg, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Graphs write what is left of it."""
    start = bulk._start

    def aborting(connection: Connection, job_id: str) -> None:
        if bulk._info(connection, job_id).get("object") == name:
            bulk._set_state(connection, job_id, "Aborted")
        else:
            start(connection, job_id)

    monkeypatch.setattr(bulk, "_start", aborting)
    job = ended()
    found = in_org()
    whole(found)
    results_are_true(services, job, found)
    assert len(found) == RECORDS


@pytest.mark.parametrize("name", ["Quote", "QuoteLineItem"])
def test_rows_that_meet_a_lock(local: LocalOrg, services: Services, ended: Ended, in_org: InOrg, name: str) -> None:
    """They are written again, and no record fails for it."""
    spec = {"match": {"resource": "jobs/ingest/rows", "object": name}, "kind": "lock", "count": 5}
    requests.post(f"{local.url}/localorg/faults", json=spec, timeout=10).raise_for_status()
    job = ended()
    found = in_org()
    whole(found)
    results_are_true(services, job, found)
    assert (job.failed, len(found)) == (0, RECORDS)


def test_an_org_that_takes_no_bulk_jobs(ended: Ended, monkeypatch: pytest.MonkeyPatch, in_org: InOrg) -> None:
    """The job fails with what to do, and nothing is written."""

    def refuse(*_: object) -> str:
        raise OrgRefused("The Bulk API is not enabled for this user.", code="FEATURENOTENABLED", http_status=400)

    monkeypatch.setattr(bulk, "_create", refuse)
    job = ended()
    assert job.status is Status.FAILED
    assert "commitBy graph" in (job.extended_status or "")
    assert in_org() == []


def test_an_org_without_the_key_of_lines(ended: Ended, monkeypatch: pytest.MonkeyPatch, in_org: InOrg) -> None:
    """The plan says what to deploy, and nothing is written. Graphs need this field for large quotes only."""
    describe = OrgClient.describe

    def lacking(org: OrgClient, name: str) -> Json:
        found = describe(org, name)
        if name == "QuoteLineItem":
            found["fields"] = [field for field in found["fields"] if field["name"] != key_field.NAME]
        return found

    monkeypatch.setattr(OrgClient, "describe", lacking)
    job = ended()
    assert job.status is Status.FAILED
    assert "QuoteLineItem.QuoteJobKey__c" in (job.extended_status or "")
    assert "deploy" in (job.extended_status or "")
    assert in_org() == []


def test_the_forecast_counts_every_call(
    local: LocalOrg, services: Services, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one look at each Bulk job, which an org that is fast enough needs."""
    monkeypatch.setattr(bulk_speed, "START", 1.5)
    foreseen = forecast(caller_of(local), BuiltIn.BATCH_QUOTE, "Id != null", services, Options(commit_by=CommitBy.BULK))
    assert ended().api_calls == foreseen.calls.total == 2 + 1 + 1 + 9


def test_a_later_job_looks_when_the_org_has_probably_ended(
    services: Services, local: LocalOrg, ended: Ended, empty: Callable[[], None]
) -> None:
    """What the first job has measured is kept for each object, and the next one needs a single look for each."""
    org_id = caller_of(local).org_id
    ended()
    speeds = {name: services.leases.bulk_speed(org_id, name) for name in ("Quote", "QuoteLineItem")}
    rows = {name: [line.split()[0] for line in services.client.items(speed._key)] for name, speed in speeds.items()}
    assert rows == {"Quote": [b"12"], "QuoteLineItem": [b"24"]}
    for speed in speeds.values():
        services.client.delete(speed._key)
        speed.note(12, 1.5)
    empty()
    assert ended().api_calls == 2 + 1 + 1 + 9


@pytest.fixture
def small_pages(services: Services, monkeypatch: pytest.MonkeyPatch) -> Services:
    """The same with two Opportunities in a query: a page by Bulk has ten."""
    monkeypatch.setenv("QUOTEJOB_PAGE_SIZE", "2")
    current.cache_clear()
    return Services(current(), services.client)


def test_one_call_reads_a_page_by_five_queries(local: LocalOrg, small_pages: Services, in_org: InOrg) -> None:
    """And the forecast knows it. A dry run and the job after it have such pages too."""
    options = Options(commit_by=CommitBy.BULK)
    caller = caller_of(local)
    foreseen = forecast(caller, BuiltIn.BATCH_QUOTE, "Id != null", small_pages, options)
    assert (foreseen.pages, foreseen.calls.read) == (2, 2)
    dry_options = replace(options, dry_run=True)
    dry_foreseen = forecast(caller, BuiltIn.BATCH_QUOTE, "Id != null", small_pages, dry_options)
    jobs = small_pages.jobs
    seen, _ = jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause="Id != null", options=dry_options)
    [seen] = run_to_end(small_pages, seen.job_id)
    assert (seen.planned, seen.total_job_items) == (RECORDS, 2)
    assert (seen.api_calls, dry_foreseen.calls.write) == (dry_foreseen.calls.total, 0)
    job, _ = small_pages.dry_runs.run(caller, replace(options, after_dry_run=seen))
    [job] = run_to_end(small_pages, job.job_id)
    assert (job.status, job.succeeded, job.total_job_items) == (Status.COMPLETED, RECORDS, 2)
    whole(in_org())
    results_are_true(small_pages, job, in_org())


def test_the_page_size_stays_when_the_setting_changes(
    small_pages: Services, submit: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan that was interrupted goes on with the pages that it began with, and a page is read whatever its size."""
    job = submit()
    with monkeypatch.context() as patch:
        patch.setattr("quotejob.jobtypes.quotes.plan.stream_plan", interrupted)
        with pytest.raises(Died):
            run_to_end(small_pages, job.job_id)
    monkeypatch.setenv("QUOTEJOB_PAGE_SIZE", "1")
    current.cache_clear()
    wait_for_lease(small_pages, job, "plan")
    [job] = run_to_end(small_pages, job.job_id)
    assert (job.status, job.succeeded, job.total_job_items) == (Status.COMPLETED, RECORDS, 2)


def interrupted(*_: object, **__: object) -> None:
    raise Died


def test_queries_that_are_too_long_are_cut(
    small_pages: Services, submit: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by graphs: with fewer ids in each, until it fits."""
    job, fits = submit(), OrgClient._check_length

    def strict(org: OrgClient, parameter: str, soql: str) -> None:
        if soql.count("'006") > 1:
            raise OrgRefused("too long", code=URI_TOO_LONG)
        fits(org, parameter, soql)

    monkeypatch.setattr(OrgClient, "_check_length", strict)
    [job] = run_to_end(small_pages, job.job_id)
    assert (job.status, job.succeeded) == (Status.COMPLETED, RECORDS)


def test_a_field_that_the_org_refuses(small_pages: Services, submit: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job fails with a sentence that says what to do, also if one call has several queries."""
    job, select = submit(), reading.select

    def refused(ids: Sequence[str], *args: Any, **kwargs: Any) -> str:
        return select(ids, *args, **kwargs).replace("SELECT Id,", "SELECT Nonsense, Id,", 1)

    monkeypatch.setattr(reading, "select", refused)
    [job] = run_to_end(small_pages, job.job_id)
    assert job.status is Status.FAILED
    assert "correct 'fields' in the pricing rules" in (job.extended_status or "")
