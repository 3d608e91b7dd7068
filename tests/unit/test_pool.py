"""The threads of a worker: tasks run side by side, the loop is woken, and nothing waits for a thread that hangs."""

from __future__ import annotations

import os
import platform
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from celery.worker import state

from harness.process import ROOT
from tasks import pool as pools
from tasks.pool import TaskPool


@pytest.fixture
def pool() -> Iterator[TaskPool]:
    """Three threads."""
    made = TaskPool(3)
    made.start()
    yield made
    made.stop()


def test_as_many_tasks_run_at_a_time_as_there_are_threads(pool: TaskPool) -> None:
    """Each of three waits for the two others; the answers come back, and the parameters."""
    meeting, done = threading.Barrier(3), [threading.Event() for _ in range(3)]
    answers: list[int] = []
    for number in range(3):

        def answered(answer: int, number: int = number) -> None:
            answers.append(answer)
            done[number].set()

        pool.apply_async(lambda number: (meeting.wait(30), number)[1], (number,), callback=answered)
    assert all(event.wait(30) for event in done)
    assert sorted(answers) == [0, 1, 2]
    assert pool.info["threads"] == 3


def test_a_task_that_is_done_wakes_the_loop_of_the_worker(pool: TaskPool) -> None:
    """Also one that fails; and once the loop has gone on, it sleeps again."""

    class Hub:
        def add_reader(self, end: int, call: object) -> None:
            self.end, self.call = end, call

    hub = Hub()
    pool.register_with_event_loop(hub)

    def woken(seconds: float) -> bool:
        return bool(select.select([hub.end], [], [], seconds)[0])

    assert not woken(0)
    for task in (lambda: None, lambda: 1 / 0):
        pool.apply_async(task, callback=lambda _: None)
        assert woken(30)
        hub.call()  # type: ignore[operator]
        assert not woken(0)


def test_a_cold_shutdown_does_not_wait_for_a_thread_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has not begun does not begin any more; a cancelled task raises nothing."""
    monkeypatch.setattr(pools, "LONGEST_COLD_STOP", 0.2)
    monkeypatch.setattr("atexit.register", lambda call: left.append(call))
    monkeypatch.setattr(state, "should_terminate", True)
    left: list[object] = []
    pool, hanging, begun, ran = TaskPool(1), threading.Event(), threading.Event(), threading.Event()
    pool.start()

    def hang() -> None:
        begun.set()
        hanging.wait(60)

    pool.apply_async(hang, callback=lambda _: None)
    pool.apply_async(ran.set, callback=lambda _: None)
    assert begun.wait(30)
    pool.terminate_job(os.getpid())
    began = time.monotonic()
    pool.stop()
    assert time.monotonic() - began < 30  # and not 60
    hanging.set()
    assert left == [pools._leave]
    assert not ran.wait(0.2)


def test_the_process_of_a_thread_that_hangs_ends() -> None:
    """And its last words are written."""
    program = (
        "import threading, atexit, tasks.pool as p\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "atexit.register(p._leave)\nprint('last words', end='')"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60,
                          env={**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0"})  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "last words"), done.stderr


HEAPS = """
import ctypes, sys, threading
from tasks.pool import share_arenas
if sys.argv[1] == "shared":
    assert share_arenas()
together = threading.Barrier(9)
def work():
    block = bytearray(50_000)
    together.wait()
for _ in range(8):
    threading.Thread(target=work).start()
together.wait()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
def test_threads_share_two_arenas_of_memory() -> None:
    """Each arena has holes of its own, so a worker with 64 threads would grow."""
    heaps = {}
    for how in ("shared", "as it is"):
        told = subprocess.run(
            [sys.executable, "-c", HEAPS, how], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
        )
        heaps[how] = told.stdout.count("<heap nr=")
    assert heaps["shared"] <= 2 < heaps["as it is"]
