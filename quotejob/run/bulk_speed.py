"""How fast an org works on jobs of Bulk API 2.0: known from its last ones, so that a look finds a job's end.

Each look at a job is a call. So the first comes when the slowest of the last jobs would have ended, and the next when
the rows that are left will be done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quotejob.store import keys
from quotejob.store.client import RedisClient

JOBS = 8  # the last ones of an object count
KEPT_FOR = 30 * 24 * 3600  # seconds after the last one
START, ROW = 2.5, 1 / 2_500  # seconds of a job and of a row, while nothing is known
WEIGHT = 0.05  # of that beside a job that was measured
FADES = 0.7  # the weight of a job, compared with that of the next one
LEAST = 0.001  # seconds of a job, for an org whose clock has no fractions
SLOWEST = 10  # a first look comes at most so many times later than at an unknown org
LATER, SPARE = 1.1, 0.3  # a first look comes so many times later, and so many seconds
PAUSES = (0.5, 30.0)  # seconds between two looks, at least and at most
GROWTH = 0.4  # of the time waited: the least pause, because a job may end after its last rows

Job = tuple[int, float]  # rows and seconds


class BulkSpeed:
    """The speed of one org with the rows of one object. Every method may raise StoreUnavailable."""

    def __init__(self, client: RedisClient, org_id: str, object_name: str) -> None:
        self._redis = client
        self._key = keys.jobs_of(org_id, f"bulk:{object_name}")

    def expected(self, rows: int) -> float:
        """Return the seconds after which a job of so many rows will probably have ended."""
        last = [line.decode().split() for line in self._redis.items(self._key)]
        return seconds(rows, [(int(count), float(took)) for count, took in last])

    def note(self, rows: int, took: float) -> None:
        """Keep how long a job has taken."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.lpush(self._key, f"{rows} {took:.3f}")
        pipe.ltrim(self._key, 0, JOBS - 1)
        pipe.expire(self._key, KEPT_FOR)
        pipe.execute()


def seconds(rows: int, last: Sequence[Job]) -> float:
    """Return how long a job of so many rows takes at most, if it is like the last ones, of which the newest is first.

    A job takes some time to start, and then some for each row. A line through the last ones says both.
    """
    if not last:
        return START + ROW * rows
    largest = max(count for count, _ in last)
    usual = sum(took for _, took in last) / sum(START + ROW * count for count, _ in last)
    guesses = [(WEIGHT, count, usual * (START + ROW * count)) for count in (0, largest)]
    jobs = [(FADES**age, count, took) for age, (count, took) in enumerate(last)]
    start, row = _line(guesses + jobs)
    slowest = max(took / max(start + row * count, LEAST) for count, took in last)
    wanted = slowest * (start + row * rows)
    # More rows of a larger job take no longer than those of the last ones, because all have the same start.
    return wanted if rows <= largest else min(wanted, rows * max(took / count for count, took in last))


def _line(points: Sequence[tuple[float, int, float]]) -> tuple[float, float]:
    """Return the line through weighted points, by least squares: its value at 0 and its slope, both positive."""
    weights = sum(weight for weight, _, _ in points)
    x = sum(weight * rows for weight, rows, _ in points) / weights
    y = sum(weight * took for weight, _, took in points) / weights
    spread = sum(weight * (rows - x) ** 2 for weight, rows, _ in points)
    slope = sum(weight * (rows - x) * (took - y) for weight, rows, took in points) / spread
    slope = min(max(slope, 0.0), y / x)  # neither the start nor a row takes less than no time
    return y - slope * x, slope


@dataclass(slots=True)
class Looks:
    """When to look at a job: what :func:`quotejob.salesforce.bulk.ingest` asks for its pauses."""

    rows: int
    expected: float  # seconds
    clock: Callable[[], float] = lambda: time.monotonic()  # not bound here: histories have a time of their own
    _began: float | None = None

    def __call__(self, processed: int) -> float:
        """Return the seconds until the next look. ``processed``: the rows that the last look found done."""
        if self._began is None:
            self._began = self.clock()
            # A job that the org left waiting for long is no measure for the next one.
            longest = max(PAUSES[1], SLOWEST * seconds(self.rows, ()))
            return min(max(LATER * self.expected, 0.0) + SPARE, longest)
        waited = self.clock() - self._began
        left = waited * (self.rows / processed - 1) if processed else waited
        return min(max(LATER * left, GROWTH * waited, PAUSES[0]), PAUSES[1])
