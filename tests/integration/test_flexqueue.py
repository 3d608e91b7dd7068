"""The flex queue in Redis: who waits, who may go, who goes first."""

from __future__ import annotations

import uuid

import pytest
from cryptography.fernet import Fernet

from quotejob import store
from quotejob.callers import CallerContext, to18
from quotejob.errors import FlexQueueFull
from quotejob.jobs import Jobs
from quotejob.life import JobType, Status
from quotejob.settings import Settings


@pytest.fixture
def jobs(redis_url: str) -> Jobs:
    settings = Settings(
        redis_url=redis_url, secret_keys=(Fernet.generate_key().decode(),), active_jobs=3, holding_jobs=6
    )
    return Jobs(store.client(redis_url, attempts=1), settings)


@pytest.fixture
def caller() -> CallerContext:
    """A caller of an org of its own, so that tests do not meet."""
    org = to18("00D" + uuid.uuid4().hex[:12])
    return CallerContext(
        request_id="r", org_id=org, org_domain_url="https://x.my.salesforce.com", api_version="66.0", namespace="",
        access_token="00D!x", user_id=to18("005RO0000000001"), username="u@x.org",
    )  # fmt: skip


def submit(jobs: Jobs, caller: CallerContext, **also: object) -> str:
    return jobs.submit(caller, JobType.SAMPLE_DATA_DELETE, **also)[0].job_id  # type: ignore[arg-type]


def run(jobs: Jobs, job_id: str, end: Status = Status.COMPLETED) -> None:
    """What workers do with a Queued job."""
    for status in (Status.PREPARING, Status.PROCESSING, end):
        jobs.move(job_id, status)


# -- promotion ---------------------------------------------------------------------------------------------------------


def test_reserved_slots_stay_free(jobs: Jobs, caller: CallerContext) -> None:
    """With one of three reserved, two jobs go; without it the third does too."""
    ids = [submit(jobs, caller) for _ in range(4)]
    assert jobs.promote(caller.org_id, reserved=1) == ids[:2]
    assert jobs.promote(caller.org_id, reserved=5) == []
    assert jobs.promote(caller.org_id) == [ids[2]]


def test_the_first_one_takes_the_reserved_slot(jobs: Jobs, caller: CallerContext) -> None:
    """Past the queue; it is promoted once, and never beyond the org's slots."""
    ids = [submit(jobs, caller) for _ in range(5)]
    assert jobs.promote(caller.org_id, reserved=1) == ids[:2]
    assert jobs.promote(caller.org_id, reserved=1, first=ids[4]) == [ids[4]]
    assert jobs.promote(caller.org_id, reserved=1, first=ids[4]) == []
    assert jobs.promote(caller.org_id, first=ids[3]) == []
    run(jobs, ids[0])
    assert jobs.promote(caller.org_id, first=ids[3]) == [ids[3]]
    assert jobs.promote(caller.org_id, first="nonsense") == []


def test_a_guaranteed_job_goes_past_a_full_queue(jobs: Jobs, caller: CallerContext) -> None:
    """A reserved slot is no room for others; the guaranteed job is taken, under the id its schedule gave it."""
    assert jobs.promote(caller.org_id, reserved=1) == []
    ids = [submit(jobs, caller) for _ in range(8)]
    assert jobs.promote(caller.org_id, reserved=1) == ids[:2]
    with pytest.raises(FlexQueueFull):
        submit(jobs, caller)
    named = str(uuid.uuid4())
    for _ in range(2):
        assert submit(jobs, caller, guaranteed=True, job_id=named) == named
    assert jobs.promote(caller.org_id, reserved=1, first=named) == [named]
    with pytest.raises(FlexQueueFull):
        submit(jobs, caller)
    assert len(jobs.recent(caller.org_id)[0]) == 9
