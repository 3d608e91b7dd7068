"""Compare quotejob with the ways in which others do the same work, side by side on one local org: one table.

    .venv/bin/python bench/compare.py --profile seed --opportunities 5000

Each pattern (bench/peers) runs after quotejob, so that nothing else takes the processors. With several rounds all run
in turn, and the table has medians. Batch Apex sends one request after the other: a tenth of its job is measured, and
its time taken ten times. The ten jobs of 150 are compared with the Node sample. ``small`` is the time from the 202 of a
small job until the org has answered its first page, while a large job writes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.main_job import cpu_seconds, pss
from harness.api import Api
from harness.org_reader import OrgReader
from harness.stack import Stack

ROOT = Path(__file__).resolve().parent.parent
ALL = ("quotejob", "replay", "script", "java", "batch_apex", "jobs", "node", "small")
JOBS, OF_A_JOB = 10, 150
TENTH = 10  # of Batch Apex's job one part is measured
AT_ONCE = 25  # requests to the org: the default of QUOTEJOB_ORG_REQUESTS


class Comparison:
    """The figures of all rounds, by what was measured: seconds, processor seconds, requests."""

    def __init__(self, stack: Stack, count: int) -> None:
        assert stack.org is not None
        self._stack, self._org, self._count = stack, stack.org, count
        self._reader = OrgReader(stack.org)
        self._api = Api(stack.web_url, stack.org, self._reader.username())
        self._pids = {process.name: process.pid for process in stack.processes}
        self._sizes: list[int] = []  # records of each write of the last job of quotejob
        self._reads = 0
        self.figures: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
        self.spent: dict[str, list[float]] = defaultdict(list)  # processor seconds of each process for one job

    def measure(self, what: str) -> None:
        """Run one of ALL once."""
        self._reader.reset_stats()
        seconds, cpu = {"quotejob": self._job, "jobs": self._jobs, "small": self._small}.get(
            what, lambda: self._peer(what)
        )()
        self.figures[what].append((seconds, cpu, int(self._reader.stats()["requests"]["total"])))

    def memory(self) -> float:
        """Return the memory of the worker now, in MB (PSS)."""
        return pss([pid for name, pid in self._pids.items() if name.startswith("worker")]) / 1e6

    def _job(self) -> tuple[float, float]:
        before = {name: cpu_seconds([pid]) for name, pid in self._pids.items()}
        began = time.perf_counter()
        job_id = self._api.submit("Name LIKE 'Opportunity %'")
        job = self._api.follow(job_id, quiet=300, pause=0.1)
        seconds = time.perf_counter() - began
        assert job["status"] == "Completed", job
        used = {name: cpu_seconds([pid]) - before[name] for name, pid in self._pids.items()}
        for name, cpu in used.items():
            self.spent[name].append(cpu)
        told = self._reader.requests()
        self._sizes = [int(each["rowsWritten"]) for each in told if each["resource"] == "composite/graph"]
        self._reads = sum(each["resource"] == "query" for each in told) - 1
        return seconds, sum(cpu for name, cpu in used.items() if name != "localorg")

    def _jobs(self) -> tuple[float, float]:
        ours = [pid for name, pid in self._pids.items() if name != "localorg"]
        before, began = cpu_seconds(ours), time.perf_counter()
        ids = [self._api.submit(clause) for clause in map(of_150, range(JOBS))]
        for job_id in ids:
            self._api.follow(job_id, quiet=300, pause=0.1)
        return time.perf_counter() - began, cpu_seconds(ours) - before

    def _small(self) -> tuple[float, float]:
        large = self._api.submit("Name LIKE 'Opportunity %'")
        while not any(each["resource"] == "composite/graph" for each in self._reader.requests()):
            time.sleep(0.2)  # until a write has ended, all places are taken and all pages read
        small = self._api.submit(of_150(0))
        accepted = time.time()
        for job_id in (small, large):
            self._api.follow(job_id, quiet=300, pause=0.1)
        queries = [each for each in self._reader.requests() if each["resource"] == "query"]
        ended = sorted(float(each["began"] + each["seconds"]) for each in queries if float(each["began"]) > accepted)
        return ended[1] - accepted, 0.0  # the first one reads the ids

    def _peer(self, what: str) -> tuple[float, float]:
        count = {"node": JOBS, "batch_apex": self._count // TENTH}.get(what, self._count)
        words = [sys.executable, "-m", "bench.peers.patterns", what, self._org.url, self._org.token]
        words += ["--opportunities", str(count)]
        if what == "replay":
            words += [
                "--sizes",
                ",".join(map(str, self._sizes)),
                "--reads",
                str(self._reads),
                "--at-once",
                str(AT_ONCE),
            ]
        found = json.loads(subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
        times = TENTH if what == "batch_apex" else 1
        return found["seconds"] * times, found["cpu"] * times


def of_150(job: int) -> str:
    """Return a clause for 150 Opportunities that no other of the jobs has."""
    tens = [f"Opportunity {10 + job}{ten}_" for ten in range(5)]
    return " OR ".join(f"Name LIKE '{name}'" for name in [f"Opportunity 2{job}__", *tens])


def main() -> None:
    """Start everything, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--opportunities", type=int, default=5000)
    parser.add_argument("--profile", default="seed", help="of the local org: instant or seed")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=ALL, default=ALL, help="the replay needs quotejob before it")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="quotejob-bench-"))
    try:
        with Stack(folder, extra={"WEB_CONCURRENCY": "1"}) as stack:
            stack.start_redis()
            count = ["--opportunities", str(asked.opportunities), "--lines", "2"]
            stack.start_org(0, *count, "--profile", asked.profile)
            stack.start_web()
            stack.start_worker()
            stack.start_beat()
            stack.wait_ready()
            print(f"load of the machine before: {os.getloadavg()[0]:.1f}\n")
            comparison = Comparison(stack, asked.opportunities)
            for _ in range(asked.rounds):
                for what in asked.only:
                    comparison.measure(what)
            show(comparison, asked.only)
    finally:
        shutil.rmtree(folder)


def show(comparison: Comparison, measured: Sequence[str]) -> None:
    """Print the medians as a table, each time also as a multiple of quotejob's own for the same work."""
    print("| | time | quotejob takes | processor seconds | requests |")
    print("| --- | ---: | ---: | ---: | ---: |")
    middle = {
        what: [statistics.median(column) for column in zip(*comparison.figures[what], strict=True)]
        for what in ALL
        if what in measured
    }
    for what, (seconds, cpu, requests) in middle.items():
        own = middle.get("jobs" if what in ("jobs", "node", "small") else "quotejob")
        ratio = f"{own[0] / seconds:.2f}" if own else "-"
        print(f"| {what} | {seconds:.1f} s | {ratio} | {cpu:.1f} | {requests:.0f} |")
    for name, found in comparison.spent.items():
        print(f"processor seconds of {name} for one job: {statistics.median(found):.2f}")
    print(f"memory of the worker (PSS): {comparison.memory():.0f} MB")


if __name__ == "__main__":
    main()
