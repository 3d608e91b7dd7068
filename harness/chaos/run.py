"""bin/chaos: run jobs and schedules while faults happen, then check every Quote in the org.

Each round submits jobs: Quote jobs, one of them with a Quote of 700 lines, dry runs, retries, and jobs of users' own
with each kind of write. Some are aborted or lose their session, and some of those are resumed. The org is made slow at
one step, so that many jobs stand there. Meanwhile processes are killed, Redis is full, slow, away, cut or replaced by
an older copy, its clock jumps, the org fails, and messages are lost or come twice. Two other orgs hang and drip.

Then all is healed. Every job must have ended or be gone with Redis's older copy. The org alone is asked whether every
Quote is there once and whole, and whether its record of the job is right. A job of another tenant must not wait. Some
rounds have schedules, too. The process prints how many pairs of a job and a fault there were. It exits 0 only if every
round was without an error. Otherwise it keeps the logs, and prints where they are.
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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import redis
import requests

from cli.api import ENDED
from cli.problems import typed
from harness.api import ApiError
from harness.chaos.cases import BY_BULK, ENDINGS, OWN, QUOTES, Case, drawn
from harness.chaos.checks import Checks
from harness.chaos.faults import STEPS, TIMEOUT, Faults
from harness.chaos.neighbours import Neighbours, neighbours
from harness.chaos.system import Figures, Platform, System, Violation, patient
from harness.process import StackError
from harness.timetable import RedisClock

JOBS, LATER = 24, 5  # of a round; of these, jobs that are submitted while things break
AT_ONCE = 4  # jobs that are submitted side by side before the first strike
STRIKES = 3  # before each of them
WITH_SCHEDULES = 6  # one of so many rounds
LONGEST_RECOVERY = 60.0  # seconds from the kill of every worker until a job goes on; 15 are usual
LONGEST_WAIT = 20.0  # seconds that a job of another tenant may take once all is healed
NO_JUMPS = "does not jump: this machine has no libfaketime (Debian: the package faketime) that its redis-server goes by"


class Chaos:
    """Rounds of jobs and schedules on a system that is being broken."""

    def __init__(
        self, system: System, faults: Faults, others: Neighbours, kinds: tuple[str, ...], by_bulk: float
    ) -> None:
        self._system = system
        self._faults = faults
        self._others = others
        self._kinds = kinds
        self._by_bulk = by_bulk
        self._checks = Checks(system)
        self._finished: list[str] = []  # Quote jobs that can be retried

    def round(self) -> None:
        """Submit jobs, break things at one step of theirs, heal, wait and check."""
        system, dice = self._system, self._system.dice
        scheduled = self._kinds != OWN and system.figures.rounds % WITH_SCHEDULES == WITH_SCHEDULES - 1
        system.may_forget = not scheduled and dice.random() < 0.25
        system.cases, system.began = [], datetime.now(UTC)
        if scheduled:
            self._checks.make_schedules()
        began = time.monotonic()
        self._others.submit(system.stack.web_url)
        small = [kind for kind in self._kinds if kind != "large"] or self._kinds
        kinds = ["large"] * ("large" in self._kinds) + dice.choices(small, k=JOBS - 1)
        cases = [self._drawn(kind) for kind in dice.sample(kinds, len(kinds))]
        step = dice.choice(list(STEPS))
        self._faults.hold(step)
        with ThreadPoolExecutor(AT_ONCE) as threads:  # nothing is broken yet, but the org may be slow
            list(threads.map(self._submit, cases[:-LATER]))
        for case in cases[-LATER:]:
            for _ in range(STRIKES):
                self._faults.strike(step)
                self._bring_about(system.in_flight())
                time.sleep(dice.uniform(0.02, 0.4))
            self._submit(case, system.tick)
        healed = time.monotonic()
        system.heal()
        paused = self._checks.pause_schedules() if scheduled else {}
        self._ask_of_the_tenant()
        self._checks.finish(system.cases)
        self._finished = [case.job_id for case in system.cases if case.kind == "few" and not case.stays]
        self._finished *= not system.may_forget
        self._checks.check_schedules(paused)
        self._checks.check_later()
        self._others.abort()
        system.figures.rounds += 1
        system.figures.seconds = (healed - began, time.monotonic() - healed)

    def end(self) -> None:
        """Wait for the clean-ups of the last rounds."""
        self._checks.check_later(last=True)

    def _drawn(self, kind: str) -> Case:
        self._system.figures.jobs += 1
        kind = "few" if kind == "retry" and not self._finished else kind
        mark = f"Row {self._system.figures.jobs}"
        case = drawn(self._system.dice, kind, self._system.reader, mark, self._by_bulk)
        case.first = self._finished[0] if kind == "retry" else ""
        return case

    def _submit(self, case: Case, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Submit a job with a session and a key of its own until there is an answer."""
        path, body = case.request()
        key = {"Idempotency-Key": f"{self._system.dice.random()}"}

        def attempt() -> str:
            api, case.token = self._system.session()  # a new one each time: a fault may have ended the last one
            return str(api.post(path, body, headers=api.context() | key)["jobId"])

        case.job_id = patient(attempt, meanwhile)
        self._system.cases.append(case)

    def _bring_about(self, cases: list[Case]) -> None:
        """Do to one of these jobs what its ending asks for."""
        for case in cases:
            if case.ending != ENDINGS[0] and not case.met:
                case.met = True
                with contextlib.suppress(requests.RequestException, ApiError):
                    if "session" in case.ending:
                        self._system.end_session(case.token)
                    else:
                        self._system.api.post(f"/api/jobs/{case.job_id}/abort")
                return

    def _ask_of_the_tenant(self) -> None:
        """Check that another tenant is served, while two others hang and drip and our jobs catch up."""
        system = self._system
        patient(lambda: system.tenant.get("/ready"), system.tick)
        began = time.monotonic()
        job_id = patient(lambda: system.tenant.submit("Name LIKE 'Opportunity 1_'"), system.tick)
        while patient(lambda: system.tenant.job(job_id), system.tick)["status"] not in ENDED:
            system.tick()
            time.sleep(0.1)
        took = time.monotonic() - began
        system.figures.longest_neighbour = max(system.figures.longest_neighbour, took)
        if took > LONGEST_WAIT:
            raise Violation(f"the job {job_id} of another tenant took {took:.0f} s")

    def measure_recovery(self) -> None:
        """Kill every worker while a job reads its pages, and start new ones. Measure the time until the job goes on."""
        system = self._system
        system.cases, system.may_forget = [], False
        case = self._drawn("many")
        case.ending = ENDINGS[0]
        self._faults.hold("plan and pages")
        self._submit(case)
        while not system.receipts(case) and system.in_flight():
            time.sleep(0.02)
        system.kill_workers()
        killed, before = time.monotonic(), system.receipts(case)
        if system.in_flight():  # else it was too quick
            while system.receipts(case) == before and time.monotonic() < killed + LONGEST_RECOVERY:
                system.tick()
                time.sleep(0.1)
            took = time.monotonic() - killed
            system.figures.longest_recovery = max(system.figures.longest_recovery, took)
            if took > LONGEST_RECOVERY:
                raise Violation(f"the job {case.job_id} did not go on in {took:.0f} s after the kill of every worker")
        system.heal()
        self._checks.finish([case])


