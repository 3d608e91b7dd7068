"""The flex queue in Redis: who waits, who may go, who goes first."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet

from quotejob import clock
from quotejob.errors import FlexQueueFull, InvalidRequest, JobConflict, JobNotFound
from quotejob.jobs.conditions import Conditions
from quotejob.jobs.flexqueue import FlexQueue, QueuePlace
from quotejob.jobs.job import BuiltIn, DependsOnOutcome, Status
from quotejob.jobs.listing import JobFilter
from quotejob.jobs.search import JobSearch
from quotejob.jobs.store import JobStore
from quotejob.salesforce.caller import CallerContext, to18
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys


class Clock:
    """Time that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def go_on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def jobs(redis_url: str) -> JobStore:
    return store_of_jobs(redis_url)


def store_of_jobs(redis_url: str, clock: Callable[[], datetime] = clock.now) -> JobStore:
    settings = Settings(
        redis_url=redis_url, secret_keys=(Fernet.generate_key().decode(),), active_jobs=3, holding_jobs=6
    )
    return JobStore(store.client(redis_url, attempts=1), settings, clock)


def submit(jobs: JobStore, caller: CallerContext, **also: Any) -> str:
    return jobs.submit(caller, BuiltIn.SAMPLE_DATA_DELETE, **also)[0].job_id


def run(jobs: JobStore, job_id: str, end: Status = Status.COMPLETED) -> None:
    """What workers do with a Queued job."""
    for status in (Status.PREPARING, Status.PROCESSING, end):
        jobs.move(job_id, status)


@pytest.fixture
def queue(jobs: JobStore) -> FlexQueue:
    return FlexQueue(jobs._redis, jobs)


# -- promotion ---------------------------------------------------------------------------------------------------------


def test_reserved_slots_stay_free(jobs: JobStore, caller: CallerContext) -> None:
    """With one of three reserved, two jobs go; without it the third does too."""
    ids = [submit(jobs, caller) for _ in range(4)]
    assert jobs.promote(caller.org_id, reserved=1) == ids[:2]
    assert jobs.promote(caller.org_id, reserved=5) == []
    assert jobs.promote(caller.org_id) == [ids[2]]


def test_the_first_one_takes_the_reserved_slot(jobs: JobStore, caller: CallerContext) -> None:
    """Past the queue; it is promoted once, and never beyond the org's slots."""
    ids = [submit(jobs, caller) for _ in range(5)]
    assert jobs.promote(caller.org_id, reserved=1) == ids[:2]
    assert jobs.promote(caller.org_id, reserved=1, first=ids[4]) == [ids[4]]
    assert jobs.promote(caller.org_id, reserved=1, first=ids[4]) == []
    assert jobs.promote(caller.org_id, first=ids[3]) == []
    run(jobs, ids[0])
    assert jobs.promote(caller.org_id, first=ids[3]) == [ids[3]]
    assert jobs.promote(caller.org_id, first="nonsense") == []


def test_a_guaranteed_job_goes_past_a_full_queue(jobs: JobStore, caller: CallerContext) -> None:
    """A reserved slot is no room for others; the guaranteed job is taken, under the id its schedule gave it."""
    assert jobs.promote(caller.org_id, reserved=1) == []
    ids = [submit(jobs, caller) for _ in range(8)]
    assert jobs.promote(caller.org_id, reserved=1) == ids[:2]
    with pytest.raises(FlexQueueFull):
        submit(jobs, caller)
    named = str(uuid.uuid4())
    for _ in range(2):
        assert submit(jobs, caller, guaranteed=True, job_id=named) == named
    assert jobs.promote(caller.org_id, reserved=1, first=named) == [named]
    with pytest.raises(FlexQueueFull):
        submit(jobs, caller)
    assert len(JobSearch(jobs._redis, jobs).recent(caller.org_id)[0]) == 9


# -- order -------------------------------------------------------------------------------------------------------------


def order(queue: FlexQueue, caller: CallerContext) -> list[str]:
    return [job.job_id for job in queue.jobs(caller.org_id)]


