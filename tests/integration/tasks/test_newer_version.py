"""What only a newer version understands is left alone by this one: not started, ended, sent again, fired or lost."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from _messages import sent, submit
from msgspec.structs import replace

from quotejob import clock, formats
from quotejob.errors import NewerVersion
from quotejob.jobs.conditions import Conditions
from quotejob.jobs.job import Job, Status
from quotejob.jobs.options import Options
from quotejob.jobs.retry import Retry
from quotejob.jobs.workers import NEEDED, NEWER_WORKER
from quotejob.run.leases import LEASE_LENGTH
from quotejob.run.outstanding import Outstanding
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from quotejob.settings import Settings, current
from quotejob.store import keys
from quotejob.store.client import RedisClient
from tasks import flow, sweep, ticks
from tasks.queues import lists, message, served

Grow = Callable[[], None]
MINUTE = timedelta(minutes=1)

NEXT = formats.FORMAT + 1  # the format of the newer version


@pytest.fixture
def services(settings: Settings, client: RedisClient) -> Services:
    return Services(current(), client)


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> Grow:
    """Dry runs and schedules with an end need the format after this one. Called: this process is of that version."""
    monkeypatch.setitem(formats.NEEDED_BY, "dryRun", formats.FORMAT + 1)
    monkeypatch.setitem(formats.NEEDED_BY, "endTime", formats.FORMAT + 1)

    def grow() -> None:
        monkeypatch.setattr(formats, "FORMAT", formats.FORMAT + 1)

    return grow


def of_newer(services: Services, caller: CallerContext, **what: Any) -> str:
    """Submit a job that this version does not understand, as the newer one does it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "FORMAT", formats.NEEDED_BY["dryRun"])
        return submit(services.jobs, caller, options=Options(dry_run=True), **what)


def row(services: Services, job_id: str) -> dict[bytes, bytes]:
    return services.client.hash(keys.job(job_id))


def test_others_pass_it_in_the_flex_queue(services: Services, caller: CallerContext, newer: Grow) -> None:
    """It keeps its place, and goes as soon as the newer version looks."""
    theirs, ours = of_newer(services, caller), submit(services.jobs, caller)
    assert services.dispatcher.promote(caller.org_id) == [ours]
    assert services.jobs.get(theirs).position == 0
    services.jobs.abort(ours)
    assert services.jobs.promote(caller.org_id, first=theirs) == []
    newer()
    assert services.dispatcher.promote(caller.org_id) == [theirs]
    services.jobs.abort(theirs)


def test_it_is_not_aborted_with_its_parent(services: Services, caller: CallerContext, newer: Grow) -> None:
    """Its conditions may mean something else. The newer version's next look decides."""
    parent = submit(services.jobs, caller)
    child = of_newer(services, caller, conditions=Conditions(depends_on=(parent,)))
    services.jobs.abort(parent)
    services.client.zadd(keys.HOLDING, {child: 1})
    services.jobs.look_again(sweep.SILENT_AFTER, 200)
    assert services.jobs.get(child).status is Status.HOLDING
    newer()
    services.client.zadd(keys.HOLDING, {child: 1})
    services.jobs.look_again(sweep.SILENT_AFTER, 200)
    assert services.jobs.get(child).status is Status.ABORTED


def test_steps_and_sweeps_leave_it_and_the_newer_sweep_brings_its_message_back(
    services: Services, caller: CallerContext, newer: Grow, caplog: pytest.LogCaptureFixture
) -> None:
    """An older worker took the message of its plan. Its row stays as it was; there is no storm."""
    newer()
    job_id = of_newer(services, caller)
    assert services.dispatcher.promote(caller.org_id) == [job_id]
    formats.FORMAT -= 1  # an older worker
    before = row(services, job_id)
    flow.plan(job_id=job_id)
    flow.finish(job_id=job_id)  # a step without a unit
    services.client.zadd(keys.OPEN, {job_id: clock.ms() - 60_000})  # long silent, and no queue has it
    for _ in range(20):
        sweep.sweep()
    assert row(services, job_id) == before
    assert sent(services.client, "quotejob.plan") == []
    assert dict(services.jobs.open())[job_id] > sweep.SILENT_AFTER  # the newer sweep must see that
    said = [record.getMessage() for record in caplog.records if "newer version" in record.getMessage()]
    assert len([text for text in said if "The sweep" in text]) <= 1
    formats.FORMAT += 1
    leases = services.client.hash(keys.job(job_id, "leases"))
    assert float(leases[b"plan"].split()[2]) < LEASE_LENGTH * 1000  # a short pause, after which it is sent again
    services.client.hset(keys.job(job_id, "leases"), "plan", "wait 1 2000")
    sweep.sweep()
    assert len(sent(services.client, "quotejob.plan")) == 1
    services.jobs.abort(job_id)


@pytest.mark.parametrize(
    "change",
    [
        lambda services, caller, job: services.jobs.abort(job.job_id),
        lambda services, caller, job: services.jobs.resume(job.job_id, caller),
        lambda services, caller, job: services.dry_runs.run(caller, Options(after_dry_run=job)),
        lambda services, caller, job: Retry(replace(job, dry_run=False)).check(),
    ],
    ids=["abort", "resume", "run", "retry"],
)
def test_people_cannot_change_it_from_here(
    services: Services, caller: CallerContext, newer: Grow, change: Callable[[Services, CallerContext, Job], object]
) -> None:
    """The answer says what to do."""
    job_id = of_newer(services, caller)
    before = row(services, job_id)
    with pytest.raises(NewerVersion, match="newer version") as refusal:
        change(services, caller, services.jobs.get(job_id))
    assert refusal.value.status == 409
    assert row(services, job_id) == before


