"""The threads of a worker: as many steps wait for orgs at a time as it has threads, in one process.

Celery has a pool of threads of its own (`-P threads`). This one differs in three things:

* When a thread has done a task, it wakes the worker's loop, which then takes the next message. Celery's pool lets that
  message wait for the next event of the loop, up to a second.
* A worker that must end within seconds does not wait for a thread that waits for an org.
* It gives the tasks of a cancelled thread back, where Celery's pool raises NotImplementedError (celery issue 10490).
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from celery.concurrency.base import BasePool, apply_target
from celery.worker import state

LONGEST_WARM_STOP = 20.0  # seconds that a warm shutdown waits for the steps that run; their units go to another worker
LONGEST_COLD_STOP = 2.0  # seconds that a cold one does, after worker_soft_shutdown_timeout

# New objects until garbage is looked for, and how often old ones are looked at too. A page of records makes thousands
# of objects, hardly ever in circles, so there is little to find.
GARBAGE = (50_000, 10, 10)

# Options of mallopt (malloc.h of glibc) and their values. By default the threads get up to 8 arenas for each processor,
# each with holes of its own, and large blocks go into these, too. So memory would grow for a long time.
ARENAS = (-8, 2)
MAPPED_FROM = (-3, 256 * 1024)  # bytes of a block that goes back to the system when it is free

log = logging.getLogger(__name__)
Work = Callable[[], object]


class TaskPool(BasePool):
    """A fixed number of threads, each of which runs one task at a time."""

    body_can_be_buffer = True
    signal_safe = False
    limit: int

    def on_start(self) -> None:
        """Start the threads. They do not keep the process alive."""
        gc.collect()
        gc.freeze()  # what a worker has at its start stays: it need not be looked at again and again
        gc.set_threshold(*GARBAGE)
        share_arenas()
        self._waiting: SimpleQueue[Work | None] = SimpleQueue()
        self._bell, self._rope = os.pipe()
        for end in (self._bell, self._rope):
            os.set_blocking(end, False)
        self._threads = [threading.Thread(target=self._serve, name=f"step {n}", daemon=True) for n in range(self.limit)]
        for thread in self._threads:
            thread.start()

    def on_apply(
        self,
        target: Callable[..., Any],
        args: Any = None,
        kwargs: Any = None,
        callback: Callable[..., Any] | None = None,
        accept_callback: Callable[..., Any] | None = None,
        **_: Any,
    ) -> None:
        """Let the next free thread run a task."""
        self._waiting.put(lambda: apply_target(target, args, kwargs, callback, accept_callback))

    def register_with_event_loop(self, hub: Any) -> None:
        """Let the worker's loop go on whenever a thread has done a task."""
        hub.add_reader(self._bell, self._hush)

    def terminate_job(self, pid: int, signal: Any = None) -> None:
        """Leave a cancelled task alone: a thread cannot be ended. Its message goes back to the queue."""

    def on_stop(self) -> None:
        """Wait for the running tasks, in a cold shutdown only for a moment. Tasks that wait stay in the broker."""
        with contextlib.suppress(Empty):
            while True:
                self._waiting.get_nowait()
        for _ in self._threads:
            self._waiting.put(None)
        cold = state.should_terminate not in (None, False)
        until = time.monotonic() + (LONGEST_COLD_STOP if cold else LONGEST_WARM_STOP)
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            atexit.register(_leave)

    on_terminate = on_stop

    def _serve(self) -> None:
        while (work := self._waiting.get()) is not None:
            try:
                work()
            except Exception:
                log.exception("A task could not be settled; its message stays unacknowledged")
            with contextlib.suppress(BlockingIOError):  # full: the loop is called already
                os.write(self._rope, b".")

    def _hush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._bell, 65_536)

    def _get_info(self) -> dict[str, Any]:
        return {**super()._get_info(), "threads": len(self._threads)}


def share_arenas() -> bool:
    """Let the threads of this process share few arenas of memory. Return whether the C library takes that."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # it is not glibc
        return False
    return bool(mallopt(*ARENAS) and mallopt(*MAPPED_FROM))


def _leave() -> None:
    """End the process although threads still wait for an org: Python's own end could hang on what they hold."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(1)
