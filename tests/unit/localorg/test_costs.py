"""Work has its price in time, and too much long work is refused."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from localorg.lab.costs import PROFILES, Costs, LongRequests, TooManyLongRequests
from localorg.lab.stats import Work


def test_the_instant_profile_adds_nothing() -> None:
    """Tests run at the speed of the machine."""
    work = Work(rows_read=2000)
    work.write("Quote", 500)
    assert PROFILES["instant"].delay(work, "composite/graph") == 0
    assert PROFILES["instant"].bulk_delay(1_000_000) == 0


def test_the_seed_profile_charges_requests_rows_written_and_rows_read() -> None:
    """100 ms a request, 10 ms a row written, half a millisecond a row read."""
    work = Work(rows_read=2000)
    work.write("Quote", 2)
    work.write("QuoteLineItem", 8)
    assert PROFILES["seed"].delay(work, "composite/graph") == pytest.approx(0.1 + 0.1 + 1.0)
    assert PROFILES["seed"].bulk_delay(0) == 2
    assert PROFILES["seed"].bulk_delay(10_000) == pytest.approx(4.5)


def test_an_unknown_profile_is_refused_with_the_names_there_are() -> None:
    """The command line shows this sentence."""
    with pytest.raises(ValueError, match=r"no cost profile 'slow'; there are instant, seed"):
        Costs("slow")


def test_a_request_is_refused_while_too_many_others_run_for_too_long() -> None:
    """Twenty-five requests of twenty seconds keep the next one out; shorter ones may be any number."""
    guard = LongRequests(allowed=3, seconds=20)
    with ExitStack() as running:
        for start in (0, 1, 2, 3):
            running.enter_context(guard.running(start))
        with guard.running(21.9):
            pass
        with pytest.raises(TooManyLongRequests), guard.running(22.0):
            pytest.fail("it was let in")
    with guard.running(60):
        pass
