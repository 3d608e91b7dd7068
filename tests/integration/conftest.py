"""What the tests of jobs and schedules share."""

from __future__ import annotations

import pytest
from _callers import new_caller

from quotejob.salesforce.caller import CallerContext
from quotejob.store import client, keys


@pytest.fixture(scope="module", autouse=True)
def _no_jobs_of_other_files(redis_url: str) -> None:
    """No jobs and no guaranteed slots are left from another file: all local orgs have one id, so tests would meet."""
    redis = client.client(redis_url, attempts=1)
    for key in redis.scan_iter(keys.jobs_of("*", "*")):
        redis.delete(key)


@pytest.fixture
def caller() -> CallerContext:
    """A caller of an org of its own, so that tests do not meet."""
    return new_caller()
