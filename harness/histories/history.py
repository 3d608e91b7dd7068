"""One history: jobs are submitted, stopped and resumed while everything fails; then all heals, and the judge reads.

Every choice is drawn from the seed, so the same seed gives the same history.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from harness.histories.judge import judge
from harness.histories.older import OlderCopy
from harness.histories.org import Deal, Org
from harness.histories.patched import Client, caller_of, patched
from harness.histories.schedules import Schedules
from harness.histories.workers import Workers
from harness.histories.world import Actor, Process, World
from quotejob.errors import FlexQueueFull, JobConflict, JobNotFound, StoreUnavailable
from quotejob.jobs.job import BuiltIn, CommitBy, Status
from quotejob.jobs.options import Options
from quotejob.jobs.retry import Retry
from quotejob.salesforce.caller import CallerContext
from quotejob.services import Services
from quotejob.settings import Settings

ORGS = ("00D000000000001EAA", "00D000000000002EAA")
GROUPS = ("a", "b")
BY_BULK = 0.3  # of the jobs write by Bulk API 2.0
TROUBLE = 120.0  # seconds at most in which faults happen and users act
LIMIT = 4 * 3600.0  # seconds in which everything must have healed


@dataclass(frozen=True)
class Verdict:
    """What came of a history. ``wrong`` is empty if all is right."""

    seed: int
    wrong: list[str]
    trace: list[str]
    ends: list[str]  # the statuses of its jobs
    faults: int  # that have happened


class History:
    """One history. It empties the Redis of its client first."""

    def __init__(self, seed: int, client: Client, settings: Settings) -> None:
        self.seed = seed
        self.world = World(seed)
        self._dice = self.world.dice
        self._made = Services(settings, client, self.world.now)
        self._jobs: dict[str, str] = {}
        self._web = Process("web")
        often = self._dice.choice((0.0, 0.005, 0.02, 0.08))
        deaths = self._dice.choice((0.0, 0.001, 0.005, 0.02))
        self._org = Org(self.world, faults=self._dice.choice((0.0, 0.02, 0.1)))
        self._workers = Workers(self.world, often, deaths)
        self._schedules = Schedules(self.world, self._made, self._workers)
        self._older = OlderCopy(self.world, client, self._workers)
        self._client = client
        self._client.tear(seed)
        self._client.faults = self._dice.choice((0.0, 0.0, 0.002, 0.01))
        self._renews = self._dice.random() < 0.5
        self._acting = 0  # users who have still something to do
        self._make_deals()

    def run(self) -> Verdict:
        """Run the history and judge it."""
        with patched(self.world, self._workers, self._org, self._made, renews=self._renews):
            self._client.load_scripts()
            self._client.flushdb()
            self._workers.sign_of_life = self._client.sign_of_life
            self._workers.start(self._dice.choice((1, 2, 3)))
            self._beat()
            for _ in range(self._dice.choice((0, 0, 0, 0, 0, 0, 1, 2))):
                self._schedules.create(self._caller(ORGS[0]), self._dice.choice(GROUPS))
            if not self._schedules.there():
                self._older.plan(self.seed, TROUBLE / 2)
            for number in range(self._dice.choice((1, 1, 2, 3))):
                self._user(f"user {number}", self._submit)
            for number in range(self._dice.choice((0, 1, 2, 4))):
                self._user(f"meddler {number}", self._meddle)
            self.world.run(lambda: not self._acting and self._is_at_rest(), TROUBLE)
            wrong = self._heal() + self.world.errors
            wrong += judge(self._made, self._org, self._jobs, self._older)
        ends = [str(job.status) for job in self._made.jobs.get_many(list(self._jobs))]
        return Verdict(self.seed, wrong, list(self.world.trace), ends, self.world.faults)

    # -- what is there -------------------------------------------------------------------------------------------------

    def _make_deals(self) -> None:
        sizes = self._dice.choice(((0, 1, 1, 2, 2, 3, 9, 14), (0, 1, 1, 2, 2, 3, 9, 14), (9, 14)))
        for number in range(self._dice.choice((1, 4, 8, 14))):
            lines = self._dice.choice(sizes)
            refused = self._dice.choice((-1, lines - 1)) if lines and self._dice.random() < 0.15 else None
            deal = Deal(f"006{number:012}AAA", self._dice.choice(GROUPS), lines, refused)
            self._org.deals[deal.id] = deal

    def _caller(self, org_id: str) -> CallerContext:
        return caller_of(self._org, self.world, org_id)

    # -- who acts ------------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        """Send a sweep, and one more after some seconds. The workers give their signs of life."""
        self._workers.live()
        self._schedules.tick(self._web)
        if self._workers.sweeping and not any(sent.task == "quotejob.sweep" for sent in self._workers.waiting):
            self.world.spawn(
                Actor("beat", self._web, lambda: self._workers.publish("quotejob.sweep", {})),
            )
        self.world.at(self._dice.uniform(*((4, 16) if self.world.calm else (2, 8))), self._beat)

    def _user(self, name: str, act: Callable[[], None]) -> None:
        def done() -> None:
            self._acting -= 1

        self._acting += 1
        self.world.spawn(Actor(name, self._web, act, done), after=self._dice.uniform(0, TROUBLE / 2))

    def _submit(self) -> None:
        group, caller, since = self._dice.choice(GROUPS), self._caller(self._dice.choice(ORGS)), self._older.stage
        with contextlib.suppress(StoreUnavailable):
            clause = f"Name = '{group}'"
            dry, by_bulk = self._dice.random() < 0.1, self._dice.random() < BY_BULK
            options = Options(dry_run=dry, commit_by=CommitBy.BULK if by_bulk else CommitBy.GRAPH)
            job, _ = self._made.jobs.submit(caller, BuiltIn.BATCH_QUOTE, soql_where_clause=clause, options=options)
            self._accepted(job.job_id, group, caller.org_id, since)

    def _accepted(self, job_id: str, group: str, org_id: str, since: int) -> None:
        self.world.note(f"accepted {job_id}")
        self._older.note(job_id, since)
        self._jobs[job_id] = group
        self._workers.publish("quotejob.dispatch", {"org_id": org_id})

    def _meddle(self) -> None:
        """Do what users and time do to a job: abort, resume, retry, end its session."""
        if not self._jobs or self.world.calm:
            return
        job_id = self._dice.choice(list(self._jobs))
        act = self._dice.choice((self._abort, self._abort, self._resume, self._retry, self._end_sessions))
        self.world.note(f"{act.__name__} {job_id}")
        with contextlib.suppress(JobConflict, JobNotFound, FlexQueueFull, StoreUnavailable):
            act(job_id)
        if self._dice.random() < 0.5:
            self.world.sleep(self._dice.uniform(0, 20))
            self._meddle()

    def _abort(self, job_id: str) -> None:
        self._workers.publish("quotejob.dispatch", {"org_id": self._made.jobs.abort(job_id).org_id})

    def _resume(self, job_id: str) -> None:
        job, since = self._made.jobs.get(job_id), self._older.stage
        try:
            self._made.jobs.resume(job_id, self._caller(job.org_id))
        finally:
            self._older.note(job_id, since)
        self._workers.publish("quotejob.dispatch", {"org_id": job.org_id})

    def _retry(self, job_id: str) -> None:
        job, since = self._made.jobs.get(job_id), self._older.stage
        new, _ = self._made.retries.submit(self._caller(job.org_id), Retry(job, frozenset()))
        self._accepted(new.job_id, "", job.org_id, since)

    def _end_sessions(self, _: str) -> None:
        self._org.sessions.clear()

    # -- the end -------------------------------------------------------------------------------------------------------

    def _heal(self) -> list[str]:
        """Let everything go on without faults until it rests. Return what does not."""
        self.world.calm = True
        self.world.run(lambda: not (self._org.late or self._org.ingest.running or self._acting), 100)
        self._jobs |= {job.job_id: (job.soql_where_clause or "")[8:-1] for job in self._schedules.end()}
        known = [job.job_id for job in self._made.jobs.get_many(list(self._jobs))]
        self._jobs, wrong = self._older.judged(self._jobs, known)
        wrong += self._schedules.wrong()
        if not self._rest():
            return [*wrong, "it does not come to rest"]
        if self._dice.random() < 0.6:
            for job in self._made.jobs.get_many(list(self._jobs)):
                if job.status in (Status.FAILED, Status.ABORTED):
                    self._resume(job.job_id)
            if not self._rest():
                return ["it does not come to rest after every job was resumed"]
            wrong += self._unfinished(list(self._jobs))
        last = []
        for org_id in ORGS:  # the next session of an org removes what sessions that had ended left
            job, _ = self._made.jobs.submit(
                self._caller(org_id), BuiltIn.BATCH_QUOTE, soql_where_clause="Name = 'nobody'"
            )
            self._accepted(job.job_id, "nobody", org_id, self._older.stage)
            last.append(job.job_id)
        if not self._rest():
            return ["the clean-up does not come to rest"]
        self.world.run(self._is_told, LIMIT)
        return wrong + self._unfinished(last) + self._untold()

    def _unfinished(self, job_ids: list[str]) -> list[str]:
        """Return the jobs that are not Completed although nothing was in their way."""
        jobs = self._made.jobs.get_many(job_ids)
        return [f"job {job.job_id} is {job.status}: {job.extended_status}" for job in jobs if job.status != "Completed"]

    def _untold(self) -> list[str]:
        """Return the jobs whose record in the org has another status."""
        jobs, told = self._made.jobs.get_many(list(self._jobs)), self._org.told
        return [
            f"job {job.job_id} is {job.status}, and the org was told {told.get(job.job_id)}"
            for job in jobs
            if told.get(job.job_id) != job.status
        ]

    def _is_told(self) -> bool:
        return self._workers.idle() and not self._untold()

    def _rest(self) -> bool:
        return self.world.run(self._is_at_rest, LIMIT)

    def _is_at_rest(self) -> bool:
        if not self._workers.idle() or any(process.actors for process in self._workers.processes):
            return False
        jobs = self._made.jobs.get_many(list(self._jobs))
        return all(job.ended for job in jobs)
