"""What an org said last of its daily API calls, as Redis has it: the answers of all processes, by the org's host."""

from __future__ import annotations

from dataclasses import dataclass

from quotejob import clock
from quotejob.store import keys
from quotejob.store.client import RedisClient

KNOWN_FOR = 24 * 3600.0  # seconds for which it counts: the limit is one of 24 hours


@dataclass(frozen=True, slots=True)
class ApiCalls:
    """What an org said last about its daily API calls."""

    host: str
    used: int
    allowed: int

    @property
    def left(self) -> int:
        """How many are left."""
        return max(0, self.allowed - self.used)

    @property
    def share_left(self) -> float:
        """The same as a share of those allowed."""
        return self.left / self.allowed if self.allowed else 0.0


def as_text(used: int, allowed: int) -> str:
    """Return the form in Redis of what an org says now."""
    return f"{used} {allowed} {clock.ms()}"


def of_text(host: str, text: bytes, now: int) -> ApiCalls | None:
    """Return what an org said. None: that was more than a day from ``now`` (ms)."""
    used, allowed, when = map(int, text.split())
    return None if abs(now - when) > KNOWN_FOR * 1000 else ApiCalls(host, used, allowed)


def of_host(client: RedisClient, host: str) -> ApiCalls | None:
    """Return what the org at this host said last. None: nothing within a day. Raises StoreUnavailable."""
    text = client.field(keys.API_CALLS, host)
    return of_text(host, text, clock.ms()) if text else None
