"""Counts of a process: handed on together, kept if they cannot be, and not taken along by a forked child."""

from __future__ import annotations

import os

import pytest

from quotejob import tally
from quotejob.errors import StoreUnavailable
from quotejob.tally import Counts


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[Counts]:
    """What was handed on. The process's own counts are put aside."""
    found: list[Counts] = []
    monkeypatch.setattr(tally, "_tally", tally._Tally(found.append))
    monkeypatch.setattr(tally._Tally, "start", lambda self: None)
    return found


def test_counts_are_handed_on_once(received: list[Counts]) -> None:
    """Added up by name and labels; with nothing new, nothing is handed on."""
    for label in ("a", "b", "a"):
        tally.count("requests", label, "two words")
    tally.note("host", "1")
    tally.note("host", "2")
    tally.hand_on()
    tally.hand_on()
    [counts] = received
    assert counts.counts == {"requests a two_words": 2, "requests b two_words": 1}
    assert counts.notes == {"host": "2"}


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, "0.005"), (0.005, "0.005"), (0.006, "0.01"), (10.0, "10.0"), (10.1, "+Inf")]
)
def test_a_time_is_in_one_bucket(received: list[Counts], seconds: float, bucket: str) -> None:
    """The first whose edge is not smaller; the times are summed up."""
    tally.observe("time", "getJob", seconds)
    tally.observe("time", "getJob", seconds)
    tally.hand_on()
    [counts] = received
    assert counts.counts == {f"time getJob {bucket}": 2}
    assert counts.seconds == {"time_sum getJob": pytest.approx(2 * seconds)}


def test_what_cannot_be_handed_on_is_kept(received: list[Counts]) -> None:
    """Redis is away: the next time has everything, and the newest note."""

    def refuse(counts: Counts) -> None:
        raise StoreUnavailable("away")

    tally.count("x")
    tally.observe("time", "a", 1.0)
    tally.note("host", "old")
    tally.hand_to(refuse)
    tally.hand_on()
    tally.count("x")
    tally.observe("time", "a", 2.0)
    tally.note("host", "new")
    tally.hand_to(received.append)
    tally.hand_on()
    [counts] = received
    assert counts.counts == {"x": 2, "time a 1.0": 1, "time a 2.5": 1}
    assert counts.seconds == {"time_sum a": 3.0}
    assert counts.notes == {"host": "new"}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_begins_with_none(received: list[Counts]) -> None:
    """Otherwise every child of a worker would count what its parent has counted."""
    tally.count("x")
    if (child := os.fork()) == 0:
        os._exit(int(bool(tally._tally.pending)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    tally.hand_on()
    assert received[0].counts == {"x": 1}
