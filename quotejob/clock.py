"""Times: aware, in UTC, and as the numbers that Redis stores."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(ms: float | str) -> datetime:
    """Return the time for a number from ms(): aware, UTC."""
    return datetime.fromtimestamp(float(ms) / 1000, UTC)


def now() -> datetime:
    """Return the current time: aware, UTC."""
    return datetime.now(UTC)


def ms(moment: datetime | None = None) -> int:
    """Return the milliseconds since 1970 of the moment, or of now."""
    return int((moment or now()).timestamp() * 1000)


def us(moment: datetime) -> int:
    """Return the microseconds since 1970 of the moment."""
    return int(moment.timestamp() * 1_000_000)