def test_readers_are_told_what_it_waits_for(services: Services, caller: CallerContext, newer: Grow) -> None:
    """In waitingFor and extendedStatus, until a worker runs that understands it."""
    services.client.delete(keys.VERSIONS)
    services.workers.note(NEEDED)
    job_id = of_newer(services, caller)
    [job] = services.workers.with_lack([services.jobs.get(job_id)])
    assert (job.waiting_for[-1], job.extended_status) == (NEWER_WORKER, NEWER_WORKER.message)
    assert services.workers.waiting_for_newer(caller.org_id) == 1
    newer()
    services.workers.note([f"clock.{NEXT}"])  # one that serves only the clock does none of its steps
    assert services.workers.waiting_for_newer(caller.org_id) == 1
    services.workers.note(served(NEEDED))
    assert services.workers.with_lack([services.jobs.get(job_id)]) == [services.jobs.get(job_id)]
    assert services.workers.waiting_for_newer(caller.org_id) == 0
    services.jobs.abort(job_id)


def test_no_older_worker_takes_its_messages(
    services: Services, client: RedisClient, caller: CallerContext, newer: Grow
) -> None:
    """Each step of it goes to a queue that only the newer version serves, also the body of a chord."""
    newer()
    job_id = of_newer(services, caller)
    flow.dispatch(org_id=caller.org_id)
    job = services.jobs.get(job_id)
    message(job, flow.plan, on_time=True).apply_async()
    steps = [Outstanding("pages", 0, (0, 1)), Outstanding("batches", 0, (0,)), Outstanding("commit", 0)]
    for lacking in (*steps, Outstanding("start_wave", 1), Outstanding("finish")):
        flow.send(job, lacking)
    sent = [(name.partition("\x06")[0], orjson.loads(text)) for name in lists() for text in client.lrange(name, 0, -1)]
    client.delete(*lists())
    found = [(queue, text) for queue, text in sent if job_id in base64.b64decode(text["body"]).decode()]
    assert {(queue, text["headers"]["task"].removeprefix("quotejob.")) for queue, text in found} == {
        (f"clock.{NEXT}", "plan"), (f"control.{NEXT}", "plan"),
        (f"pages.{NEXT}", "price_page"), (f"pages.{NEXT}", "write_batch"),
        (f"control.{NEXT}", "commit"), (f"control.{NEXT}", "start_wave"), (f"control.{NEXT}", "finish"),
    }  # fmt: skip
    bodies = [
        orjson.loads(base64.b64decode(text["body"]))[2]["chord"] for queue, text in found if queue == f"pages.{NEXT}"
    ]
    assert {body["options"]["queue"] for body in bodies} == {f"control.{NEXT}"}
    services.jobs.abort(job_id)


def test_a_row_that_cannot_even_be_read_says_so(services: Services, caller: CallerContext, newer: Grow) -> None:
    """A word of the newer version: told in plain words; lists leave it out."""
    job_id = of_newer(services, caller)
    services.client.hset(keys.job(job_id), "dependsOnOutcome", "Sometimes")
    with pytest.raises(NewerVersion, match=f"Job {job_id} needs format {formats.NEEDED_BY['dryRun']}"):
        services.jobs.get(job_id)
    assert services.jobs.get_many([job_id]) == []


def test_its_schedules_do_not_fire_and_do_not_hold_up_others(
    services: Services, caller: CallerContext, newer: Grow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not fired, paused, changed or run; more of them than one page of due schedules. Delete works."""
    monkeypatch.setattr("quotejob.schedules.firing.DUE_PAGE_SIZE", 2)
    end = datetime.now(UTC) + timedelta(days=900)
    made = services.schedules.create
    what: dict[str, Any] = {"authorization": "a", "soql_where_clause": "a"}
    theirs = [made(caller, f"theirs {n}", "0 0 0 * * ?", end_time=end, **what) for n in range(3)]
    ours = made(caller, "ours", "0 0 0 * * ?", **what)
    past = clock.ms(datetime.now(UTC) - MINUTE / 2)
    for place, schedule in enumerate([*theirs, ours]):
        services.client.zadd(keys.DUE, {schedule.schedule_id: past + place})
        services.client.hset(f"quotejob:schedule:{schedule.schedule_id}", "nextFireTime", str(past + place))
    ticks.tick()
    assert services.schedules.get(ours.schedule_id).times_triggered == 1
    calls: list[Callable[[str], object]] = [
        lambda each: services.schedules.pause(each, caller.org_id),
        lambda each: services.schedules.change(each, caller.org_id, {"name": "other"}),
        lambda each: services.firing.run_now(each, caller.org_id),
    ]
    for call in calls:
        with pytest.raises(NewerVersion):
            call(theirs[0].schedule_id)
    services.schedules.stop(theirs[0].schedule_id, "no session")
    assert {services.schedules.get(each.schedule_id).times_triggered for each in theirs} == {0}
    newer()
    ticks.tick()
    assert {services.schedules.get(each.schedule_id).times_triggered for each in theirs} == {1}
    changed = services.schedules.change(theirs[0].schedule_id, caller.org_id, {"end_time": None})
    assert changed.format == 1
    formats.FORMAT -= 1
    assert services.schedules.delete(theirs[1].schedule_id, caller.org_id).format == formats.NEEDED_BY["endTime"]
    formats.FORMAT += 1
