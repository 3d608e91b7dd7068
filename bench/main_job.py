"""Measure how fast the main job is and what it costs: one table from one run of the whole system on this machine.

    .venv/bin/python bench/main_job.py --opportunities 5000

Absolute times depend on the machine. Compare the ratio to an empty request, and the counts (requests, memory,
connections).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import psutil
import redis

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import timeline
from harness.api import Api
from harness.org_reader import OrgReader
from harness.stack import Stack


def main() -> None:
    """Start everything, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--opportunities", type=int, default=5000)
    parser.add_argument("--lines", type=int, default=2)
    parser.add_argument("--commit-by", default="graph", help="graph or bulk")
    parser.add_argument("--workers", type=int, default=1, help="how many, each with the default options")
    parser.add_argument("--options", default="", help='more options of each worker, for example "-P processes -c 8"')
    parser.add_argument("--profile", default="instant", help="of the local org: instant or seed")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="quotejob-bench-"))
    try:
        with Stack(folder, extra={"WEB_CONCURRENCY": "1", "QUOTEJOB_COMMIT_BY": asked.commit_by}) as stack:
            stack.start_redis()
            words = [
                "--opportunities",
                str(asked.opportunities),
                "--lines",
                str(asked.lines),
                "--profile",
                asked.profile,
            ]
            org = stack.start_org(0, *words)
            stack.start_web()
            for number in range(asked.workers):
                stack.start_worker(number + 1, *asked.options.split())
            stack.start_beat()
            stack.wait_ready()
            reader = OrgReader(org)
            api = Api(stack.web_url, org, reader.username())
            print(f"load of the machine before: {os.getloadavg()[0]:.1f}\n")
            measure(stack, api, reader)
    finally:
        shutil.rmtree(folder)


def measure(stack: Stack, api: Api, reader: OrgReader) -> None:
    """Measure the 202, then one job over all Opportunities."""
    empty = median_ms(lambda: api.request("GET", "/health"))
    accepted = median_ms(lambda: accept_and_abort(api))
    row("GET /health, median", f"{empty:.1f} ms")
    row("POST /api/executebatch until its 202 (the org asked about the clause), median", f"{accepted:.1f} ms")
    row("ratio to GET /health", f"{accepted / empty:.1f}")
    clause = "Name LIKE 'Opportunity %'"
    forecast = api.post("/api/forecast", {"soqlWhereClause": clause})["calls"]["total"]
    reader.reset_stats()
    client = redis.Redis.from_url(stack.redis_url or "")
    before, began = client.info("memory")["used_memory"], time.perf_counter()
    workers = [process.pid for process in stack.processes if process.name.startswith("worker")]
    spent = cpu_seconds(workers)
    watch = Watch(client)
    submitted = time.time()
    job_id = api.submit(clause)
    accepted = time.time()
    job = api.follow(job_id, quiet=300)
    seconds = time.perf_counter() - began
    watch.stop()
    told = reader.requests()
    ended = datetime.fromisoformat(job["completedDate"]).timestamp()
    written = sum(reader.stats()["recordsWritten"].values())
    row(f"job of {job['records']['total']:,} Opportunities: {job['status']}", f"{seconds:.1f} s")
    for part, (start, end) in timeline.split(told, submitted, accepted, ended).items():
        row(f"  {part}", f"{start:.2f} to {end:.2f} s")
    row("Quotes a second", f"{job['quotesCreated'] / seconds:,.0f}")
    row("records written a second", f"{written / seconds:,.0f}")
    row("requests of the job; forecast", f"{job['apiCalls']:,}; {forecast:,}")
    row("requests to the org", f"{reader.stats()['requests']['total']:,}")
    for resource, count in reader.stats()["requests"]["byResource"].items():
        row(f"  {resource}", f"{count:,}")
    row("processor seconds of the workers", f"{cpu_seconds(workers) - spent:.1f} s")
    for process in stack.processes:
        row(f"processor seconds of {process.name} since its start", f"{cpu_seconds([process.pid]):.2f} s")
    row("memory of the workers (PSS)", f"{pss(workers) / 1e6:.0f} MB")
    row("most Redis connections at a time", str(watch.connections))
    after = client.info("memory")["used_memory"]
    row("Redis memory, peak and afterwards", f"{(watch.memory - before) / 1e6:.1f} MB, {(after - before) / 1e6:.1f} MB")
    print("\nrequests in flight: c check of the clause, p plan, r pages read, W writes, o others")
    print(*timeline.chart(told, submitted), sep="\n")


class Sampler:
    """Calls ``look`` every so many seconds, from a thread, until stopped."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self._done.set()
        self._thread.join()

    def look(self) -> None:
        """Read once."""
        raise NotImplementedError

    def _go_on(self) -> None:
        while not self._done.wait(self._seconds):
            self.look()


class Watch(Sampler):
    """Reads memory and connections of Redis four times a second, until stopped."""

    def __init__(self, client: redis.Redis) -> None:
        self.connections = self.memory = 0
        self._client = client
        super().__init__(0.25)

    def look(self) -> None:
        """Read once."""
        self.connections = max(self.connections, len(self._client.client_list()) - 1)
        self.memory = max(self.memory, self._client.info("memory")["used_memory"])


def cpu_seconds(workers: Sequence[int]) -> float:
    """Return the processor time that these processes and their children have taken so far."""
    return sum(sum(process.cpu_times()[:2]) for process in _families(workers))


def pss(workers: Sequence[int]) -> int:
    """Return the memory of these processes and their children, in bytes; what they share is counted once."""
    return sum(process.memory_full_info().pss for process in _families(workers))


def _families(pids: Sequence[int]) -> list[psutil.Process]:
    parents = [psutil.Process(pid) for pid in pids]
    return [process for parent in parents for process in (parent, *parent.children(recursive=True))]


def accept_and_abort(api: Api) -> float:
    """Submit a job and wait for its end. Returns the seconds until the 202."""
    began = time.perf_counter()
    job_id = api.submit("Name = 'no such Opportunity'")
    seconds = time.perf_counter() - began
    api.follow(job_id, pause=0.01)
    return seconds


def median_ms(call: Callable[[], object], times: int = 50) -> float:
    """Return the median in milliseconds, of the seconds that the call returns, else of its duration."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        answer = call()
        found.append(answer if isinstance(answer, float) else time.perf_counter() - began)
    return statistics.median(found) * 1000


def row(what: str, figure: str) -> None:
    """Print one line of the table."""
    print(f"{what:<80} {figure:>16}", flush=True)


if __name__ == "__main__":
    main()
