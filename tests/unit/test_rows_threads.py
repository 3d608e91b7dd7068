"""Values from Redis are read by the threads of the web process, also at its very first requests."""

from __future__ import annotations

import subprocess
import sys

PROCESSES = 6  # without the lock, about every sixth of them ended with SIGSEGV
PROGRAM = """
import sys, threading
from quotejob.jobs.rows import read_job
sys.setswitchinterval(1e-6)
row = {b"status": b"Holding", b"jobType": b"BatchQuote", b"orgId": b"o", b"createdById": b"u",
       b"createdDate": b"2026-01-01T00:00:00+00:00", b"startGuess": b"1 2", b"dependsOn": b"a,b"}
together = threading.Barrier(8)
def read():
    together.wait()
    for _ in range(50):
        read_job("x", row)
threads = [threading.Thread(target=read) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_the_first_values_may_be_read_by_several_threads() -> None:
    """No process ends, whichever thread is first."""
    started = [subprocess.Popen([sys.executable, "-c", PROGRAM]) for _ in range(PROCESSES)]
    assert [process.wait(100) for process in started] == [0] * PROCESSES
