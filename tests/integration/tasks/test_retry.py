"""A retry has exactly the failed records, and no Opportunity gets a second Quote by it, whatever happened before."""

from __future__ import annotations

import tracemalloc
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import requests
from _callers import new_caller
from _runs import caller_of, forget_org, run_to_end

from harness.api import LocalOrg
from harness.org_reader import OrgReader
from harness.stack import Stack
from quotejob.errors import FlexQueueFull, IdempotencyKeyReused, JobConflict, JobNotFound, StoreUnavailable
from quotejob.jobs.job import BuiltIn, Job, Status
from quotejob.jobs.listing import JobFilter
from quotejob.jobs.retry import Retry
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from quotejob.settings import Settings, current
from quotejob.store import keys, rows
from quotejob.store.client import RedisClient
from tasks import flow

RECORDS = 30


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalOrg]:
    """An org of this module's own: its faults must not meet other tests."""
    with Stack(tmp_path_factory.mktemp("retry")) as stack:
        yield stack.start_org(0, "--opportunities", str(RECORDS), "--lines", "2", "--profile", "instant")


@pytest.fixture(scope="module")
def reader(org: LocalOrg) -> OrgReader:
    return OrgReader(org)


@pytest.fixture
def services(
    settings: Settings, client: RedisClient, org: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Services]:
    """Pages of four Opportunities; several jobs run at once."""
    monkeypatch.setenv("QUOTEJOB_ACTIVE_JOBS", "9")
    monkeypatch.setenv("QUOTEJOB_PAGE_SIZE", "4")
    current.cache_clear()
    services = Services(current(), client)
    yield services
    forget_org(services, org)


@pytest.fixture(scope="module")
def ids(reader: OrgReader) -> list[str]:
    """The org's Opportunities."""
    return [row["Id"] for row in reader.query("SELECT Id FROM Opportunity ORDER BY Id")]


@pytest.fixture(autouse=True)
def _no_faults(org: LocalOrg, reader: OrgReader) -> Iterator[None]:
    yield
    requests.post(f"{org.url}/localorg/faults", json={"clear": True}, timeout=10).raise_for_status()


def run(services: Services, org: LocalOrg, ids: list[str]) -> Job:
    """Run a job for these Opportunities."""
    clause = "Id IN ({})".format(", ".join(f"'{each}'" for each in ids))
    job, _ = services.jobs.submit(caller_of(org), BuiltIn.BATCH_QUOTE, soql_where_clause=clause)
    return run_to_end(services, job.job_id)[0]


def retry(services: Services, org: LocalOrg, job_id: str, *codes: str, key: str | None = None) -> Job:
    """Submit a retry."""
    return services.retries.submit(caller_of(org), Retry(services.jobs.get(job_id), frozenset(codes)), key)[0]


def quote_ids(services: Services, job: Job) -> set[str | None]:
    return {result.quote_id for result in services.results.stream(job.job_id)}


def results(services: Services, job_id: str) -> dict[str, Result]:
    return {result.record_id: result for result in services.results.stream(job_id)}


def failed(services: Services, job_id: str) -> set[str]:
    return {result.record_id for result in services.results.stream(job_id, Outcome.FAILED)}


@pytest.fixture
def spoiled(reader: OrgReader, ids: list[str]) -> Iterator[Callable[[int], list[str]]]:
    """``spoiled(3)``: Opportunities whose Quotes cannot be made, until the test calls ``mend``."""
    good = {row["Id"]: row["CloseDate"] for row in reader.query("SELECT Id, CloseDate FROM Opportunity")}

    def spoil(count: int) -> list[str]:
        for record_id in ids[:count]:
            reader.update("Opportunity", record_id, {"CloseDate": "4000-12-31"})
        return ids[:count]

    yield spoil
    for record_id in ids:
        reader.update("Opportunity", record_id, {"CloseDate": good[record_id]})


def mend(reader: OrgReader, ids: list[str]) -> None:
    for record_id in ids:
        reader.update("Opportunity", record_id, {"CloseDate": "2027-01-31"})


class Quotes:
    """How many Quotes each Opportunity got since."""

    def __init__(self, reader: OrgReader) -> None:
        self._reader = reader
        self._before = self._count()

    def _count(self) -> Counter[str]:
        return Counter(row["OpportunityId"] for row in self._reader.query("SELECT OpportunityId FROM Quote"))

    def made(self) -> dict[str, int]:
        return dict(self._count() - self._before)


@pytest.fixture
def quotes(reader: OrgReader) -> Quotes:
    return Quotes(reader)


