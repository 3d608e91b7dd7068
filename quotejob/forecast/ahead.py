"""The forecast of a job that is not submitted yet: values, and arithmetic on them. Pure, no Redis and no org."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from math import ceil

from quotejob.jobtypes.batches.calls import Calls

LOW, HIGH = 0.6, 1.8  # actual seconds as a multiple of the forecast, while there are too few earlier runs to know
ENOUGH_RUNS = 5
# Without earlier runs: what requests take beside their latency. The published times of the reference sample give them.
SECONDS_A_ROW_READ, SECONDS_A_ROW_WRITTEN = 0.0005, 0.01
CPU_SECONDS_A_RECORD = 0.002


class Basis(StrEnum):
    """What the seconds of a forecast are computed from."""

    EARLIER_RUNS = "earlierRuns"
    LATENCY = "latency"  # of the forecast's own request


class WarningCode(StrEnum):
    """What may be wrong with a job before it is submitted."""

    NOTHING_MATCHES = "NOTHING_MATCHES"
    BELOW_KEPT = "BELOW_KEPT"
    LIMIT = "LIMIT"
    SAME_ACCOUNT = "SAME_ACCOUNT"
    REDIS_FULL = "REDIS_FULL"
    NO_WORKER = "NO_WORKER"
    QUEUE_UNKNOWN = "QUEUE_UNKNOWN"


@dataclass(frozen=True, slots=True)
class Warned:
    """One warning: a code for programs, a sentence for people."""

    code: WarningCode
    message: str


@dataclass(frozen=True, slots=True)
class Allocation:
    """The API calls of an org's last 24 hours, as its last answer said."""

    limit: int
    used: int
    kept: int  # for others: the setting, or what the job asks for if that is more

    @property
    def left(self) -> int:
        """What a job may still use. Below 0: others have used what was kept for them."""
        return self.limit - self.used - self.kept


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long a job runs: one run of ten is shorter than ``low``, one longer than ``high``."""

    low: float
    expected: float
    high: float


@dataclass(frozen=True, slots=True)
class JobForecast:
    """What a job would do and cost."""

    records: int
    pages: int
    calls: Calls
    allocation: Allocation | None  # None: the org did not say
    percent: float | None  # of the daily calls
    redis_bytes: int
    seconds: Seconds
    basis: Basis
    estimated_end: datetime | None  # None: not known, because a job before it has no estimate
    org_calls: int
    warnings: list[Warned] = field(default_factory=list)


def seconds_by_latency(calls: Calls, latency: float, places: int, *, records: int, lines: int, quotes: int) -> float:
    """Return the seconds of a job that is the first of its type: requests side by side, and the processor's work."""
    at_once = max(1, places)
    read = calls.read * latency + (records + lines) * SECONDS_A_ROW_READ
    write = calls.write * latency + (quotes + lines) * SECONDS_A_ROW_WRITTEN
    side_by_side = read / min(at_once, max(1, calls.read)) + write / min(at_once, max(1, calls.write))
    return calls.plan * latency + side_by_side + records * CPU_SECONDS_A_RECORD


def around(expected: float, ratios: Sequence[float]) -> Seconds:
    """Return the range around the expected seconds. ``ratios``: actual seconds ÷ forecast, of earlier jobs."""
    low, high = LOW, HIGH
    if len(ratios) >= ENOUGH_RUNS:
        ordered = sorted(ratios)
        low, high = (ordered[ceil(len(ordered) * share) - 1] for share in (0.1, 0.9))
    return Seconds(round(expected * min(low, 1), 1), round(expected, 1), round(expected * max(high, 1), 1))


def warnings_of_calls(total: int, allocation: Allocation | None) -> list[Warned]:
    """Return what the calls of a job mean for the allocation of its org."""
    if allocation is None:
        return []
    free = allocation.limit - allocation.used
    if total > free:
        sentence = (
            f"The job needs {total:,} API calls, and the org has {max(0, free):,} left today: it will wait until "
            "calls return"
        )
        return [Warned(WarningCode.LIMIT, sentence)]
    if total > allocation.left:
        sentence = (
            f"The job needs {total:,} API calls, and {max(0, allocation.left):,} are left above the "
            f"{allocation.kept:,} that are kept for others: it will wait for the rest"
        )
        return [Warned(WarningCode.BELOW_KEPT, sentence)]
    return []
