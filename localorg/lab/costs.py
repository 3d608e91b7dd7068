"""What requests cost in time, and the guard against too many long ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from localorg.lab.stats import Work


@dataclass(frozen=True, slots=True)
class Profile:
    """How long the org takes over its work; all times in seconds.

    The waits happen on the event loop, so requests wait side by side, as they would in the cloud.
    """

    name: str
    request: float = 0.0
    row_written: float = 0.0
    row_read: float = 0.0
    bulk_start: float = 0.0
    bulk_row: float = 0.0

    def delay(self, work: Work, resource: str) -> float:
        """The time a request ought to take, given what it did; every resource costs the same so far."""
        del resource
        return self.request + self.row_written * work.rows_written + self.row_read * work.rows_read

    def bulk_delay(self, rows: int) -> float:
        """The time a Bulk ingest job ought to have taken once it has worked off so many rows."""
        return self.bulk_start + self.bulk_row * rows


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("instant"),
        # Calibrated on the two figures the reference sample publishes for 5,000 Opportunities: about 24 s with its
        # 20-thread worker, about 150 s with Batch Apex.
        Profile("seed", request=0.1, row_written=0.01, row_read=0.0005, bulk_start=2.0, bulk_row=0.00025),
    )
}


class TooManyLongRequests(Exception):
    """The org already works on as many long requests as it allows; nothing was done for this one."""


class LongRequests:
    """Refuses a new request while too many have been running for too long.

    A production org refuses a request when 25 others have been running for 20 seconds or more; shorter requests are
    not limited in number (Salesforce Developer Limits quick reference, Concurrent API Request Limits).
    """

    def __init__(self, *, allowed: int = 25, seconds: float = 20.0) -> None:
        self.allowed = allowed
        self.seconds = seconds
        # Insertion order is start order, so the oldest come first.
        self._started: dict[object, float] = {}

    @contextmanager
    def running(self, now: float) -> Iterator[None]:
        """Holds one request's place while it runs; now is a monotonic time in seconds."""
        if self._long(now) >= self.allowed:
            raise TooManyLongRequests
        place = object()
        self._started[place] = now
        try:
            yield
        finally:
            del self._started[place]

    def _long(self, now: float) -> int:
        if len(self._started) < self.allowed:
            return 0
        return sum(now - started >= self.seconds for started in self._started.values())


class Costs:
    """The cost profile in force and the requests it is applied to."""

    def __init__(self, profile: str = "instant") -> None:
        self.long_requests = LongRequests()
        self.use(profile)

    def use(self, profile: str) -> None:
        """Puts another profile in force, by name; raises ValueError naming the ones there are."""
        if profile not in PROFILES:
            raise ValueError(f"no cost profile {profile!r}; there are {', '.join(PROFILES)}")
        self.profile = PROFILES[profile]
