"""bin/chaos: jobs and schedules run while processes are killed, Redis goes away or its clock jumps, the org fails and
messages come twice; then the org alone is asked whether every Quote is there: once, whole, right, and no other.

A round makes some schedules and submits some jobs, breaks things for a while by a seeded plan, heals, pauses the
schedules, waits until every job is Completed (one that Failed or was aborted is resumed, as its owner would) and checks
Quotes and fire times. The process exits 0 only if every round was faultless; the logs of a failed one are kept, and it
is said where.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import redis
import requests

from cli.client import Api, ApiError, Json, facts
from harness.org_reader import OrgReader
from harness.process import Process, StackError
from harness.stack import Stack
from harness.timetable import PLANS, Plan, RedisClock, check_schedule, seconds
from harness.verdict import check_job

T = TypeVar("T")

ENDED = ("Completed", "Failed", "Aborted")
STUCK = 150.0  # seconds without any progress after all is healed
REFUSED = 5  # Opportunities whose Quotes the org refuses, in every job
ORG_FAULTS = (
    "slow", "fail_before_write", "fail_after_write", "reset_before_write", "reset_after_write", "lock", "limit",
    "expire_session",
)  # fmt: skip
RESOURCES = ("composite/graph", "query", "*")
TIMEOUT = 3  # seconds the gateway waits for an answer here; a slow one takes longer
# Seconds that Redis's clock may jump, either way. Not by just under a minute: each second would be made good by a job.
JUMPS = ((1, 20), (70, 300), (3600, 7200))
NO_JUMPS = "does not jump: this machine has no libfaketime (Debian: the package faketime) that its redis-server goes by"
FARTHEST = 4 * 3600  # seconds that it may be ahead or back: sessions are kept for a day
LEFT = ("leases", "deaths", "faults", "context", "quotes", "left", "marks", "batches", "pages")


# What goes wrong with a way of breaking things because something else is broken already.
MISSED = (
    StopIteration,
    IndexError,
    ProcessLookupError,
    FileNotFoundError,
    redis.RedisError,
    requests.RequestException,
    ApiError,
)


class Violation(Exception):
    """A promise was broken; the message says which."""


@dataclass(slots=True)
class Figures:
    """What the whole run did."""

    rounds: int = 0
    jobs: int = 0
    quotes: int = 0
    fires: int = 0  # fire times of schedules that made a job or were skipped
    resumed: int = 0
    longest_stall: float = 0.0  # seconds without progress after healing
    longest_recovery: float = 0.0  # seconds from the kill of every worker to progress on a new one
    faults: Counter[str] = field(default_factory=Counter)


class Platform(Stack):
    """Starts a process again that ended by itself, as a platform does; a worker may, when a child dies as it starts."""

    def check(self) -> None:
        """Redis and the local org have nobody who starts them again."""
        ended = [p.name for p in self.processes if not p.running and p.name in ("redis", "localorg")]
        if ended:
            raise StackError(f"{ended} ended by itself{self.obituaries()}")


class Chaos:
    """A running system, and ways to break it."""

    def __init__(
        self, stack: Stack, dice: random.Random, workers: int, clock: RedisClock, only: frozenset[str] = frozenset()
    ) -> None:
        self.stack = stack
        self.clock = clock
        self.dice = dice
        self.figures = Figures()
        self.workers = workers
        self._stopped: list[tuple[Process, float]] = []  # who sleeps, and until when
        self._leaving: list[tuple[Process, float]] = []  # who was asked to end, and has to until when
        self._down: dict[str, float] = {}  # who is to be started again, and when
        ways: dict[str, Callable[[], None]] = {
            "kill a worker's child": self._kill_child,
            "kill a worker": lambda: self._kill(self._a_worker(), 3),
            "kill every worker": self._kill_workers,
            "stop a worker": self._terminate_worker,
            "freeze a worker": self._freeze_worker,
            "kill web": lambda: self._kill("web", 2),
            "kill beat": lambda: self._kill("beat", 3),
            "kill Redis": lambda: self._kill("redis", 8),
            "org fault": self._org_fault,
            "duplicate messages": self._duplicate_messages,
            "shuffle messages": self._shuffle_messages,
            "abort a job": self._abort,
        }
        if clock.library:
            ways["Redis's clock jumps"] = self._jump
        weights = {
            "org fault": 6,
            "kill a worker's child": 3,
            "duplicate messages": 3,
            "kill every worker": 2,
            "Redis's clock jumps": 2,
        }
        self._ways = {name: way for name, way in ways.items() if not only or name in only}
        self._weights = [weights.get(name, 1) for name in self._ways]
        self._api: Api | None = None
        self._jobs: list[str] = []
        self._schedules: dict[str, Plan] = {}
        self._firsts: dict[str, int] = {}  # the first fire time of each
        self._scheduled: set[str] = set()  # the ids of their jobs
        self._began = datetime.now(UTC)  # the round

    # -- the system ----------------------------------------------------------------------------------------------------

    def start(self, opportunities: int) -> None:
        """Everything but Redis, which runs, and Flower; one large Opportunity beside many of two lines."""
        org = self.stack.start_org(0, "--opportunities", str(opportunities), "--lines", "2")
        self.stack.start_web()
        for number in range(self.workers):
            self.stack.start_worker(number + 1, "-c", "2")
        self.stack.start_beat()
        self.stack.wait_ready()
        self.reader = OrgReader(org)
        self._api = Api(self.stack.web_url, org, self.reader.username())
        self._make_large()
        self._make_refused()

    @property
    def jumping(self) -> str:
        """Whether jumps of Redis's clock are among the ways of this run, in words."""
        return "jumps in this run" if "Redis's clock jumps" in self._ways else "does not jump, as asked"

    @property
    def api(self) -> Api:
        assert self._api is not None
        return self._api

    def _make_large(self) -> None:
        """One Opportunity of 700 lines: more than one request holds."""
        like = next(self.reader.query("SELECT Pricebook2Id, (SELECT PricebookEntryId FROM OpportunityLineItems) "
                                      "FROM Opportunity LIMIT 1"))  # fmt: skip
        entry = like["OpportunityLineItems"][0]["PricebookEntryId"]
        fields = {"Name": "Large 0", "StageName": "Prospecting", "CloseDate": "2027-03-01"}
        large = self.reader.create("Opportunity", fields | {"Pricebook2Id": like["Pricebook2Id"]})
        line = {"OpportunityId": large, "PricebookEntryId": entry, "Quantity": 2}
        for start in (0, 350):
            nodes = [
                self.reader.node(f"l{n}", "OpportunityLineItem", line | {"UnitPrice": 100 + n})
                for n in range(start, start + 350)
            ]
            self.reader.graph(nodes)

    def _make_refused(self) -> None:
        """Some Opportunities whose Quotes the org refuses: their price book entry is no longer active."""
        like = next(self.reader.query("SELECT Pricebook2Id, Product2Id, UnitPrice FROM PricebookEntry "
                                      "WHERE IsActive = true AND Pricebook2.IsStandard = false LIMIT 1"))  # fmt: skip
        product = self.reader.create("Product2", {"Name": "Withdrawn", "IsActive": True})
        standard = next(self.reader.query("SELECT Id FROM Pricebook2 WHERE IsStandard = true"))["Id"]
        entry = {"Product2Id": product, "UnitPrice": 10, "IsActive": True}
        self.reader.create("PricebookEntry", entry | {"Pricebook2Id": standard})
        withdrawn = self.reader.create("PricebookEntry", entry | {"Pricebook2Id": like["Pricebook2Id"]})
        for number in range(REFUSED):
            fields = {"Name": f"Refused {number}", "StageName": "Prospecting", "CloseDate": "2027-03-01"}
            made = self.reader.create("Opportunity", fields | {"Pricebook2Id": like["Pricebook2Id"]})
            line = {"OpportunityId": made, "PricebookEntryId": withdrawn, "Quantity": 1, "UnitPrice": 10}
            self.reader.create("OpportunityLineItem", line)
        self.reader.update("PricebookEntry", withdrawn, {"IsActive": False})

    # -- one round -----------------------------------------------------------------------------------------------------

    def round(self, seconds: float) -> None:
        """Make schedules, submit, break, heal, wait, check."""
        self._jobs.clear()
        self._began = datetime.now(UTC)
        self._make_schedules()
        wheres: dict[str, str] = {}
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._tick()
            with contextlib.suppress(requests.RequestException, ApiError):
                if sum(self.api.job(job_id)["status"] not in ENDED for job_id in self._jobs) < 2:
                    where = self._where()
                    self._jobs.append(self._submit(where))
                    wheres[self._jobs[-1]] = where
            if self.dice.random() < 0.5:
                name = self.dice.choices(list(self._ways), self._weights)[0]
                self.figures.faults[name] += 1
                with contextlib.suppress(*MISSED):
                    self._ways[name]()
            time.sleep(self.dice.uniform(0.1, 0.8))
        self._heal()
        paused = self._pause_schedules()
        for job_id, where in wheres.items():
            self._finish(job_id)
            self._check(job_id, where)
        self._check_schedules(paused)
        self._check_rest()
        self.figures.rounds += 1

    def _where(self) -> str:
        """A clause that matches from a handful to all of the Opportunities; now and then the large one."""
        return self.dice.choice(
            [
                "Name LIKE 'Opportunity %'",
                f"Name LIKE 'Opportunity {self.dice.randint(1, 9)}%'",
                "Name LIKE 'Large %'",
                "Name LIKE 'Opportunity 1_'",
            ]
        )

    def _submit(self, where: str) -> str:
        """Submitted as a careful caller does: the same key until there is an answer. The refused ones come along."""
        where = f"({where}) OR Name LIKE 'Refused %'"
        self.figures.jobs += 1
        headers = self.api.context() | {"Idempotency-Key": f"{self.dice.random()}"}
        body = {"soqlWhereClause": where}
        return str(_patient(lambda: self.api.post("/api/executebatch", body, headers=headers))["jobId"])

    def _finish(self, job_id: str) -> None:
        """Wait for the job's end; resume one that ended otherwise than Completed."""
        last, since = "", time.monotonic()
        while True:
            self._tick()
            job = _patient(lambda: self.api.job(job_id))
            if job["status"] == "Completed":
                return
            if job["status"] in ENDED:
                _patient(lambda: self.api.post(f"/api/jobs/{job_id}/resume"))
                self.figures.resumed += 1
            if repr(facts(job)) != last:
                last, since = repr(facts(job)), time.monotonic()
            stall = time.monotonic() - since
            self.figures.longest_stall = max(self.figures.longest_stall, stall)
            if stall > STUCK:
                raise Violation(f"job {job_id} is stuck: {job}")
            time.sleep(0.25)

    def _check(self, job_id: str, where: str, refused: int = REFUSED) -> None:
        """The org's truth, and the job's own word for it."""
        verdict = check_job(self.reader, job_id, where)
        if verdict.differences:
            raise Violation(f"job {job_id}: {len(verdict.differences)} differences: {verdict.differences[:5]}")
        matching = self.reader.count(f"SELECT COUNT() FROM Opportunity WHERE {where}")
        job = self.api.job(job_id)
        records = job["records"]
        said = (
            records["total"],
            records["succeeded"],
            records["failed"],
            job["quotesCreated"],
            job["jobItemsProcessed"],
        )
        true = (matching + refused, verdict.quotes, refused, verdict.quotes, job["totalJobItems"])
        results = Counter(result["recordId"] for result in self.api.results(job_id))
        if said != true or len(results) != matching + refused or max(results.values()) > 1:
            raise Violation(f"job {job_id} says {said} with {len(results)} results; the org says {true}")
        self.figures.quotes += verdict.quotes

    def _check_rest(self) -> None:
        """No quote but those checked; nothing of an ended job left in Redis that should be gone."""
        quotes = self.reader.count("SELECT COUNT() FROM Quote")
        if quotes != self.figures.quotes:
            raise Violation(f"the org has {quotes} quotes, {self.figures.quotes} were checked")
        with self._redis() as client:
            left = [
                key.decode()
                for job_id in (*self._jobs, *self._scheduled)
                for key in client.scan_iter(f"quotejob:job:{job_id}:*", count=1000)
                if key.decode().rpartition(":")[2] in LEFT
            ]
        if left:
            raise Violation(f"left in Redis: {left[:5]}")

    # -- schedules -----------------------------------------------------------------------------------------------------

    def _make_schedules(self) -> None:
        """Every one of PLANS, while all is well."""
        self._schedules.clear()
        self._scheduled.clear()
        for plan in PLANS:
            made = self.api.post("/api/schedules", plan.body())
            self._schedules[made["scheduleId"]] = plan
            self._firsts[made["scheduleId"]] = seconds(made["nextFireTime"])

    def _pause_schedules(self) -> dict[str, tuple[Json, int]]:
        """Wait until each has caught up with the clock, then pause it; what it says, and when it would fire next."""
        paused: dict[str, tuple[Json, int]] = {}
        for schedule_id, plan in self._schedules.items():
            until = time.monotonic() + STUCK
            while True:
                self._tick()
                before = _patient(lambda path=f"/api/schedules/{schedule_id}": self.api.get(path))  # type: ignore[misc]
                if seconds(before["nextFireTime"]) > self.clock.now() - plan.every - 2:
                    break
                if time.monotonic() > until or before["state"] == "ERROR":
                    raise Violation(f"schedule {plan.name} does not fire: {before}")
                time.sleep(0.25)
            after = self.api.post(f"/api/schedules/{schedule_id}/pause")
            meanwhile = _decided(after) - _decided(before)
            paused[schedule_id] = (after, seconds(before["nextFireTime"]) + meanwhile * plan.every)
        return paused

    def _check_schedules(self, paused: dict[str, tuple[Json, int]]) -> None:
        """Each fire time was decided once, what it made is Completed and right; then forget the schedules."""
        made = self._finish_scheduled(sum(schedule["timesTriggered"] for schedule, _ in paused.values()))
        for schedule_id, (schedule, following) in paused.items():
            plan, first = self._schedules[schedule_id], self._firsts[schedule_id]
            jobs = [job["jobId"] for job in made if job["scheduleId"] == schedule_id]
            wrong = check_schedule(schedule, plan.every, first, following, jobs, self.clock.stretches())
            if wrong:
                raise Violation(f"schedule {plan.name}: {wrong}; the clock jumped {self.clock.jumps}; {schedule}")
            self.figures.fires += _decided(schedule)
            for job_id in jobs if plan.where else ():
                self._check(job_id, plan.where or "", refused=0)
            self.api.request("DELETE", f"/api/schedules/{schedule_id}").raise_for_status()
        self._scheduled.update(job["jobId"] for job in made)

    def _finish_scheduled(self, least: int) -> list[Json]:
        """The schedules' jobs, when there are so many and all are Completed; one that ended otherwise is resumed."""
        last, since = "", time.monotonic()
        while True:
            self._tick()
            listed = _patient(lambda: self.api.jobs(createdFrom=self._began.isoformat().replace("+00:00", "Z")))
            jobs = [job for job in listed if job["scheduleId"] in self._schedules]
            for job in jobs:
                if job["status"] in ("Failed", "Aborted"):
                    _patient(lambda job=job: self.api.post(f"/api/jobs/{job['jobId']}/resume"))  # type: ignore[misc]
                    self.figures.resumed += 1
            if len(jobs) >= least and all(job["status"] == "Completed" for job in jobs):
                return jobs
            if (seen := repr([facts(job) for job in jobs])) != last:
                last, since = seen, time.monotonic()
            self.figures.longest_stall = max(self.figures.longest_stall, time.monotonic() - since)
            if time.monotonic() - since > STUCK:
                left = [job for job in jobs if job["status"] != "Completed"]
                raise Violation(f"of {least} jobs of schedules there are {len(jobs)}, not Completed: {left[:3]}")
            time.sleep(0.5)

    def _a_worker(self) -> str:
        return f"worker{self.dice.randint(1, self.workers)}"

    def _kill_child(self) -> None:
        children = _children(self.stack.process(self._a_worker()).pid)
        os.kill(self.dice.choice(children), signal.SIGKILL)

    def _kill(self, name: str, longest: float) -> None:
        if name in self._down:
            return
        process = self.stack.process(name)
        process.kill()
        self.stack.processes.remove(process)
        self._down[name] = time.monotonic() + self.dice.uniform(0.1, longest)

    def _kill_workers(self) -> None:
        for number in range(self.workers):
            self._kill(f"worker{number + 1}", 1)

    def _terminate_worker(self) -> None:
        """As a platform does at a deploy: SIGTERM to every process of the group, perhaps twice; a new one at once."""
        name = self._a_worker()
        if name in self._down:
            return
        process = self.stack.process(name)
        if any(process is frozen for frozen, _ in self._stopped):
            return  # no platform asks a process to end that it has frozen
        for _ in range(self.dice.randint(1, 2)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            time.sleep(0.3)
        self.stack.processes.remove(process)
        self._leaving.append((process, time.monotonic() + 30))
        self._down[name] = time.monotonic()

    def _freeze_worker(self) -> None:
        process = self.stack.process(self._a_worker())
        os.killpg(process.pid, signal.SIGSTOP)
        self._stopped.append((process, time.monotonic() + self.dice.uniform(5, 20)))

    def _org_fault(self) -> None:
        kind = self.dice.choice(ORG_FAULTS)
        spec = {
            "kind": kind,
            "match": {"resource": self.dice.choice(RESOURCES)},
            "count": 1 if kind in ("expire_session", "limit") else self.dice.randint(1, 4),
            "seconds": TIMEOUT + 1 if kind == "slow" else 0,
            "seed": self.dice.randint(0, 10**6),
        }
        self.figures.faults[f"org: {kind}"] += 1
        requests.post(f"{self.stack.org.url}/localorg/faults", json=spec, timeout=10).raise_for_status()  # type: ignore[union-attr]

    def _duplicate_messages(self) -> None:
        with self._redis() as client:
            for queue in _queues(client):
                for message in client.lrange(queue, 0, 20):
                    client.lpush(queue, message)

    def _shuffle_messages(self) -> None:
        with self._redis() as client:
            for queue in _queues(client):
                for _ in range(self.dice.randint(1, 20)):
                    client.lmove(queue, queue, "LEFT", "RIGHT")

    def _jump(self) -> None:
        """Ahead or back, by seconds, minutes or hours; never too far from the machine's clock."""
        by = self.dice.uniform(*self.dice.choice(JUMPS)) * self.dice.choice((1, -1))
        if abs(self.clock.offset + by) > FARTHEST:
            by = -self.clock.offset
        self.clock.jump(by)

    def _abort(self) -> None:
        self.api.post(f"/api/jobs/{self.dice.choice(self._jobs)}/abort")

    # -- time passes ---------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Start again what has been down long enough, wake who slept long enough, see off who was asked to leave."""
        now = time.monotonic()
        for process in [p for p in self.stack.processes if not p.running]:
            self.figures.faults[f"{process.name.rstrip('0123456789')} ended by itself"] += 1
            self.stack.processes.remove(process)
            process.finish(0)
            self._down[process.name] = now + 1
        for name in [name for name, due in self._down.items() if due <= now]:
            del self._down[name]
            self._start(name)
        for process, due in [pair for pair in self._stopped if pair[1] <= now]:
            self._stopped.remove((process, due))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)
        for process, due in list(self._leaving):
            if not process.running or due <= now:
                if process.running:
                    raise Violation("a worker that got SIGTERM was still there after 30 s")
                self._leaving.remove((process, due))
                process.finish(0)

    def _start(self, name: str) -> None:
        if name.startswith("worker"):
            self.stack.start_worker(int(name.removeprefix("worker")), "-c", "2")
        elif name == "redis":
            port = urlsplit(self.stack.redis_url or "").port or 0
            self.stack.redis_url = None  # else it is taken for somebody else's server
            self.stack.start_redis(port)
        elif name == "web":
            self.stack.start_web(int(self.stack.web_url.rpartition(":")[2]))
        else:
            self.stack.start_beat()

    def _heal(self) -> None:
        """All processes run, nobody sleeps, the org is well."""
        for process, _ in self._stopped:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)
        self._stopped.clear()
        self._down = dict.fromkeys(self._down, 0.0)
        self._down = dict(sorted(self._down.items(), key=lambda item: item[0] != "redis"))
        self._tick()
        org = self.stack.org
        assert org is not None
        requests.post(f"{org.url}/localorg/faults", json={"clear": True}, timeout=10).raise_for_status()

    def _redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.stack.redis_url or "", socket_timeout=2)


