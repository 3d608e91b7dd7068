"""A Quote that needs several requests is whole or gone at every end of its job, whatever died when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
import requests
from _runs import forget_org, run_to_end, wait_for_lease

from harness.api import LocalOrg
from harness.stack import Stack
from quotejob.errors import JobStopped, LeaseLost
from quotejob.jobs.job import Job, Status
from quotejob.jobtypes.quotes import commit
from quotejob.run import incomplete, leases
from quotejob.run.context import Run
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.salesforce import API_VERSION, Graph, GraphOutcome, Node, OrgAddress, OrgClient, applink
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from quotejob.settings import Settings, current
from quotejob.store import keys
from quotejob.store.client import RedisClient
from tasks import clean_up, sweep

LINES = 700  # of 499 that one request holds beside their Quote
WHERE = "Name = 'Large'"


class Died(BaseException):
    """Nothing in a step handles it, so it ends the step as SIGKILL does: no lease is given back, no receipt stored."""


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalOrg]:
    """An org with one Opportunity of 700 lines."""
    with Stack(tmp_path_factory.mktemp("clean-up")) as stack:
        local = stack.start_org(0, "--opportunities", "1", "--lines", "1")
        org = client_of(local)
        [like] = org.query("SELECT Pricebook2Id, (SELECT PricebookEntryId FROM OpportunityLineItems) FROM Opportunity")
        body = {"Name": "Large", "StageName": "Prospecting", "CloseDate": "2027-01-01"}
        made = create(org, "Opportunity", [body | {"Pricebook2Id": like["Pricebook2Id"]}])
        entry = like["OpportunityLineItems"][0]["PricebookEntryId"]
        line = {"OpportunityId": made[0], "PricebookEntryId": entry, "Quantity": 1, "UnitPrice": 9}
        for count in (400, 300):
            create(org, "OpportunityLineItem", [line] * count)
        yield local


@pytest.fixture(autouse=True)
def _restored(local: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leases of dead steps end soon; every test begins with an org without faults and without Quotes."""
    monkeypatch.setattr(leases, "LEASE_LENGTH", 0.2)
    monkeypatch.setattr(incomplete, "FIRST_PAUSE", 0.2)
    yield
    requests.post(f"{local.url}/localorg/faults", json={"clear": True}, timeout=10).raise_for_status()
    org = client_of(local)
    for row in list(org.query("SELECT Id FROM Quote")):
        org.delete("Quote", row["Id"])


@pytest.fixture
def services(settings: Settings, client: RedisClient, local: LocalOrg) -> Iterator[Services]:
    client.delete(keys.CLEAN_UPS)
    yield (services := Services(settings, client))
    forget_org(services, local)
    client.delete(keys.CLEAN_UPS)


