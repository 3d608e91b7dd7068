"""Measure what more hosts of workers bring, while the org is not the limit: so many times the work in the same time.

    .venv/bin/python bench/scaling/hosts.py --hosts 1
    .venv/bin/python bench/scaling/hosts.py --hosts 4 --rate-of-one 230

A host is a worker. Each has as many threads as give it eight requests to the org at a time. All run on this machine:
they share nothing but Redis, as hosts do, and mostly wait for the org. The org is of the profile ``seed``, and more
requests at a time are allowed than all hosts have. With ``--rate-of-one``, the Quotes a second of one host, the
efficiency is printed: the rate, divided by that of so many hosts.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench import timeline
from bench.main_job import cpu_seconds, row
from harness.api import Api
from harness.org_reader import OrgReader
from harness.stack import Stack

CLAUSE = "Name LIKE 'Opportunity %'"
THREADS = 12  # of a host: one org gets two thirds, so eight
ORG_REQUESTS = 100  # more than all hosts together have


def main() -> None:
    """Start everything, run one job, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=1)
    parser.add_argument("--opportunities", type=int, default=4_000, help="for each host")
    parser.add_argument("--rate-of-one", type=float, default=0, help="Quotes a second of one host, for the efficiency")
    asked = parser.parse_args()
    settings = {"WEB_CONCURRENCY": "1", "QUOTEJOB_ORG_REQUESTS": str(ORG_REQUESTS)}
    with tempfile.TemporaryDirectory(prefix="quotejob-bench-") as folder, Stack(Path(folder), extra=settings) as stack:
        stack.start_redis()
        count = asked.opportunities * asked.hosts
        org = stack.start_org(0, "--opportunities", str(count), "--lines", "2", "--profile", "seed")
        stack.start_web()
        for number in range(asked.hosts):
            extra = 0 if number else kept_for_others(THREADS * asked.hosts)
            stack.start_worker(number + 1, "-c", str(THREADS + extra))
        stack.start_beat()
        stack.wait_ready()
        reader = OrgReader(org)
        measure(stack, Api(stack.web_url, org, reader.username()), reader, asked.hosts, asked.rate_of_one)


def kept_for_others(threads: int) -> int:
    """Return how many threads have to be added, because a sixteenth of all is for steps that ask no org."""
    return next(more for more in range(threads) if more == (threads + more) // 16)


def measure(stack: Stack, api: Api, reader: OrgReader, hosts: int, rate_of_one: float) -> None:
    """Run one job over all Opportunities, and print a table."""
    row("load of the machine before", f"{os.getloadavg()[0]:.1f}")
    reader.reset_stats()
    submitted = time.time()
    job_id = api.submit(CLAUSE)
    job = api.follow(job_id, quiet=300)
    seconds = time.time() - submitted
    told = reader.requests()
    spent = {process.name: cpu_seconds([process.pid]) for process in stack.processes}
    there = reader.count("SELECT COUNT() FROM Quote")
    rate = job["quotesCreated"] / seconds
    row(f"{hosts} hosts: {job['status']}, {there} Quotes in the org", f"{seconds:.1f} s")
    row("Quotes a second", f"{rate:.0f}")
    if rate_of_one:
        row("efficiency", f"{100 * rate / (hosts * rate_of_one):.0f} %")
    row("requests to the org", f"{len(told)}")
    row("requests in flight, on average and at most", "{:.1f}, {}".format(*in_flight(told, seconds)))
    for name, used in spent.items():
        row(f"processor seconds of {name} since its start", f"{used:.1f}")


def in_flight(told: timeline.Requests, seconds: float) -> tuple[float, int]:
    """Return how many requests the org had at a time: on average over the job, and at most."""
    spans = [(began, end) for _, began, end in timeline.kinds(told)]
    changes = sorted([(began, 1) for began, _ in spans] + [(end, -1) for _, end in spans])
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return sum(end - began for began, end in spans) / seconds, most


if __name__ == "__main__":
    main()
