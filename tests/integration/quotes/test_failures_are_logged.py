"""The log of the workers has the first failed record of each code, and at the end how many there were of each."""

from __future__ import annotations

from collections.abc import Callable

from _quoting import Ran, line
from structlog.testing import capture_logs

Run = Callable[[str], Ran]
Make = Callable[..., str]
NAME = "Logged failures"


def test_the_first_of_each_code_and_the_counts(run: Run, make: Make) -> None:
    """However many fail, over pages and batches: one line with a reason for each code, and one with the counts."""
    for place in range(4):
        make(line(1, 10), name=NAME, **({"CloseDate": "4000-12-31"} if place < 3 else {}))
    with capture_logs() as logs:
        ran = run(f"Name = '{NAME}'")
    said = [entry["event"] for entry in logs if entry["log_level"] == "warning"]
    assert (ran.job.succeeded, ran.job.failed) == (1, 3)
    [first] = [text for text in said if text.startswith("A record failed: 006")]
    assert ": UNPRICEABLE: " in first
    assert "Failed records: UNPRICEABLE 3" in said


def test_a_job_that_matches_nothing_says_so(run: Run) -> None:
    """Completed, and its extendedStatus tells it from a job that had something to do."""
    job = run("Name = 'Nobody has this name'").job
    assert (job.status, job.total) == ("Completed", 0)
    assert (job.extended_status or "").startswith("No Opportunity matched the WHERE clause")


def test_a_job_without_failures_says_nothing_of_them(run: Run, make: Make) -> None:
    """No line about failures."""
    deal = make(line(1, 10))
    with capture_logs() as logs:
        assert run(f"Id = '{deal}'").job.succeeded == 1
    assert not [entry for entry in logs if "ailed" in entry["event"] and entry["log_level"] == "warning"]