def measure_recovery(chaos: Chaos) -> None:
    """Kill every worker in the middle of a job, start new ones at once: how long until the job goes on?"""
    job_id = chaos._submit("Name LIKE 'Opportunity %'")
    while chaos.api.job(job_id)["records"]["succeeded"] == 0:
        time.sleep(0.02)
    chaos._kill_workers()
    killed = time.monotonic()
    before = chaos.api.job(job_id)["records"]["succeeded"]
    while chaos.api.job(job_id)["records"]["succeeded"] == before:
        chaos._tick()
        if chaos.api.job(job_id)["status"] == "Completed":
            break
        time.sleep(0.1)
    chaos.figures.longest_recovery = max(chaos.figures.longest_recovery, time.monotonic() - killed)
    chaos._finish(job_id)
    chaos._check(job_id, "Name LIKE 'Opportunity %'")


def _queues(client: redis.Redis) -> list[bytes]:
    """The lists of waiting messages: one for each queue and priority."""
    return [name for queue in ("clock", "control", "pages") for name in client.scan_iter(f"{queue}*")]


def _decided(schedule: Json) -> int:
    return int(schedule["timesTriggered"] + schedule["timesSkipped"])


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()]


def _patient(call: Callable[[], T]) -> T:
    """A caller who tries again while the web process, or Redis behind it, is away."""
    until = time.monotonic() + 90
    while True:
        try:
            return call()
        except (requests.RequestException, ApiError) as error:
            passing = (
                not isinstance(error, ApiError) or " 503" in str(error) or " 401" in str(error) or " 409" in str(error)
            )
            if not passing or time.monotonic() > until:
                raise
            time.sleep(0.5)


