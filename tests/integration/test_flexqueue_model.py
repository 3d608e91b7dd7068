"""The flex queue against a plain model: every operation tried by several at once, and what is there compared each time.

A second test lets many do different things at once, and looks at what must hold at every moment.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar

import pytest
from _callers import new_caller
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from quotejob.errors import FlexQueueFull, JobConflict
from quotejob.jobs.conditions import Conditions
from quotejob.jobs.flexqueue import FlexQueue, QueuePlace
from quotejob.jobs.job import MOVES, BuiltIn, DependsOnOutcome, Status
from quotejob.jobs.listing import JobFilter
from quotejob.jobs.search import JobSearch
from quotejob.jobs.store import JobStore
from quotejob.salesforce.caller import CallerContext
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys

ACTIVE, HOLDING, AT_ONCE = 2, 4, 3
ENDS = {Status.COMPLETED, Status.FAILED, Status.ABORTED}
SLOTS = {Status.QUEUED, Status.PREPARING, Status.PROCESSING}
known = some.integers(0, 10_000)  # chooses among the jobs there are


@pytest.fixture(scope="module")
def jobs(redis_url: str) -> JobStore:
    made = Settings(
        redis_url=redis_url,
        secret_keys=(Fernet.generate_key().decode(),),
        active_jobs=ACTIVE,
        holding_jobs=HOLDING,
    )
    return JobStore(store.client(redis_url, attempts=1, connections=8), made)


@dataclass
class Plain:
    """A job in the model."""

    status: Status = Status.HOLDING
    waits: set[str] = field(default_factory=set)
    outcome: DependsOnOutcome = DependsOnOutcome.COMPLETED
    not_before: datetime | None = None


class Model:
    """The flex queue of one org, without Redis and without anybody else."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.jobs: dict[str, Plain] = {}
        self.order: list[str] = []
        self.reserved = 0

    def free(self, spared: int = 0) -> int:
        return ACTIVE - spared - sum(job.status in SLOTS for job in self.jobs.values())

    def may_go(self, job_id: str) -> bool:
        job = self.jobs[job_id]
        return not job.waits and (job.not_before is None or job.not_before <= self.now)

    def hopeless(self, job: Plain) -> bool:
        ends = {self.jobs[parent].status for parent in job.waits} & ENDS
        return job.outcome is DependsOnOutcome.COMPLETED and bool(ends - {Status.COMPLETED})

    def settle(self) -> None:
        """Until nothing changes: jobs that wait in vain are Aborted, what has come is waited for no longer."""
        while lost := [one for one in self.order if self.hopeless(self.jobs[one])]:
            for job_id in lost:
                self.jobs[job_id].status = Status.ABORTED
                self.order.remove(job_id)
        for job_id in self.order:
            self.jobs[job_id].waits -= {one for one in self.jobs[job_id].waits if self.jobs[one].status in ENDS}

    def enter(self, job_id: str, job: Plain) -> bool:
        """Whether there was room."""
        before, self.jobs[job_id] = self.jobs.get(job_id), job
        self.order.append(job_id)
        self.settle()
        going = max(0, min(self.free(self.reserved), sum(map(self.may_go, self.order))))
        if job_id not in self.order or len(self.order) - going <= HOLDING:
            return True
        self.order.remove(job_id)
        if before is None:
            del self.jobs[job_id]
        return False

    def promote(self, reserved: int, first: str | None) -> list[str]:
        promoted = []
        self.reserved = reserved
        if first in self.order and self.may_go(first) and self.free() > 0:
            promoted.append(first)
        for job_id in filter(self.may_go, self.order):
            if job_id not in promoted and self.free(reserved) > len(promoted):
                promoted.append(job_id)
        for job_id in promoted:
            self.order.remove(job_id)
            self.jobs[job_id].status = Status.QUEUED
        return promoted

    def move(self, job_id: str, place: QueuePlace, other: str) -> bool:
        rest = [one for one in self.order if one != job_id]
        if job_id == other:
            return False
        where = {QueuePlace.FRONT: 0, QueuePlace.END: len(rest)}.get(place, -1)
        if where < 0:
            where = rest.index(other) + (place is QueuePlace.AFTER)
        return self.move_to(job_id, where)

    def move_to(self, job_id: str, where: int) -> bool:
        rest = [one for one in self.order if one != job_id]
        then = [*rest[:where], job_id, *rest[where:]]
        moved, self.order = then != self.order, then
        return moved

    def end(self, job_id: str, status: Status) -> None:
        """Or any other move that workers make."""
        self.jobs[job_id].status = status
        if job_id in self.order:
            self.order.remove(job_id)
        self.settle()


