"""The budget: what is kept of an org's calls stays, jobs share the rest, and go on when calls return."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
import requests
from _runs import caller_of, forget_org, run_to_end

from harness.api import LocalOrg
from harness.org_reader import OrgReader
from quotejob.errors import CallsKept
from quotejob.jobs.job import Status
from quotejob.jobs.options import Options
from quotejob.run import budget
from quotejob.run.budget import Budget
from quotejob.run.context import Run, begin
from quotejob.run.gate import Gate
from quotejob.services import Services
from quotejob.settings import Kept, current
from quotejob.store import keys, scripts
from quotejob.store.client import RedisClient
from tasks import flow

Used = Callable[..., None]


@pytest.fixture
def services(
    settings: None, client: RedisClient, local_org: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Services]:
    """Ten jobs of an org may be active."""
    monkeypatch.setenv("QUOTEJOB_LOCAL_ORG", "1")
    monkeypatch.setenv("QUOTEJOB_ACTIVE_JOBS", "10")
    monkeypatch.setattr(Gate, "enter", lambda *_, **__: True)  # no worker takes the messages: their steps run here
    current.cache_clear()
    made = Services(current(), client)
    forget_org(made, local_org)
    yield made
    forget_org(made, local_org)
    OrgReader(local_org).reset_stats()  # and with them the org's limits


@pytest.fixture
def active(services: Services, local_org: LocalOrg) -> Callable[..., Run]:
    """``active(claim)``: a job that has a slot and still needs so many calls, in the hands of a step."""

    def make(claim: int, keep: int = 1) -> Run:
        job, _ = services.jobs.submit(
            caller_of(local_org), "BatchQuote", soql_where_clause=f"Name = '{uuid.uuid4()}'",
            options=Options(keep_api_calls=keep),
        )  # fmt: skip
        services.jobs.promote(local_org.org_id)
        services.jobs.move(job.job_id, Status.PREPARING)
        services.jobs.move(job.job_id, Status.PROCESSING, forecastCalls=claim)
        return begin(job.job_id, services.jobs, services.progress, services.leases, current())

    return make


@pytest.fixture
def used(client: RedisClient, local_org: LocalOrg) -> Used:
    """``used(n, limit)``: the org has just said that so many of its calls are used."""

    def say(number: int, limit: int = 1_000) -> None:
        scripts.run(
            client, "run/settle", budget=keys.jobs_of(local_org.org_id, "budget"),
            usage=keys.jobs_of(local_org.org_id, "usage"), id="x", unit="question", calls=0, used=number, limit=limit,
        )  # fmt: skip

    return say


def spend(made: Budget, run: Run, most: int = 10_000) -> int:
    """Let a job draw until it has to wait. Returns how many calls it got. None of them is sent."""
    for number in range(most):
        try:
            made._draw(run, f"batch 0 {number}", 1)
        except CallsKept:
            return number
    return most


def test_what_is_kept_stays(services: Services, active: Callable[..., Run], used: Used) -> None:
    """300 of 1,000 are used and 650 kept: 50 may be spent. The sentence has the numbers."""
    used(300)
    job = active(400, keep=650)
    assert spend(services.budget, job) == 50
    with pytest.raises(CallsKept, match=r"300 of the org's 1,000 .* 650 are kept .* 400 more"):
        services.budget._draw(job, "batch 1 0", 1)


def test_the_setting_counts_if_it_keeps_more(services: Services, active: Callable[..., Run], used: Used) -> None:
    """A share of the day's calls: 20 % of 1,000."""
    used(790)
    job = active(400, keep=5)
    made = Budget(services.client, replace(current(), keep_calls=Kept(percent=Decimal(20))))
    assert spend(made, job) == 10


def test_jobs_share_fairly(services: Services, active: Callable[..., Run], used: Used) -> None:
    """100 may be spent, 10, 500 and 300 are wanted: the small one gets its 10, the others 45 each, in any order."""
    used(800)
    big, middle, small = active(500, keep=100), active(300, keep=100), active(10, keep=100)
    for one in (big, middle, small):  # each says what it needs, as every job does with its first page
        spend(services.budget, one, most=1)
    assert spend(services.budget, big) + 1 in (45, 46)
    assert spend(services.budget, middle) + 1 in (45, 46)
    assert spend(services.budget, small, most=10) == 10


def test_a_small_job_is_not_held_up(services: Services, active: Callable[..., Run], used: Used) -> None:
    """A big one that keeps much waits; a small one that keeps less goes."""
    used(500)
    big, small = active(400, keep=500), active(5, keep=100)
    assert spend(services.budget, big) == 0
    assert spend(services.budget, small, most=5) == 5


def test_what_was_reserved_is_free_again(services: Services, active: Callable[..., Run], used: Used) -> None:
    """A unit that was drawn twice, or is settled without a call, counts once or not at all."""
    used(899)
    job = active(10, keep=100)
    for _ in range(3):
        services.budget._draw(job, "batch 0 0", 1)
    with pytest.raises(CallsKept):
        services.budget._draw(job, "batch 0 1", 1)
    services.budget._settle(job, "batch 0 0", 0)
    services.budget._draw(job, "batch 0 1", 1)


