"""What an org said of its API calls, in Redis: it counts for a day."""

from __future__ import annotations

import pytest

from quotejob import clock
from quotejob.store import usage
from quotejob.store.usage import ApiCalls

HOUR = 3_600_000
HOST = "acme.my.salesforce.com"


@pytest.mark.parametrize("hours", [-25, -23, 0, 23, 25])
def test_it_counts_for_a_day(hours: int) -> None:
    """Also when the clock has jumped back since."""
    said = usage.of_text(HOST, usage.as_text(901, 1000).encode(), clock.ms() + hours * HOUR)
    assert said == (ApiCalls(HOST, 901, 1000) if abs(hours) < 24 else None)


@pytest.mark.parametrize(("used", "left", "share"), [(900, 100, 0.1), (1100, 0, 0.0)])
def test_what_is_left_is_never_less_than_nothing(used: int, left: int, share: float) -> None:
    said = ApiCalls(HOST, used, 1000)
    assert (said.left, said.share_left) == (left, share)
    assert ApiCalls(HOST, 0, 0).share_left == 0
