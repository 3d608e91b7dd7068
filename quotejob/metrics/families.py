"""The metrics in the form of Prometheus. docs/operating.md lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from quotejob.jobs.job import ALIVE, BuiltIn, Status
from quotejob.metrics.reading import Reading
from quotejob.run.receipt import Outcome
from quotejob.tally import BEYOND, BUCKETS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Counters in Redis: the name there, the name here, the help, the labels.
_COUNTERS = (
    ("job_moves", "quotejob_job_moves", "Moves of jobs to a status", ("status", "job_type")),
    ("requests", "quotejob_http_requests", "Requests to the API that were answered", ("operation", "status")),
    ("org_requests", "quotejob_org_requests", "Requests to orgs; no_answer: it did not come", ("resource", "outcome")),
    ("schedule_fires", "quotejob_schedule_fires", "Fire times of schedules that were decided", ("decision",)),
    ("schedule_errors", "quotejob_schedule_errors", "Schedules that went to state ERROR", ()),
)
# Labels that are shown with 0 before anything is counted: Prometheus sees no increase from nothing to 1.
_FROM_THE_START = {
    "job_moves": [f"{status} {kind}" for status in Status for kind in BuiltIn],
    "schedule_fires": ["fired", "skipped"],
    "schedule_errors": [""],
}
_GAUGES: tuple[tuple[str, str, Callable[[Reading], float]], ...] = (
    ("quotejob_queue_orgs", "Orgs that have Holding jobs", lambda reading: reading.state.queue_orgs),
    ("quotejob_queue_longest", "Jobs in the longest flex queue of an org", lambda reading: reading.state.queue_longest),
    (
        "quotejob_queue_oldest_seconds",
        "Longest time for which a job that may run, and is the next one of its org, has waited",
        lambda reading: reading.state.queue_oldest / 1000,
    ),
    ("quotejob_units_unheld", "Pages and batches whose lease ran out", lambda reading: reading.state.units_unheld),
    (
        "quotejob_jobs_silent",
        "Jobs with a slot that have given no sign of life for a minute",
        lambda reading: reading.state.jobs_silent,
    ),
    ("quotejob_clean_ups", "Ended jobs with incomplete Quotes to remove", lambda reading: reading.state.clean_ups),
    ("quotejob_schedules", "Schedules that have a next fire time", lambda reading: reading.state.schedules),
    (
        "quotejob_schedules_late_seconds",
        "How late the latest fire time is that nobody has decided",
        lambda reading: reading.state.schedules_late / 1000,
    ),
    ("quotejob_fired_waiting", "Fire times whose job is not submitted yet", lambda reading: reading.state.fired),
    ("quotejob_workers", "Celery workers that have given a sign of life", lambda reading: reading.state.workers),
    (
        "quotejob_tick_age_seconds",
        "Time since the last tick or sweep; they need the scheduler and a worker",
        lambda reading: (reading.state.now - reading.state.ticked) / 1000 if reading.state.ticked else float("inf"),
    ),
    ("quotejob_redis_memory_bytes", "Memory that Redis uses", lambda reading: reading.memory["used_memory"]),
    (
        "quotejob_redis_memory_max_bytes",
        "Memory that Redis may use; 0: all",
        lambda reading: reading.memory["maxmemory"],
    ),
)


def exposition(reading: Reading, *, orgs: bool) -> bytes:
    """Return the metrics as text. ``orgs``: show the hosts of orgs."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(reading, orgs))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, reading: Reading, orgs: bool) -> None:
        self._reading, self._orgs = reading, orgs

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        yield self._jobs()
        yield from (GaugeMetricFamily(name, text, value=value(self._reading)) for name, text, value in _GAUGES)
        yield from (self._counter(*each) for each in _COUNTERS)
        yield self._records()
        yield self._simple_counter("quotejob_quotes_created", "Quotes written", "records quotesCreated")
        yield CounterMetricFamily(
            "quotejob_redis_evicted_keys", "Keys that Redis has evicted", value=self._reading.memory["evicted_keys"]
        )
        yield from self._api_calls()
        yield self._request_seconds()

    def _jobs(self) -> Metric:
        """Count every status that is not an end for every built-in type, also if it is 0, so that alerts see it."""
        family = GaugeMetricFamily("quotejob_jobs", "Jobs that have not ended", labels=("status", "job_type"))
        found = {f"{status} {kind}": 0 for status in ALIVE for kind in BuiltIn} | self._reading.state.jobs
        for name, number in found.items():
            family.add_metric(name.split(" ", 1), number)
        return family

    def _counter(self, stored: str, name: str, text: str, labels: tuple[str, ...]) -> Metric:
        family = CounterMetricFamily(name, text, labels=labels)
        found = dict.fromkeys(_FROM_THE_START.get(stored, ()), 0.0) | dict(self._stored(stored))
        for words, number in found.items():
            family.add_metric(words.split(" ") if labels else [], number)
        return family

    def _records(self) -> Metric:
        family = CounterMetricFamily("quotejob_records", "Records with a result", labels=("outcome",))
        for outcome in Outcome:
            family.add_metric([outcome], self._reading.counters.get(f"records {outcome}", 0))
        return family

    def _simple_counter(self, name: str, text: str, stored: str) -> Metric:
        return CounterMetricFamily(name, text, value=self._reading.counters.get(stored, 0))

    def _api_calls(self) -> Iterator[Metric]:
        known = self._reading.api_calls
        lowest = GaugeMetricFamily(
            "quotejob_org_api_calls_left_share_lowest", "Share of the daily API calls that the org with least has left"
        )
        if known:
            lowest.add_metric([], min(each.share_left for each in known))
        yield lowest
        if self._orgs:
            left = GaugeMetricFamily("quotejob_org_api_calls_left", "Daily API calls left", labels=("org",))
            for each in known:
                left.add_metric([each.host], each.left)
            yield left

    def _request_seconds(self) -> Metric:
        family = HistogramMetricFamily("quotejob_http_request_seconds", "Time of an answer", labels=("operation",))
        sums = dict(self._stored("request_seconds_sum"))
        counted = dict(self._stored("request_seconds"))
        for operation, seconds in sums.items():
            buckets, total = [], 0.0
            for edge in (*map(str, BUCKETS), BEYOND):
                total += counted.get(f"{operation} {edge}", 0)
                buckets.append((edge, total))
            family.add_metric([operation], buckets, seconds)
        return family

    def _stored(self, metric: str) -> Iterator[tuple[str, float]]:
        """Yield the labels, as words, and the values of a counter in Redis."""
        for name, value in self._reading.counters.items():
            first, _, labels = name.partition(" ")
            if first == metric:
                yield labels, value
