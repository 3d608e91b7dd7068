"""A clock that goes only when it is told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """The time of a simulation. Called, it gives the time, as the stores want it."""

    def __init__(self, at: datetime) -> None:
        self._now = _aware(at)

    def __call__(self) -> datetime:
        return self._now

    def __repr__(self) -> str:
        return f"Clock({self._now.isoformat()})"

    @property
    def now(self) -> datetime:
        """What the clock shows: aware, UTC."""
        return self._now

    def move_to(self, at: datetime, *, back: bool = False) -> None:
        """Show another time; what lay between is missed, as when every process was down.

        ValueError for an earlier one, unless it is meant (``back``).
        """
        at = _aware(at)
        if at < self._now and not back:
            raise ValueError(
                f"{at.isoformat()} is before {self._now.isoformat()}, where the clock stands; "
                "say back=True if it is to jump back"
            )
        self._now = at

    def go_on(self, time: timedelta | float) -> None:
        """Show a time so much later; seconds, or a timedelta. As move_to."""
        self.move_to(self._now + (time if isinstance(time, timedelta) else timedelta(seconds=time)))


def _aware(at: datetime) -> datetime:
    if at.utcoffset() is None:
        raise ValueError(f"{at.isoformat()} has no time zone; say datetime(..., tzinfo=UTC)")
    return at.astimezone(UTC)
