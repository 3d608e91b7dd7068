"""When to look at a job of Bulk API 2.0, from what the org did before."""

from __future__ import annotations

import pytest

from quotejob.run.bulk_speed import GROWTH, LATER, PAUSES, SPARE, Looks, seconds

SEED = (2.0, 0.00025)  # seconds of a job and of a row
INSTANT = (0.05, 0.0001)


def took(org: tuple[float, float], rows: int) -> float:
    return org[0] + org[1] * rows


def test_an_unknown_org_is_guessed() -> None:
    """More rows take longer."""
    assert seconds(1, []) < 3
    assert seconds(40_000, []) == pytest.approx(18.5)


@pytest.mark.parametrize("org", [SEED, INSTANT])
@pytest.mark.parametrize("rows", [12, 2_000, 5_000, 20_000, 40_000])
def test_jobs_of_several_sizes_tell_the_time_of_any_other(org: tuple[float, float], rows: int) -> None:
    """Neither before the end, nor long after it."""
    last = [(count, took(org, count)) for count in (8_000, 4_000, 2_000, 2_000)]
    assert took(org, rows) <= seconds(rows, last) * LATER + SPARE < 1.3 * took(org, rows) + 2 * SPARE


@pytest.mark.parametrize("org", [SEED, INSTANT])
def test_a_single_job_tells_that_of_the_next_larger_one(org: tuple[float, float]) -> None:
    """It takes twice as long at most, because only its rows are more."""
    wanted = seconds(4_000, [(2_000, took(org, 2_000))])
    assert took(org, 4_000) <= wanted * LATER + SPARE
    assert wanted <= 2 * took(org, 2_000) + 0.001


def test_the_slowest_of_the_last_jobs_counts() -> None:
    """So that an org whose times differ is not looked at in vain."""
    assert seconds(1_000, [(1_000, 2.0), (1_000, 3.0), (1_000, 2.0)]) == pytest.approx(3.0, rel=0.01)


@pytest.mark.parametrize("last", [[(1, 0.0)], [(5, 0.0), (5, 0.0)], [(1_000, 5.0), (10_000, 1.0)]])
def test_strange_times_do_no_harm(last: list[tuple[int, float]]) -> None:
    """A clock without fractions says 0 seconds; more rows may have been quicker."""
    assert 0 <= seconds(5_000, last) < 100


def test_the_next_look_comes_when_the_other_rows_are_done() -> None:
    """Within limits; without any row done it is guessed."""
    now = 100.0
    looks = Looks(1_000, 4.0, lambda: now)
    assert looks(0) == LATER * 4 + SPARE
    now += 5
    assert looks(500) == pytest.approx(5 * LATER)
    assert looks(0) == pytest.approx(5 * LATER)
    assert looks(999) == looks(1_000) == pytest.approx(5 * GROWTH)
    assert looks(1) == PAUSES[1]
