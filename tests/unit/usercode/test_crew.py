"""The children of a process: how many there are, and that they are started before they are needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from quotejob.usercode.isolation.crew import Crew
from quotejob.usercode.isolation.hands import Hands, Kind, Limits

ONE, OTHER, THIRD = (Kind("own_jobs.computing:Computing", name, Limits()) for name in ("one", "other", "third"))


@pytest.fixture
def crew() -> Iterator[Crew]:
    made = Crew(2)
    yield made
    made.stop()


def running() -> dict[int, str]:
    """Return what the children of users' code run, by process id. Other tests leave children of other kinds."""
    of = {child.pid: child.cmdline() for child in psutil.Process().children()}
    return {pid: words[words.index(ONE.factory) + 1] for pid, words in of.items() if ONE.factory in words}


def children() -> list[str]:
    """Return what they run, in alphabetical order."""
    return sorted(running().values())


def at_once(crew: Crew, *kinds: Kind) -> None:
    """Let a child of each kind answer, all of them lent at the same time."""
    with ExitStack() as lent:
        for kind in kinds:
            assert lent.enter_context(crew.hands(kind)).call(b"0") == kind.target.encode()


def test_as_many_children_may_wait_as_may_work(crew: Crew) -> None:
    """Two kinds in turn need no new ones. For a third, those end that have waited longest."""
    at_once(crew, ONE, ONE)
    at_once(crew, OTHER, OTHER)
    started = set(running())
    at_once(crew, ONE, OTHER)
    assert set(running()) == started
    assert children() == ["one", "one", "other", "other"]
    at_once(crew, OTHER, OTHER)
    at_once(crew, THIRD, THIRD)
    at_once(crew, THIRD, OTHER)
    assert children() == ["other", "other", "third", "third"]


def test_children_start_before_they_are_needed(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both at once and in the background; a call then starts none. Being ready already costs nothing."""
    returned, start = threading.Event(), Hands.start
    monkeypatch.setattr(Hands, "start", lambda hands: returned.wait() and start(hands))
    crew.get_ready(ONE)
    returned.set()
    at_once(crew, ONE, ONE)  # these wait for the places, so both have started
    started = set(running())
    assert len(started) == 2
    crew.get_ready(ONE)
    at_once(crew, ONE, ONE)
    assert set(running()) == started


def test_a_child_that_cannot_start_gives_its_place_back(crew: Crew) -> None:
    crew.get_ready(Kind("own_jobs.computing:Missing", "", Limits()))
    at_once(crew, ONE, ONE)
    assert children() == ["one", "one"]
