"""Jobs in figures, against figures worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from quotejob.jobs.job import BuiltIn, Guess, Job, Status
from quotejob.jobs.summary import Count, Figures, Quality, summarise

NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)
QUOTES, CREATE, DELETE = BuiltIn.BATCH_QUOTE, BuiltIn.SAMPLE_DATA_CREATE, BuiltIn.SAMPLE_DATA_DELETE


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def job(status: Status = Status.COMPLETED, *dates: float, **also: Any) -> Job:
    """``dates``: seconds after noon at which it started and ended."""
    known = dict(zip(("started_date", "completed_date"), map(at, dates), strict=False))
    given = {"job_id": "j", "job_type": QUOTES, "org_id": "o", "created_date": NOON, "created_by_id": "u"}
    fields: dict[str, Any] = given | known | also
    return Job(status=status, **fields)


def guess(made: float, meant: float) -> Guess:
    return Guess(at(made), at(meant))


def test_nothing_is_said_of_no_jobs() -> None:
    """Counts of nought and no figures."""
    found = summarise([])
    assert (found.total, found.by_status_and_job_type) == (0, [])
    assert [one.jobs for one in found.by_status + found.by_job_type] == [0] * 10
    assert found.waiting_seconds == found.run_seconds == found.records_per_second == Figures(0)
    assert found.start_estimates == found.end_estimates == Quality(0)


def test_jobs_are_counted_by_status_by_type_and_by_both() -> None:
    """Statuses in the order of a job's life."""
    found = summarise([job(), job(Status.HOLDING), job(Status.HOLDING, job_type=DELETE), job(), job(job_type=CREATE)])
    assert found.total == 5
    assert found.by_status == [
        Count({Status.HOLDING: 2, Status.COMPLETED: 3}.get(status, 0), status=status) for status in Status
    ]
    assert found.by_job_type == [
        Count(3, job_type=QUOTES), Count(1, job_type=CREATE), Count(1, job_type=DELETE),
    ]  # fmt: skip
    assert found.by_status_and_job_type == [
        Count(1, Status.HOLDING, QUOTES), Count(1, Status.HOLDING, DELETE),
        Count(2, Status.COMPLETED, QUOTES), Count(1, Status.COMPLETED, CREATE),
    ]  # fmt: skip


def test_waiting_and_running_of_those_that_did() -> None:
    """Whatever end they had. A resumed job waited once and ran who knows how long; one that never started, neither."""
    found = summarise([
        job(Status.COMPLETED, 1, 11, succeeded=30, skipped=5, failed=5),
        job(Status.FAILED, 2, 6, succeeded=2),
        job(Status.COMPLETED, 3, 23),
        job(Status.PROCESSING, 4, succeeded=7),
        job(Status.COMPLETED, 90, 10_000, resumed_date=at(9_990), succeeded=1000),
        job(Status.HOLDING),
        job(Status.HOLDING, 5, resumed_date=at(7)),
        job(Status.ABORTED, completed_date=at(8)),
    ])  # fmt: skip
    assert found.waiting_seconds == Figures(6, 17.5, 3, 90, 90, 90, 90)
    assert found.run_seconds == Figures(3, round(34 / 3, 3), 10, 20, 20, 20, 20)
    assert found.records_per_second == Figures(2, 2.25, 0.5, 4, 4, 4, 4)


def test_percentiles_are_values_that_occurred() -> None:
    """Of the waiting times 1 to 200 s."""
    found = summarise(job(Status.COMPLETED, seconds) for seconds in range(200, 0, -1))
    assert found.waiting_seconds == Figures(200, 100.5, 100, 180, 190, 198, 200)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=200))
def test_so_many_per_cent_do_not_exceed_a_percentile(waited: list[int]) -> None:
    """And it is the smallest of which that holds."""
    found = summarise(job(Status.PROCESSING, seconds) for seconds in waited).waiting_seconds
    assert (found.count, found.max) == (len(waited), max(waited))
    assert found.mean is not None
    assert abs(found.mean - fmean(waited)) < 0.001
    for per_cent, value in ((50, found.p50), (90, found.p90), (95, found.p95), (99, found.p99)):
        assert value in waited
        assert sum(one <= value for one in waited) * 100 >= per_cent * len(waited)
        assert sum(one < value for one in waited) * 100 < per_cent * len(waited)


def test_estimates_are_compared_with_what_came() -> None:
    """Off by 10 s late of 20 that were ahead, by 2 early of 10, by 6 late of 40."""
    found = summarise([
        job(Status.PROCESSING, 30, start_guess=guess(10, 20)),
        job(Status.FAILED, 18, 60, start_guess=guess(8, 20), end_guess=guess(18, 19)),
        job(Status.COMPLETED, 50, 90, start_guess=guess(10, 44), end_guess=guess(50, 94)),
        job(Status.COMPLETED, 0, 90, end_guess=guess(50, 90), resumed_date=at(60)),
        job(Status.HOLDING, start_guess=guess(0, 5)),
        job(Status.COMPLETED, 3, 4),
    ])  # fmt: skip
    assert found.start_estimates == Quality(3, 6, 10, 0.2, 6)
    assert found.end_estimates == Quality(1, 4, 4, 0.1, -4)


def test_an_estimate_with_nothing_ahead_has_no_share() -> None:
    """Clocks differ: what came before it was said is an error all the same."""
    found = summarise([job(Status.PROCESSING, 10, start_guess=guess(10, 12))])
    assert found.start_estimates == Quality(1, 2, 2, None, -2)
