"""The work of one request, and the totals of all requests."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_REMEMBERED = 20_000  # requests


@dataclass(slots=True)
class Work:
    """The work of one request in the org. Its handler fills it in; costs and stats read it.

    rows_read -- rows returned or searched for the caller, child rows included
    written -- rows created, updated or deleted, by object name
    """

    rows_read: int = 0
    written: Counter[str] = field(default_factory=Counter)

    def write(self, object_name: str, count: int = 1) -> None:
        """Count rows written to one object."""
        self.written[object_name] += count

    @property
    def rows_written(self) -> int:
        """The number of rows written, of all objects."""
        return sum(self.written.values())


@dataclass(frozen=True, slots=True)
class Answered:
    """One request that was answered."""

    resource: str
    began: float  # seconds since 1970
    seconds: float
    rows_read: int
    rows_written: int

    def body(self) -> dict[str, Any]:
        """Return its entry in the answer of `GET /localorg/requests`."""
        return {
            "resource": self.resource,
            "began": round(self.began, 4),
            "seconds": round(self.seconds, 4),
            "rowsRead": self.rows_read,
            "rowsWritten": self.rows_written,
        }


class Stats:
    """The numbers of `GET /localorg/stats`, since the start or the last reset."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Start to count from zero again; requests that are still running stay counted as running."""
        self._requests: Counter[str] = Counter()
        self._written: Counter[str] = Counter()
        self._rows_read = 0
        self._peak = self.in_flight
        self.answered: deque[Answered] = deque(maxlen=MOST_REMEMBERED)

    def enter(self) -> None:
        """Count a request that starts."""
        self.in_flight += 1
        self._peak = max(self._peak, self.in_flight)

    def leave(self) -> None:
        """Count a request that was answered, or whose connection was closed."""
        self.in_flight -= 1

    def note(self, resource_name: str, work: Work) -> None:
        """Count one request and its work."""
        self._requests[resource_name] += 1
        self._rows_read += work.rows_read
        self.wrote(work.written)

    def remember(self, resource_name: str, began: float, seconds: float, work: Work) -> None:
        """Note when a request began (seconds since 1970), and how long it was under way."""
        self.answered.append(Answered(resource_name, began, seconds, work.rows_read, work.rows_written))

    def wrote(self, written: Mapping[str, int]) -> None:
        """Count rows written outside any request, as by a Bulk job."""
        self._written.update(written)

    def read(self, rows: int) -> None:
        """Count rows read outside any request, as by a Bulk query job."""
        self._rows_read += rows

    def body(self) -> dict[str, Any]:
        """Return the answer of `GET /localorg/stats`."""
        by_resource = dict(sorted(self._requests.items()))
        written = {name: count for name, count in sorted(self._written.items()) if count}
        return {
            "requests": {"total": sum(by_resource.values()), "byResource": by_resource},
            "recordsWritten": written,
            "rowsRead": self._rows_read,
            "peakInFlight": self._peak,
        }


_DATA = r"/services/data/v[0-9]+\.[0-9]"
_RESOURCES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern + "/?", re.IGNORECASE), name)
    for pattern, name in (
        (r"/services/data", "versions"),
        (_DATA, "resources"),
        (_DATA + r"/query/[^/]+", "query/more"),
        (_DATA + r"/(query|queryAll|tooling/query)", "{1}"),
        (_DATA + r"/sobjects(/[^/]+)?/describe", "sobjects/describe"),
        (_DATA + r"/sobjects(/.*)?", "sobjects"),
        (_DATA + r"/composite/(graph|batch|sobjects|tree)(/.*)?", "composite/{1}"),
        (_DATA + r"/composite", "composite"),
        (_DATA + r"/jobs/(ingest|query)/[^/]+/batches", "jobs/{1}/batches"),
        (_DATA + r"/jobs/(ingest|query)/[^/]+/[^/]*(results|resultPages|records)", "jobs/{1}/results"),
        (_DATA + r"/jobs/(ingest|query)(/[^/]+)?", "jobs/{1}"),
        (_DATA + r"/limits(/.*)?", "limits"),
        (r"/services/async/[0-9.]+/job/[^/]+/batch/[^/]+/result(/[^/]+)?", "async/job/batch/result"),
        (r"/services/async/[0-9.]+/job/[^/]+/batch(/.*)?", "async/job/batch"),
        (r"/services/async/[0-9.]+/job(/.*)?", "async/job"),
        (r"/services/oauth2/(\w+)", "{1}"),
        (r"/id/.*", "identity"),
    )
)


def resource(method: str, path: str, explain: bool = False) -> str:
    """Return the short name of a request's resource, such as `query` or `composite/graph`; `other` if unknown.

    So far the method makes no difference. With explain, a query is `query/explain`: it asks for the plan, not the rows.
    """
    del method
    for pattern, name in _RESOURCES:
        if found := pattern.fullmatch(path):
            named = name.replace("{1}", (found.groups() or ("",))[0] or "")
            return "query/explain" if explain and named == "query" else _spelled(named)
    return "other"


_SPELLINGS = {name.lower(): name for name in ("queryAll", "tooling/query")}


def _spelled(name: str) -> str:
    return _SPELLINGS.get(name.lower(), name.lower())
