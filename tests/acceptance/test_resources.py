"""What the system needs of a small hosted Redis: at most 20 connections under load, and little memory."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import redis

from harness.api import Api, LocalOrg
from harness.org_reader import OrgReader
from harness.stack import Stack

MOST_CONNECTIONS = 20  # web with one process, one worker, beat; the smallest hosted plan
MOST_FLOWER = 6
OPPORTUNITIES = 25_000  # two waves


@pytest.mark.timeout(400)
def test_a_small_hosted_redis_is_enough(tmp_path: Path) -> None:
    """While two waves are priced and written and callers ask for jobs: 20 connections, 6 more for Flower, 10 MB."""
    with Stack(tmp_path, extra={"WEB_CONCURRENCY": "1"}) as stack:
        stack.start_redis()
        org = stack.start_org(0, "--opportunities", str(OPPORTUNITIES), "--lines", "2")
        stack.start_web()
        stack.start_worker(1)
        stack.start_beat()
        stack.wait_ready()
        api = Api(stack.web_url, org, OrgReader(org).username())
        client = redis.Redis.from_url(stack.redis_url or "")
        before = client.info("memory")["used_memory"]
        connections, memory = [0], [0]
        job_id = api.submit("Name LIKE 'Opportunity %'")
        callers = [threading.Thread(target=_ask, args=(stack, org)) for _ in range(4)]
        for caller in callers:
            caller.start()
        while (job := api.job(job_id))["status"] not in ("Completed", "Failed"):
            connections.append(len(client.client_list()) - 1)
            memory.append(client.info("memory")["used_memory"] - before)
            time.sleep(0.2)
        for caller in callers:
            caller.join()
        assert job["records"]["succeeded"] == OPPORTUNITIES
        assert max(connections) <= MOST_CONNECTIONS
        assert max(memory) < 10_000_000
        stack.start_flower()
        time.sleep(3)
        assert len(client.client_list()) - 1 <= MOST_CONNECTIONS + MOST_FLOWER
        client.close()


def _ask(stack: Stack, org: LocalOrg) -> None:
    """A caller who looks at the list of jobs again and again."""
    api = Api(stack.web_url, org)
    for _ in range(100):
        api.request("GET", "/api/jobs")
