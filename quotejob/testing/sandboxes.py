"""An org for tests: submit, reorder and schedule jobs that do no work, and let simulated time pass."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet

from quotejob.dispatch import Dispatcher
from quotejob.jobs.conditions import Conditions
from quotejob.jobs.flexqueue import QueuePlace
from quotejob.jobs.job import BuiltIn, DependsOnOutcome, Job, Status
from quotejob.jobs.store import JobStore
from quotejob.salesforce.address import API_VERSION
from quotejob.salesforce.caller import CallerContext, to18
from quotejob.schedules.firing import Firing
from quotejob.schedules.schedule import Schedule
from quotejob.schedules.store import ScheduleStore
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.testing import redis_server
from quotejob.testing.clock import Clock
from quotejob.testing.simulation import Fate, Ran, Simulation

OWNER_KEY = "quotejob:sandbox"  # the sandbox that uses this Redis database
SANDBOX_CLAUSE = "Name != null"  # never sent to an org
NO_TIME = timedelta(0)  # the job ends as soon as it starts


class RedisInUse(Exception):
    """The given Redis database is not empty, or another sandbox uses it. Nothing in it was changed."""


class SandboxOrg:
    """One org with its flex queue and schedules, in simulated time.

    In: jobs and schedules, and what each job does. Out: the jobs as they are, and their runs. No job starts by itself:
    it waits in the flex queue until ``run_due`` lets time pass, as after Test.enqueueBatchJobs on the platform. The
    stores are there for what this class has no method for.
    """

    def __init__(self, simulation: Simulation, orgs: list[SandboxOrg]) -> None:
        self.id = to18("00D" + uuid.uuid4().hex[:12])
        self.caller = CallerContext(
            request_id="sandbox", org_id=self.id, org_domain_url="https://sandbox.my.salesforce.com",
            api_version=API_VERSION, namespace="", access_token="00D!nobody", user_id=to18("005000000000001"),
            username="tester@sandbox.example",
        )  # fmt: skip
        self._simulation = simulation
        self._orgs = orgs
        orgs.append(self)

    @property
    def clock(self) -> Clock:
        """The clock, shared by all orgs of a sandbox."""
        return self._simulation.clock

    @property
    def jobs(self) -> JobStore:
        """The store of jobs."""
        return self._simulation.jobs

    @property
    def schedules(self) -> ScheduleStore:
        """The store of schedules."""
        return self._simulation.schedules

    @property
    def firing(self) -> Firing:
        """What fires due schedules."""
        return self._simulation.firing

    @property
    def dispatcher(self) -> Dispatcher:
        """What gives free slots to Holding jobs."""
        return self._simulation.dispatcher

    def another_org(self) -> SandboxOrg:
        """Return a further org in the same Redis, with the same clock."""
        return SandboxOrg(self._simulation, self._orgs)

    # -- jobs ----------------------------------------------------------------------------------------------------------

    def enqueue_jobs(
        self,
        n: int = 1,
        *,
        depends_on: Sequence[str] = (),
        depends_on_outcome: DependsOnOutcome = DependsOnOutcome.COMPLETED,
        not_before: datetime | None = None,
        lasting: timedelta | None = NO_TIME,
        ends: Status = Status.COMPLETED,
        reason: str | None = None,
    ) -> list[str]:
        """Submit ``n`` jobs that do no work, each with these conditions, and return their ids in order.

        A started job runs for ``lasting`` (None: until it is aborted). It ends in the status ``ends``, with ``reason``
        as its extendedStatus. Raises FlexQueueFull, and InvalidRequest for impossible conditions.
        """
        fate = Fate(lasting, ends, reason)
        conditions = Conditions(tuple(depends_on), depends_on_outcome, not_before)
        found = []
        for _ in range(n):
            job, _ = self.jobs.submit(
                self.caller, BuiltIn.BATCH_QUOTE, soql_where_clause=SANDBOX_CLAUSE, conditions=conditions
            )
            self._simulation.decide(job.job_id, fate)
            found.append(job.job_id)
        return found

    def decide(
        self,
        job_id: str,
        *,
        lasting: timedelta | None = NO_TIME,
        ends: Status = Status.COMPLETED,
        reason: str | None = None,
    ) -> None:
        """Set how a job that has not started will run and end. Raises ValueError when it has started."""
        if self.job(job_id).status is not Status.HOLDING:
            raise ValueError(f"Job {job_id} has started or ended; what becomes of it has to be said before")
        self._simulation.decide(job_id, Fate(lasting, ends, reason))

    def job(self, job_id: str) -> Job:
        """Return the job, with what it waits for. Raises JobNotFound."""
        return self.jobs.get(job_id, self.id)

    def abort_job(self, job_id: str) -> Job:
        """Abort a job; its slot is free when time goes on. Raises JobConflict when it has ended."""
        self.job(job_id)
        self._simulation.abort(job_id)
        return self.job(job_id)

    def resume_job(
        self,
        job_id: str,
        *,
        lasting: timedelta | None = NO_TIME,
        ends: Status = Status.COMPLETED,
        reason: str | None = None,
    ) -> Job:
        """Put a Failed or Aborted job back into the flex queue, and say what becomes of it this time.

        Raises JobConflict, FlexQueueFull.
        """
        fate = Fate(lasting, ends, reason)
        job = self.jobs.resume(job_id, self.caller)
        self._simulation.decide(job_id, fate)
        return job

    # -- the flex queue, in the platform's words -----------------------------------------------------------------------

    def flex_queue_order(self) -> list[str]:
        """Return the ids of the Holding jobs, the next one first."""
        return [job.job_id for job in self._simulation.flex_queue.jobs(self.id)]

    def move_job_to_front(self, job_id: str) -> bool:
        """Move a Holding job to the front. Returns False when it was there. Raises JobNotFound, JobConflict."""
        return self._simulation.flex_queue.move(self.id, job_id, QueuePlace.FRONT)

    def move_job_to_end(self, job_id: str) -> bool:
        """Move a Holding job to the end, as move_job_to_front does."""
        return self._simulation.flex_queue.move(self.id, job_id, QueuePlace.END)

    def move_before_job(self, job_to_move_id: str, job_in_queue_id: str) -> bool:
        """Move a Holding job to just before another one."""
        return self._simulation.flex_queue.move(self.id, job_to_move_id, QueuePlace.BEFORE, job_in_queue_id)

    def move_after_job(self, job_to_move_id: str, job_in_queue_id: str) -> bool:
        """Move a Holding job to just after another one."""
        return self._simulation.flex_queue.move(self.id, job_to_move_id, QueuePlace.AFTER, job_in_queue_id)

    # -- schedules -----------------------------------------------------------------------------------------------------

    def create_schedule(
        self,
        name: str,
        cron_expression: str,
        *,
        lasting: timedelta | None = NO_TIME,
        ends: Status = Status.COMPLETED,
        reason: str | None = None,
        **what: Any,
    ) -> Schedule:
        """Create a schedule and return it. Its jobs run and end as those of enqueue_jobs do.

        ``what``: time_zone, start_time, end_time, misfire, overlap, guaranteed. Raises InvalidRequest, and
        ScheduleConflict when the name is taken or its start cannot be guaranteed.
        """
        fate = Fate(lasting, ends, reason)
        given = {"authorization": "sandbox", "soql_where_clause": SANDBOX_CLAUSE} | what
        schedule = self.schedules.create(self.caller, name, cron_expression, **given)
        self._simulation.decide(schedule.schedule_id, fate)
        return schedule

    def schedule(self, schedule_id: str) -> Schedule:
        """Return the schedule. Raises ScheduleNotFound."""
        return self.schedules.get(schedule_id, self.id)

    def pause_schedule(self, schedule_id: str) -> Schedule:
        """Pause a schedule and return it."""
        return self.schedules.pause(schedule_id, self.id)

    def resume_schedule(self, schedule_id: str) -> Schedule:
        """Resume a paused schedule and return it."""
        return self.schedules.resume(schedule_id, self.id)

    def run_schedule_now(self, schedule_id: str) -> str:
        """Submit the schedule's job at once and return its id. The next fire time stays."""
        return self._simulation.firing.run_now(schedule_id, self.id)

    def delete_schedule(self, schedule_id: str) -> Schedule:
        """Delete a schedule and return it as it was. Its jobs stay."""
        return self.schedules.delete(schedule_id, self.id)

    # -- time ----------------------------------------------------------------------------------------------------------

    def run_due(self, at: datetime | None = None) -> list[Ran]:
        """Let time pass until ``at`` (None: run what is due now), event by event, in all orgs of the sandbox.

        Schedules fire. Ready jobs take free slots, run and end; then their children are ready. Returns the runs that
        started or ended in that time, in the order in which they started. Raises ValueError when ``at`` is in the past.
        """
        self._simulation.look_at([org.id for org in self._orgs])
        return self._simulation.run(self.clock.now if at is None else at)

    @property
    def ran(self) -> list[Ran]:
        """Every run of this org's jobs so far, in the order in which they started."""
        return [run for run in self._simulation.ran if run.org_id == self.id]


