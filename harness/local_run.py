"""The pytest fixture `local_run`: a job of your own in a whole system, called as `quotejob.testing.run_job`.

In ``conftest.py``: ``pytest_plugins = ["harness.local_run"]``. The first call starts Redis, a local org, the API, a
worker and the scheduler on this machine. They serve all tests of the session.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.api import Api, ApiError, Json
from harness.org_reader import OrgReader
from harness.stack import Stack

OPPORTUNITIES = 20  # that the org has at its start, with two lines each: Opportunity 0 and so on
_FILLED = {"string": "Test", "date": "2030-01-31", "double": 1, "currency": 1, "int": 1, "percent": 1}


@dataclass(frozen=True)
class LocalRan:
    """What came of a run. ``results``: by the ids that the rows of the test have, or else those of the org."""

    job: Json  # as getJob has it
    results: Mapping[str, Json]
    ids: Mapping[str, str]  # id of a row -> id in the org
    org: OrgReader

    def count(self, outcome: str) -> int:
        """Return how many records have this outcome: succeeded, skipped, failed."""
        return sum(result["outcome"] == outcome for result in self.results.values())


class LocalRun:
    """Runs jobs. ``local_run(Job, rows)`` makes the records of these rows in the org, then runs the job for them."""

    def __init__(self, ends: ExitStack) -> None:
        self._ends = ends
        self._systems: dict[str, tuple[Api, OrgReader]] = {}

    def org(self, job: type) -> OrgReader:
        """Return the org that jobs of this class run in, to prepare or read records."""
        return self._system(job.__module__)[1]

    def __call__(
        self,
        job: type,
        records: Sequence[Any] = (),
        *,
        parameters: Mapping[str, str] | None = None,
        where: str | None = None,
    ) -> LocalRan:
        """Run a job to its end, with a real worker.

        ``where``: which records it works on, instead of those that are made of ``records``. A parent that a row names,
        by an id or by a path, is made too. The same id means the same parent. Fields that the org requires and the
        row does not have get some value.
        """
        api, org = self._system(job.__module__)
        maker = _Maker(org)
        ids: dict[str, str] = {row.Id: maker.row(row) for row in records}
        clause = where or (f"Id IN ({', '.join(repr(made) for made in ids.values())})" if ids else None)
        asked = {
            "jobType": job.__name__,
            "parameters": [{"name": name, "value": text} for name, text in (parameters or {}).items()],
        } | ({"soqlWhereClause": clause} if clause else {})
        done = api.follow(str(api.post("/api/jobs", asked)["jobId"]))
        given: dict[str, str] = {made: known for known, made in ids.items()}
        results: dict[str, Json] = {}
        for one in api.results(done["jobId"]):
            made = str(one["recordId"])
            results[given.get(made, made)] = one
        return LocalRan(done, results, ids, org)

    def _system(self, module: str) -> tuple[Api, OrgReader]:
        if module not in self._systems:
            folder = Path(self._ends.enter_context(tempfile.TemporaryDirectory(prefix="quotejob-run-")))
            found = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
            extra = {"QUOTEJOB_JOBS": module, "PYTHONPATH": found, "WEB_CONCURRENCY": "1"}
            stack = self._ends.enter_context(Stack(folder, extra=extra))
            stack.start_redis()
            org = stack.start_org(0, "--opportunities", str(OPPORTUNITIES))
            stack.start_web()
            stack.start_worker()
            stack.start_beat()
            stack.wait_ready()
            reader = OrgReader(org)
            self._systems[module] = Api(stack.web_url, org, reader.username()), reader
        return self._systems[module]


@pytest.fixture(scope="session")
def local_run() -> Iterator[LocalRun]:
    """Run jobs of your own in a whole system: see :class:`LocalRun`."""
    with ExitStack() as ends:
        yield LocalRun(ends)


class _Maker:
    """Makes records of rows, with the parents and children that they name."""

    def __init__(self, org: OrgReader) -> None:
        self._org = org
        self._described: dict[str, Json] = {}
        self._parents: dict[str, str] = {}

    def row(self, row: Any, **under: str) -> str:
        """Make the record of a row. Return its id in the org."""
        sobject = getattr(row, "sobject", "") or type(row).__name__
        values: dict[str, Any] = dict(under)
        below: list[tuple[str, Sequence[Any]]] = []
        for field in msgspec.structs.fields(type(row)):
            value = getattr(row, field.name)
            if isinstance(value, tuple):
                below.append((field.encode_name, value))
            elif field.encode_name != "Id":
                values[field.encode_name] = value
        made = self._record(sobject, values)
        for relationship, rows in below:
            field_name = self._lookup(sobject, relationship)
            for each in rows:
                self.row(each, **{field_name: made})
        return made

    def _record(self, sobject: str, values: Mapping[str, Any]) -> str:
        fields = self._describe(sobject)["fields"]
        body = {name: _plain(value) for name, value in values.items() if "." not in name}
        for field in fields:
            name, relationship = field["name"], field.get("relationshipName")
            beyond = {
                path.partition(".")[2]: value
                for path, value in values.items()
                if "." in path and path.partition(".")[0] == relationship
            }
            if field["type"] == "reference" and (body.get(name) or (beyond and body.get(name, "") is not None)):
                body[name] = self._parent(field["referenceTo"][0], str(body.get(name) or ""), beyond)
            elif field["createable"] and not field["nillable"] and not field["defaultedOnCreate"] and name not in body:
                body |= _filled(field)
        settable = {field["name"] for field in fields if field["createable"]}
        return self._org.create(
            sobject, {name: value for name, value in body.items() if name in settable and value is not None}
        )

    def _parent(self, sobject: str, known: str, values: Mapping[str, Any]) -> str:
        """Return the id of the record that a row refers to. It is made if the org does not have it."""
        key = f"{sobject} {known} {'' if known else sorted(values.items())}"
        if key not in self._parents:
            self._parents[key] = known if self._has(sobject, known) else self._record(sobject, values)
        return self._parents[key]

    def _has(self, sobject: str, known: str) -> bool:
        try:
            return bool(known and self._org.count(f"SELECT COUNT() FROM {sobject} WHERE Id = '{known}'"))
        except ApiError:  # it is no id at all
            return False

    def _lookup(self, sobject: str, relationship: str) -> str:
        children = self._describe(sobject)["childRelationships"]
        return next(str(each["field"]) for each in children if each["relationshipName"] == relationship)

    def _describe(self, sobject: str) -> Json:
        if sobject not in self._described:
            self._described[sobject] = self._org.describe(sobject)
        return self._described[sobject]


def _filled(field: Json) -> dict[str, Any]:
    values = [each["value"] for each in field["picklistValues"] if each["active"]]
    value = values[0] if values else _FILLED.get(field["type"])
    return {} if value is None else {field["name"]: value}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else value