# -- what it does ------------------------------------------------------------------------------------------------------


def test_a_retry_has_exactly_the_failed_records(
    services: Services, org: LocalOrg, reader: OrgReader, ids: list[str], spoiled: Callable[[int], list[str]],
    quotes: Quotes,
) -> None:  # fmt: skip
    """What failed again is failed; what is mended has its Quote; the others are not touched."""
    bad = spoiled(6)
    first = run(services, org, ids)
    assert (first.status, first.failed) == (Status.COMPLETED, 6)
    mend(reader, bad[:4])
    second = retry(services, org, first.job_id)
    assert (second.retry_of, second.job_type, second.status) == (first.job_id, "BatchQuote", Status.HOLDING)
    done = run_to_end(services, second.job_id)[0]
    assert (done.status, done.total, done.succeeded, done.failed) == (Status.COMPLETED, 6, 4, 2)
    assert set(results(services, done.job_id)) == set(bad)
    mend(reader, bad)
    third = run_to_end(services, retry(services, org, done.job_id).job_id)[0]
    assert (third.retry_of, third.total, third.succeeded) == (done.job_id, 2, 2)
    assert quotes.made() == dict.fromkeys(ids, 1)
    with pytest.raises(JobConflict, match="No record of this job failed"):
        retry(services, org, third.job_id)


def test_only_some_codes(services: Services, org: LocalOrg, ids: list[str]) -> None:
    """409 for codes with which nothing failed; it names those that there are."""
    first = job_with(services, org, {ids[0]: "A_CODE", ids[1]: "B_CODE", ids[2]: "A_CODE", ids[3]: None})
    chosen = retry(services, org, first.job_id, "A_CODE", "NO_CODE")
    assert sorted(services.progress.chosen(chosen.job_id)) == sorted([ids[0], ids[2]])
    with pytest.raises(JobConflict, match=r"failed with C_CODE; its codes are A_CODE, B_CODE$"):
        retry(services, org, first.job_id, "C_CODE")


def test_it_prices_what_is_there_now(services: Services, org: LocalOrg, reader: OrgReader) -> None:
    """A record that was deleted meanwhile is skipped."""
    gone = reader.create("Opportunity", {"Name": "x", "StageName": "Prospecting", "CloseDate": "2027-02-27"})
    first = job_with(services, org, {gone: "A_CODE"})
    done = run_to_end(services, retry(services, org, first.job_id).job_id)[0]
    assert (done.total, done.skipped, done.quotes_created) == (1, 1, 0)


# -- no second Quote ---------------------------------------------------------------------------------------------------


def job_with(services: Services, org: LocalOrg | CallerContext, codes: dict[str, str | None]) -> Job:
    """A Completed job, one page, whose records failed with these codes. None: it succeeded."""
    caller = caller_of(org) if isinstance(org, LocalOrg) else org
    job, _ = services.jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause="a")
    services.jobs.promote(caller.org_id)
    services.jobs.move(job.job_id, Status.PREPARING)
    services.progress.store_plan(job.job_id, [list(codes)], 1, lambda: 0)
    services.jobs.move(job.job_id, Status.PROCESSING)
    found = tuple(
        Result(each, Outcome.SUCCEEDED, "0Q0x") if code is None else Result(each, Outcome.FAILED, code=code)
        for each, code in codes.items()
    )
    services.progress.record_page(job.job_id, 0, Receipt("0", found))
    services.jobs.move(job.job_id, Status.COMPLETED)
    return services.jobs.get(job.job_id)


def write_quote(reader: OrgReader, job_id: str, record_id: str, **more: str) -> str:
    """A Quote with the key that the job gives it, without lines."""
    key = f"{job_id}:{record_id}"
    return reader.create("Quote", {"Name": "Quote", "OpportunityId": record_id, "QuoteJobKey__c": key, **more})


def test_a_quote_whose_answer_was_lost_is_found(
    services: Services, org: LocalOrg, reader: OrgReader, ids: list[str], quotes: Quotes
) -> None:
    """The record failed, for example WORKER_LOST, but its Quote is there: the retry gives it, also one of a retry."""
    first = job_with(services, org, dict.fromkeys(ids[:6], "WORKER_LOST"))
    there = {each: write_quote(reader, first.job_id, each) for each in ids[:4]}
    chain = first
    for _ in range(3):
        chain = run_to_end(services, retry(services, org, chain.job_id).job_id)[0]
        assert (chain.status, chain.succeeded, chain.failed) == (Status.COMPLETED, 6, 0)
        found = results(services, chain.job_id)
        assert {each: found[each].quote_id for each in there} == there
        # as if all of them had failed once more, after they were written
        fake = tuple(Result(each, Outcome.FAILED, code="WORKER_LOST") for each in ids[:6])
        services.client.delete(keys.job(chain.job_id, "results"))
        services.client.hset(keys.job(chain.job_id), "failed", 6)
        services.client.hset(keys.job(chain.job_id, "results"), "0", _squeezed(fake))
    assert quotes.made() == dict.fromkeys(ids[:6], 1)


