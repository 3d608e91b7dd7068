"""The org's allowances: the day's API requests, counted, and the table of the others."""

from __future__ import annotations

from typing import Any

from localorg import errors

DAILY_REQUESTS = 1_000_000
# REST API guide, "List Org Limits"; the numbers are those of an Enterprise org, and nothing is taken off them here.
_UNTOUCHED: dict[str, int] = {
    "DailyAsyncApexExecutions": 250_000,
    "DailyBulkApiBatches": 15_000,
    "DailyBulkV2QueryFileStorageMB": 976_562,
    "DailyBulkV2QueryJobs": 10_000,
    "DataStorageMB": 10_240,
    "FileStorageMB": 10_240,
    "HourlyPublishedPlatformEvents": 250_000,
    "SingleEmail": 5_000,
}


class Limits:
    """The day's API requests; the day begins at the start or at a reset and does not end by itself."""

    def __init__(self, daily_requests: int = DAILY_REQUESTS) -> None:
        self.most = daily_requests
        self.used = 0

    def spend(self) -> None:
        """Counts one request; raises OrgError 403 REQUEST_LIMIT_EXCEEDED when the allowance is used up."""
        if self.used >= self.most:
            raise errors.request_limit_exceeded()
        self.used += 1

    def allow(self, daily_requests: int) -> None:
        """Sets the allowance; what was used stays used."""
        self.most = daily_requests

    def reset(self) -> None:
        """Begins a new day with the ordinary allowance."""
        self.most, self.used = DAILY_REQUESTS, 0

    @property
    def remaining(self) -> int:
        return max(0, self.most - self.used)

    def header(self) -> str:
        """The value of Sforce-Limit-Info (REST API guide, "Limit Info Header")."""
        return f"api-usage={self.used}/{self.most}"

    def body(self) -> dict[str, Any]:
        """The answer of `GET /services/data/vXX.X/limits`."""
        counted = {"DailyApiRequests": {"Max": self.most, "Remaining": self.remaining}}
        untouched = {name: {"Max": most, "Remaining": most} for name, most in _UNTOUCHED.items()}
        return dict(sorted({**counted, **untouched}.items()))