def test_jobs_are_moved_by_hand(jobs: JobStore, queue: FlexQueue, caller: CallerContext) -> None:
    """To the front, the end, before and after another; they then go in that order."""
    a, b, c, d = (submit(jobs, caller) for _ in range(4))
    org = caller.org_id
    assert order(queue, caller) == [a, b, c, d]
    assert queue.move(org, c, QueuePlace.FRONT)
    assert order(queue, caller) == [c, a, b, d]
    assert queue.move(org, c, QueuePlace.END)
    assert order(queue, caller) == [a, b, d, c]
    assert queue.move(org, c, QueuePlace.BEFORE, b)
    assert order(queue, caller) == [a, c, b, d]
    assert queue.move(org, a, QueuePlace.AFTER, b)
    assert order(queue, caller) == [c, b, a, d]
    last = submit(jobs, caller)
    assert jobs.promote(org) == [c, b, a]
    assert order(queue, caller) == [d, last]


def test_who_stands_there_is_not_moved(jobs: JobStore, queue: FlexQueue, caller: CallerContext) -> None:
    """False, and the order stays."""
    a, b, c = (submit(jobs, caller) for _ in range(3))
    for job_id, place, other in (
        (a, QueuePlace.FRONT, ""), (c, QueuePlace.END, ""), (a, QueuePlace.BEFORE, b),
        (c, QueuePlace.AFTER, b), (b, QueuePlace.AFTER, b),
    ):  # fmt: skip
        assert not queue.move(caller.org_id, job_id, place, other)
    assert order(queue, caller) == [a, b, c]


def test_only_holding_jobs_of_the_org_are_moved(jobs: JobStore, queue: FlexQueue, caller: CallerContext) -> None:
    """Nor beside one that is not."""
    active = submit(jobs, caller)
    jobs.promote(caller.org_id)
    held = submit(jobs, caller)
    for pair in ((active, held), (held, active)):
        with pytest.raises(JobConflict, match=f"{active} is Queued"):
            queue.move(caller.org_id, pair[0], QueuePlace.BEFORE, pair[1])
    for pair in ((str(uuid.uuid4()), held), (held, str(uuid.uuid4()))):
        with pytest.raises(JobNotFound):
            queue.move(caller.org_id, pair[0], QueuePlace.AFTER, pair[1])
    with pytest.raises(JobNotFound):
        queue.move(to18("00DAAAAAAAAAAAA"), held, QueuePlace.FRONT)


# -- conditions --------------------------------------------------------------------------------------------------------


def after(*parents: str, outcome: DependsOnOutcome = DependsOnOutcome.COMPLETED) -> Conditions:
    return Conditions(parents, outcome)


def test_a_job_runs_when_all_it_depends_on_are_completed(jobs: JobStore, caller: CallerContext) -> None:
    """It tells whom it waits for, keeps its place, and lets others pass."""
    a, b = submit(jobs, caller), submit(jobs, caller)
    child = submit(jobs, caller, conditions=after(a, b, a))
    behind = submit(jobs, caller)
    assert jobs.get(child).depends_on == (a, b)
    assert [one.job_id for one in jobs.get(child).waiting_for] == [a, b]
    assert jobs.promote(caller.org_id) == [a, b, behind]
    run(jobs, a)
    [left] = jobs.get(child).waiting_for
    assert left.message == f"Waits for job {b}, which is Queued, to be Completed"
    assert JobSearch(jobs._redis, jobs).recent(caller.org_id, JobFilter(frozenset([Status.HOLDING])))[0][
        0
    ].waiting_for == (left,)
    assert jobs.promote(caller.org_id) == []
    run(jobs, b)
    assert jobs.get(child).waiting_for == ()
    assert jobs.promote(caller.org_id) == [child]


def test_its_place_is_kept(jobs: JobStore, queue: FlexQueue, caller: CallerContext) -> None:
    """Once it may go, it goes before those that came later; moved while it waits, it goes from its new place."""
    parent = submit(jobs, caller)
    child = submit(jobs, caller, conditions=after(parent))
    late = submit(jobs, caller, conditions=after(parent))
    jobs.promote(caller.org_id)
    others = [submit(jobs, caller) for _ in range(3)]
    assert order(queue, caller) == [child, late, *others]
    assert queue.move(caller.org_id, late, QueuePlace.FRONT)
    run(jobs, parent)
    assert jobs.promote(caller.org_id) == [late, child, others[0]]


