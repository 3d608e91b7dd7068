"""Jobs in figures: counts, times of waiting and running, and the quality of the estimates."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product

from quotejob.jobs.job import BuiltIn, Guess, Job, Status

# The fields of a job's hash that are read, in addition to ALWAYS.
FIELDS = (
    *("startedDate", "completedDate", "resumedDate", "succeeded", "skipped", "failed", "planned"),
    *("startGuess", "endGuess", "forecastCalls", "forecastSeconds", "apiCalls", "waited"),
)


NEAR = 1.5  # a run within this factor of its forecast was forecast well


@dataclass(frozen=True, slots=True)
class Count:
    """The number of jobs with a status, with a job type, or with both."""

    jobs: int
    status: Status | None = None
    job_type: str | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """A distribution. Each percentile is a value that occurred (nearest rank)."""

    count: int
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """The difference between estimates and real times."""

    count: int
    median_error_seconds: float | None = None  # without sign
    p90_error_seconds: float | None = None
    median_error_share: float | None = None  # of the real time from the estimate to the event
    bias_seconds: float | None = None  # the median with its sign; positive: later than estimated


@dataclass(frozen=True, slots=True)
class ForecastQuality:
    """The difference between forecasts of jobs and what they did."""

    count: int
    median_calls_error_share: float | None = None  # of the calls that the job made, without sign
    p90_calls_error_share: float | None = None
    median_seconds_ratio: float | None = None  # the real seconds as a multiple of the forecast
    within_factor: float | None = None  # the share of jobs whose seconds were within a factor of 1.5


@dataclass(frozen=True, slots=True)
class Summary:
    """Jobs in figures."""

    total: int
    by_status: list[Count]  # in the order of the statuses, zero counts included
    by_job_type: list[Count]
    by_status_and_job_type: list[Count]  # without zero counts
    waiting_seconds: Figures  # from createdDate to startedDate, for jobs that have started
    run_seconds: Figures  # from startedDate to completedDate, for ended jobs that were never resumed
    records_per_second: Figures  # for the same jobs, if they had records
    start_estimates: Quality
    end_estimates: Quality
    forecasts: ForecastQuality  # of Completed jobs that were forecast within the hour before


def summarise(jobs: Iterable[Job]) -> Summary:
    """Return the jobs in figures. Holds some dozens of bytes for each job in memory."""
    kinds: Counter[tuple[Status, str]] = Counter()
    waited, ran, rates = array("d"), array("d"), array("d")
    starts, ends, forecasts = _Errors(), _Errors(), _Forecasts()
    for job in jobs:
        kinds[job.status, job.job_type] += 1
        if job.started_date is not None:
            waited.append(max(0.0, (job.started_date - job.created_date).total_seconds()))
            starts.add(job.start_guess, job.started_date)
        if job.completed_date is None or job.started_date is None or job.resumed_date is not None:
            continue
        seconds = max(0.0, (job.completed_date - job.started_date).total_seconds())
        ran.append(seconds)
        records = job.decided
        if records and seconds:
            rates.append(records / seconds)
        if job.status is Status.COMPLETED:
            ends.add(job.end_guess, job.completed_date)
            forecasts.add(job, seconds)
    job_types = list(dict.fromkeys([*BuiltIn, *(job_type for _, job_type in kinds)]))
    return Summary(
        total=kinds.total(),
        by_status=[Count(sum(kinds[one, kind] for kind in job_types), status=one) for one in Status],
        by_job_type=[Count(sum(kinds[one, kind] for one in Status), job_type=kind) for kind in job_types],
        by_status_and_job_type=[
            Count(kinds[one, kind], one, kind) for one, kind in product(Status, job_types) if kinds[one, kind]
        ],
        waiting_seconds=_figures(waited),
        run_seconds=_figures(ran),
        records_per_second=_figures(rates),
        start_estimates=starts.quality(),
        end_estimates=ends.quality(),
        forecasts=forecasts.quality(),
    )


class _Errors:
    """The errors of the estimates."""

    def __init__(self) -> None:
        self._late, self._shares = array("d"), array("d")

    def add(self, guess: Guess | None, came: datetime) -> None:
        if guess is None:
            return
        late, ahead = (came - guess.meant).total_seconds(), (came - guess.made).total_seconds()
        self._late.append(late)
        if ahead > 0:
            self._shares.append(abs(late) / ahead)

    def quality(self) -> Quality:
        if not self._late:
            return Quality(0)
        off = sorted(abs(late) for late in self._late)
        share = _rank(sorted(self._shares), 50) if self._shares else None
        return Quality(len(off), _rank(off, 50), _rank(off, 90), share, _rank(sorted(self._late), 50))


class _Forecasts:
    """The errors of the forecasts."""

    def __init__(self) -> None:
        self._calls, self._ratios = array("d"), array("d")

    def add(self, job: Job, seconds: float) -> None:
        if job.waited or job.forecast_calls is None or not job.forecast_seconds or not job.api_calls:
            return
        self._calls.append(abs(job.api_calls - job.forecast_calls) / job.api_calls)
        self._ratios.append(seconds / job.forecast_seconds)

    def quality(self) -> ForecastQuality:
        if not self._calls:
            return ForecastQuality(0)
        calls = sorted(self._calls)
        near = sum(1 / NEAR <= ratio <= NEAR for ratio in self._ratios) / len(calls)
        middle = _rank(sorted(self._ratios), 50)
        return ForecastQuality(len(calls), _rank(calls, 50), _rank(calls, 90), middle, round(near, 3))


def _figures(values: Sequence[float]) -> Figures:
    if not values:
        return Figures(0)
    ordered = sorted(values)
    mean = round(math.fsum(ordered) / len(ordered), 3)
    return Figures(len(ordered), mean, *(_rank(ordered, per_cent) for per_cent in (50, 90, 95, 99, 100)))


def _rank(ordered: Sequence[float], per_cent: int) -> float:
    """Return the nearest-rank percentile, rounded to three places."""
    return round(ordered[-(-len(ordered) * per_cent // 100) - 1], 3)