def _squeezed(found: tuple[Result, ...]) -> bytes:
    return rows.squeeze([[each.record_id, each.outcome, None, each.code] for each in found])


@pytest.mark.parametrize("kind", ["fail_after_write", "reset_after_write"])
def test_an_answer_that_is_lost_in_the_retry(
    services: Services, org: LocalOrg, ids: list[str], quotes: Quotes, kind: str
) -> None:
    """The retry itself writes each Quote once."""
    first = job_with(services, org, dict.fromkeys(ids, "UNABLE_TO_LOCK_ROW"))
    fault = {"match": {"resource": "composite/graph"}, "kind": kind, "count": 1}
    requests.post(f"{org.url}/localorg/faults", json=fault, timeout=10).raise_for_status()
    done = run_to_end(services, retry(services, org, first.job_id).job_id)[0]
    assert (done.status, done.succeeded) == (Status.COMPLETED, RECORDS)
    assert quotes.made() == dict.fromkeys(ids, 1)


def test_retries_one_after_the_other(services: Services, org: LocalOrg, ids: list[str], quotes: Quotes) -> None:
    """The second one of the same job finds the Quotes of the first one, and costs the org little."""
    first = job_with(services, org, dict.fromkeys(ids, "A_CODE"))
    one = run_to_end(services, retry(services, org, first.job_id).job_id)[0]
    two = run_to_end(services, retry(services, org, first.job_id).job_id)[0]
    assert one.succeeded == two.succeeded == RECORDS
    assert results(services, one.job_id).keys() == results(services, two.job_id).keys()
    assert quote_ids(services, one) == quote_ids(services, two)
    assert quotes.made() == dict.fromkeys(ids, 1)
    assert two.api_calls <= one.api_calls


def test_retries_at_once(services: Services, org: LocalOrg, ids: list[str], quotes: Quotes) -> None:
    """All have priced before one writes: the org takes one Quote for each Opportunity."""
    first = job_with(services, org, dict.fromkeys(ids, "A_CODE"))
    second = job_with(services, org, dict.fromkeys(ids, "A_CODE"))
    several = [retry(services, org, job.job_id).job_id for job in (first, first, second)]
    one, two, other = run_to_end(services, *several)
    assert [job.succeeded for job in (one, two, other)] == [RECORDS] * 3
    mine, twin, others = (quote_ids(services, job) for job in (one, two, other))
    assert mine == twin
    assert not mine & others  # another job's retry writes Quotes of its own, as another job does
    assert quotes.made() == dict.fromkeys(ids, 2)


def test_a_large_quote_that_is_there_in_part_is_completed(
    services: Services, org: LocalOrg, reader: OrgReader, ids: list[str], quotes: Quotes
) -> None:
    """It is not taken for a whole one because its Quote has the key."""
    like = next(reader.query("SELECT PricebookEntryId, Opportunity.Pricebook2Id FROM OpportunityLineItem LIMIT 1"))
    about = {"Name": "x", "StageName": "Prospecting", "CloseDate": "2027-02-27"}
    big = reader.create("Opportunity", {**about, "Pricebook2Id": like["Opportunity"]["Pricebook2Id"]})
    line = {"OpportunityId": big, "PricebookEntryId": like["PricebookEntryId"], "Quantity": 1, "UnitPrice": 5}
    for part in range(2):
        reader.graph([reader.node(f"l{part}x{place}", "OpportunityLineItem", line) for place in range(300)])
    first = job_with(services, org, {big: "WORKER_LOST"})
    quote = write_quote(reader, first.job_id, big, Pricebook2Id=like["Opportunity"]["Pricebook2Id"])
    done = run_to_end(services, retry(services, org, first.job_id).job_id)[0]
    assert (done.succeeded, results(services, done.job_id)[big].quote_id) == (1, quote)
    assert reader.count(f"SELECT COUNT() FROM QuoteLineItem WHERE QuoteId = '{quote}'") == 600
    assert quotes.made() == {big: 1}