@pytest.mark.parametrize("end", [Status.FAILED, Status.ABORTED])
def test_a_parents_other_end_aborts_the_whole_tree(jobs: JobStore, caller: CallerContext, end: Status) -> None:
    """At once, with the reason in each, and with nothing left of them but the job; who takes any end goes on."""
    parent, other = submit(jobs, caller), submit(jobs, caller)
    child = submit(jobs, caller, conditions=after(other, parent))
    grandchild = submit(jobs, caller, conditions=after(child))
    brave = submit(jobs, caller, conditions=after(grandchild, parent, outcome=DependsOnOutcome.FINISHED))
    jobs.promote(caller.org_id)
    jobs.move(parent, end, extendedStatus="no such field")
    gone = [jobs.get(one) for one in (child, grandchild)]
    assert [job.status for job in gone] == [Status.ABORTED] * 2
    assert all(job.completed_date for job in gone)
    assert gone[0].extended_status == (f"Aborted because job {parent}, which it depends on, is {end} (no such field)")
    assert gone[1].extended_status is not None
    assert gone[1].extended_status.startswith(f"Aborted because job {child}, which it depends on, is Aborted (Abor")
    assert jobs.promote(caller.org_id) == [brave]
    client = jobs._redis
    for job in gone:
        assert job.job_id not in dict(jobs.open())
        assert all(0 < client.ttl(key) <= 7 * 24 * 3600 for key in client.scan_iter(f"quotejob:job:{job.job_id}*"))
    assert not list(client.scan_iter(f"quotejob:job:{parent}:children"))


def test_a_parent_that_has_ended_is_looked_at_at_once(jobs: JobStore, caller: CallerContext) -> None:
    """As if it ended just after: the job goes, or is Aborted, whatever the race."""
    done, failed = submit(jobs, caller), submit(jobs, caller)
    jobs.promote(caller.org_id)
    run(jobs, done)
    jobs.fail(failed, "x" * 990 + "äöü" * 10)
    job, new = jobs.submit(caller, BuiltIn.SAMPLE_DATA_DELETE, conditions=after(done, failed))
    assert (new, job.status) == (True, Status.ABORTED)
    assert len((job.extended_status or "").encode()) <= 1000
    either = submit(jobs, caller, conditions=after(done, failed, outcome=DependsOnOutcome.FINISHED))
    completed = submit(jobs, caller, conditions=after(done))
    assert jobs.promote(caller.org_id) == [either, completed]


def test_unknown_and_foreign_parents_are_refused(jobs: JobStore, caller: CallerContext) -> None:
    """Alike, by name, and nothing is kept."""
    mine, unknown = submit(jobs, caller), str(uuid.uuid4())
    org = to18("00D" + uuid.uuid4().hex[:12])
    foreign = submit(jobs, replace(caller, org_id=org))
    with pytest.raises(InvalidRequest, match="dependsOn: there is no such job in this org: ") as refusal:
        submit(jobs, caller, conditions=after(mine, unknown, foreign))
    assert unknown in refusal.value.message
    assert foreign in refusal.value.message
    assert mine not in refusal.value.message
    assert len(JobSearch(jobs._redis, jobs).recent(caller.org_id)[0]) == 1


def test_a_time_is_waited_for(redis_url: str, caller: CallerContext) -> None:
    """Not a moment too early; the org wakes then; its caller's session is kept meanwhile, and for a day after."""
    clock = Clock()
    jobs = store_of_jobs(redis_url, lambda: clock.now)
    soon, late = (Conditions(not_before=clock.now + timedelta(seconds=n, microseconds=1)) for n in (60, 7200))
    parent = submit(jobs, caller)
    timed = submit(jobs, caller, conditions=soon)
    both = submit(jobs, caller, conditions=replace(late, depends_on=(parent,)))
    assert jobs.promote(caller.org_id) == [parent]
    assert [one.not_before for one in jobs.get(timed).waiting_for] == [jobs.get(timed).not_before]
    assert [one.job_id for one in jobs.get(both).waiting_for] == [parent, None]
    assert jobs._redis.ttl(keys.job(timed, "context")) >= 30 * 24 * 3600 + 59
    run(jobs, parent)
    clock.go_on(60)
    assert caller.org_id not in jobs.waking()
    assert jobs.promote(caller.org_id) == []
    clock.go_on(0.002)
    assert caller.org_id in jobs.waking()
    assert jobs.get(timed).waiting_for == ()
    assert jobs.promote(caller.org_id) == [timed]
    assert 0 < jobs._redis.ttl(keys.job(timed, "context")) <= 24 * 3600
    assert caller.org_id not in jobs.waking()
    clock.go_on(7200)
    assert caller.org_id in jobs.waking()
    assert jobs.promote(caller.org_id) == [both]