@pytest.mark.parametrize("spent", [100, 799, 800])
def test_a_job_that_comes_late_gets_only_what_is_left(
    services: Services, active: Callable[..., Run], used: Used, spent: int
) -> None:
    """What the first one has spent is gone, however much more than its share that is. 200 of 1,000 are kept."""
    used(0)
    first = active(2_000, keep=200)
    services.budget._draw(first, "batch 0 0", 1)
    services.budget._settle(first, "batch 0 0", spent)
    used(spent)
    late = active(2_000, keep=200)
    assert spend(services.budget, late) == min(400, 800 - spent)
    assert spend(services.budget, first) == max(0, 400 - spent)
    services.client.hset(keys.jobs_of(late.job.org_id, "usage"), "used", "0")  # the day has turned
    assert spend(services.budget, late, most=1) == 1


def test_what_a_job_has_spent_and_what_it_has_reserved_count_together(
    services: Services, active: Callable[..., Run], used: Used
) -> None:
    """In whichever order Redis has the two: each of two jobs gets half."""
    used(800)
    first, second = active(500, keep=100), active(500, keep=100)
    spend(services.budget, second, most=1)
    for number in range(40):
        services.budget._draw(first, f"batch 1 {number}", 1)
    services.budget._settle(first, "batch 1 0", 1)
    used(801)
    assert spend(services.budget, first) == 10


def test_jobs_that_have_ended_claim_nothing(services: Services, active: Callable[..., Run], used: Used) -> None:
    used(800)
    gone, job = active(500, keep=100), active(500, keep=100)
    spend(services.budget, gone, most=1)
    services.jobs.abort(gone.id)
    assert spend(services.budget, job) == 100


def test_a_job_that_keeps_nothing_costs_nothing(services: Services, active: Callable[..., Run], used: Used) -> None:
    used(1_000)
    job = active(500, keep=0)
    with services.budget.spending(job, "batch 0 0"):
        pass
    assert not services.client.exists(keys.jobs_of(job.job.org_id, "budget"))


def test_the_pauses_between_questions_grow(
    services: Services, active: Callable[..., Run], used: Used, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10 ms, 20, 40 and so on, up to the longest; a job that has got calls begins anew."""
    monkeypatch.setattr(budget, "FIRST_QUESTION", 0.01)
    monkeypatch.setattr(budget, "LONGEST_QUESTION", 0.16)
    used(900)
    job = active(10, keep=100)
    asked = 0
    until = time.monotonic() + 1.2
    while time.monotonic() < until:
        asked += services.budget._ask(job.job, "batch 0 0", 1)[0] == b"ask"
    assert 1 <= asked <= 12, "a hundred, if they did not grow"
    services.client.hset(keys.jobs_of(job.job.org_id, "usage"), "used", "800")  # the day has turned
    services.budget._draw(job, "batch 0 0", 1)
    assert services.client.field(keys.jobs_of(job.job.org_id, "usage"), "asks") is None


def limit(local_org: LocalOrg, left: int) -> int:
    """Let the org take so many more calls today. Returns its limit."""
    headers = {"Authorization": f"Bearer {local_org.token}"}
    url = f"{local_org.url}/localorg/limits"
    used: int = requests.post(url, json={"dailyApiRequests": 1_000_000}, headers=headers, timeout=10).json()["used"]
    requests.post(url, json={"dailyApiRequests": used + left}, headers=headers, timeout=10)
    return used + left


def test_a_job_waits_and_goes_on(
    services: Services, local_org: LocalOrg, used: Used, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page would use what is kept: the job says so and sends nothing. It asks, and goes on when they are back."""
    org = OrgReader(local_org)
    name = f"Budget {uuid.uuid4().hex[:8]}"
    entry = next(org.query("SELECT Id, Pricebook2Id FROM PricebookEntry WHERE Pricebook2.IsStandard = true LIMIT 1"))
    deal = {"Name": name, "StageName": "Prospecting", "CloseDate": "2027-02-27", "Pricebook2Id": entry["Pricebook2Id"]}
    made = org.create("Opportunity", deal)
    line = {"OpportunityId": made, "PricebookEntryId": entry["Id"], "Quantity": 1, "UnitPrice": 5}
    org.create("OpportunityLineItem", line)
    limit(local_org, 1_000)
    job, _ = services.jobs.submit(
        caller_of(local_org), "BatchQuote", soql_where_clause=f"Name = '{name}'",
        options=Options(keep_api_calls=900),
    )  # fmt: skip
    flow.dispatch(org_id=local_org.org_id)
    flow.plan(job_id=job.job_id)
    flow.start_wave(job_id=job.job_id, wave=0)
    services.client.delete(keys.jobs_of(local_org.org_id, "usage"))
    used(100)
    before = org.stats()["requests"]["total"]
    flow.price_page(job_id=job.job_id, wave=0, page=0)
    waits = services.jobs.get(job.job_id)
    assert (waits.status, waits.succeeded) == (Status.PROCESSING, 0)
    assert "100 of the org's 1,000 daily API calls are used, 900 are kept" in (waits.extended_status or "")
    assert services.leases.held(job.job_id)["page 0 0"] == "wait"
    assert org.stats()["requests"]["total"] == before
    monkeypatch.setattr(budget, "FIRST_QUESTION", 0.2)
    time.sleep(0.3)
    services.client.delete(keys.job(job.job_id, "leases"))  # its pause is over
    flow.price_page(job_id=job.job_id, wave=0, page=0)
    assert org.stats()["requests"]["total"] == before + 2, "the question, and the page"
    [ended] = run_to_end(services, job.job_id)
    assert (ended.status, ended.succeeded) == (Status.COMPLETED, 1)
    assert ended.extended_status is None
