"""An independent check that each fire time of a schedule was decided once. It uses only the API's answers.

It shares no code with quotejob. Also here: the clock of the whole system, which is Redis's. It can jump where the
machine has libfaketime.
"""

from __future__ import annotations

import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from harness.api import Json

MISSED = 60.0  # seconds; a fire time later than this is missed, and the schedule's misfire policy applies
ROOM = 1.0  # seconds by which two readings of one clock may differ
_IDS = uuid.UUID("8a0c1e8e-2a55-5d0b-9f0f-2f6d1c9a7e11")  # the name space of scheduled jobs' ids


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule to be created. ``where`` is None when its jobs match nothing."""

    name: str
    cron: str
    every: int  # seconds between two fire times, all of them multiples of it
    where: str | None = None
    overlap: str = "queue"
    misfire: str = "runOnce"
    guaranteed: bool = False

    def body(self) -> Json:
        """Return the body of createSchedule."""
        return {
            "name": self.name,
            "cronExpression": self.cron,
            "soqlWhereClause": self.where or "Name = 'there is none'",
            "authorization": "worker",
            "overlap": self.overlap,
            "misfire": self.misfire,
            "guaranteed": self.guaranteed,
        }


PLANS = (
    Plan("every second", "* * * * * ?", 1),
    Plan("every two, one at a time", "0/2 * * ? * MON-SUN", 2, overlap="skip"),
    Plan("every three, guaranteed", "*/3 * * * * ?", 3, "Name LIKE 'Opportunity 1_'", guaranteed=True),
    Plan("every five, none late", "0,5,10-55/5 0-59 * * * ? *", 5, "Name LIKE 'Opportunity 2_'", misfire="skip"),
)


@dataclass(slots=True)
class RedisClock:
    """Redis's clock: its offset, stretch by stretch. A jump ends one stretch and begins the next.

    ``library`` is the path of libfaketime, or None where there is none. Then the clock is the machine's.
    """

    folder: Path
    library: Path | None = None
    offset: float = 0.0  # seconds that Redis is ahead of the machine
    jumps: list[float] = field(default_factory=list)
    _began: float = field(default_factory=time.time)
    _over: list[tuple[float, float]] = field(default_factory=list)

    @classmethod
    def of_this_machine(cls, folder: Path) -> RedisClock:
        """Return a clock that can jump if the machine has libfaketime (Debian: the package faketime)."""
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        return cls(folder, found[0] if found else None)

    def environment(self) -> dict[str, str]:
        """Return the environment variables that redis-server needs."""
        if self.library is None:
            return {}
        self._write()
        return {
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def now(self) -> float:
        """Return Redis's time in seconds since 1970."""
        return time.time() + self.offset

    def jump(self, seconds: float) -> None:
        """Move the clock at once."""
        ended = self.now()
        self.offset += seconds
        self._write()
        self._over.append((self._began, ended))
        self._began = self.now()
        self.jumps.append(seconds)

    def give_up_unless_it_moves(self, ask: Callable[[], float]) -> None:
        """Set ``library`` to None unless the server follows this clock.

        ``ask`` asks the server for its time.
        """
        if self.library is not None:
            self.jump(1000)
            if abs(ask() - self.now()) > ROOM + 1:
                self.library = None
            self.jump(-self.offset)
            self._over.clear()
            self.jumps.clear()

    def stretches(self) -> list[tuple[float, float]]:
        """Return the begin and the end of each stretch without a jump, up to now."""
        return [*self._over, (self._began, self.now())]

    @property
    def _file(self) -> Path:
        return self.folder / "redis-clock"

    def _write(self) -> None:
        """Write the offset in one step, because Redis may read the file at any moment."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{self.offset:+.3f}\n")
        os.replace(fresh, self._file)


def job_id(schedule_id: str, fire_time: int) -> str:
    """Return the id of the job of a fire time (seconds since 1970)."""
    return str(uuid.uuid5(_IDS, f"{schedule_id} {fire_time * 1000}"))


def check_schedule(
    schedule: Json,
    every: int,
    first: int,
    following: int,
    jobs: Sequence[str],
    stretches: Iterable[tuple[float, float]],
) -> list[str]:
    """Return what is wrong with the fire times from ``first`` to before ``following`` (seconds since 1970).

    ``schedule`` is what the API says about the paused schedule. ``jobs`` are the ids of all its jobs in the org. A fire
    time made a job, or it was skipped and counted as skipped. Or it was one of several that were missed by over a
    minute, for which there was one run or one skip. This last case is right only where the ``stretches`` of the clock
    allow it.
    """
    said: list[str] = []
    fires = range(first, following, every)
    time_of = {job_id(schedule["scheduleId"], fire): fire for fire in fires}
    if strangers := [one for one in jobs if one not in time_of]:
        said.append(f"{len(strangers)} job(s) of no fire time of it: {strangers[:3]}")
    if doubled := [one for one, times in Counter(jobs).items() if times > 1]:
        said.append(f"{len(doubled)} job(s) twice: {doubled[:3]}")
    made = sorted({time_of[one] for one in jobs if one in time_of})
    triggered, skipped = schedule["timesTriggered"], schedule["timesSkipped"]
    if len(made) != triggered:
        said.append(f"it triggered {triggered} times and made {len(made)} jobs")
    if made and seconds(schedule["previousFireTime"]) != made[-1]:
        said.append(f"its last job is of {made[-1]}, it says {schedule['previousFireTime']}")
    missed = len(fires) - len(made) - skipped
    stretches = list(stretches)
    edges = [first - every, *made, following]
    spared = MISSED if schedule["misfire"] == "skip" else 0.0  # what is not late yet is not skipped
    most = sum(_may_have_been_missed(a, b, every, spared, stretches) for a, b in pairwise(edges))
    if not 0 <= missed <= most:
        said.append(
            f"of {len(fires)} fire times {len(made)} made a job and {skipped} were skipped; "
            f"at most {most} more may have been missed for over a minute"
        )
    return said


def _may_have_been_missed(
    last: int, following: int, every: int, spared: float, stretches: Iterable[tuple[float, float]]
) -> int:
    """Return how many fire times between two jobs may have been found too late within the clock's stretches."""
    looks = (min(end + ROOM - spared, following - 1) for start, end in stretches if start - ROOM - spared < following)
    latest = max((look for look in looks if look + spared - last > MISSED), default=last)
    return int(latest - last) // every


def seconds(text: str | None) -> int:
    """Return the seconds since 1970 of a fire time from the API, or 0 for none."""
    return 0 if text is None else round(datetime.fromisoformat(text).timestamp())