class Machine(RuleBasedStateMachine):
    """Does the same in Redis and in the model, by the model's clock. A subclass says in which Redis."""

    given: ClassVar[JobStore]
    pool: ClassVar[ThreadPoolExecutor]

    def __init__(self) -> None:
        super().__init__()
        self.caller = new_caller()
        self.org = self.caller.org_id
        self.model = Model(datetime.now(UTC).replace(microsecond=0))
        self.jobs = JobStore(self.given._redis, self.given._settings, lambda: self.model.now)
        self.queue = FlexQueue(self.jobs._redis, self.jobs)

    def pick(self, number: int, *statuses: Status) -> str | None:
        """One of the jobs in these states, or of all."""
        among = [one for one, job in self.model.jobs.items() if not statuses or job.status in statuses]
        return among[number % len(among)] if among else None

    def together(self, what: Callable[[], Any]) -> list[Any]:
        """What several who do it at once hear: an answer, or the kind of error."""
        start = threading.Barrier(AT_ONCE)

        def attempt(_: int) -> Any:
            start.wait()
            try:
                return what()
            except (FlexQueueFull, JobConflict) as refusal:
                return type(refusal)

        return list(self.pool.map(attempt, range(AT_ONCE)))

    @rule(
        parents=some.lists(known, max_size=3),
        outcome=some.sampled_from(DependsOnOutcome),
        delay=some.sampled_from([None, None, None, -5, 30, 90]),
    )
    def submit_conditioned(self, parents: list[int], outcome: DependsOnOutcome, delay: int | None) -> None:
        self.submit(parents, outcome, delay)

    def submit(self, parents: list[int], outcome: DependsOnOutcome, delay: int | None, *statuses: Status) -> None:
        """By several with one idempotency key."""
        chosen = {one for number in parents if (one := self.pick(number, *statuses)) is not None}
        at = None if delay is None else self.model.now + timedelta(seconds=delay)
        conditions, key = Conditions(tuple(sorted(chosen)), outcome, at), str(uuid.uuid4())
        heard = self.together(
            lambda: self.jobs.submit(self.caller, BuiltIn.BATCH_QUOTE, conditions=conditions, idempotency_key=key)
        )
        plain = Plain(waits=set(chosen), outcome=outcome, not_before=at)
        if heard[0] is FlexQueueFull:
            assert heard == [FlexQueueFull] * AT_ONCE
            assert not self.model.enter("refused", plain)
        else:
            assert Counter(new for _, new in heard) == {True: 1, False: AT_ONCE - 1}
            [job_id] = {job.job_id for job, _ in heard}
            assert self.model.enter(job_id, plain)

    @rule()
    def submit_one_more(self) -> None:
        self.submit([], DependsOnOutcome.COMPLETED, None)

    @precondition(lambda self: len(self.model.order) > 1)
    @rule()
    def submit_until_full(self) -> None:
        for _ in range(ACTIVE + HOLDING):
            self.submit_one_more()

    @rule(parent=known, outcome=some.sampled_from(DependsOnOutcome), length=some.integers(1, 3))
    def submit_a_chain(self, parent: int, outcome: DependsOnOutcome, length: int) -> None:
        """Jobs that depend on one another, the first on one that has not ended."""
        for _ in range(length):
            self.submit([parent], outcome, None, Status.HOLDING, *SLOTS)
            parent = -1

    @rule(reserved=some.sampled_from([0, 0, 1, 2]), first=some.none() | known)
    def promote(self, reserved: int, first: int | None) -> None:
        named = None if first is None else self.pick(first, Status.HOLDING) or self.pick(first)
        heard = self.together(lambda: self.jobs.promote(self.org, reserved=reserved, first=named))
        expected = self.model.promote(reserved, named)
        assert max(heard, key=len) == expected
        assert sum(map(len, heard)) == len(expected)

    @precondition(lambda self: self.model.order)
    @rule(job=known, other=known, place=some.sampled_from(QueuePlace))
    def reorder(self, job: int, other: int, place: QueuePlace) -> None:
        order = self.model.order
        moved = order[job % len(order)]
        beside = order[other % len(order)] if place in (QueuePlace.BEFORE, QueuePlace.AFTER) else ""
        heard = self.together(lambda: self.queue.move(self.org, moved, place, beside))
        assert Counter(heard)[True] == self.model.move(moved, place, beside)

    @precondition(lambda self: self.model.order)
    @rule(job=known, position=some.integers(0, 5) | some.just(1000))
    def reorder_to_a_position(self, job: int, position: int) -> None:
        moved = self.model.order[job % len(self.model.order)]
        heard = self.together(lambda: self.queue.move_to(self.org, moved, position))
        assert Counter(heard)[True] == self.model.move_to(moved, position)

    @precondition(lambda self: self.model.jobs)
    @rule(job=known)
    def who_is_not_holding_is_not_moved(self, job: int) -> None:
        moved = self.pick(job, *SLOTS, *ENDS)
        if moved is not None:
            assert self.together(lambda: self.queue.move(self.org, moved, QueuePlace.FRONT)) == [JobConflict] * AT_ONCE

    @rule(job=known, steps=some.sampled_from([1, 2, 3, 3, 3]))
    def work(self, job: int, steps: int) -> None:
        job_id = self.pick(job, *SLOTS)
        for step in (Status.PREPARING, Status.PROCESSING, Status.COMPLETED)[:steps]:
            if job_id is not None and self.model.jobs[job_id].status in MOVES[step]:
                assert sum(self.together(partial(self.jobs.move, job_id, step))) == 1
                self.model.end(job_id, step)

    @rule(job=known, end=some.sampled_from([Status.FAILED, Status.ABORTED]))
    def break_off(self, job: int, end: Status) -> None:
        self.break_off_one(self.pick(job, Status.HOLDING, *SLOTS), end)

    @precondition(lambda self: self.parents())
    @rule(job=known, end=some.sampled_from([Status.FAILED, Status.ABORTED]))
    def break_off_a_parent(self, job: int, end: Status) -> None:
        self.break_off_one(self.parents()[job % len(self.parents())], end)

    def parents(self) -> list[str]:
        """The jobs that others wait for."""
        return [one for one in self.model.jobs if any(one in self.model.jobs[who].waits for who in self.model.order)]

    def break_off_one(self, job_id: str | None, end: Status) -> None:
        if job_id is not None:
            assert sum(self.together(lambda: self.jobs.move(job_id, end, extendedStatus="why"))) == 1
            self.model.end(job_id, end)

    @rule(job=known)
    def resume(self, job: int) -> None:
        job_id = self.pick(job, Status.FAILED, Status.ABORTED)
        if job_id is None:
            return
        before = self.model.jobs[job_id]
        heard = self.together(lambda: self.jobs.resume(job_id, self.caller).job_id)
        if self.model.hopeless(before):
            assert heard == [JobConflict] * AT_ONCE
        elif self.model.enter(job_id, Plain(waits=set(before.waits), **vars_of(before))):
            assert Counter(heard) == {job_id: 1, JobConflict: AT_ONCE - 1}
        else:
            assert heard == [FlexQueueFull] * AT_ONCE
            self.model.jobs[job_id] = before

    @rule(seconds=some.sampled_from([1, 30, 60]))
    def time_goes_on(self, seconds: int) -> None:
        self.model.now += timedelta(seconds=seconds)

    @rule(job=known)
    def the_sweep_looks(self, job: int) -> None:
        job_id = self.pick(job)
        if job_id is not None:
            self.jobs._redis.zadd(keys.HOLDING, {job_id: 0}, xx=True)
            self.together(lambda: self.jobs.look_again(9, 10))

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        model = self.model
        there = {job.job_id: job for job in JobSearch(self.jobs._redis, self.jobs).recent(self.org, limit=10_000)[0]}
        assert {one: job.status for one, job in there.items()} == {one: job.status for one, job in model.jobs.items()}
        assert [job.job_id for job in self.queue.jobs(self.org)] == model.order
        for job_id in model.order:
            waited = {one.job_id for one in there[job_id].waiting_for}
            assert waited - {None} == model.jobs[job_id].waits
            assert bool(waited) != model.may_go(job_id)
        ready = self.jobs._redis.ranked(keys.jobs_of(self.org, "ready"))
        may_go = list(filter(model.may_go, model.order))
        assert ready == [one for one in may_go if one in ready]
        assert ready == may_go or self.org in self.jobs.waking()
        active = self.jobs._redis.members(keys.jobs_of(self.org, "active"))
        assert active == {one for one, job in model.jobs.items() if job.status in SLOTS}
        assert active == set(there) & set(dict(self.jobs.open()))
        looked_at = set(self.jobs._redis.ranked(keys.HOLDING))
        assert set(model.order) == set(there) & looked_at
        assert bool(model.order) == (self.jobs._redis.zscore(keys.QUEUES, self.org) is not None)

    def teardown(self) -> None:
        for job_id, job in self.model.jobs.items():
            if job.status not in ENDS:
                self.jobs.move(job_id, Status.ABORTED)


