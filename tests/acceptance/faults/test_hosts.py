"""Several hosts: two of web, two of workers and schedulers, 50 ms apart, with clocks that are wrong by minutes.

``PARTITION=60`` in the environment makes the cut of a host's network last so many seconds.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from systems.hosts import Host, network, way, wrong_clock
from systems.waiting import responds, wait

from harness.api import Api
from harness.org_reader import OrgReader
from harness.stack import CELERY, WORKER, Stack
from harness.verdict import check_job

PARTITION = float(os.environ.get("PARTITION", "8"))
AWAY = 0.05  # seconds to Redis and to the org, and back
EVERY = 3  # seconds between two fire times
ALL, FEW = "Name LIKE 'Opportunity%'", "Name LIKE '%7'"
Job = dict[str, Any]


class Hosts:
    """The system on its hosts."""

    def __init__(self, stack: Stack, away: str, hosts: list[Host]) -> None:
        self.stack, self.away = stack, away
        *self.webs, self.one, self.two = hosts
        stack.start_redis()
        org = stack.start_org(0, "--opportunities", "400", "--lines", "2")
        self.reader = OrgReader(org)
        stack.environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        ports = [urlsplit(url).port or 0 for url in (stack.redis_url or "", org.url)]
        stack.start("way-out", way(away, "127.0.0.1", ports))
        for host in hosts:
            host.lead(stack, away, ports, seconds=AWAY)
        for host in (self.one, self.two):
            self.work(host)
        for host in self.webs:
            gunicorn = [sys.executable, "-m", "gunicorn", "api.wsgi:app", "--bind", f"{host.address}:8000"]
            host.start(stack, f"web-{host.name}", *gunicorn)
        self.apis = [Api(f"http://{host.address}:8000", org, self.reader.username()) for host in self.webs]
        for api in self.apis:
            url = f"{api.url}/ready"
            wait(partial(responds, url), 25)

    def work(self, host: Host) -> None:
        """Start a worker and a scheduler on it."""
        host.start(self.stack, f"worker-{host.name}", *WORKER, "-n", f"{host.name}@%h")
        host.start(self.stack, f"beat-{host.name}", *CELERY, "beat")

    def lose(self, host: Host) -> None:
        """The host is gone with all that runs on it."""
        for kind in ("worker", "beat"):
            self.stack.kill(f"{kind}-{host.name}")

    def right(self, job_id: str, where: str) -> None:
        """It is Completed, and each Opportunity has one right Quote."""
        job = self.apis[0].follow(job_id, quiet=90)
        assert (job["status"], job["records"]["failed"]) == ("Completed", 0), job
        assert check_job(self.reader, job_id, where).differences == []


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """All of it runs."""
    with network(4) as (away, found), Stack(tmp_path) as stack:
        for host, wrong in zip(found, (0, 120, 180, -180), strict=True):
            host.environment = wrong_clock(tmp_path, wrong)
        yield Hosts(stack, away, found)


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.timeout(240 + PARTITION)
def test_hosts_that_are_cut_off_or_lost(hosts: Hosts) -> None:
    """In the middle of jobs: each Quote is written once. No fire time is lost or doubled, whoever ticks."""
    one, two = hosts.apis
    what = {"soqlWhereClause": FEW, "authorization": "worker", "overlap": "queue"}
    schedule = two.post("/api/schedules", {"name": "S", "cronExpression": f"0/{EVERY} * * * * ?", **what})
    path = f"/api/schedules/{schedule['scheduleId']}"
    first = one.submit(ALL)
    wait(lambda: one.job(first)["records"]["succeeded"], 25)
    hosts.one.cut()
    began = time.monotonic()
    meanwhile = two.submit(ALL)
    fired = two.get(path)["timesTriggered"]
    wait(lambda: two.get(path)["timesTriggered"] > fired + 2, 10 + 3 * EVERY)  # the other scheduler goes on
    took_over = time.monotonic() - began
    time.sleep(max(0.0, PARTITION - took_over))
    hosts.one.mend()
    second = two.submit(ALL)
    wait(lambda: two.job(second)["records"]["succeeded"], 25)
    hosts.lose(hosts.two)
    began, fired = time.monotonic(), one.get(path)["timesTriggered"]
    wait(lambda: one.get(path)["timesTriggered"] > fired + 1, 10 + 2 * EVERY)
    print(f"three fires {took_over:.1f} s after the cut, two {time.monotonic() - began:.1f} s after the loss")
    after = one.post(f"{path}/pause")
    for job_id in (first, meanwhile, second):
        hosts.right(job_id, ALL)
    jobs = one.jobs(scheduleId=schedule["scheduleId"])
    for job in jobs:
        hosts.right(job["jobId"], FEW)
    times = (at(after["previousFireTime"]) - at(schedule["nextFireTime"])) / EVERY + 1
    assert (len(jobs), after["timesSkipped"]) == (after["timesTriggered"], 0)
    assert len(jobs) == times