def main() -> int:
    """The run; its figures are printed as it goes, and at its end."""
    parser = argparse.ArgumentParser(prog="bin/chaos", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=5, help="how long (default 5)")
    parser.add_argument("--seed", type=int, default=1, help="of the schedule of faults (default 1)")
    parser.add_argument("--opportunities", type=int, default=3000, help="in the org (default 3000)")
    parser.add_argument("--workers", type=int, default=2, help="of two processes each (default 2)")
    parser.add_argument("--only", action="append", default=[], metavar="WAY", help="break in this way only; repeatable")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="quotejob-chaos-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run(asked, folder)
    except (Violation, StackError, ApiError) as broken:
        print(f"BROKEN (seed {asked.seed}): {broken}\nThe logs are in {folder}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; nothing was broken up to here.", file=sys.stderr)
        shutil.rmtree(folder)
        return 130
    shutil.rmtree(folder)
    print("Not one Quote lost, doubled or partial; no fire time lost or doubled; no job stuck.")
    return 0


def run(asked: argparse.Namespace, folder: Path) -> None:
    """Rounds until the time is over. Raises Violation for a broken promise."""
    extra = {"REMAP_SIGTERM": "SIGQUIT", "QUOTEJOB_ORG_TIMEOUT": str(TIMEOUT)}
    with Platform(folder, extra=extra) as stack:
        clock = RedisClock.of_this_machine(folder)
        stack.redis_environment = clock.environment()
        stack.start_redis()
        with redis.Redis.from_url(stack.redis_url or "") as client:
            clock.give_up_unless_it_moves(lambda: client.time()[0])
        chaos = Chaos(stack, random.Random(asked.seed), asked.workers, clock, frozenset(asked.only))
        print(f"Redis's clock {NO_JUMPS if clock.library is None else chaos.jumping}", flush=True)
        chaos.start(asked.opportunities)
        until = time.monotonic() + asked.minutes * 60
        while time.monotonic() < until:
            chaos.round(chaos.dice.uniform(4, 20))
            measure_recovery(chaos)
            _report(chaos.figures)


def _report(figures: Figures) -> None:
    faults = ", ".join(f"{name} {count}" for name, count in sorted(figures.faults.items()))
    print(
        f"round {figures.rounds}: {figures.jobs} jobs, {figures.fires} fire times and {figures.quotes} quotes checked, "
        f"{figures.resumed} resumed; "
        f"longest stall after healing {figures.longest_stall:.1f} s, longest recovery from the kill of every worker "
        f"{figures.longest_recovery:.1f} s; faults: {faults}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
