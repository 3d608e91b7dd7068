"""Fair shares with real workers: a small job is not held up by a large one, and large ones advance side by side."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from harness.api import Api, LocalOrg
from harness.stack import Stack

PAGES = 1000


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One worker process, so that the order is plain; pages of two Opportunities."""
    with Stack(tmp_path_factory.mktemp("fairness"), extra={"QUOTEJOB_PAGE_SIZE": "2"}) as stack:
        stack.start_redis()
        stack.start_org(0, "--opportunities", str(2 * PAGES), "--lines", "1")
        stack.start_web()
        stack.start_worker(1, "-c", "1")
        stack.start_beat()
        stack.wait_ready()
        yield stack


def started(stack: Stack, job_id: str) -> list[int]:
    """The places, among all pages the worker began, of this job's."""
    log = stack.process("worker1").log.read_text()
    jobs = re.findall(r"Priced a page.*?job_id=([0-9a-f-]{36})", log)
    return [place for place, found in enumerate(jobs) if found == job_id]


def test_two_large_jobs_of_an_org_advance_side_by_side(system: Stack) -> None:
    """When the second is half priced, the first is not done, although it was sent long before."""
    assert system.org
    api = Api(system.web_url, system.org)
    where = "Name LIKE 'Opportunity 1%'"  # 111 and 1,000 of them: 556 pages of two
    first = api.submit(where)
    while len(started(system, first)) < 20:
        time.sleep(0.05)
    second = api.submit(where)
    api.follow(second)
    api.follow(first)
    priced = started(system, second)
    assert started(system, first)[-1] > priced[len(priced) // 2]


def test_a_small_job_of_another_org_starts_at_once(system: Stack) -> None:
    """Its page is priced within two pages of the large job.

    The last test of the file: the pages of the large job may still be in the queue when it ends.
    """
    assert system.org
    large = Api(system.web_url, system.org).submit("Name LIKE 'Opportunity %'")
    other: LocalOrg = _other_org(system)
    while len(started(system, large)) < 20:
        time.sleep(0.05)
    small = Api(system.web_url, other).submit("Name LIKE 'Opportunity %'")
    Api(system.web_url, other).follow(small)
    log = system.process("worker1").log.read_text()
    between = log[log.index(f"Worker received job with ID: {small}") :]
    between = between[: between.index(f"job_id={small}", between.index("Priced a page"))]
    assert len(re.findall(r"Priced a page", between)) <= 3
    Api(system.web_url, system.org).post(f"/api/jobs/{large}/abort")


def _other_org(stack: Stack) -> LocalOrg:
    """A second org, with one page's worth of Opportunities."""
    mine, stack.org = stack.org, None
    other = stack.start_org(0, "--opportunities", "2", "--lines", "1", "--seed", "2")
    stack.org = mine
    return other