@contextmanager
def sandbox(
    at: datetime | None = None,
    *,
    redis_url: str | None = None,
    active_jobs: int = 5,
    holding_jobs: int = 100,
    reserve_minutes: int = 10,
) -> Iterator[SandboxOrg]:
    """Yield an org in simulated time, for the length of the block. Time begins ``at`` (default: now).

    Starts a private Redis server, or uses the empty database of ``redis_url`` and leaves it empty. The numbers are
    those of QUOTEJOB_ACTIVE_JOBS, QUOTEJOB_HOLDING_JOBS and QUOTEJOB_RESERVE_MINUTES. Raises RedisInUse, ServerError.
    """
    clock = Clock(at or datetime.now(UTC))
    with ExitStack() as stack:
        url = redis_url or stack.enter_context(redis_server.private())
        settings = Settings(
            redis_url=url, secret_keys=(Fernet.generate_key().decode(),), active_jobs=active_jobs,
            holding_jobs=holding_jobs, reserve_minutes=reserve_minutes, redis_may_forget=True,
        )  # fmt: skip
        pool = stack.enter_context(store.client(url, attempts=1))
        client = stack.enter_context(pool.client())  # one connection is enough, and faster than the pool
        stack.enter_context(_exclusive(client, url))
        yield SandboxOrg(Simulation(client, settings, clock), [])


@contextmanager
def _exclusive(client: store.RedisClient, url: str) -> Iterator[None]:
    """Hold the database for one sandbox, and leave it empty."""
    mine = uuid.uuid4().hex
    free = client.set(OWNER_KEY, mine, nx=True)
    others = client.dbsize() - 1
    if free and not others:
        try:
            yield
        finally:
            _delete_our_keys(client)
        return
    if free:
        client.delete(OWNER_KEY)
    place = urlsplit(url)  # without the password that it may contain
    where = f"{place.hostname}:{place.port or 6379}{place.path or '/0'}"
    whose = f"holds {others} keys of others, and real workers might take the jobs" if free else "has another sandbox"
    raise RedisInUse(
        f"The Redis database {where} {whose}. Give one that nobody uses (another number at the end of the URL, or "
        "this one after redis-cli FLUSHDB), or no redis_url: then a server is started"
    )


def _delete_our_keys(client: store.RedisClient) -> None:
    batch: list[bytes] = []
    for key in client.scan_iter("quotejob:*", count=1000):
        batch.append(key)
        if len(batch) == 1000:
            client.unlink(*batch)
            batch.clear()
    if batch:
        client.unlink(*batch)
