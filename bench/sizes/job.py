"""What grows with the size of a job: memory, calls and seconds of jobs of several sizes, by graphs and by Bulk.

    .venv/bin/python -m bench.sizes.job --sizes 5000 100000 1000000 --commit-by graph bulk

Each job has a system of its own. Prints the peak of the worker's memory (PSS) and of Redis, what Redis has at its peak
by kind of key, calls, seconds, and whether the org has what it should: all Quotes and lines by counting queries,
and some hundred of them computed again. With ``bulk`` such rows are then loaded by a plain client, for comparison.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections import Counter
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import redis

from bench.main_job import Sampler, cpu_seconds, pss, row
from bench.sizes import raw
from harness.api import Api
from harness.org_reader import OrgReader
from harness.stack import Stack
from harness.verdict import check_job

CLAUSE = "Name LIKE 'Opportunity %'"
LINES = 2
SAMPLE = 1009  # every so many Opportunities one is computed again; a prime number, so that no pattern of the seed fits
SECONDS_OF_SEEDING = 900.0
STEP = 100_000  # records
LEAST_GROWTH = 1_000_000  # bytes of Redis, until its keys are counted again
RESULTS = ("results", "explained")  # the parts of a job that stay after its end


def main() -> None:
    """Run the jobs, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[5_000, 100_000, 1_000_000])
    parser.add_argument("--commit-by", nargs="+", default=["graph", "bulk"], choices=["graph", "bulk"])
    parser.add_argument("--profile", default="instant", help="of the local org: instant or seed")
    asked = parser.parse_args()
    for size in asked.sizes:
        for commit_by in asked.commit_by:
            folder = Path(tempfile.mkdtemp(prefix="quotejob-bench-"))
            try:
                run(folder, size, commit_by, asked.profile)
            finally:
                shutil.rmtree(folder)


def run(folder: Path, size: int, commit_by: str, profile: str) -> None:
    """Start everything, run one job of this size, print its figures."""
    with Stack(folder, extra={"WEB_CONCURRENCY": "1", "QUOTEJOB_COMMIT_BY": commit_by}) as stack:
        stack.start_redis()
        words = ("--opportunities", str(size), "--lines", str(LINES), "--profile", profile)
        org = stack.start_org(0, *words, seconds=SECONDS_OF_SEEDING)
        stack.start_web()
        worker = stack.start_worker(1).pid
        stack.start_beat()
        stack.wait_ready()
        reader = OrgReader(org)
        api = Api(stack.web_url, org, reader.username())
        print(
            f"\n{size:,} Opportunities by {commit_by}; load of the machine before: {os.getloadavg()[0]:.1f}", flush=True
        )
        reader.reset_stats()
        with redis.Redis.from_url(stack.redis_url or "") as client:
            watch = Watch(client, worker)
            job = api.follow(api.submit(CLAUSE), quiet=600, pause=1, each=Steps(watch, worker))
            watch.stop()
            seconds = told(job, reader, watch)
        check(reader, job, size)
        if commit_by == "bulk":
            compared(reader, org.token, job, seconds)


def told(job: dict[str, Any], reader: OrgReader, watch: Watch) -> float:
    """Print the figures of an ended job. Return its seconds."""
    began, ended = (datetime.fromisoformat(job[name]) for name in ("startedDate", "completedDate"))
    seconds = (ended - began).total_seconds()
    total = job["records"]["total"]
    row(f"job of {total:,} Opportunities: {job['status']}", f"{seconds:.1f} s")
    row("Opportunities a second", f"{total / seconds:,.0f}")
    row(
        "calls of the job; requests that the org counted",
        f"{job['apiCalls']:,}; {reader.stats()['requests']['total']:,}",
    )
    row("worker's memory (PSS): at the start, peak", f"{watch.first_pss / 1e6:.0f} MB, {watch.most_pss / 1e6:.0f} MB")
    row("Redis: peak above its start, and after the job", f"{watch.grown / 1e6:.1f} MB, {watch.left / 1e6:.1f} MB")
    kept = sum(watch.kinds[name] for name in RESULTS)
    row("  at that peak: keys of results", f"{kept / 1e6:.2f} MB")
    row("  and keys of the run", f"{(sum(watch.kinds.values()) - kept) / 1e6:.2f} MB")
    for kind, count in watch.kinds.most_common(8):
        row(f"    {kind}", f"{count / 1e6:.2f} MB")
    return seconds


