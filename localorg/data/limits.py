"""The org's allowances: the day's API requests, counted, and the table of the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from localorg import errors
from localorg.errors import OrgError

DAILY_REQUESTS = 1_000_000
DAILY_BATCHES = 15_000
# REST API guide, "List Org Limits". The numbers are those of an Enterprise org; nothing reduces them here.
_UNTOUCHED: dict[str, int] = {
    "DailyAsyncApexExecutions": 250_000,
    "DailyBulkV2QueryFileStorageMB": 976_562,
    "DailyBulkV2QueryJobs": 10_000,
    "DataStorageMB": 10_240,
    "FileStorageMB": 10_240,
    "SingleEmail": 5_000,
}


# Platform Events guide, "Platform Event Allocations", of an Enterprise org.
PUBLISHED_PER_HOUR = 250_000
DELIVERED_PER_DAY = 25_000
CONCURRENT_CLIENTS = 1_000


def utc_now() -> datetime:
    """Return the current time in UTC, timezone-aware."""
    return datetime.now(UTC)


class Rolling:
    """An allowance of the last N hours, counted by the minute. One thread spends; any thread may read."""

    def __init__(self, most: int, hours: int, clock: Callable[[], datetime]) -> None:
        self.most = most
        self._minutes = hours * 60
        self._clock = clock
        self._spent: dict[int, int] = {}

    def resume(self, spent: Mapping[int, int]) -> None:
        """Continue with what was spent before a restart, by minute since 1970."""
        self._spent = dict(spent)

    def spend(self, number: int) -> bool:
        """Count `number`, and return True; count nothing and return False when so much is not left."""
        if number > self.remaining:
            return False
        now = self._minute()
        if now not in self._spent:
            self._spent = {minute: spent for minute, spent in self._spent.items() if minute > now - self._minutes}
        self._spent[now] = self._spent.get(now, 0) + number
        return True

    def allow(self, most: int) -> None:
        """Set the allowance. What was spent stays spent."""
        self.most = most

    def reset(self) -> None:
        """Count from zero."""
        self._spent = {}

    @property
    def remaining(self) -> int:
        """What is left now; never below 0."""
        oldest = self._minute() - self._minutes
        used = sum(spent for minute, spent in list(self._spent.items()) if minute > oldest)
        return max(0, self.most - used)

    def body(self) -> dict[str, int]:
        """Return the allowance as `/limits` shows it."""
        return {"Max": self.most, "Remaining": self.remaining}

    def _minute(self) -> int:
        return int(self._clock().timestamp() // 60)


class Limits:
    """The API requests of the day, the events of the last hour and the last 24 hours, and the Bulk batches of these.

    The day of the API requests begins at the start of the org or at a reset, and does not end by itself.
    """

    def __init__(self, daily_requests: int = DAILY_REQUESTS, clock: Callable[[], datetime] = utc_now) -> None:
        self.most = daily_requests
        self.used = 0
        self.published = Rolling(PUBLISHED_PER_HOUR, 1, clock)
        self.delivered = Rolling(DELIVERED_PER_DAY, 24, clock)
        self.clients = 0  # CometD clients that are connected now
        self.batches = Rolling(DAILY_BATCHES, 24, clock)  # of Bulk API 1.0

    def spend(self) -> None:
        """Count one request. Raise OrgError 403 REQUEST_LIMIT_EXCEEDED when the day's limit is reached."""
        if self.used >= self.most:
            raise errors.request_limit_exceeded()
        self.used += 1

    def spend_batches(self, count: int) -> None:
        """Count batches of Bulk API 1.0. Raise OrgError 400 ExceededQuota when the day's batches would not be enough.

        Source: Bulk API guide, "Limits": 15,000 batches in 24 hours.
        """
        if not self.batches.spend(count):
            raise OrgError(400, "ExceededQuota", "ApiBatchItems Limit exceeded.")

    def allow(self, daily_requests: int) -> None:
        """Set the day's limit. The requests counted so far stay counted."""
        self.most = daily_requests

    def reset(self) -> None:
        """Begin a new day with the normal limits."""
        self.most, self.used = DAILY_REQUESTS, 0
        self.published.most, self.delivered.most = PUBLISHED_PER_HOUR, DELIVERED_PER_DAY
        self.published.reset()
        self.delivered.reset()
        self.batches.reset()

    @property
    def remaining(self) -> int:
        """The number of requests that are left today; never below 0."""
        return max(0, self.most - self.used)

    def header(self) -> str:
        """Return the value of Sforce-Limit-Info (REST API guide, "Limit Info Header")."""
        return f"api-usage={self.used}/{self.most}"

    def body(self) -> dict[str, Any]:
        """Return the answer of `GET /services/data/vXX.X/limits`."""
        counted = {
            "DailyApiRequests": {"Max": self.most, "Remaining": self.remaining},
            "DailyBulkApiBatches": self.batches.body(),
            "DailyDeliveredPlatformEvents": self.delivered.body(),
            "HourlyPublishedPlatformEvents": self.published.body(),
            "StreamingApiConcurrentClients": {
                "Max": CONCURRENT_CLIENTS,
                "Remaining": max(0, CONCURRENT_CLIENTS - self.clients),
            },
        }
        untouched = {name: {"Max": most, "Remaining": most} for name, most in _UNTOUCHED.items()}
        return dict(sorted({**counted, **untouched}.items()))
