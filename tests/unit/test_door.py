"""The door to an org: so many calls at a time, a few that wait, and none while it does not answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

from quotejob.asking import door as doors
from quotejob.asking.door import AT_ONCE, CLOSED_AFTER, OF_ALL_ORGS, OF_ONE_ORG, Door
from quotejob.errors import OrgRefused, OrgSilent, OrgUnreachable

LONG = 30  # seconds


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door(clock: Clock) -> Door:
    return Door(clock)


def call(door: Door, error: Exception | None = None, name: str = "a") -> None:
    """One call that ends at once."""
    with door.to(name):
        if error is not None:
            raise error


def timed_out(door: Door, times: int) -> None:
    """Calls that were not answered in time."""
    for _ in range(times):
        with pytest.raises(OrgUnreachable):
            call(door, OrgUnreachable("late", code="TIMEOUT"))


@contextmanager
def hanging(door: Door, number: int, name: str = "a") -> Iterator[tuple[list[Future[None]], threading.Event]]:
    """So many calls whose answers come with the event."""
    answer, began = threading.Event(), threading.Semaphore(0)

    def ask() -> None:
        with door.to(name):
            began.release()
            answer.wait(LONG)

    with ThreadPoolExecutor(number) as pool:
        calls = [pool.submit(ask) for _ in range(number)]
        for _ in range(min(number, AT_ONCE)):
            assert began.acquire(timeout=LONG)
        try:
            yield calls, answer
        finally:
            answer.set()


def test_an_org_that_answers_takes_all_that_wait(door: Door) -> None:
    """Many callers at once are no fault: each gets its turn."""
    with hanging(door, OF_ONE_ORG) as (calls, answer):
        answer.set()
        for each in calls:
            each.result(LONG)


def test_more_than_an_orgs_share_are_told_so_at_once(door: Door) -> None:
    """The threads that wait for one org are counted; those of another org are not among them."""
    with hanging(door, OF_ONE_ORG) as (_, answer):
        while door._busy() < OF_ONE_ORG:
            threading.Event().wait(0.01)
        with pytest.raises(OrgSilent, match="a is asked by many requests already") as caught:
            call(door)
        assert (caught.value.code, caught.value.status) == ("ORG_BUSY", 503)
        call(door, name="b")
        with hanging(door, OF_ALL_ORGS - OF_ONE_ORG, "b"):
            while door._busy() < OF_ALL_ORGS:
                threading.Event().wait(0.01)
            with pytest.raises(OrgSilent):
                call(door, name="c")
            answer.set()
    call(door)


def test_nobody_waits_for_an_org_that_does_not_answer(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a moment without an answer those that wait give up, and the next ones at once; the calls go on."""
    monkeypatch.setattr(doors, "PATIENCE", 0.1)
    living = Door()
    with hanging(living, AT_ONCE + 8) as (calls, _):
        given_up = [each for each in calls if _ended(each)]
        while len(given_up) < 8:
            given_up = [each for each in calls if _ended(each)]
        for each in given_up:
            with pytest.raises(OrgSilent, match="a does not answer"):
                each.result()
        with pytest.raises(OrgSilent):
            call(living)
        call(living, name="b")
    call(living)


def _ended(each: Future[None]) -> bool:
    with suppress(TimeoutError):
        each.exception(0.05)
        return True
    return False


def test_an_org_that_times_out_is_closed_and_tried_again(door: Door, clock: Clock) -> None:
    """For longer each time, up to a limit; then one call at a time is let through, and an answer opens the door."""
    timed_out(door, CLOSED_AFTER)
    for pause in (5, 10, 20, 40, 60, 60):
        with pytest.raises(OrgSilent) as caught:
            call(door)
        assert caught.value.wait == pause
        assert str(caught.value) == f"a does not answer; try again in {pause} s"
        call(door, name="b")
        clock.now += pause
        timed_out(door, 1)
    clock.now += 60
    call(door)
    for _ in range(3):
        call(door)


def test_an_org_that_was_closed_is_tried_by_one(door: Door, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    timed_out(door, CLOSED_AFTER)
    clock.now += 5
    with door.to("a"):
        monkeypatch.setattr(doors, "PATIENCE", 0)
        with pytest.raises(OrgSilent):
            call(door)
    call(door)


@pytest.mark.parametrize("answer", [OrgRefused("no"), OrgUnreachable("503", code="HTTP_503"), ValueError()])
def test_any_answer_is_an_answer(door: Door, answer: Exception) -> None:
    """Only calls without one, in a row, close the door."""
    for _ in range(3):
        timed_out(door, CLOSED_AFTER - 1)
        with pytest.raises(type(answer)):
            call(door, answer)
    call(door)


def test_an_org_that_is_well_leaves_nothing(door: Door) -> None:
    """Callers may name any host: what is not needed is not kept."""
    for number in range(100):
        call(door, name=f"host{number}")
    assert door._orgs == {}