def check(reader: OrgReader, job: dict[str, Any], size: int) -> None:
    """Count what the org has, compute a part of it again, and print what is wrong."""
    wanted = {"total": size, "succeeded": size, "skipped": 0, "failed": 0, "planned": 0}
    wrong = [f"the job says {job['records']}"] if job["records"] != wanted else []
    quotes, lines = (reader.count(f"SELECT COUNT() FROM {name}") for name in ("Quote", "QuoteLineItem"))
    [distinct] = reader.query("SELECT COUNT_DISTINCT(OpportunityId) n FROM Quote")
    [parents] = reader.query("SELECT COUNT_DISTINCT(QuoteId) n FROM QuoteLineItem")
    [source_lines] = reader.query("SELECT COUNT_DISTINCT(OpportunityLineItemId) n FROM QuoteLineItem")
    found = (quotes, lines, int(distinct["n"]), int(parents["n"]), int(source_lines["n"]))
    if found != (size, size * LINES, size, size, size * LINES):
        wrong.append(f"Quotes, lines, Opportunities and Quotes of them, lines of origin: {found}")
    names = [f"'Opportunity {number}'" for number in range(0, size, max(1, min(SAMPLE, size // 50)))]
    checked = 0
    for some in (names[start : start + 100] for start in range(0, len(names), 100)):
        verdict = check_job(reader, job["jobId"], f"Name IN ({', '.join(some)})", some=True)
        checked += verdict.quotes
        wrong += verdict.differences
    if checked != len(names):
        wrong.append(f"{checked} of {len(names)} samples have a Quote")
    row(
        f"counted {quotes:,} Quotes and {lines:,} lines, computed {checked:,} Quotes again",
        "right" if not wrong else "WRONG",
    )
    for text in islice(wrong, 10):
        print(f"  {text}", flush=True)


def compared(reader: OrgReader, token: str, job: dict[str, Any], seconds: float) -> None:
    """Load as many Quotes and lines as the job wrote, as a plain client does, and print both speeds."""
    rows, took = raw.load(reader, token, min(job["records"]["total"], raw.MOST))
    plain, ours = rows / took, job["records"]["total"] * (1 + LINES) / seconds
    row(
        f"rows a second: a plain load of {rows:,} rows; the job; ratio",
        f"{plain:,.0f}; {ours:,.0f}; {ours / plain:.2f}",
    )


class Steps:
    """Prints a line for each 100,000 records that have their result: so it shows whether time and memory are linear."""

    def __init__(self, watch: Watch, worker: int) -> None:
        self._watch, self._worker = watch, worker
        self._began = time.monotonic()
        self._next = STEP

    def __call__(self, job: dict[str, Any]) -> None:
        """Look at a state of the job."""
        decided = sum(job["records"][name] for name in ("succeeded", "skipped", "failed"))
        if decided < self._next:
            return
        self._next = decided - decided % STEP + STEP
        kinds = by_kind(self._watch.client)
        results = sum(kinds[name] for name in RESULTS)
        run = sum(kinds.values()) - results
        print(
            f"  {decided:>9,} after {time.monotonic() - self._began:6.0f} s, load {os.getloadavg()[0]:.0f}; worker "
            f"{pss([self._worker]) / 1e6:.0f} MB, {cpu_seconds([self._worker]):.0f} s of a processor; Redis "
            f"{self._watch.used() / 1e6:.1f} MB: results {results / 1e6:.1f}, the run {run / 1e6:.1f}",
            flush=True,
        )


class Watch(Sampler):
    """Reads the memory of a worker and of Redis every second, until stopped."""

    def __init__(self, client: redis.Redis, worker: int) -> None:
        self.client, self._worker = client, worker
        self._first = 0
        self._first = self.used()
        self.first_pss = self.most_pss = pss([worker])
        self.grown = self.left = 0
        self.kinds: Counter[str] = Counter()  # bytes by kind of key, at the peak
        self._counted = 0
        super().__init__(1)

    def stop(self) -> None:
        """Stop reading, and note what is left in Redis."""
        super().stop()
        self.left = self.used()

    def used(self) -> int:
        """Return the memory that Redis has in use, above that of the start."""
        return int(self.client.info("memory")["used_memory"]) - self._first

    def look(self) -> None:
        """Read once."""
        self.most_pss = max(self.most_pss, pss([self._worker]))
        self.grown = max(self.grown, self.used())
        if self.grown > self._counted + LEAST_GROWTH:
            self._counted, self.kinds = self.grown, by_kind(self.client)


def by_kind(client: redis.Redis) -> Counter[str]:
    """Return the bytes of all keys, by the part of a job, or by name: ids and numbers of waves are left out."""
    found: Counter[str] = Counter()
    for key in client.scan_iter(count=1000):
        words = key.decode().split(":")
        kind = words[3] if words[:2] == ["quotejob", "job"] and len(words) > 3 else ":".join(words[:2])
        found["messages" if words[0] != "quotejob" else kind] += client.memory_usage(key, samples=0) or 0
    return found


if __name__ == "__main__":
    main()
