"""Fair shares: the first pages of every job come before the further ones of any."""

from __future__ import annotations

from tasks.queues import share


def test_the_first_come_first_whatever_the_size() -> None:
    """Priorities grow slowly with the place and stay within what the broker has."""
    assert [share(place) for place in (0, 1, 2, 3, 6, 7, 14, 15)] == [0, 1, 1, 2, 2, 3, 3, 4]
    assert share(99) == 6
    assert share(10**6) == 9
