"""The progress bar of a job: it counts from the plan on, and its seconds come from the job's own estimate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from harness.api import Json
from harness.bar import Pace


def job(finished: int, left: float | None, *, pages: int = 6, ended: bool = False) -> Json:
    """A job of 1,000 records that estimates so many seconds."""
    end = None if left is None else (datetime.now(UTC) + timedelta(seconds=left)).isoformat()
    return {
        "status": "Processing",
        "totalJobItems": pages,
        "jobItemsProcessed": 0,
        "records": {"total": 1000 if pages else 0, "succeeded": finished, "skipped": 0, "failed": 0},
        "estimatedEnd": end,
        "completedDate": "2031-05-01T12:00:00.000Z" if ended else None,
    }


def test_time_counts_from_the_plan_on() -> None:
    """Waiting for a worker is no progress, and makes no rate smaller."""
    pace = Pace("Opportunities")
    assert pace.fields(job(0, None, pages=0), now=0.0)["records"] == ""
    assert pace.share(job(0, None, pages=0), now=0.0) is None
    assert pace.fields(job(0, None), now=100.0)["left"] == "0 s so far"
    assert pace.fields(job(300, 7.0), now=103.0)["records"] == "Opportunities 300/1,000, 100/s"


def test_seconds_count_down_between_two_steps() -> None:
    """While nothing is done an estimate by the job's own pace grows with the time; the bar does not show that."""
    pace, shown = Pace("Opportunities"), []
    for now, finished, left in ((0, 0, None), (8, 300, 16), (10, 300, 20), (14, 300, 28), (15, 600, 10), (20, 600, 13)):
        shown.append(pace.fields(job(finished, left), float(now))["left"])
    assert shown == ["0 s so far", "16 s left", "14 s left", "10 s left", "10 s left", "5 s left"]
    assert pace.fields(job(600, 20.0), 31.0)["left"] == "20 s left"  # it is late: the job's newest estimate counts


def test_the_bar_never_goes_back() -> None:
    """By records or by time, whichever is more; full only at the end."""
    pace, seen = Pace("Opportunities"), []
    for now, finished, left in ((0, 0, 10), (5, 0, 5), (6, 500, 40), (20, 900, 3)):
        pace.fields(job(finished, left), float(now))
        seen.append(pace.share(job(finished, left), float(now)) or 0.0)
    assert seen == sorted(seen)
    assert seen[-1] < 1
    assert pace.share(job(1000, None, ended=True), 25.0) == 1.0
