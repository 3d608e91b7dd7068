"""Redis takes no writes for 20 s: callers hear it at once, every process waits, and the job goes on by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis

from harness.api import Api, ApiError
from harness.org_reader import OrgReader
from harness.stack import Stack
from harness.verdict import check_job

ALL = "Name LIKE 'Opportunity %'"
AWAY = 20.0  # seconds


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole system with one worker, pages of 10, and an org of 400 Opportunities."""
    with Stack(tmp_path_factory.mktemp("full"), extra={"QUOTEJOB_PAGE_SIZE": "10"}) as stack:
        stack.start_redis()
        stack.start_org(0, "--opportunities", "400", "--lines", "2")
        stack.start_web()
        stack.start_worker(1, "-c", "2")
        stack.start_beat()
        stack.wait_ready()
        yield stack


def pages_reported(client: redis.Redis, job_id: str) -> int:
    return int(client.hlen(f"quotejob:job:{job_id}:priced:0"))


@pytest.mark.timeout(300)
def test_a_full_redis_heals_by_itself(stack: Stack) -> None:
    """Full in the middle of the pages of a job. No process ends, and each Opportunity has its Quote once."""
    assert stack.org
    reader = OrgReader(stack.org)
    api = Api(stack.web_url, stack.org, reader.username())
    reader._post("/localorg/faults", {"kind": "slow", "match": {"resource": "query"}, "seconds": 0.3})
    client = redis.Redis.from_url(stack.redis_url or "")
    job_id = api.submit(ALL)
    deadline = time.monotonic() + 60
    while pages_reported(client, job_id) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    client.config_set("maxmemory", client.info("memory")["used_memory"] // 2)
    full = time.monotonic()
    refused = []
    while time.monotonic() - full < AWAY:
        with pytest.raises(ApiError) as answer:
            api.submit(ALL)
        refused.append(str(answer.value))
        assert api.job(job_id)["status"] == "Processing"
        time.sleep(0.5)
    client.config_set("maxmemory", 0)
    assert {("503" in words, "STORE_UNAVAILABLE" in words) for words in refused} == {(True, True)}, refused
    stack.check()
    job = api.follow(job_id, quiet=60)
    assert (job["status"], job["records"]["failed"]) == ("Completed", 0), job
    assert check_job(reader, job_id, ALL).differences == []
    assert api.follow(api.submit("Name = 'none'"), quiet=60)["status"] == "Completed"  # messages come and go again
    stack.check()
