"""A clock that a test moves by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """The time of a simulation. A call returns the time, so a store takes it as its ``now``."""

    def __init__(self, at: datetime) -> None:
        self._now = _aware(at)

    def __call__(self) -> datetime:
        """Return the time: aware, UTC."""
        return self._now

    def __repr__(self) -> str:
        return f"Clock({self._now.isoformat()})"

    @property
    def now(self) -> datetime:
        """The time: aware, UTC."""
        return self._now

    def move_to(self, at: datetime, *, back: bool = False) -> None:
        """Set the clock to another time. Nothing runs in between, as when every process was down.

        Raises ValueError for an earlier time, unless ``back`` allows it, and for a time without a time zone.
        """
        at = _aware(at)
        if at < self._now and not back:
            raise ValueError(
                f"{at.isoformat()} is before {self._now.isoformat()}, where the clock stands; "
                "say back=True if it is to jump back"
            )
        self._now = at

    def go_on(self, time: timedelta | float) -> None:
        """Set the clock forward by seconds or a timedelta, as move_to does."""
        self.move_to(self._now + (time if isinstance(time, timedelta) else timedelta(seconds=time)))


def _aware(at: datetime) -> datetime:
    if at.utcoffset() is None:
        raise ValueError(f"{at.isoformat()} has no time zone; say datetime(..., tzinfo=UTC)")
    return at.astimezone(UTC)
