"""Jobs are records and events of their org: right after every end and death, with few calls, and in nobody's way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from _runs import caller_of, forget_org, run_to_end

from harness.api import LocalOrg
from harness.stack import Stack
from quotejob import clock
from quotejob.errors import SessionExpired
from quotejob.jobs.job import Job, Status
from quotejob.mirror import owed, record
from quotejob.salesforce import API_VERSION, OrgAddress, OrgClient
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from quotejob.settings import Settings
from quotejob.store import keys, usage
from quotejob.store.client import RedisClient
from tasks import mirror, sweep

FIELDS = ", ".join(record.record(Job("x", "t", Status.QUEUED, "o", datetime.now(UTC), "005")))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalOrg]:
    """An org with the objects of force-app."""
    with Stack(tmp_path_factory.mktemp("mirror")) as stack:
        yield stack.start_org(0, "--opportunities", "30", "--lines", "1")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalOrg]:
    """An org to which nothing was deployed."""
    empty: Path = tmp_path_factory.mktemp("empty")
    with Stack(tmp_path_factory.mktemp("bare")) as stack:
        yield stack.start_org(0, "--opportunities", "1", "--force-app", str(empty))


@pytest.fixture
def services(
    settings: Settings, client: RedisClient, local: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Services]:
    monkeypatch.setattr(owed, "BETWEEN", 0.2)
    client.delete(keys.MIRRORS, keys.API_CALLS)
    yield (services := Services(settings, client))
    requests.post(f"{local.url}/localorg/reset", json={}, timeout=10).raise_for_status()
    forget_org(services, local)
    client.delete(keys.MIRRORS, keys.API_CALLS)


@pytest.fixture
def caller(local: LocalOrg) -> CallerContext:
    return caller_of(local)


def submit(services: Services, caller: CallerContext, where: str = "Name != null", **more: Any) -> Job:
    job, _ = services.jobs.submit(caller, "BatchQuote", soql_where_clause=where, **more)
    return job


def told(services: Services) -> int:
    """Do what a sweep sends; the number of orgs that were told something."""
    time.sleep(0.25)
    due = services.mirror.due()
    for org_id in due:
        mirror.mirror(org_id=org_id)
    return len(due)


def rows(local: LocalOrg, job: Job) -> list[dict[str, Any]]:
    org = OrgClient(OrgAddress(local.url, local.token, API_VERSION, local.org_id))
    return list(org.query(f"SELECT {FIELDS} FROM QuoteJob__c WHERE JobId__c = '{job.job_id}'"))


def events(local: LocalOrg, job: Job) -> list[dict[str, Any]]:
    found = requests.get(f"{local.url}/localorg/events", params={"name": "QuoteJobProgress__e"}, timeout=10).json()
    return [each["payload"] for each in found["events"] if each["payload"]["JobId__c"] == job.job_id]


def calls(local: LocalOrg) -> int:
    return int(requests.get(f"{local.url}/localorg/stats", timeout=10).json()["requests"]["total"])


def test_a_job_is_a_record_of_its_org_at_each_status(
    services: Services, caller: CallerContext, local: LocalOrg
) -> None:
    job = submit(services, caller, name="Prices of May")
    assert told(services) == 1
    [row] = rows(local, job)
    assert (row["Status__c"], row["Name"], row["Position__c"]) == ("Holding", "Prices of May", 0)
    assert (row["SoqlWhereClause__c"], row["SubmittedBy__c"]) == ("Name != null", local.user_id)
    [done] = run_to_end(services, job.job_id)
    assert told(services) == 1
    [row] = rows(local, job)
    assert (row["Status__c"], row["RecordsSucceeded__c"], row["Position__c"]) == ("Completed", 30, None)
    assert row["JobItemsProcessed__c"] == row["TotalJobItems__c"] == done.total_job_items
    assert row["CompletedDate__c"] is not None
    assert [each["Status__c"] for each in events(local, job)] == ["Holding", "Completed"]
    assert told(services) == 0  # nothing more to tell


def test_the_session_of_an_ended_job_is_kept_until_its_org_was_told(
    services: Services, caller: CallerContext, local: LocalOrg
) -> None:
    job = submit(services, caller)
    services.jobs.abort(job.job_id)
    services.jobs.context(job.job_id)
    told(services)
    assert rows(local, job)[0]["Status__c"] == "Aborted"
    with pytest.raises(SessionExpired):
        services.jobs.context(job.job_id)


def test_many_jobs_are_told_in_one_call(services: Services, caller: CallerContext, local: LocalOrg) -> None:
    jobs = [submit(services, caller, f"Name = '{number}'") for number in range(40)]
    before = calls(local)
    assert told(services) == 1
    assert calls(local) == before + 1
    assert all(len(rows(local, job)) == 1 for job in jobs)


def test_a_death_loses_nothing(
    services: Services, caller: CallerContext, local: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that had taken the org died, before or after the call; the next one does it."""
    monkeypatch.setattr(owed, "LEASE", 0.5)
    job = submit(services, caller)
    assert services.mirror.due() == [job.org_id]  # and it died
    assert services.mirror.due() == []
    time.sleep(0.6)
    assert told(services) == 1
    assert rows(local, job)[0]["Status__c"] == "Holding"


