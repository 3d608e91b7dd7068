"""Fair shares, and queues of newer formats."""

from __future__ import annotations

import pytest

from quotejob import formats
from tasks.queues import served, share


def test_the_first_come_first_whatever_the_size() -> None:
    """Priorities grow slowly with the place and stay within what the broker has."""
    assert [share(place) for place in (0, 1, 2, 3, 6, 7, 14, 15)] == [0, 1, 1, 2, 2, 3, 3, 4]
    assert share(99) == 6
    assert share(10**6) == 9


def test_a_worker_serves_the_queues_of_every_format_that_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside each of its queues, in the order in which messages are taken."""
    monkeypatch.setattr(formats, "FORMAT", 1)
    assert served(["clock", "pages"]) == ["clock", "pages"]
    monkeypatch.setattr(formats, "FORMAT", 3)
    assert served(["clock", "pages"]) == ["clock", "clock.2", "clock.3", "pages", "pages.2", "pages.3"]
