"""What a request did, and what all of them did together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Work:
    """What one request did in the org; its handler fills it in, costs and stats read it.

    rows_read -- rows handed out or looked through on the caller's behalf, child rows included
    written -- rows created, updated or deleted, by object name
    """

    rows_read: int = 0
    written: Counter[str] = field(default_factory=Counter)

    def write(self, object_name: str, count: int = 1) -> None:
        """Counts rows written to one object."""
        self.written[object_name] += count

    @property
    def rows_written(self) -> int:
        return sum(self.written.values())


class Stats:
    """The numbers behind `GET /localorg/stats`, since the start or the last reset."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Starts counting from zero; requests still in flight stay in flight."""
        self._requests: Counter[str] = Counter()
        self._written: Counter[str] = Counter()
        self._rows_read = 0
        self._peak = self.in_flight

    def enter(self) -> None:
        """A request begins."""
        self.in_flight += 1
        self._peak = max(self._peak, self.in_flight)

    def leave(self) -> None:
        """A request has been answered, or its connection dropped."""
        self.in_flight -= 1

    def note(self, resource_name: str, work: Work) -> None:
        """Counts one request and what it did."""
        self._requests[resource_name] += 1
        self._rows_read += work.rows_read
        self.wrote(work.written)

    def wrote(self, written: Mapping[str, int]) -> None:
        """Counts rows written outside any request, as a Bulk job does."""
        self._written.update(written)

    def read(self, rows: int) -> None:
        """Counts rows read outside any request, as a Bulk query job does."""
        self._rows_read += rows

    def body(self) -> dict[str, Any]:
        """The answer of `GET /localorg/stats`."""
        by_resource = dict(sorted(self._requests.items()))
        written = {name: count for name, count in sorted(self._written.items()) if count}
        return {
            "requests": {"total": sum(by_resource.values()), "byResource": by_resource},
            "recordsWritten": written,
            "rowsRead": self._rows_read,
            "peakInFlight": self._peak,
        }


_DATA = r"/services/data/v\d+\.\d"
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
        (r"/services/oauth2/(\w+)", "{1}"),
        (r"/id/.*", "identity"),
    )
)


def resource(method: str, path: str, explain: bool = False) -> str:
    """The short name of what a request addresses, such as `query` or `composite/graph`; `other` if unknown.

    The method does not matter so far. With explain, a query is `query/explain`: the plan was asked for, not the rows.
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