def test_a_change_during_the_call_is_told_next(
    services: Services, caller: CallerContext, local: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(services, caller)
    send = OrgClient.send_parts

    def sending(org: OrgClient, parts: Any) -> Any:
        monkeypatch.undo()
        said = send(org, parts)
        services.jobs.abort(job.job_id)
        return said

    monkeypatch.setattr(OrgClient, "send_parts", sending)
    told(services)
    assert rows(local, job)[0]["Status__c"] == "Holding"
    time.sleep(owed.BETWEEN)
    told(services)
    assert rows(local, job)[0]["Status__c"] == "Aborted"


@pytest.mark.parametrize("kind", ["fail_before_write", "fail_after_write", "reset_after_write", "lock", "limit"])
def test_a_fault_of_the_org_is_tried_again(
    services: Services, caller: CallerContext, local: LocalOrg, kind: str
) -> None:
    job = submit(services, caller)
    fault = {"kind": kind, "match": {"resource": "composite"}, "count": 1}
    requests.post(f"{local.url}/localorg/faults", json=fault, timeout=10).raise_for_status()
    told(services)
    services.jobs.abort(job.job_id)
    told(services)
    [row] = rows(local, job)
    assert row["Status__c"] == "Aborted"


def test_events_that_fail_change_nothing(services: Services, caller: CallerContext, local: LocalOrg) -> None:
    requests.post(f"{local.url}/localorg/limits", json={"hourlyPublishedPlatformEvents": 0}, timeout=10)
    job = submit(services, caller)
    told(services)
    assert rows(local, job)[0]["Status__c"] == "Holding"
    assert events(local, job) == []


def test_an_org_without_the_objects_is_asked_once(services: Services, bare: LocalOrg) -> None:
    caller = caller_of(bare)
    job = submit(services, caller)
    before = calls(bare)
    told(services)
    services.jobs.abort(job.job_id)
    assert told(services) == 0
    submit(services, caller)
    assert told(services) == 0
    assert calls(bare) == before + 1
    with pytest.raises(SessionExpired):
        services.jobs.context(job.job_id)  # nothing needs it


@pytest.mark.parametrize("session", ["forgotten", "ended"])
def test_the_session_of_another_job_serves(
    services: Services, caller: CallerContext, local: LocalOrg, session: str
) -> None:
    """A job without one is told later; it does not turn the mirror off."""
    job = submit(services, replace(caller, access_token=f"{local.org_id}!ended") if session == "ended" else caller)
    if session == "forgotten":
        services.client.delete(keys.job(job.job_id, "context"))
    told(services)
    assert rows(local, job) == []
    other = submit(services, caller)
    services.client.zadd(keys.MIRRORS, {job.org_id: 0})
    told(services)
    assert len(rows(local, job)) == len(rows(local, other)) == 1


def test_a_move_in_the_queue_is_told_of_every_job(services: Services, caller: CallerContext, local: LocalOrg) -> None:
    """Their records are the list that the component shows."""
    jobs = [submit(services, caller) for _ in range(3)]
    told(services)
    assert [rows(local, job)[0]["Position__c"] for job in jobs] == [0, 1, 2]
    services.flexqueue.move_to(jobs[2].org_id, jobs[2].job_id, 0)
    assert told(services) == 1
    assert [rows(local, job)[0]["Position__c"] for job in jobs] == [1, 2, 0]


def test_a_user_without_the_permission_stops_nobody_else(
    services: Services, caller: CallerContext, local: LocalOrg
) -> None:
    """Who may only watch writes no record. The mirror of the others goes on, and another one's session serves."""
    everyone = requests.get(f"{local.url}/localorg/users", timeout=10).json()["users"]
    [only] = [user for user in everyone if user["profile"] == "QuoteJobUser"]
    watcher = replace(caller, access_token=only["accessToken"], user_id=only["id"], username=only["username"])
    job = submit(services, watcher)
    told(services)
    assert rows(local, job) == []
    other = submit(services, caller)
    told(services)
    assert len(rows(local, other)) == 1
    services.jobs.abort(job.job_id)
    services.jobs.abort(other.job_id)
    told(services)
    assert [rows(local, each)[0]["Status__c"] for each in (job, other)] == ["Aborted", "Aborted"]


def test_it_pauses_when_few_calls_are_left(services: Services, caller: CallerContext, local: LocalOrg) -> None:
    """Until the org says that there are more, or has said nothing for a day."""
    host = OrgAddress.of(caller).host
    few = usage.as_text(96, 100)
    yesterday = few.replace(few.split()[-1], str(clock.ms() - 25 * 3_600_000))
    for more in (usage.as_text(90, 100), yesterday):
        services.client.hset(keys.API_CALLS, host, few)
        job = submit(services, caller)
        before = calls(local)
        told(services)
        assert calls(local) == before
        services.client.hset(keys.API_CALLS, host, more)
        services.client.zadd(keys.MIRRORS, {job.org_id: 0})
        told(services)
        assert len(rows(local, job)) == 1


def test_progress_is_told_by_the_calls_of_the_job(services: Services, caller: CallerContext, local: LocalOrg) -> None:
    """At most every BETWEEN seconds and 1 %, and only after 200 calls of the job, or after long silence."""
    job = submit(services, caller)
    services.jobs.promote(job.org_id)
    for status in (Status.PREPARING, Status.PROCESSING):
        services.jobs.move(job.job_id, status)
    told(services)
    assert rows(local, job)[0]["Status__c"] == "Processing"

    def reported(**fields: int) -> int:
        for name, value in fields.items():
            services.client.hset(keys.job(job.job_id), name, value)
        return told(services)

    assert reported(totalJobItems=1000, jobItemsProcessed=500, apiCalls=199) == 0
    assert reported(apiCalls=200) == 1
    assert rows(local, job)[0]["JobItemsProcessed__c"] == 500
    assert reported(jobItemsProcessed=509, apiCalls=900) == 0  # less than 1 %
    assert reported(jobItemsProcessed=510) == 1
    assert [each["JobItemsProcessed__c"] for each in events(local, job)] == [0, 500, 510]


def test_the_sweep_sends_it(services: Services, caller: CallerContext, monkeypatch: pytest.MonkeyPatch) -> None:
    job = submit(services, caller)
    sent: list[dict[str, str]] = []
    monkeypatch.setattr(mirror.mirror, "delay", lambda **given: sent.append(given))
    sweep.sweep()
    assert sent == [{"org_id": job.org_id}]


def test_off_by_the_setting(services: Services, caller: CallerContext, settings: Settings) -> None:
    off = Services(replace(settings, mirror=False), services.client)
    job = submit(off, caller)
    off.jobs.abort(job.job_id)
    assert services.mirror.of_org(job.org_id, 10).notes == {}
    with pytest.raises(SessionExpired):
        off.jobs.context(job.job_id)


def test_an_odd_answer_is_tried_again(
    services: Services, caller: CallerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(services, caller)
    monkeypatch.setattr(record, "parts", lambda _: [])
    told(services)
    assert list(services.mirror.of_org(job.org_id, 10).notes) == [job.job_id]


def test_an_org_is_told_again_what_a_late_request_could_undo(
    services: Services, caller: CallerContext, local: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request without an answer may arrive after the next one. So the job is told of until that is not possible."""
    monkeypatch.setattr(owed, "LATE", 2.0)
    job = submit(services, caller)
    services.mirror.begin(caller.org_id)  # by a process of which nobody has heard since
    services.jobs.abort(job.job_id)
    assert told(services) == 1
    assert services.mirror.of_org(caller.org_id, 10).notes.keys() == {job.job_id}
    services.jobs.context(job.job_id)  # is still needed
    time.sleep(2)
    assert told(services) == 1
    assert services.mirror.of_org(caller.org_id, 10).notes == {}
    assert rows(local, job)[0]["Status__c"] == "Aborted"


@pytest.mark.parametrize("first", [0, 1])
def test_requests_at_the_same_time_leave_the_job_to_the_next_one(
    services: Services, caller: CallerContext, first: int
) -> None:
    """The org may have done them in any order, so nobody knows which status it has now."""
    job, mirrored = submit(services, caller), services.mirror
    requests_sent = [mirrored.begin(caller.org_id)]
    owed_before = mirrored.of_org(caller.org_id, 10)
    services.jobs.abort(job.job_id)
    requests_sent.append(mirrored.begin(caller.org_id))
    both = [(owed_before, requests_sent[0]), (mirrored.of_org(caller.org_id, 10), requests_sent[1])]
    for notes, request in (both[first], both[1 - first], both[1 - first]):  # one answer was lost: its script runs again
        mirrored.done(notes, {job.job_id: "1 0"}, request)
        assert mirrored.of_org(caller.org_id, 10).notes.keys() == {job.job_id}
    mirrored.done(both[1][0], {job.job_id: "1 0"}, mirrored.begin(caller.org_id))
    assert mirrored.of_org(caller.org_id, 10).notes == {}