def test_a_time_that_has_passed_is_no_condition(jobs: JobStore, caller: CallerContext) -> None:
    """It goes at once."""
    job_id = submit(jobs, caller, conditions=Conditions(not_before=datetime(2000, 1, 1, tzinfo=UTC)))
    assert jobs.promote(caller.org_id) == [job_id]


def test_jobs_that_wait_fill_the_queue_too(jobs: JobStore, caller: CallerContext) -> None:
    """Six may be Holding; free slots make room only for jobs that may go. A refused one leaves nothing behind."""
    late = Conditions(not_before=datetime(2999, 1, 1, tzinfo=UTC))
    parent = submit(jobs, caller)
    jobs.promote(caller.org_id)
    for _ in range(6):
        submit(jobs, caller, conditions=late)
    before = set(jobs._redis.scan_iter("quotejob:job:*"))
    with pytest.raises(FlexQueueFull):
        submit(jobs, caller, conditions=replace(late, depends_on=(parent,)))
    assert set(jobs._redis.scan_iter("quotejob:job:*")) == before
    ready = [submit(jobs, caller) for _ in range(2)]
    with pytest.raises(FlexQueueFull):
        submit(jobs, caller)
    assert jobs.promote(caller.org_id) == ready


def test_a_resumed_job_waits_for_what_it_waited_for(jobs: JobStore, caller: CallerContext) -> None:
    """Not while its parent has ended otherwise; a parent that had done its part is not waited for again."""
    done, parent = submit(jobs, caller), submit(jobs, caller)
    child = submit(jobs, caller, conditions=after(done, parent))
    grandchild = submit(jobs, caller, conditions=after(child))
    jobs.promote(caller.org_id)
    run(jobs, done)
    jobs.fail(parent, "why")
    with pytest.raises(JobConflict, match=f"{parent}, which is Failed; resume"):
        jobs.resume(child, caller)
    assert jobs.get(child).status is Status.ABORTED
    jobs.resume(parent, caller)
    jobs.resume(child, caller)
    jobs.resume(grandchild, caller)
    assert [one.job_id for one in jobs.get(child).waiting_for] == [parent]
    assert jobs.promote(caller.org_id) == [parent]
    run(jobs, parent)
    assert jobs.promote(caller.org_id) == [child]
    run(jobs, child, Status.FAILED)
    assert jobs.get(grandchild).status is Status.ABORTED
    jobs.resume(child, caller)
    assert jobs.promote(caller.org_id) == [child]


def test_a_parent_no_longer_kept_is_no_hope(jobs: JobStore, caller: CallerContext) -> None:
    """The sweep's second look aborts the child; and changes nothing for a job that waits rightly."""
    parent, other = submit(jobs, caller), submit(jobs, caller)
    child, hopeful = submit(jobs, caller, conditions=after(parent)), submit(jobs, caller, conditions=after(other))
    jobs._redis.delete(keys.job(parent))
    jobs._redis.zadd(keys.HOLDING, dict.fromkeys((child, hopeful, other), 0))
    jobs.look_again(9, 1000)
    assert (jobs.get(child).status, jobs.get(hopeful).status) == (Status.ABORTED, Status.HOLDING)
    assert "no longer kept" in (jobs.get(child).extended_status or "")
    with pytest.raises(JobConflict, match="submit a new job"):
        jobs.resume(child, caller)


@pytest.mark.parametrize(
    "wrong",
    [
        {"depends_on": ("x",)},
        {"depends_on": ("quotejob:open",)},
        {"depends_on": tuple(str(uuid.uuid4()) for _ in range(21))},
        {"not_before": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"not_before": datetime(1, 1, 1, tzinfo=UTC)},
        {"not_before": datetime(9999, 12, 31, tzinfo=UTC)},
    ],
)
def test_what_cannot_be_waited_for_is_refused(wrong: dict[str, Any]) -> None:
    """As bad input."""
    with pytest.raises(InvalidRequest):
        Conditions(**wrong)


def test_many_promote_at_once(jobs: JobStore, caller: CallerContext) -> None:
    """Each job goes once, the cap holds, whatever ends meanwhile."""
    parent = submit(jobs, caller)
    jobs.promote(caller.org_id)
    for _ in range(6):
        submit(jobs, caller, conditions=after(parent))
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(jobs.promote, caller.org_id) for _ in range(10)]
        pool.submit(run, jobs, parent)
        asked += [pool.submit(jobs.promote, caller.org_id) for _ in range(10)]
    promoted = [job_id for one in asked for job_id in one.result()] + jobs.promote(caller.org_id)
    assert len(promoted) == len(set(promoted)) == 3
