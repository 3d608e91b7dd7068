"""Measure how many submissions a second web takes: so many are sent at fixed times, whatever the answers before.

    .venv/bin/python bench/submitting.py --rate 200 --seconds 20

The time of a submission counts from when it was due, so a queue before web counts too. The jobs match nothing. Most of
them wait in the flex queue, which has room for 10,000 here. A longer run needs several orgs (``--orgs``).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import requests

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.main_job import cpu_seconds
from harness.api import Api, new_session
from harness.org_reader import OrgReader
from harness.stack import Stack

SENDERS = 64
_own = threading.local()


def main() -> None:
    """Start everything, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=int, default=200, help="submissions a second")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--orgs", type=int, default=1, help="that submit in turn")
    parser.add_argument("--profile", default="instant", help="of the local org: instant or seed")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="quotejob-bench-"))
    try:
        roomy = {"QUOTEJOB_HOLDING_JOBS": "10000", "QUOTEJOB_HOURLY_JOBS": "1000000"}
        with Stack(folder, extra={"WEB_CONCURRENCY": "1", **roomy}) as stack:
            stack.start_redis()
            words = ("--opportunities", "10", "--profile", asked.profile)
            orgs = [stack.start_org(0, *words, "--seed", str(number)) for number in range(asked.orgs)]
            stack.start_web()
            stack.start_worker()
            stack.start_beat()
            stack.wait_ready()
            callers = [Api(stack.web_url, org, OrgReader(org).username()).context() for org in orgs]
            web = next(process.pid for process in stack.processes if process.name == "web")
            measure(f"{stack.web_url}/api/executebatch", callers, web, asked)
    finally:
        shutil.rmtree(folder)


def measure(url: str, callers: Sequence[dict[str, str]], web: int, asked: argparse.Namespace) -> None:
    """Send all submissions and print what became of them."""
    body = {"soqlWhereClause": "Name = 'no such Opportunity'"}

    def submit(number: int, due: float) -> tuple[float, int]:
        if not hasattr(_own, "session"):
            _own.session = new_session()
            _own.session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=1))
        time.sleep(max(0.0, due - time.perf_counter()))
        headers = callers[number % len(callers)]
        status = _own.session.post(url, json=body, headers=headers, timeout=60).status_code
        return time.perf_counter() - due, status

    with ThreadPoolExecutor(SENDERS) as senders:
        at_once = [time.perf_counter()] * SENDERS
        list(senders.map(submit, range(SENDERS), at_once))  # connections, and what is remembered
        before, size = cpu_seconds([web]), psutil.Process(web).memory_info().rss
        print(f"load of the machine before: {os.getloadavg()[0]:.1f}")
        began = time.perf_counter() + 0.1
        numbers = range(asked.rate * asked.seconds)
        found = list(senders.map(submit, numbers, [began + number / asked.rate for number in numbers]))
    took = sorted(seconds for seconds, _ in found)
    answers = ", ".join(f"{count} with {status}" for status, count in Counter(status for _, status in found).items())
    print(f"{len(found)} submissions at {asked.rate} a second: {answers}")  # 202: accepted; 429: the flex queue is full
    for share in (0.5, 0.9, 0.99, 1.0):
        print(f"  {share:.0%} within {1000 * took[min(len(took) - 1, int(share * len(took)))]:.0f} ms")
    spent = 1000 * (cpu_seconds([web]) - before) / len(found)
    grown = (psutil.Process(web).memory_info().rss - size) / 1e6
    print(f"  processor of web: {spent:.1f} ms each; its memory grew by {grown:.1f} MB")


if __name__ == "__main__":
    main()
