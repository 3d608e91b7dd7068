"""Estimates with real workers: said of jobs that wait and run, noted on the way, judged in the summary."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from harness.api import Api


def submit(api: Api, name: str, **conditions: object) -> str:
    body = {"soqlWhereClause": f"Name LIKE '{name}%'", **conditions}
    return str(api.post("/api/executebatch", body)["jobId"])


def test_what_was_estimated_is_compared_with_what_came(
    api: Api, name: str, make_opportunity: Callable[..., str]
) -> None:
    """After one run a job that waits says when it will start and end; in the end the summary says how good that was."""
    make_opportunity(f"{name} a")
    begin = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    assert api.follow(submit(api, name))["status"] == "Completed"
    at = datetime.now(UTC) + timedelta(seconds=10)
    waiting = submit(api, name, notBefore=at.isoformat())
    child = submit(api, name, dependsOn=[waiting])
    told = [api.job(one) for one in (waiting, child)]
    starts = [datetime.fromisoformat(job["estimatedStart"]) for job in told]
    ends = [datetime.fromisoformat(job["estimatedEnd"]) for job in told]
    assert abs(starts[0] - at) < timedelta(milliseconds=2)
    assert starts[0] < ends[0] <= starts[1] < ends[1]
    time.sleep(5.2)  # so seldom dispatch looks for jobs of which nothing is noted
    other = submit(api, name)
    for job_id in (other, child):
        job = api.follow(job_id)
        assert (job["status"], job["estimatedStart"], job["estimatedEnd"]) == ("Completed", None, None)
    summary = api.get(f"/api/jobs/summary?createdFrom={begin}&jobType=BatchQuote")
    assert (summary["total"], summary["runSeconds"]["count"], summary["recordsPerSecond"]["count"]) == (4, 4, 4)
    assert summary["startEstimates"]["count"] >= 2  # those two waited
    assert summary["endEstimates"]["count"] >= 3  # something ran before them