@pytest.fixture
def caller(local: LocalOrg) -> CallerContext:
    return CallerContext(
        request_id="r", org_id=local.org_id, org_domain_url=local.url, api_version=API_VERSION, namespace="",
        access_token=local.token, user_id=local.user_id, username="u@x.org",
    )  # fmt: skip


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job ended so long ago that no request of it can still be on its way."""
    monkeypatch.setattr(commit, "LATE_REQUESTS", -10_000)


def client_of(local: LocalOrg) -> OrgClient:
    return OrgClient(OrgAddress(local.url, local.token, API_VERSION, local.org_id))


def create(org: OrgClient, object_name: str, bodies: list[dict[str, Any]]) -> list[str]:
    nodes = [Node(f"r{place}", "POST", object_name, body) for place, body in enumerate(bodies)]
    return list(org.send_graphs([Graph("g", nodes)])["g"].ids.values())


def lines_in_org(local: LocalOrg) -> list[int]:
    """How many lines each Quote of the org has."""
    quotes = client_of(local).query("SELECT Id, (SELECT Id FROM QuoteLineItems) FROM Quote")
    return [len(quote["QuoteLineItems"]) for quote in quotes]


@pytest.fixture
def begun(services: Services, caller: CallerContext, monkeypatch: pytest.MonkeyPatch, local: LocalOrg) -> Job:
    """A job whose worker died between the two requests of its Quote."""
    job, _ = services.jobs.submit(caller, "BatchQuote", soql_where_clause=WHERE)
    with monkeypatch.context() as patch:
        die_at(patch, 2)
        with pytest.raises(Died):
            run_to_end(services, job.job_id)
    assert lines_in_org(local) == [499]
    return services.jobs.get(job.job_id)


def die_at(patch: pytest.MonkeyPatch, request: int, *, after: bool = False) -> None:
    """Die before (or after) the graph request with this number."""
    send, sent = OrgClient.send_graphs, []

    def sending(org: OrgClient, graphs: Iterable[Graph]) -> dict[str, GraphOutcome]:
        sent.append(graphs)
        if len(sent) == request and not after:
            raise Died
        outcomes = send(org, graphs)
        if len(sent) == request:
            raise Died
        return outcomes

    patch.setattr(OrgClient, "send_graphs", sending)


def swept(services: Services, job_id: str, settings: Settings) -> bool:
    """Whether the sweep sends the clean-up of this job."""
    sweep.sweep()
    with redis.Redis.from_url(settings.redis_url) as broker:
        return any(job_id.encode() in message and b"clean_up" in message for message in broker.lrange("pages", 0, -1))


def expire(local: LocalOrg) -> None:
    """The session ends at the next request that writes."""
    spec = {"match": {"resource": "composite/graph"}, "kind": "expire_session"}
    requests.post(f"{local.url}/localorg/faults", json=spec, timeout=10).raise_for_status()


def another_session(caller: CallerContext, local: LocalOrg) -> CallerContext:
    applinked = replace(
        current(), applink_api_url=f"{local.url}/localorg/applink", applink_token="local", local_org=True
    )
    return replace(caller, access_token=applink.session("local", local.org_id, applinked).access_token)


@pytest.mark.usefixtures("late")
def test_killed_between_two_requests_then_aborted(
    services: Services, begun: Job, local: LocalOrg, settings: Settings
) -> None:
    """The Quote is removed, and the job does not look as if anything was left."""
    reason = services.jobs.abort(begun.job_id).extended_status
    assert swept(services, begun.job_id, settings)
    [named], _ = services.results.page(begun.job_id)
    assert (named.outcome, named.code, named.quote_id is not None) == (Outcome.FAILED, "QUOTE_INCOMPLETE", True)
    wait_for_lease(services, begun, after_end=True)
    clean_up.clean_up(begun.job_id)
    assert lines_in_org(local) == []
    assert services.results.page(begun.job_id) == ([], None)
    assert services.jobs.get(begun.job_id).extended_status == reason
    assert services.progress.incomplete.due() == []
    assert not services.client.exists(keys.job(begun.job_id, "context"), keys.job(begun.job_id, "leases"))


def test_a_step_that_still_writes_is_waited_for(services: Services, begun: Job, local: LocalOrg) -> None:
    lease = services.leases.claim(begun.job_id, "batch 0 1", begun.org_id)
    services.progress.incomplete.note(begun, "0.1", "006000000000001AAA")
    services.jobs.abort(begun.job_id)
    with pytest.raises(LeaseLost):
        services.leases.claim(begun.job_id, "batch 0 1", begun.org_id, after_end=True)
    lease.release()
    services.leases.claim(begun.job_id, "batch 0 1", begun.org_id, after_end=True)


def test_a_request_that_arrives_late(
    services: Services, begun: Job, local: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The org writes what a dead worker sent only after the first removal: it is looked for once more."""
    services.jobs.abort(begun.job_id)
    wait_for_lease(services, begun, after_end=True)
    clean_up.clean_up(begun.job_id)
    assert lines_in_org(local) == []
    assert services.results.page(begun.job_id) == ([], None)
    key = f"{begun.job_id}:{services.progress.incomplete.of_job(begun)[0].opportunity_id}"
    opportunity = key.partition(":")[2]
    create(client_of(local), "Quote", [{"Name": "late", "OpportunityId": opportunity, "QuoteJobKey__c": key}])
    monkeypatch.setattr(commit, "LATE_REQUESTS", -10_000)
    clean_up.clean_up(begun.job_id)
    assert lines_in_org(local) == []
    assert services.progress.incomplete.of_job(begun) == []


