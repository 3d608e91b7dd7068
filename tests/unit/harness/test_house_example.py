"""The judge of bin/demo --queue: it must see what is not as drawn, or its word is worth nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness.example import SLOTS, Story, judged

BEGIN = datetime(2026, 1, 31, 9, tzinfo=UTC)


def job(name: str, created: float, started: float, completed: float, status: str = "Completed") -> dict[str, Any]:
    """A job as the API tells it; times are seconds from the beginning."""
    times = zip(("createdDate", "startedDate", "completedDate"), (created, started, completed), strict=True)
    dates = {field: (BEGIN + timedelta(seconds=second)).isoformat() for field, second in times}
    return {"jobId": name, "status": status, "extendedStatus": None, **dates}


def drawn() -> tuple[dict[str, Any], list[dict[str, Any]], Story]:
    """All as it should be: ten others wait from second 1 on, and start one by one from second 11 on."""
    named = {
        "A": job("A", 0, 0, 5),
        "B": job("B", 0, 0, 6),
        "C": job("C", 0, 20, 22),
        "D": job("D", 9, 9.2, 12),
        "E": job("E", 1, 4, 5),
    }
    others = [job(f"other {number}", 1, 11 + number, 12 + number) for number in range(10)]
    passed = [one["jobId"] for one in others]
    return (
        named,
        others,
        Story(dict.fromkeys("ABCDE", ""), BEGIN + timedelta(seconds=20), BEGIN + timedelta(seconds=9), passed),
    )


def test_all_is_as_drawn() -> None:
    """Nothing to say."""
    assert judged(*drawn()) == []


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("A", job("A", 0, 0, 30), "C ran before"),
        ("B", job("B", 0, 0, 30), "C ran before"),
        ("C", job("C", 0, 19.9, 22), "C ran before"),
        ("C", job("C", 0, 20, 22, "Aborted"), "C is Aborted"),
        ("D", job("D", 9, 8.9, 12), "D did not run"),
        ("D", job("D", 9, 40, 41), "D did not run"),
        ("E", job("E", 1, 12 + SLOTS, 30), "stood before E"),
    ],
)
def test_what_is_not_is_said(name: str, changed: dict[str, Any], said: str) -> None:
    """Each thing that could go wrong."""
    named, others, story = drawn()
    wrong = judged({**named, name: changed}, others, story)
    assert len(wrong) == 1
    assert said in wrong[0]


def test_one_of_the_others_failed() -> None:
    """They count too."""
    named, others, story = drawn()
    assert judged(named, [*others, job("other", 1, 2, 3, "Failed")], story) == ["One of the crowd is Failed"]
