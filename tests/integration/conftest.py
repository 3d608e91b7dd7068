"""What the tests of jobs and schedules share."""

from __future__ import annotations

import pytest
from _callers import new_caller

from quotejob.salesforce.caller import CallerContext
from quotejob.store import client, keys


@pytest.fixture(scope="module", autouse=True)
def _nothing_of_other_files(redis_url: str) -> None:
    """No job, no guaranteed slot and no sign of a worker is left from another file, so that tests do not meet.

    All local orgs have one id, and a sign of a worker counts for 16 seconds.
    """
    redis = client.client(redis_url, attempts=1)
    for pattern in (keys.jobs_of("*", "*"), keys.worker("*")):
        for key in redis.scan_iter(pattern):
            redis.delete(key)
    redis.delete(keys.VERSIONS)


@pytest.fixture
def caller() -> CallerContext:
    """A caller of an org of its own, so that tests do not meet."""
    return new_caller()