def main() -> int:
    """Run the rounds and print the figures during the run and at its end."""
    parser = argparse.ArgumentParser(prog=typed("bin/chaos"), description=__doc__.partition("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=5, help="how long (default 5)")
    parser.add_argument("--seed", type=int, default=1, help="of the schedule of faults (default 1)")
    parser.add_argument("--rounds", type=int, default=10**6, help="at most so many")
    parser.add_argument("--opportunities", type=int, default=60, help="in the org (default 60)")
    parser.add_argument("--workers", type=int, default=2, help="how many (default 2)")
    parser.add_argument("--only", action="append", default=[], metavar="WAY", help="break in this way only; repeatable")
    only = f"only jobs of these kinds; without a name: {', '.join(OWN)}, which are jobs of users' own"
    parser.add_argument("--jobtype", nargs="*", choices=(*QUOTES, *OWN), metavar="KIND", help=only)
    how = "how all Quote jobs write (default: some in each way)"
    parser.add_argument("--commit-by", choices=("graph", "bulk"), metavar="graph|bulk", help=how)
    older = "one of the workers runs the code of this revision of git, for example the last release"
    parser.add_argument("--older", metavar="REVISION", help=older)
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
    extra = {"REMAP_SIGTERM": "SIGQUIT", "QUOTEJOB_ORG_TIMEOUT": str(TIMEOUT), "QUOTEJOB_JOBS": "harness.chaos.own",
             "QUOTEJOB_ACTIVE_JOBS": "5", "QUOTEJOB_PAGE_SIZE": "7", "WEB_CONCURRENCY": "1"}  # fmt: skip
    kinds = QUOTES + OWN if asked.jobtype is None else tuple(asked.jobtype) or OWN
    with Platform(folder, extra=extra) as stack, neighbours() as others:
        if asked.older:
            stack.take_older(asked.older)
        clock = RedisClock.of_this_machine(folder)
        stack.redis_environment = clock.environment()
        stack.start_redis()
        with redis.Redis.from_url(stack.redis_url or "") as client:
            clock.give_up_unless_it_moves(lambda: client.time()[0])
        system = System(stack, random.Random(asked.seed), asked.workers, clock)
        faults = Faults(system, frozenset(asked.only))
        by_bulk = {None: BY_BULK, "graph": 0.0, "bulk": 1.0}[asked.commit_by]
        chaos = Chaos(system, faults, others, kinds, by_bulk)
        print(f"Redis's clock {NO_JUMPS if clock.library is None else faults.jumping}", flush=True)
        system.start(asked.opportunities)
        until = time.monotonic() + asked.minutes * 60
        while time.monotonic() < until and system.figures.rounds < asked.rounds:
            chaos.round()
            if system.figures.rounds % WITH_SCHEDULES == 1 and "many" in kinds:
                chaos.measure_recovery()
            _report(system.figures)
        chaos.end()
        _report(system.figures)


def _report(figures: Figures) -> None:
    faults = ", ".join(f"{name} {count}" for name, count in sorted(figures.faults.items()))
    print(
        f"round {figures.rounds} (broken for {figures.seconds[0]:.0f} s, all done {figures.seconds[1]:.0f} s later): "
        f"{figures.pairs} pairs of a job and a fault, {len(figures.kinds_of_pairs)} different "
        f"(job, fault, step, end); {figures.jobs} jobs, {figures.checked} checked to the last, {figures.resumed} "
        f"resumed, {figures.forgotten} forgotten by an older Redis; {figures.fires} fire times; longest stall after "
        f"healing {figures.longest_stall:.1f} s, recovery from the kill of every worker "
        f"{figures.longest_recovery:.1f} s, job of another tenant {figures.longest_neighbour:.1f} s; faults: {faults}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
