"""bin/chaos: run jobs and schedules while faults happen, then check every Quote in the org.

Processes are killed, Redis goes away or its clock jumps, the org fails, and messages come twice. Then the org alone is
asked whether every Quote is there once, complete and right, and that there is no other Quote.

A round creates some schedules and submits some jobs. It breaks things for a while by a plan with a fixed seed, and then
repairs them. It pauses the schedules and waits until every job is Completed. A job that Failed or was aborted is
resumed, as its owner would do. Last, the round checks Quotes and fire times. The process exits 0 only if every round
was without an error. The logs of a failed round are kept, and the program prints where they are.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import redis
import requests

from cli.client import ENDED, ApiError
from cli.problems import typed
from harness.chaos.checks import Checks
from harness.chaos.faults import TIMEOUT, Faults
from harness.chaos.system import Figures, Platform, System, Violation, patient
from harness.process import StackError
from harness.timetable import RedisClock

NO_JUMPS = "does not jump: this machine has no libfaketime (Debian: the package faketime) that its redis-server goes by"


class Chaos:
    """Rounds of jobs and schedules on a system that is being broken."""

    def __init__(self, system: System, faults: Faults) -> None:
        self._system = system
        self._faults = faults
        self._checks = Checks(system)

    def round(self, seconds: float) -> None:
        """Create schedules, submit jobs, break things, heal, wait and check."""
        self._system.jobs.clear()
        self._system.began = datetime.now(UTC)
        self._checks.make_schedules()
        wheres: dict[str, str] = {}
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._system.tick()
            with contextlib.suppress(requests.RequestException, ApiError):
                if sum(self._system.api.job(job_id)["status"] not in ENDED for job_id in self._system.jobs) < 2:
                    where = self._where()
                    self._system.jobs.append(self._submit(where))
                    wheres[self._system.jobs[-1]] = where
            if self._system.dice.random() < 0.5:
                self._faults.strike()
            time.sleep(self._system.dice.uniform(0.1, 0.8))
        self._system.heal()
        paused = self._checks.pause_schedules()
        for job_id, where in wheres.items():
            self._checks.finish(job_id)
            self._checks.check(job_id, where)
        self._checks.check_schedules(paused)
        self._checks.check_rest()
        self._system.figures.rounds += 1

    def _where(self) -> str:
        """Return a clause that matches between a few and all Opportunities; sometimes it matches the large one too."""
        return self._system.dice.choice(
            [
                "Name LIKE 'Opportunity %'",
                f"Name LIKE 'Opportunity {self._system.dice.randint(1, 9)}%'",
                "Name LIKE 'Large %'",
                "Name LIKE 'Opportunity 1_'",
            ]
        )

    def _submit(self, where: str) -> str:
        """Submit a job with the same key until there is an answer. The job includes the refused Opportunities."""
        where = f"({where}) OR Name LIKE 'Refused %'"
        self._system.figures.jobs += 1
        headers = self._system.api.context() | {"Idempotency-Key": f"{self._system.dice.random()}"}
        body = {"soqlWhereClause": where, "commitBy": self._system.dice.choice(["graph", "bulk"])}
        return str(patient(lambda: self._system.api.post("/api/executebatch", body, headers=headers))["jobId"])

    def measure_recovery(self) -> None:
        """Kill every worker in the middle of a job and start new ones. Measure the time until the job goes on."""
        job_id = self._submit("Name LIKE 'Opportunity %'")
        while self._system.api.job(job_id)["records"]["succeeded"] == 0:
            time.sleep(0.02)
        self._system.kill_workers()
        killed = time.monotonic()
        before = self._system.api.job(job_id)["records"]["succeeded"]
        while self._system.api.job(job_id)["records"]["succeeded"] == before:
            self._system.tick()
            if self._system.api.job(job_id)["status"] == "Completed":
                break
            time.sleep(0.1)
        self._system.figures.longest_recovery = max(self._system.figures.longest_recovery, time.monotonic() - killed)
        self._checks.finish(job_id)
        self._checks.check(job_id, "Name LIKE 'Opportunity %'")


def main() -> int:
    """Run the rounds and print the figures during the run and at its end."""
    parser = argparse.ArgumentParser(prog=typed("bin/chaos"), description=__doc__.partition("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=5, help="how long (default 5)")
    parser.add_argument("--seed", type=int, default=1, help="of the schedule of faults (default 1)")
    parser.add_argument("--opportunities", type=int, default=3000, help="in the org (default 3000)")
    parser.add_argument("--workers", type=int, default=2, help="how many (default 2)")
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
    """Run rounds until the time is over. Raise Violation for a broken promise."""
    extra = {"REMAP_SIGTERM": "SIGQUIT", "QUOTEJOB_ORG_TIMEOUT": str(TIMEOUT)}
    with Platform(folder, extra=extra) as stack:
        clock = RedisClock.of_this_machine(folder)
        stack.redis_environment = clock.environment()
        stack.start_redis()
        with redis.Redis.from_url(stack.redis_url or "") as client:
            clock.give_up_unless_it_moves(lambda: client.time()[0])
        system = System(stack, random.Random(asked.seed), asked.workers, clock)
        faults = Faults(system, frozenset(asked.only))
        chaos = Chaos(system, faults)
        print(f"Redis's clock {NO_JUMPS if clock.library is None else faults.jumping}", flush=True)
        system.start(asked.opportunities)
        until = time.monotonic() + asked.minutes * 60
        while time.monotonic() < until:
            chaos.round(system.dice.uniform(4, 20))
            chaos.measure_recovery()
            _report(system.figures)


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