@pytest.fixture
def sessionless(services: Services, local: LocalOrg, begun: Job) -> Job:
    """The job, Failed: its session has ended between the two requests, and the clean-up has none either."""
    expire(local)
    wait_for_lease(services, begun)
    run_to_end(services, begun.job_id)
    clean_up.clean_up(begun.job_id)
    return services.jobs.get(begun.job_id)


@pytest.mark.usefixtures("late")
def test_a_session_that_ends_between_two_requests_then_a_resume(
    services: Services, caller: CallerContext, local: LocalOrg, sessionless: Job
) -> None:
    """No session is left: results and extendedStatus name the Quote. The resumed job completes it."""
    [quote_id] = [
        row["Id"] for row in OrgClient(OrgAddress.of(another_session(caller, local))).query("SELECT Id FROM Quote")
    ]
    assert sessionless.status is Status.FAILED
    assert f"Quote {quote_id}" in (sessionless.extended_status or "")
    assert (sessionless.extended_status or "").startswith("INVALID_SESSION_ID")
    clean_up.clean_up(sessionless.job_id)  # says it once
    assert services.jobs.get(sessionless.job_id).extended_status == sessionless.extended_status
    [named], _ = services.results.page(sessionless.job_id)
    assert (named.outcome, named.code, named.quote_id) == (Outcome.FAILED, "QUOTE_INCOMPLETE", quote_id)
    services.jobs.resume(sessionless.job_id, another_session(caller, local))
    run_to_end(services, sessionless.job_id)
    assert services.results.page(sessionless.job_id)[0] == [
        Result(named.record_id, Outcome.SUCCEEDED, quote_id=quote_id),
    ]
    requests.post(f"{local.url}/localorg/faults", json={"clear": True}, timeout=10).raise_for_status()
    assert lines_in_org(local) == [LINES]


@pytest.mark.usefixtures("late")
def test_the_next_session_of_the_org_finishes_it(
    services: Services, caller: CallerContext, local: LocalOrg, sessionless: Job
) -> None:
    assert "Incomplete" in (sessionless.extended_status or "")
    other, _ = services.jobs.submit(another_session(caller, local), "BatchQuote", soql_where_clause="Name = 'nobody'")
    run_to_end(services, other.job_id)
    assert services.jobs.get(other.job_id).status is Status.COMPLETED
    assert "Incomplete" not in (services.jobs.get(sessionless.job_id).extended_status or "")
    assert services.results.page(sessionless.job_id) == ([], None)
    requests.post(f"{local.url}/localorg/faults", json={"clear": True}, timeout=10).raise_for_status()
    assert lines_in_org(local) == []


