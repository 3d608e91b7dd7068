"""Moments: aware, in UTC, and as the numbers that Redis keeps of them."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(ms: float | str) -> datetime:
    """What ms() took, aware, UTC."""
    return datetime.fromtimestamp(float(ms) / 1000, UTC)


def now() -> datetime:
    """The time, aware, UTC."""
    return datetime.now(UTC)


def ms(moment: datetime | None = None) -> int:
    """Milliseconds since 1970 of the moment, or of now."""
    return int((moment or now()).timestamp() * 1000)


def us(moment: datetime) -> int:
    """Microseconds since 1970."""
    return int(moment.timestamp() * 1_000_000)