def vars_of(job: Plain) -> dict[str, Any]:
    return {"outcome": job.outcome, "not_before": job.not_before}


def test_it_does_what_the_model_does(jobs: JobStore) -> None:
    """Whatever is done in whatever order, each thing by three at once: it happens once, and as in the model."""
    with ThreadPoolExecutor(AT_ONCE) as threads:

        class OnThisRedis(Machine):
            given, pool = jobs, threads

        run_state_machine_as_test(
            OnThisRedis,
            settings=settings(
                max_examples=50, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )


class Actor:
    """One of several who do things at random to the jobs of one org, and counts what it was told."""

    def __init__(self, jobs: JobStore, who: CallerContext, seed: int) -> None:
        self.jobs, self.who, self.dice = jobs, who, random.Random(seed)
        self.queue, self.search = FlexQueue(jobs._redis, jobs), JobSearch(jobs._redis, jobs)
        self.entered: Counter[str] = Counter()  # how often it submitted or resumed each job
        self.promoted: Counter[str] = Counter()
        self.there: list[str] = []  # the jobs it knows of
        self.acts = [self.submit, self.promote, self.promote, self.work, self.work]  # some twice as often
        self.acts += [self.break_off, self.reorder, self.resume]

    def act_until(self, end: float) -> None:
        while time.monotonic() < end:
            self.there = [job.job_id for job in self.search.recent(self.who.org_id, limit=8)[0]]
            act = self.dice.choice(self.acts) if self.there else self.submit
            with suppress(FlexQueueFull, JobConflict):
                act()

    def one(self) -> str:
        return self.dice.choice(self.there)

    def submit(self) -> None:
        parents = tuple(self.dice.sample(self.there, min(len(self.there), self.dice.randrange(3))))
        conditions = Conditions(parents, self.dice.choice(list(DependsOnOutcome)))
        made, _ = self.jobs.submit(self.who, BuiltIn.BATCH_QUOTE, conditions=conditions)
        self.entered[made.job_id] += 1

    def promote(self) -> None:
        first = self.dice.choice(["", self.one()])
        self.promoted.update(self.jobs.promote(self.who.org_id, reserved=self.dice.choice([0, 0, 1]), first=first))

    def work(self) -> None:
        work_off(self.jobs, self.one())

    def break_off(self) -> None:
        self.jobs.move(self.one(), self.dice.choice([Status.FAILED, Status.ABORTED]))

    def reorder(self) -> None:
        place = self.dice.choice([QueuePlace.BEFORE, QueuePlace.AFTER])
        self.queue.move(self.who.org_id, self.one(), place, self.one())

    def resume(self) -> None:
        one = self.one()
        self.jobs.resume(one, self.who)
        self.entered[one] += 1


def work_off(jobs: JobStore, job_id: str) -> None:
    """What workers do with a job that has a slot."""
    for step in (Status.PREPARING, Status.PROCESSING, Status.COMPLETED):
        jobs.move(job_id, step)


def look_until(done: threading.Event, jobs: JobStore, org_id: str) -> int:
    """How often the caps held, and nobody was in two places."""
    looks = 0
    while not done.is_set():
        with jobs._redis.pipeline(transaction=True) as pipe:
            pipe.zrange(keys.jobs_of(org_id, "holding"), 0, -1)
            pipe.smembers(keys.jobs_of(org_id, "active"))
            pipe.zrange(keys.jobs_of(org_id, "ready"), 0, -1)
            holding, active, ready = (set(found) for found in pipe.execute())
        assert len(active) <= ACTIVE
        assert len(holding) <= HOLDING + ACTIVE
        assert ready <= holding
        assert not holding & active
        looks += 1
    return looks


def test_what_must_hold_holds_while_all_act_at_once(jobs: JobStore) -> None:
    """Eight submit, promote, end, move and resume at random for three seconds.

    The caps hold at every look, each promotion is heard by one, and in the end everything has ended.
    """
    who, search, done = new_caller(), JobSearch(jobs._redis, jobs), threading.Event()
    actors = [Actor(jobs, who, seed) for seed in range(8)]
    with ThreadPoolExecutor(9) as pool:
        looking = pool.submit(look_until, done, jobs, who.org_id)
        end = time.monotonic() + 3
        for acting in [pool.submit(actor.act_until, end) for actor in actors]:
            acting.result()
        done.set()
        assert looking.result() > 50
    entered = sum((actor.entered for actor in actors), Counter[str]())
    promoted = sum((actor.promoted for actor in actors), Counter[str]())
    for _ in range(100):
        promoted.update(jobs.promote(who.org_id))
        for job in search.recent(who.org_id, JobFilter(frozenset(SLOTS)), limit=10_000)[0]:
            work_off(jobs, job.job_id)
    everything = search.recent(who.org_id, limit=10_000)[0]
    assert len(everything) > 20
    assert {job.status for job in everything} <= ENDS
    assert all(count <= entered[job_id] for job_id, count in promoted.items())
