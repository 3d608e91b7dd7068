"""Users' code in a process of its own: only its own silence counts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from quotejob.usercode.isolation.hands import Hands, Kind, Limits, Unfit
from quotejob.usercode.trouble import TOO_SLOW, Broken


@pytest.fixture
def one_core() -> Iterator[None]:
    """This process and what it starts have one core, and share it with two programs of other sessions.

    Linux gives each session the same share of a core (sched_autogroup), and the child has a session of its own.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    command = [sys.executable, "-c", "while True: pass"]
    hogs = [subprocess.Popen(command, start_new_session=True) for _ in range(2)]
    yield
    for hog in hogs:
        hog.kill()
        hog.wait()
    os.sched_setaffinity(0, before)


@pytest.fixture
def hands() -> Iterator[Hands]:
    made = Hands(Kind("own_jobs.computing:Computing", "done", Limits(seconds=1.2)))
    yield made
    made.stop()


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="the system does not say who waits for a core")
@pytest.mark.usefixtures("one_core")
def test_the_time_without_a_core_is_not_the_codes(hands: Hands) -> None:
    """Half a second of computing takes 1.5 or more on a busy core. It is not taken for a loop, and a loop is."""
    assert hands.call(b"0.5") == b"done"
    answer = hands.call(b"1000")
    assert isinstance(answer, Broken)
    assert answer.code == TOO_SLOW


@pytest.mark.parametrize("factory", ["Forking", "ForkedAtImport"])
def test_a_copy_of_the_process_does_not_answer_too(factory: str) -> None:
    """Each call gets its own answer, wherever users' code forks: at its import, before or after a question."""
    hands = Hands(Kind(f"own_jobs.computing:{factory}", "0", Limits()))
    calls = [b"0"] * 4
    if factory == "Forking":
        calls = [b"a", b"fork", b"b", b"before asking", b"after asking", b"c", b"fork and raise", b"d", b"e"]
    try:
        for body in calls:
            wanted = body + (b", said" if body.endswith(b"asking") else b"")
            assert hands.call(body, 5, lambda _: b", said") == wanted
    finally:
        hands.stop()


def test_code_that_hangs_when_it_is_tried_is_named_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its imports may take long; the first call of it has a limit of its own, and a worker says which code it was."""
    monkeypatch.setattr("quotejob.usercode.isolation.hands.LEAST_TRIAL", 2.0)
    hanging = Hands(Kind("own_jobs.computing:Hanging", "bad_sleep:price", Limits(seconds=0.1)))
    begun = time.monotonic()
    with pytest.raises(Unfit, match=r"bad_sleep:price cannot be used: No sign of life for 2 seconds"):
        hanging.start()
    assert time.monotonic() - begun < 60
    slow = Hands(Kind("own_jobs.computing:Slow", "slow:price", Limits(seconds=3)))
    try:
        assert slow.start() == b"slow"
    finally:
        slow.stop()
