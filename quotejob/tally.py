"""Counts for the metrics: collected in this process, and handed on every few seconds by a thread of its own.

Counting costs no round trip. A count is lost if its process dies within these seconds. Nothing is handed on until
:func:`hand_to` has said where to.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from quotejob.errors import QuotejobError

INTERVAL = 3.0  # seconds between two times that counts are handed on
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds, of a histogram
BEYOND = "+Inf"

log = structlog.get_logger()


@dataclass
class Counts:
    """What a process has counted. A name is words with blanks between them: the metric, then its labels."""

    counts: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)  # sums of histograms
    notes: dict[str, str] = field(default_factory=dict)  # the newest value counts

    def __bool__(self) -> bool:
        return bool(self.counts or self.notes)


Receiver = Callable[[Counts], None]  # raises QuotejobError if it cannot take them now


class _Tally:
    """The counts of one process. A forked child begins with none."""

    def __init__(self, receiver: Receiver | None = None) -> None:
        self.lock = threading.Lock()
        self.pending = Counts()
        self.receiver = receiver
        self.thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, at the first count. The lock is held."""
        if self.thread is None and self.receiver is not None:
            self.thread = threading.Thread(target=self.run, name="tally", daemon=True)
            self.thread.start()

    def run(self) -> None:
        while True:
            time.sleep(INTERVAL)
            try:
                self.hand_on()
            except Exception:  # the thread goes on whatever happens: counts are not worth a process
                log.exception("The counts of the metrics were not handed on")

    def hand_on(self) -> None:
        with self.lock:
            taken, self.pending = self.pending, Counts()
        if not taken or self.receiver is None:
            return
        try:
            self.receiver(taken)
        except QuotejobError:
            with self.lock:
                self.pending.counts.update(taken.counts)
                _add(self.pending.seconds, taken.seconds)
                self.pending.notes = taken.notes | self.pending.notes


_tally = _Tally()


def hand_to(receiver: Receiver | None) -> None:
    """Hand the counts of this process, and of its forked children, to ``receiver`` from now on; None: to nobody."""
    with _tally.lock:
        _tally.receiver = receiver


def count(name: str, *labels: str) -> None:
    """Count one."""
    with _tally.lock:
        _tally.pending.counts[_words(name, *labels)] += 1
        _tally.start()


def observe(name: str, label: str, seconds: float) -> None:
    """Count one in the histogram ``name``."""
    place = bisect_left(BUCKETS, seconds)
    bucket = str(BUCKETS[place]) if place < len(BUCKETS) else BEYOND
    with _tally.lock:
        _tally.pending.counts[_words(name, label, bucket)] += 1
        _add(_tally.pending.seconds, {_words(f"{name}_sum", label): seconds})
        _tally.start()


def note(name: str, value: str) -> None:
    """Note a value that replaces the one before."""
    with _tally.lock:
        _tally.pending.notes[name] = value
        _tally.start()


def hand_on() -> None:
    """Hand on now what was counted."""
    _tally.hand_on()


def _add(sums: dict[str, float], more: dict[str, float]) -> None:
    for name, seconds in more.items():
        sums[name] = sums.get(name, 0.0) + seconds


def _words(*words: str) -> str:
    return " ".join(word.replace(" ", "_") for word in words)


def _begin_anew() -> None:
    global _tally
    _tally = _Tally(_tally.receiver)


os.register_at_fork(after_in_child=_begin_anew)  # the lock may be held at the fork, and no thread survives it
