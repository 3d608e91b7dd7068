"""Thousands of jobs of many orgs through the scheduler in simulated time, checked at every event by a plain model.

The load is skewed and seeded. A few orgs submit hundreds of jobs at once, are refused and try again. Most orgs submit a
few. Jobs take random times, depend on others, wait for a time, fail, and are moved and aborted by hand. Some orgs have
schedules, and some of these are guaranteed. The model keeps every queue as a list and reads it from the first job to
the last. It shares nothing with the scripts in Redis. A difference raises AssertionError.
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import redis

from quotejob import testing
from quotejob.errors import FlexQueueFull
from quotejob.jobs.conditions import Conditions
from quotejob.jobs.flexqueue import QueuePlace
from quotejob.jobs.job import ENDED, BuiltIn, DependsOnOutcome, Status
from quotejob.schedules.schedule import Overlap, Schedule
from quotejob.store import keys
from quotejob.testing import Fate, Ran, SandboxOrg

START = datetime(2031, 5, 1, tzinfo=UTC)
SUBMITTED_FOR = timedelta(hours=10)  # after that, only what waits
ACTIVE, HOLDING, WINDOW = 5, 100, timedelta(minutes=10)  # the defaults
HEAVY = 0.05  # of the orgs
HEAVY_SHARE = 0.6  # of the jobs are theirs
DEPENDENT, TIMED, FAILING, ABORTING = 0.15, 0.1, 0.05, 0.02  # of the jobs
LONGEST_BESIDE_GUARANTEED = timedelta(minutes=9)  # a slot kept for ten minutes is free then


@dataclass(slots=True)
class Known:
    """What the model knows of a job."""

    org_id: str
    conditions: Conditions = field(default_factory=Conditions)
    guaranteed: bool = False
    status: Status = Status.HOLDING


@dataclass(slots=True)
class Found:
    """The results of a simulation."""

    orgs: int
    submitted: int = 0
    scheduled: int = 0
    refused: int = 0
    moved: int = 0
    moments: int = 0
    guaranteed: int = 0
    late: int = 0  # of these: fires that had no slot at their time
    most_active: int = 0
    most_holding: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    simulated: timedelta = timedelta(0)
    seconds: float = 0.0


class Model:
    """The flex queues of all orgs, in the simplest form."""

    def __init__(self) -> None:
        self.jobs: dict[str, Known] = {}
        self.queues: dict[str, list[str]] = {}
        self.active: dict[str, dict[str, None]] = {}  # in the order in which they started
        self.children: dict[str, list[str]] = {}

    def submit(self, job_id: str, known: Known) -> None:
        """Add a job to the end of its queue, unless it waits in vain."""
        assert job_id not in self.jobs, "accepted twice"
        self.jobs[job_id] = known
        self.queues[known.org_id].append(job_id)
        for parent in known.conditions.depends_on:
            self.children.setdefault(parent, []).append(job_id)
        if self.in_vain(known):
            self.end(job_id, Status.ABORTED)

    def start(self, job_id: str, now: datetime, reserved: int) -> None:
        """Give a job a slot. There has to be one, and no job before it may be ready."""
        job = self.jobs[job_id]
        queue, active = self.queues[job.org_id], self.active[job.org_id]
        assert job.status is Status.HOLDING, f"{job.status}, and started"
        if not job.guaranteed:
            assert job_id == next((one for one in queue if self.may_go(one, now)), None), "out of its turn"
            assert len(active) < ACTIVE - reserved, "into a slot that is kept for another"
        assert len(active) < ACTIVE, "more active than slots"
        queue.remove(job_id)
        active[job_id] = None
        job.status = Status.PROCESSING

    def end(self, job_id: str, status: Status) -> None:
        """End a job, and those that now wait in vain."""
        job = self.jobs[job_id]
        if job.status is Status.HOLDING:
            self.queues[job.org_id].remove(job_id)
        self.active[job.org_id].pop(job_id, None)
        job.status = status
        for child in self.children.get(job_id, []):
            if self.jobs[child].status is Status.HOLDING and self.in_vain(self.jobs[child]):
                self.end(child, Status.ABORTED)

    def move(self, job_id: str, place: QueuePlace, other: str) -> None:
        """Move a job to another position of its queue."""
        queue = self.queues[self.jobs[job_id].org_id]
        if job_id == other:
            return
        queue.remove(job_id)
        places = {QueuePlace.FRONT: 0, QueuePlace.END: len(queue)}
        at = places[place] if place in places else queue.index(other) + (place is QueuePlace.AFTER)
        queue.insert(at, job_id)

    def in_vain(self, job: Known) -> bool:
        """Return whether a parent ended in another way than the job needs."""
        ends = (self.jobs[parent].status for parent in job.conditions.depends_on)
        return job.conditions.outcome is DependsOnOutcome.COMPLETED and any(
            status in (Status.FAILED, Status.ABORTED) for status in ends
        )

    def may_go(self, job_id: str, now: datetime) -> bool:
        """Return whether a Holding job is ready."""
        conditions = self.jobs[job_id].conditions
        return (conditions.not_before is None or conditions.not_before <= now) and all(
            self.jobs[parent].status in ENDED for parent in conditions.depends_on
        )


class Load:
    """The load on a sandbox, and the checks."""

    def __init__(self, first: SandboxOrg, client: redis.Redis, jobs: int, orgs: int, seed: int) -> None:
        self.simulation, self.client = first._simulation, client
        self.clock, self.random = first.clock, random.Random(seed)
        self.orgs = [first, *(first.another_org() for _ in range(orgs - 1))]
        self.model, self.found = Model(), Found(orgs)
        self.agenda: list[tuple[datetime, int, Callable[[], str]]] = []  # a heap: when, number, what; gives the org
        self.recent: dict[str, list[str]] = {org.id: [] for org in self.orgs}
        self.guarantees: dict[str, list[Schedule]] = {org.id: [] for org in self.orgs}
        self.fires: dict[str, tuple[Schedule, datetime]] = {}  # by the id of the job that comes of it
        self.seen = 0  # of the simulation's runs
        self.running: dict[str, list[int]] = {org.id: [] for org in self.orgs}  # their places in the list of runs
        for org in self.orgs:
            self.model.queues[org.id], self.model.active[org.id] = [], {}
        self._schedules()
        self._submissions(jobs)

    def run(self) -> Found:
        """Run everything, until the last job has ended."""
        began = time.perf_counter()
        while self._moment():
            pass
        self._everything_ended()
        self.found.simulated, self.found.seconds = self.clock.now - START, time.perf_counter() - began
        return self.found

    # -- the load ------------------------------------------------------------------------------------------------------

    def _schedules(self) -> None:
        """Give every fifth org one or two guaranteed schedules, and every seventh another one."""
        for number, org in enumerate(self.orgs):
            minute = self.random.randrange(60)
            wanted = [(f"0 {minute} * * * ?", True), (f"0 {(minute + 3) % 60}/30 * * * ?", True)][: 2 - number % 2]
            wanted = wanted if number % 5 == 0 else []
            if number % 7 == 0:
                wanted.append((f"30 {self.random.randrange(20)}/20 * * * ?", False))
            for place, (cron, guaranteed) in enumerate(wanted):
                schedule = org.create_schedule(
                    f"s {place}", cron, guaranteed=guaranteed, end_time=START + SUBMITTED_FOR,
                    overlap=Overlap.QUEUE if guaranteed else Overlap.SKIP, lasting=timedelta(minutes=2 + number % 6),
                )  # fmt: skip
                self.fires |= {schedule.job_id(fire): (schedule, fire) for fire in schedule.fires(START)}
                if guaranteed:
                    self.guarantees[org.id].append(schedule)

    def _submissions(self, jobs: int) -> None:
        """Plan who submits how many jobs when."""
        heavy = self.orgs[: max(1, round(len(self.orgs) * HEAVY))]
        left = jobs
        while left:
            if jobs - left < jobs * HEAVY_SHARE:
                org, count = self.random.choice(heavy), self.random.randrange(50, 400)
            else:
                org, count = self.random.choice(self.orgs[len(heavy) :] or heavy), self.random.randrange(1, 6)
            count = min(count, left)
            left -= count
            self._at(self._some_time(), partial(self._submit, org, count))
        for _ in range(jobs // 10):
            self._at(self._some_time(), self._move)
        for _ in range(round(jobs * ABORTING)):
            self._at(self._some_time(), self._abort)

    def _at(self, when: datetime, what: Callable[[], str]) -> None:
        heapq.heappush(self.agenda, (when, self.random.getrandbits(60), what))

    def _some_time(self) -> datetime:
        return START + self.random.random() * SUBMITTED_FOR // timedelta(milliseconds=1) * timedelta(milliseconds=1)

    def _submit(self, org: SandboxOrg, count: int) -> str:
        """Submit so many jobs at once. Refused ones are tried again some minutes later."""
        for done in range(count):
            conditions, fate = self._conditions(org), self._fate(org)
            try:
                job, _ = self.simulation.jobs.submit(
                    org.caller, BuiltIn.BATCH_QUOTE, soql_where_clause="a", conditions=conditions
                )
            except FlexQueueFull:
                assert len(self.model.queues[org.id]) >= HOLDING, "refused, and there is room"
                self.found.refused += 1
                later = self.clock.now + timedelta(seconds=self.random.randrange(60, 600))
                self._at(later, partial(self._submit, org, count - done))
                break
            self.simulation.decide(job.job_id, fate)
            self.model.submit(job.job_id, Known(org.id, conditions))
            assert job.status is self.model.jobs[job.job_id].status, "another status than the model's"
            self.recent[org.id] = [*self.recent[org.id][-30:], job.job_id]
            self.found.submitted += 1
        return org.id

    def _conditions(self, org: SandboxOrg) -> Conditions:
        recent, not_before = self.recent[org.id], None
        parents: tuple[str, ...] = ()
        if recent and self.random.random() < DEPENDENT:
            parents = tuple(self.random.sample(recent, min(len(recent), self.random.randrange(1, 4))))
        if self.random.random() < TIMED:
            not_before = self.clock.now + timedelta(seconds=self.random.randrange(7200))
        return Conditions(parents, self.random.choice(list(DependsOnOutcome)), not_before)

    def _fate(self, org: SandboxOrg) -> Fate:
        lasting = timedelta(seconds=1, milliseconds=int(self.random.expovariate(1 / 180_000)))
        if self.guarantees[org.id]:
            lasting = min(lasting, LONGEST_BESIDE_GUARANTEED)
        elif self.random.random() < 0.03:
            lasting *= 20
        ends = Status.FAILED if self.random.random() < FAILING else Status.COMPLETED
        return Fate(lasting, ends, "It failed" if ends is Status.FAILED else None)

    def _move(self) -> str:
        org = self.random.choice([org for org in self.orgs if len(self.model.queues[org.id]) > 1] or self.orgs)
        if queue := self.model.queues[org.id]:
            job_id, other = self.random.choice(queue), self.random.choice(queue)
            place = self.random.choice(list(QueuePlace))
            other = other if place in (QueuePlace.BEFORE, QueuePlace.AFTER) else ""
            self.found.moved += self.simulation.flex_queue.move(org.id, job_id, place, other)
            self.model.move(job_id, place, other)
        return org.id

    def _abort(self) -> str:
        org = self.random.choice([org for org in self.orgs if self.model.active[org.id]] or self.orgs)
        if not_ended := [*self.model.queues[org.id], *self.model.active[org.id]]:
            job_id = self.random.choice(not_ended)
            self.simulation.abort(job_id)
            self.model.end(job_id, Status.ABORTED)
        return org.id

    # -- the checks ----------------------------------------------------------------------------------------------------

    def _moment(self) -> bool:
        """Run the next moment at which something happens. Returns False when there is none."""
        times = [self.agenda[0][0]] if self.agenda else []
        if (coming := self.simulation.next_event()) is not None:
            times.append(coming)
        if not times:
            return False
        self.clock.move_to(min(times))
        self.found.moments += 1
        touched: dict[str, None] = {}
        while self.agenda and self.agenda[0][0] <= self.clock.now:
            org_id = heapq.heappop(self.agenda)[2]()
            self.simulation.changed(org_id)
            touched[org_id] = None
        touched.update(dict.fromkeys(self.simulation.step()))
        self._compare(list(touched))
        return True

    def _compare(self, org_ids: list[str]) -> None:
        """Repeat in the model what the scheduler did, which the model has to allow, and compare the two."""
        now = self.clock.now
        stored = self._stored(org_ids)
        ended = sorted(
            (run.ended, place) for org_id in org_ids for place in self.running[org_id]
            if (run := self.simulation.ran[place]).ended is not None
        )  # fmt: skip
        for _, place in ended:
            run = self.simulation.ran[place]
            self.running[run.org_id].remove(place)
            if self.model.jobs[run.job_id].status is Status.PROCESSING:  # the model has not aborted it
                self.model.end(run.job_id, run.status)
        started, self.seen = self.simulation.ran[self.seen :], len(self.simulation.ran)
        self._note_fired([run.job_id for run in started] + [one for queue, *_ in stored.values() for one in queue])
        for place, run in enumerate(started, self.seen - len(started)):
            self._note_start(place, run, stored[run.org_id][2])
        for org_id, (queue, active, reserved) in stored.items():
            self._check_org(org_id, queue, active, reserved, now)

    def _stored(self, org_ids: list[str]) -> dict[str, tuple[list[str], set[str], int]]:
        """Return the orgs' queues, active jobs and reserved slots in Redis."""
        pipe = self.client.pipeline(transaction=False)
        for org_id in org_ids:
            pipe.zrange(keys.jobs_of(org_id, "holding"), 0, -1)
            pipe.smembers(keys.jobs_of(org_id, "active"))
            pipe.get(keys.jobs_of(org_id, "reserved"))
        answers = pipe.execute()
        return {
            org_id: ([one.decode() for one in queue], {one.decode() for one in active}, int(reserved or 0))
            for org_id, queue, active, reserved in zip(org_ids, answers[::3], answers[1::3], answers[2::3], strict=True)
        }

    def _note_fired(self, job_ids: list[str]) -> None:
        """Add jobs that nobody submitted to the model. Each belongs to a fire time that has come."""
        for job_id in job_ids:
            if job_id not in self.model.jobs:
                schedule, fire = self.fires[job_id]
                assert fire <= self.clock.now, "fired before its time"
                self.model.submit(job_id, Known(schedule.org_id, guaranteed=schedule.guaranteed))
                self.found.scheduled += 1

    def _note_start(self, place: int, run: Ran, reserved: int) -> None:
        self.model.start(run.job_id, self.clock.now, reserved)
        self.running[run.org_id].append(place)
        if self.model.jobs[run.job_id].guaranteed:
            self.found.guaranteed += 1
            self.found.late += run.started != self.fires[run.job_id][1]

    def _check_org(self, org_id: str, queue: list[str], active: set[str], reserved: int, now: datetime) -> None:
        model = self.model
        assert queue == model.queues[org_id], "another order than the model's"
        assert active == set(model.active[org_id]), "others are active than in the model"
        times = [schedule.fires_after(now) for schedule in self.guarantees[org_id]]
        claimed = sum(fire is not None and fire - now <= WINDOW for fire in times)
        assert claimed <= reserved <= len(times), "a slot is not kept, or one for nobody"
        if len(active) < ACTIVE - reserved:
            assert not any(model.may_go(job_id, now) for job_id in queue), "a slot is free, and a job waits for one"
        waiting = sum(not model.jobs[job_id].guaranteed for job_id in queue)
        assert len(active) <= ACTIVE, "more active than slots"
        assert waiting <= HOLDING, "more Holding than there is room for"
        self.found.most_active = max(self.found.most_active, len(active))
        self.found.most_holding = max(self.found.most_holding, waiting)

    def _everything_ended(self) -> None:
        """Check that no job is left, that each ended as in the model, and that every fire time was decided once."""
        assert self.client.zcard(keys.OPEN) == 0, "jobs that have not ended"
        ids = list(self.model.jobs)
        for start in range(0, len(ids), 500):
            for job in self.simulation.jobs.get_many(ids[start : start + 500]):
                assert job.status is self.model.jobs[job.job_id].status, "another end than the model's"
                assert job.ended, f"{job.status} at the end"
                self.found.ended[job.status] = self.found.ended.get(job.status, 0) + 1
        decided = 0
        for org in self.orgs:
            for schedule in self.simulation.schedules.list_for_org(org.id):
                decided += schedule.times_triggered + schedule.times_skipped
                assert not (schedule.guaranteed and schedule.times_skipped), "a guaranteed fire time was skipped"
        assert decided == len(self.fires), "a fire time lost or doubled"
        promised = sum(schedule.guaranteed for schedule, _ in self.fires.values())
        assert self.found.guaranteed == promised, "a guaranteed fire time without its job"


def simulate(jobs: int, orgs: int, seed: int) -> Found:
    """Run the load on a private Redis. Raises AssertionError when a limit, order, slot or fire time is wrong."""
    with (
        testing.private_redis() as url,
        testing.sandbox(at=START, redis_url=url) as first,
        redis.Redis.from_url(url) as client,
    ):
        return Load(first, client, jobs, orgs, seed).run()