@pytest.mark.usefixtures("late")
def test_the_next_job_lends_its_session(
    services: Services, caller: CallerContext, local: LocalOrg, sessionless: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the next job runs a step may still write. Later a clean-up removes the Quote with that job's session."""
    other, _ = services.jobs.submit(another_session(caller, local), "BatchQuote", soql_where_clause="Name = 'nobody'")
    monkeypatch.setattr(leases, "LEASE_LENGTH", 60.0)
    lease = services.leases.claim(sessionless.job_id, "batch 0 0", sessionless.org_id, after_end=True)
    with lease.kept():
        run_to_end(services, other.job_id)
    lease.release()
    assert services.progress.incomplete.left_over(sessionless.job_id) != []
    clean_up.clean_up(sessionless.job_id)
    assert services.progress.incomplete.left_over(sessionless.job_id) == []
    assert services.client.exists(keys.job(sessionless.job_id, "lent")) == 0
    requests.post(f"{local.url}/localorg/faults", json={"clear": True}, timeout=10).raise_for_status()
    assert lines_in_org(local) == []


@pytest.mark.usefixtures("late")
def test_killed_before_the_id_is_known(
    services: Services, caller: CallerContext, local: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the first request is lost with its worker: the Quote is found by its key."""
    job, _ = services.jobs.submit(caller, "BatchQuote", soql_where_clause=WHERE)
    with monkeypatch.context() as patch:
        die_at(patch, 1, after=True)
        with pytest.raises(Died):
            run_to_end(services, job.job_id)
    services.jobs.abort(job.job_id)
    [named], _ = services.results.page(job.job_id)
    assert job.job_id in (named.message or "")
    wait_for_lease(services, job, after_end=True)
    clean_up.clean_up(job.job_id)
    assert lines_in_org(local) == []


def test_a_slow_step_cannot_call_a_removed_quote_written(services: Services, begun: Job, local: LocalOrg) -> None:
    """It slept while the job ended and the Quote was removed; its receipt is not taken, also after a resume."""
    [noted] = services.progress.incomplete.of_job(begun)
    result = Result(noted.opportunity_id, Outcome.SUCCEEDED, noted.quote_id)
    receipt = Receipt("0.0", (result,), pages={0: (1, 0)})
    services.jobs.abort(begun.job_id)
    wait_for_lease(services, begun, after_end=True)
    clean_up.clean_up(begun.job_id)
    assert not services.progress.record_batch(
        begun.job_id, 0, receipt, incomplete=(begun.key_id, noted.opportunity_id, noted.quote_id)
    )
    assert services.jobs.get(begun.job_id).succeeded == 0


def test_a_slow_step_that_begins_a_quote_after_the_end(services: Services, begun: Job, local: LocalOrg) -> None:
    """The end owed nothing any more. The Quote that the step has then written is owed again."""
    services.jobs.abort(begun.job_id)
    [noted] = services.progress.incomplete.of_job(begun)
    assert services.progress.incomplete.removed(services.jobs.get(begun.job_id), noted)
    with pytest.raises(JobStopped):
        services.progress.incomplete.note(begun, "0.0", noted.opportunity_id)
    assert services.progress.incomplete.due() == []
    with pytest.raises(JobStopped):
        services.progress.incomplete.note(begun, "0.0", noted.opportunity_id, noted.quote_id)
    assert services.progress.incomplete.due() == [begun.job_id]


def test_two_writers_of_a_quote_that_is_reported(services: Services, begun: Job) -> None:
    """The slower one notes nothing more, so that no end of the job removes what its results call written."""
    [noted] = services.progress.incomplete.of_job(begun)
    result = Result(noted.opportunity_id, Outcome.SUCCEEDED, noted.quote_id)
    assert services.progress.record_batch(
        begun.job_id,
        0,
        Receipt("0.0", (result,), pages={0: (1, 0)}),
        incomplete=(begun.key_id, noted.opportunity_id, noted.quote_id),
    )
    with pytest.raises(LeaseLost):
        services.progress.incomplete.note(begun, "0.0", noted.opportunity_id, noted.quote_id)
    services.jobs.abort(begun.job_id)
    assert services.progress.incomplete.due() == []
    assert services.results.page(begun.job_id)[0] == [result]


def test_a_slow_step_that_goes_on_after_the_job_is_completed(services: Services, begun: Job, local: LocalOrg) -> None:
    """Another step has written the Quote. The slow one cannot make the job owe its removal."""
    [noted] = services.progress.incomplete.of_job(begun)
    wait_for_lease(services, begun)
    assert run_to_end(services, begun.job_id)[0].status is Status.COMPLETED
    with pytest.raises(LeaseLost):
        services.progress.incomplete.note(begun, noted.unit, noted.opportunity_id, noted.quote_id)
    assert services.progress.incomplete.due() == []
    assert lines_in_org(local) == [LINES]


def test_a_batch_that_is_given_up(services: Services, begun: Job, local: LocalOrg) -> None:
    """What the org has is no success while lines are missing."""
    wait_for_lease(services, begun)
    lease = services.leases.claim(begun.job_id, "batch 0 0", begun.org_id)
    run = Run(begun, services.jobs, services.progress, services.leases, services.settings, lease)
    commit.give_up_batch(run, 0, 0)
    [result], _ = services.results.page(begun.job_id)
    assert (result.outcome, result.code) == (Outcome.FAILED, "WORKER_LOST")
    assert lines_in_org(local) == []
    lease.release()
    assert [quote.removed for quote in services.progress.incomplete.of_job(begun)] == [True]


@pytest.mark.usefixtures("late")
def test_a_request_that_arrives_after_its_quote_was_refused(services: Services, begun: Job, local: LocalOrg) -> None:
    """The Quote has failed and was removed. A request whose answer was lost writes a part of it again."""
    wait_for_lease(services, begun)
    lease = services.leases.claim(begun.job_id, "batch 0 0", begun.org_id)
    run = Run(begun, services.jobs, services.progress, services.leases, services.settings, lease)
    commit.give_up_batch(run, 0, 0)
    lease.release()
    run_to_end(services, begun.job_id)
    [noted] = services.progress.incomplete.of_job(begun)
    late = {"Name": "late", "OpportunityId": noted.opportunity_id, "QuoteJobKey__c": noted.key}
    create(client_of(local), "Quote", [late])
    [result] = services.results.page(begun.job_id)[0]
    assert (result.outcome, services.progress.incomplete.due()) == (Outcome.FAILED, [begun.job_id])
    clean_up.clean_up(begun.job_id)
    assert lines_in_org(local) == []
    assert services.progress.incomplete.of_job(begun) == []


def test_a_chain_of_retries_has_one_writer_of_a_quote(
    services: Services, begun: Job, caller: CallerContext, client: RedisClient
) -> None:
    """Its jobs write with the same keys: the end of one must not remove what another one completes."""
    [noted] = services.progress.incomplete.of_job(begun)
    submitted, _ = services.jobs.submit(caller, "BatchQuote", soql_where_clause=WHERE)
    client.hset(keys.job(submitted.job_id), "firstJobId", begun.job_id)
    other = services.jobs.get(submitted.job_id)
    with pytest.raises(LeaseLost):
        services.progress.incomplete.note(other, "0.7", noted.opportunity_id)
    services.jobs.abort(begun.job_id)
    wait_for_lease(services, begun, after_end=True)
    cleaner = services.leases.claim(begun.job_id, "batch 0 0", begun.org_id, after_end=True)
    with pytest.raises(LeaseLost):
        services.progress.incomplete.note(other, "0.7", noted.opportunity_id)
    cleaner.release()
    services.progress.incomplete.note(other, "0.7", noted.opportunity_id)
    assert [quote.quote_id for quote in services.progress.incomplete.of_job(other)] == [noted.quote_id]
    clean_up.clean_up(begun.job_id)
    assert not services.progress.incomplete.removed(other)  # it is alive
    assert services.progress.incomplete.of_job(other) != []
    assert services.progress.incomplete.jobs_of_org(begun.org_id) == []
    services.jobs.abort(other.job_id)
    assert services.progress.incomplete.due() == [other.job_id]


@pytest.mark.usefixtures("late")
def test_a_receipt_that_comes_before_the_removal(
    services: Services, begun: Job, local: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clean-up has read what it owes; then a step that was at work reports the Quote as written. It stays."""
    notes = services.progress.incomplete.of_job(begun)
    services.jobs.abort(begun.job_id)
    wait_for_lease(services, begun, after_end=True)
    result = Result(notes[0].opportunity_id, Outcome.SUCCEEDED, notes[0].quote_id)
    receipt = Receipt("0.0", (result,), pages={0: (1, 0)})
    assert services.progress.record_batch(
        begun.job_id, 0, receipt, incomplete=(begun.key_id, notes[0].opportunity_id, notes[0].quote_id)
    )
    monkeypatch.setattr(incomplete.IncompleteQuotes, "of_job", lambda *_: notes)
    clean_up.clean_up(begun.job_id)
    assert lines_in_org(local) == [499]
    assert services.results.page(begun.job_id)[0] == [result]


def test_a_receipt_that_comes_during_the_removal(services: Services, begun: Job) -> None:
    """It is not stored: the Quote may be gone already. Until it is, results name the Quote."""
    [noted] = services.progress.incomplete.of_job(begun)
    services.jobs.abort(begun.job_id)
    assert services.progress.incomplete.removing(services.jobs.get(begun.job_id), noted)
    result = Result(noted.opportunity_id, Outcome.SUCCEEDED, noted.quote_id)
    receipt = Receipt("0.0", (result,), pages={0: (1, 0)})
    assert not services.progress.record_batch(
        begun.job_id, 0, receipt, incomplete=(begun.key_id, noted.opportunity_id, noted.quote_id)
    )
    assert services.progress.incomplete.left_over(begun.job_id) == [noted]
