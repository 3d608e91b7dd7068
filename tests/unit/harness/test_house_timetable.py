"""bin/chaos's second opinion on fire times finds what is lost or doubled, and lets pass what the policies say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.timetable import RedisClock, check_schedule, job_id

ID = "5f0c1a52-3c7e-4c3b-9d47-0a8de1f1a001"
START = 1_900_000_000  # a multiple of five
FIRES = range(START, START + 100, 5)


def said(
    made: Sequence[int],
    *,
    triggered: int | None = None,
    skipped: int = 0,
    misfire: str = "runOnce",
    following: int = START + 100,
    stretches: Sequence[tuple[float, float]] = ((START - 10, START + 100),),
) -> list[str]:
    """What is found wrong with a schedule of every five seconds whose jobs are of these fire times."""
    last = datetime.fromtimestamp(max(made), UTC).isoformat()
    count = len(made) if triggered is None else triggered
    schedule: dict[str, Any] = {"scheduleId": ID, "misfire": misfire, "previousFireTime": last}
    schedule |= {"timesTriggered": count, "timesSkipped": skipped}
    return check_schedule(schedule, 5, START, following, [job_id(ID, fire) for fire in made], stretches)


def test_each_fire_time_once_is_right() -> None:
    """A job for each, or skipped and counted."""
    assert said(FIRES) == []
    assert said([fire for fire in FIRES if fire % 10], skipped=10) == []


@pytest.mark.parametrize(
    ("made", "wrong"),
    [
        ({"made": [*FIRES[:7], *FIRES[8:]]}, "may have been missed"),  # lost before it was decided
        ({"made": [*FIRES[:7], *FIRES[8:]], "triggered": 20}, "triggered 20 times and made 19"),  # and after
        ({"made": FIRES, "triggered": 21}, "triggered 21 times and made 20"),  # decided twice
        ({"made": [*FIRES, FIRES[3]]}, "1 job(s) twice"),
        ({"made": FIRES, "skipped": 1}, "may have been missed"),  # skipped, and made all the same
        ({"made": [*FIRES[:-1], FIRES[-1] + 1]}, "of no fire time"),
        ({"made": FIRES[:-1], "skipped": 0}, "may have been missed"),  # the last
        ({"made": FIRES[1:], "skipped": 0}, "may have been missed"),  # the first
    ],
)
def test_what_is_wrong_is_found(made: dict[str, Any], wrong: str) -> None:
    """Lost or doubled, wherever in the run."""
    assert any(wrong in one for one in said(**made))


def test_one_run_makes_good_what_was_missed_by_a_jump() -> None:
    """Only with a jump of the clock, only for more than a minute, and only what lay within it."""
    ahead = START + 3600
    jumped = [(START - 10, START + 12), (ahead, ahead + 20)]
    made = [START, START + 5, START + 10, START + 15, ahead + 5, ahead + 10]
    assert said(made, following=ahead + 15, stretches=jumped) == []
    assert said(made, following=ahead + 15, stretches=[(START - 10, START + 20)])
    assert said(made[:-1], following=ahead + 15, stretches=jumped)
    assert said(made[:2] + made[3:], following=ahead + 15, stretches=jumped)
    assert said([START, START + 40], following=START + 45, stretches=[(START, START + 1), (START + 36, START + 45)])


def test_with_misfire_skip_the_last_minute_is_not_missed() -> None:
    """What is less than a minute late when the clock has jumped is made good one by one."""
    ahead = START + 3600
    jumped = [(START - 10, START + 2), (ahead, ahead + 3)]
    made = [START, *range(ahead - 55, ahead + 1, 5)]
    assert said(made, skipped=1, misfire="skip", following=ahead + 5, stretches=jumped) == []
    assert said([START, ahead], skipped=1, misfire="skip", following=ahead + 5, stretches=jumped)
    assert said(made, skipped=1, following=ahead + 5, stretches=[jumped[0]])


def test_the_clock_notes_where_it_stood(tmp_path: Path) -> None:
    """Each jump ends a stretch, and the server is told in a file."""
    clock = RedisClock(tmp_path)
    clock.jump(3600)
    clock.jump(-7200)
    assert (tmp_path / "redis-clock").read_text() == "-3600.000\n"
    [first, second, third] = clock.stretches()
    assert first[0] <= first[1] < second[0] <= second[1]
    assert second[0] - first[1] == pytest.approx(3600, abs=1)
    assert third[0] - second[1] == pytest.approx(-7200, abs=1)
