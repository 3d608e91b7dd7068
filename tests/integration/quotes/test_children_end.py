"""The processes of users' code end with their worker, however it ends, also in the midst of a loop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.process import ROOT

WORKER = """
import signal, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs in the background
from quotejob.usercode.isolation.hands import Hands, Kind, Limits
hands = Hands(Kind("quotejob.usercode.pricing.function:Pricing", "endless:price", Limits(seconds=100)))
hands.start()
print(hands._child.pid, flush=True)
from datetime import date
from decimal import Decimal
import msgspec
from quotejob.pricing.model import PricedQuote
quote = PricedQuote("006", "Quote", None, date(2030, 1, 1), ())
hands.call(msgspec.msgpack.encode([(["006", "loop", "2030-01-01", None, None, None, []], quote)]))
"""
ENDLESS = """
import subprocess, sys
from pathlib import Path
from quotejob import Opportunity, PricedQuote

def price(deal: Opportunity, priced: PricedQuote) -> PricedQuote:
    if deal.Name == "loop":
        own = subprocess.Popen(["sleep", "60"])
        Path("begun").write_text(str(own.pid))
        while True:
            pass
    return priced
"""


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_children_end_with_their_worker(way: signal.Signals, tmp_path: Path) -> None:
    """The child, and what users' code has started in it."""
    (tmp_path / "endless.py").write_text(ENDLESS)
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert worker.stdout
    child = int(worker.stdout.readline())
    begun = tmp_path / "begun"
    assert until(lambda: begun.exists() and begun.read_text() != "")
    grandchild = int(begun.read_text())
    assert is_there(child)
    worker.send_signal(way)
    worker.wait(20)
    worker.stdout.close()
    assert until(lambda: not is_there(child))
    assert until(lambda: not is_there(grandchild))


def until(what: object, seconds: float = 30) -> bool:
    """Return whether it becomes true within this time."""
    assert callable(what)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.05)
    return False


def is_there(pid: int) -> bool:
    """Return whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
