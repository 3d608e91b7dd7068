"""Orgs that never answer hold up nobody else: with the default start, one worker serves them all."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import requests

from harness.api import Api, LocalOrg
from harness.org_reader import OrgReader
from harness.stack import Stack
from harness.verdict import check_job

ALL = "Name LIKE 'Opportunity %'"
HANGING = 3  # orgs
JOBS = 5  # of each: all its slots
QUIET = 20.0  # seconds within which a job of another org ends


@pytest.fixture
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One worker as the README starts it; small pages, so that one job has more of them than a worker has threads."""
    with Stack(tmp_path_factory.mktemp("hanging"), extra={"QUOTEJOB_PAGE_SIZE": "5"}) as stack:
        stack.start_redis()
        stack.start_org(0, "--opportunities", "100", "--lines", "2")
        stack.start_web()
        stack.start_worker(1)
        stack.start_beat()
        stack.wait_ready()
        yield stack


def another_org(stack: Stack, seed: int) -> LocalOrg:
    mine, stack.org = stack.org, None
    other = stack.start_org(0, "--opportunities", "500", "--lines", "1", "--seed", str(seed))
    stack.org = mine
    return other


def hang(org: LocalOrg) -> None:
    """Every query of it takes an hour from now on, and the submission's check does not."""
    spec = {"kind": "slow", "match": {"resource": "query", "method": "GET"}, "probability": 1, "seconds": 3600}
    requests.post(f"{org.url}/localorg/faults", json=spec, timeout=10).raise_for_status()


@pytest.mark.timeout(300)
def test_jobs_of_another_org_end_while_three_hang(system: Stack) -> None:
    """Each of the three has all its slots busy with requests that are never answered."""
    assert system.org
    for seed in range(2, 2 + HANGING):
        org = another_org(system, seed)
        api = Api(system.web_url, org)
        jobs = [api.submit(ALL) for _ in range(JOBS)]
        while not any(api.job(job_id)["status"] == "Processing" for job_id in jobs):
            time.sleep(0.05)
        hang(org)
    time.sleep(2)  # until all that may hang does
    api = Api(system.web_url, system.org, OrgReader(system.org).username())
    for _ in range(2):
        began = time.monotonic()
        job_id = api.submit(ALL)
        assert api.follow(job_id, quiet=QUIET)["status"] == "Completed"
        assert time.monotonic() - began < QUIET
        assert check_job(OrgReader(system.org), job_id, ALL).differences == []
