"""Times and numbers as people read them: the local zone, distances, thousands separators."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_AGO = re.compile(r"([0-9]+)\s*(s|min|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}


def parse(text: str) -> datetime:
    """Return the aware time that the API wrote."""
    return datetime.fromisoformat(text)


def relative(text: str | None, now: datetime | None = None) -> str:
    """Return ``3 min ago`` or ``in 2 h``, in one unit; ``-`` for no time."""
    if not text:
        return "-"
    seconds = (parse(text) - (now or datetime.now(UTC))).total_seconds()
    if abs(seconds) < 1:
        return "now"
    name, size = next(unit for unit in UNITS if abs(seconds) >= unit[1])
    count = f"{int(abs(seconds) // size):,} {name}"
    return f"in {count}" if seconds > 0 else f"{count} ago"


def local(text: str | None) -> str:
    """Return the time in the local zone, with the zone; ``-`` for no time."""
    return f"{parse(text).astimezone():%Y-%m-%d %H:%M:%S %Z}" if text else "-"


def both(text: str | None) -> str:
    """Return the local time and the distance."""
    return f"{local(text)} ({relative(text)})" if text else "-"


def number(value: int) -> str:
    """Return the number with thousands separators."""
    return f"{value:,}"


class Moment(click.ParamType[str]):
    """A time: ISO 8601, local unless it names a zone; or a distance, as ``2h``, into the past or the future."""

    name = "time"

    def __init__(self, future: bool = False) -> None:
        self._sign = 1 if future else -1

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return ISO 8601 in UTC."""
        if distance := _AGO.fullmatch(value):
            try:
                seconds = int(distance[1]) * _SECONDS[distance[2]]
                return self._wire(datetime.now(UTC) + self._sign * timedelta(seconds=seconds))
            except (OverflowError, ValueError):  # ValueError: more digits than Python reads
                self.fail(f"{value[:40]!r} is too far away.", param, ctx)
        try:
            return self._wire(datetime.fromisoformat(value))
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time: use 2026-01-31, 2026-01-31T22:00 or 2h.", param, ctx)

    def _wire(self, moment: datetime) -> str:
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