def test_a_resume_after_a_retry(services: Services, org: LocalOrg, ids: list[str], quotes: Quotes) -> None:
    """A retry of an Aborted job has what had failed by then; the resumed job does the rest. Each has one Quote."""
    clause = "Id IN ({})".format(", ".join(f"'{each}'" for each in ids[:8]))
    first, _ = services.jobs.submit(caller_of(org), BuiltIn.BATCH_QUOTE, soql_where_clause=clause)
    flow.dispatch(org_id=org.org_id)
    flow.plan(job_id=first.job_id)
    lost = services.progress.page(first.job_id, 0)
    found = tuple(Result(each, Outcome.FAILED, code="WORKER_LOST") for each in lost)
    services.progress.record_page(first.job_id, 0, Receipt("0", found))
    services.jobs.abort(first.job_id)
    second = retry(services, org, first.job_id)
    services.jobs.resume(first.job_id, caller_of(org))
    retried, resumed = run_to_end(services, second.job_id, first.job_id)
    assert (retried.status, retried.total, retried.succeeded) == (Status.COMPLETED, 4, 4)
    assert (resumed.status, resumed.succeeded, resumed.failed) == (Status.COMPLETED, 4, 4)
    assert failed(services, first.job_id) == set(lost)
    assert quotes.made() == dict.fromkeys(ids[:8], 1)


# -- when ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.HOLDING, Status.QUEUED, Status.PREPARING, Status.PROCESSING])
def test_a_job_that_has_not_ended_is_not_retried(services: Services, status: Status) -> None:
    """409, as long as it goes on."""
    caller = new_caller()
    job, _ = services.jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause="a")
    services.client.hset(keys.job(job.job_id), mapping={"status": status, "failed": 3})
    with pytest.raises(JobConflict, match=f"this one is {status}"):
        services.retries.submit(caller, Retry(services.jobs.get(job.job_id)))


@pytest.mark.parametrize("job_type", [BuiltIn.SAMPLE_DATA_CREATE, BuiltIn.SAMPLE_DATA_DELETE])
def test_sample_data_is_not_retried(services: Services, job_type: BuiltIn) -> None:
    """The failed records of sample data are numbers, or gone."""
    job, _ = services.jobs.submit(new_caller(), job_type, number_of_opportunities=3)
    with pytest.raises(JobConflict, match=f"{job_type} jobs cannot be retried; submit a new one"):
        Retry(job)


def test_the_first_job_may_be_forgotten_before_the_retry_runs(
    services: Services, org: LocalOrg, ids: list[str], quotes: Quotes
) -> None:
    """Its results are gone; the retry has its records, and its keys."""
    first = job_with(services, org, dict.fromkeys(ids[:5], "A_CODE"))
    second = retry(services, org, first.job_id)
    for key in services.client.scan_iter(f"{keys.job(first.job_id)}*"):
        services.client.delete(key)
    done = run_to_end(services, second.job_id)[0]
    assert (done.status, done.total, done.succeeded) == (Status.COMPLETED, 5, 5)
    assert quotes.made() == dict.fromkeys(ids[:5], 1)
    with pytest.raises(JobNotFound, match="kept for 7 days"):
        retry(services, org, first.job_id)


def test_results_that_are_gone_are_said(services: Services, org: LocalOrg, ids: list[str]) -> None:
    """Not taken for no failures."""
    first = job_with(services, org, {ids[0]: "A_CODE"})
    services.client.delete(keys.job(first.job_id, "results"))
    with pytest.raises(JobConflict, match="no longer kept"):
        retry(services, org, first.job_id)


def test_a_list_of_records_that_is_gone_fails_the_job(services: Services, org: LocalOrg, ids: list[str]) -> None:
    """It is not Completed with nothing done."""
    second = retry(services, org, job_with(services, org, {ids[0]: "A_CODE"}).job_id)
    services.client.delete(keys.job(second.job_id, "chosen"))
    done = run_to_end(services, second.job_id)[0]
    assert done.status is Status.FAILED
    assert "no longer kept" in (done.extended_status or "")


