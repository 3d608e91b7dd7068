"""How much time requests take, and the limit on the number of long ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from localorg.lab.stats import Work


@dataclass(frozen=True, slots=True)
class Profile:
    """The time that the org takes for its work; all times are in seconds.

    The org waits on the event loop, so requests wait in parallel, as in the cloud.
    """

    name: str
    request: float = 0.0
    row_written: float = 0.0
    row_read: float = 0.0
    bulk_start: float = 0.0
    bulk_row: float = 0.0
    batch_start: float = 0.0
    batch_row: float = 0.0

    def delay(self, work: Work, resource: str) -> float:
        """Return the time a request should take, given its work; so far every resource costs the same."""
        del resource
        return self.request + self.row_written * work.rows_written + self.row_read * work.rows_read

    def bulk_delay(self, rows: int) -> float:
        """Return the time a Bulk ingest job should have taken when it has processed this number of rows."""
        return self.bulk_start + self.bulk_row * rows

    def batch_delay(self, rows: int) -> float:
        """Return the time a batch of Bulk API 1.0 should have taken when it has processed this number of rows."""
        return self.batch_start + self.batch_row * rows


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("instant"),
        # These numbers fit the two times that the reference sample publishes for 5,000 Opportunities: about 24 s with
        # its 20-thread worker, about 150 s with Batch Apex.
        # Nothing is published there on Bulk API 1.0. Its numbers are a model: a batch starts as slowly as a job of 2.0,
        # and five batches in parallel come to the same time for a row.
        Profile(
            "seed",
            request=0.1,
            row_written=0.01,
            row_read=0.0005,
            bulk_start=2.0,
            bulk_row=0.00025,
            batch_start=2.0,
            batch_row=0.00125,
        ),
    )
}


class TooManyLongRequests(Exception):
    """The error for a request when the org already works on as many long requests as it allows; nothing was done."""


class LongRequests:
    """A limit: a new request is refused while too many others have been running for too long.

    A production org refuses a request when 25 others have been running for 20 seconds or more. The number of shorter
    requests is not limited (Salesforce Developer Limits quick reference, Concurrent API Request Limits).
    """

    def __init__(self, *, allowed: int = 25, seconds: float = 20.0) -> None:
        self.allowed = allowed
        self.seconds = seconds
        # The dict keeps the order in which requests started, so the oldest come first.
        self._started: dict[object, float] = {}

    @contextmanager
    def running(self, now: float) -> Iterator[None]:
        """Count one request while it runs; now is a monotonic time in seconds."""
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
    """The cost profile in use, and the requests it applies to."""

    def __init__(self, profile: str = "instant") -> None:
        self.long_requests = LongRequests()
        self.use(profile)

    def use(self, profile: str) -> None:
        """Use another profile, by name; raise ValueError, with the names of all profiles, when it does not exist."""
        if profile not in PROFILES:
            raise ValueError(f"no cost profile {profile!r}; there are {', '.join(PROFILES)}")
        self.profile = PROFILES[profile]
