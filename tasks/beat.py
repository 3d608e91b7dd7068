"""The scheduler process: it sends ticks and sweeps by a clock that nobody sets, and keeps no file.

Celery's own scheduler reads the clock of the machine, and notes in a file when it last sent each entry. After the clock
was ahead, it sends nothing until that time has come again, also after a restart. Here entries are due every so many
seconds of the monotonic clock, so there is nothing to note. What was missed needs no repeat: a tick and a sweep look at
everything that is due.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

import celery.beat


class Scheduler(celery.beat.Scheduler):
    """Sends each entry of ``beat_schedule`` when it starts, and then every so many seconds."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._due: dict[str, float] = {}  # entry -> seconds of the monotonic clock
        super().__init__(*args, **options)

    def tick(self, *_: Any, **__: Any) -> float:
        """Send what is due. Return the seconds until the next entry is."""
        for name, entry in self.schedule.items():
            if self._due.get(name, 0) <= monotonic():
                self._due[name] = monotonic() + entry.schedule.seconds
                self.apply_entry(entry, producer=self.producer)
        return max(0.0, min(self._due.values()) - monotonic())