def test_what_was_chosen_goes_with_the_job(services: Services, org: LocalOrg, ids: list[str]) -> None:
    """At once when the job is Completed or not accepted, with the job when it is Aborted; before that it has an end."""
    first = job_with(services, org, {ids[0]: "A_CODE"})

    def kept() -> set[bytes]:
        return set(services.client.scan_iter("quotejob:job:*:chosen"))

    before = kept()
    stopped = retry(services, org, first.job_id).job_id
    assert services.client.ttl(keys.job(stopped, "chosen")) > 29 * 24 * 3600
    services.jobs.abort(stopped)
    assert 0 < services.client.ttl(keys.job(stopped, "chosen")) <= 7 * 24 * 3600
    services.jobs.resume(stopped, caller_of(org))
    assert run_to_end(services, stopped)[0].status is Status.COMPLETED
    with pytest.raises(JobConflict):
        retry(services, org, first.job_id, "NO_CODE")
    full = Services(replace(services.settings, active_jobs=1, holding_jobs=0), services.client)
    waiting = services.jobs.submit(caller_of(org), BuiltIn.BATCH_QUOTE, soql_where_clause="a")[0].job_id
    with pytest.raises(FlexQueueFull):
        retry(full, org, first.job_id)
    services.jobs.abort(waiting)
    assert kept() == before


def test_a_retry_whose_answer_was_lost_keeps_its_records(
    services: Services, org: LocalOrg, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis went away right after the job was accepted: it runs, and the same key gives it."""
    first, key = job_with(services, org, {ids[0]: "A_CODE"}), str(uuid.uuid4())

    def away(job_id: str, *_: object) -> Job:
        raise StoreUnavailable(f"No answer about {job_id}")

    with monkeypatch.context() as patch:
        patch.setattr(services.jobs, "of_row", away)
        with pytest.raises(StoreUnavailable):
            services.retries.submit(caller_of(org), Retry(first), key)
    done = run_to_end(services, retry(services, org, first.job_id, key=key).job_id)[0]
    assert (done.status, done.total) == (Status.COMPLETED, 1)


def test_one_key_is_one_retry(services: Services, org: LocalOrg, ids: list[str]) -> None:
    """The same job and codes: the same retry, also when the first job was resumed; others are refused."""
    first = job_with(services, org, {ids[0]: "A_CODE", ids[1]: "B_CODE"})
    key = str(uuid.uuid4())
    made = retry(services, org, first.job_id, "A_CODE", "B_CODE", key=key)
    assert retry(services, org, first.job_id, "B_CODE", "A_CODE", key=key).job_id == made.job_id
    for codes in ((), ("A_CODE",)):
        with pytest.raises(IdempotencyKeyReused, match=made.job_id):
            retry(services, org, first.job_id, *codes, key=key)
    other = job_with(services, org, {ids[0]: "A_CODE", ids[1]: "B_CODE"})
    with pytest.raises(IdempotencyKeyReused):
        retry(services, org, other.job_id, "A_CODE", "B_CODE", key=key)
    with pytest.raises(IdempotencyKeyReused):
        services.jobs.submit(caller_of(org), BuiltIn.BATCH_QUOTE, soql_where_clause="a", idempotency_key=key)
    services.client.hset(keys.job(first.job_id), mapping={"status": "Processing"})
    assert retry(services, org, first.job_id, "A_CODE", "B_CODE", key=key).job_id == made.job_id


def test_many_failed_records_are_a_stream(services: Services) -> None:
    """100,000: seconds to submit and to plan, and little memory."""
    caller = new_caller()
    first, _ = services.jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause="a")
    services.client.hset(keys.job(first.job_id), mapping={"status": "Completed", "failed": 100_000})
    for page in range(500):
        found = tuple(
            Result(f"006{page * 200 + number:012}AAA", Outcome.FAILED, code="A_CODE", message="why " * 30)
            for number in range(200)
        )
        services.client.hset(keys.job(first.job_id, "results"), str(page), _squeezed(found))
    tracemalloc.start()
    second, _ = services.retries.submit(caller, Retry(services.jobs.get(first.job_id)))
    count = sum(1 for _ in services.progress.chosen(second.job_id))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 100_000
    assert peak < 4_000_000


# -- found again -------------------------------------------------------------------------------------------------------


def test_jobs_with_errors_are_found(services: Services, org: LocalOrg, ids: list[str]) -> None:
    """Those with a failed record, or those without."""
    bad, good = job_with(services, org, {ids[0]: "A_CODE"}), job_with(services, org, {ids[0]: None})

    def found(wanted: bool) -> set[str]:
        jobs, _ = services.search.recent(org.org_id, JobFilter(has_errors=wanted), limit=200)
        return {job.job_id for job in jobs}

    assert (bad.job_id in found(True), good.job_id in found(True)) == (True, False)
    assert (bad.job_id in found(False), good.job_id in found(False)) == (False, True)
    assert all(job.failed for job in services.search.scan(org.org_id, JobFilter(has_errors=True), ("failed",)))
