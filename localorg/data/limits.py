"""The org's allowances: the day's API requests, counted, and the table of the others."""

from __future__ import annotations

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
    "HourlyPublishedPlatformEvents": 250_000,
    "SingleEmail": 5_000,
}


class Limits:
    """The API requests of the day.

    The day begins at the start of the org or at a reset, and does not end by itself.
    """

    def __init__(self, daily_requests: int = DAILY_REQUESTS) -> None:
        self.most = daily_requests
        self.used = 0
        self.batches = 0  # of Bulk API 1.0

    def spend(self) -> None:
        """Count one request. Raise OrgError 403 REQUEST_LIMIT_EXCEEDED when the day's limit is reached."""
        if self.used >= self.most:
            raise errors.request_limit_exceeded()
        self.used += 1

    def spend_batches(self, count: int) -> None:
        """Count batches of Bulk API 1.0. Raise OrgError 400 ExceededQuota when the day's batches would not be enough.

        Source: Bulk API guide, "Limits": 15,000 batches in 24 hours.
        """
        if self.batches + count > DAILY_BATCHES:
            raise OrgError(400, "ExceededQuota", "ApiBatchItems Limit exceeded.")
        self.batches += count

    def allow(self, daily_requests: int) -> None:
        """Set the day's limit. The requests counted so far stay counted."""
        self.most = daily_requests

    def reset(self) -> None:
        """Begin a new day with the normal limit."""
        self.most, self.used, self.batches = DAILY_REQUESTS, 0, 0

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
            "DailyBulkApiBatches": {"Max": DAILY_BATCHES, "Remaining": DAILY_BATCHES - self.batches},
        }
        untouched = {name: {"Max": most, "Remaining": most} for name, most in _UNTOUCHED.items()}
        return dict(sorted({**counted, **untouched}.items()))
