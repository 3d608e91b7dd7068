"""A whole run of a user's own job in memory: its code decides, our writer writes, and the org is a dictionary.

What the tests of a job type should find: that ``execute`` decides the same when it is called twice, that a lost answer
does no harm, and what was written.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import unquote

from quotejob.errors import OrgUnreachable
from quotejob.jobtypes.own.writer import OwnWriter
from quotejob.jobtypes.units import Patience
from quotejob.run.receipt import Outcome, Result
from quotejob.salesforce import Graph, GraphOutcome, Node, NodeError
from quotejob.usercode import deciding
from quotejob.usercode import parameters as read
from quotejob.usercode.context import Context, Finish, QueryRefused, limited
from quotejob.usercode.decisions import Decision, as_tallies, summed
from quotejob.usercode.isolation.crew import Crew
from quotejob.usercode.jobs.apart import Apart
from quotejob.usercode.jobs.words import Known, Sums
from quotejob.usercode.jobtype import JobType, check
from quotejob.usercode.rows import Row, values
from quotejob.usercode.trouble import Broken

R = TypeVar("R", bound=Row)
Query = Callable[[type[Row], str], Sequence[Row]]
NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
JOB_ID = "00000000-0000-4000-8000-000000000001"
_BY_KEY = re.compile(r"SELECT Id, (\w+), CreatedDate FROM (\w+) WHERE \w+ IN \((.*)\)", re.DOTALL)


class MemoryOrg:
    """An org that is a dictionary: ``records[object][id]`` is what was written. Keys are unique, graphs all or none.

    ``refuse``: the id of a record that a write is about, or the key of a new one -> the org's error code.
    ``lose_every``: the answer of every so many requests is lost, after they were done.
    """

    def __init__(self, *, refuse: Mapping[str, str] | None = None, lose_every: int = 0) -> None:
        self.records: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self.deleted: list[str] = []
        self.requests = 0
        self._refuse = dict(refuse or {})
        self._lose_every = lose_every
        self._made = 0
        self._now = NOW
        self._when: dict[str, str] = {}  # a record was made; one that is not here was there at the beginning

    def later(self) -> datetime:
        """Let a second go by. Return the time by the org's clock."""
        self._now += timedelta(seconds=1)
        return self._now

    def send_graphs(self, graphs: Sequence[Graph]) -> dict[str, GraphOutcome]:
        """Write graphs, as an org does."""
        found = {graph.graph_id: self._write(graph) for graph in graphs}
        self._answer()
        return found

    def send_together(self, graph: Graph) -> GraphOutcome:
        """Write one graph."""
        return self.send_graphs([graph])[graph.graph_id]

    def delete_many(self, ids: Sequence[str]) -> dict[str, NodeError | None]:
        """Delete records, each for itself."""
        found: dict[str, NodeError | None] = {}
        for record_id in ids:
            code = self._refuse.get(record_id)
            found[record_id] = NodeError(record_id, code, f"{code}, as the test asks", (), 400) if code else None
            if code is None and record_id not in self.deleted:
                self.deleted.append(record_id)
        self._answer()
        return found

    def query(self, soql: str) -> Iterator[dict[str, Any]]:
        """Yield the records with these keys: the only query that a writer sends."""
        asked = _BY_KEY.fullmatch(soql)
        assert asked is not None, soql
        field, sobject, keys = asked[1], asked[2], set(re.findall(r"'((?:\\.|[^'\\])*)'", asked[3]))
        for record_id, body in self.records[sobject].items():
            if body.get(field) in keys:
                yield {"Id": record_id, field: body[field], "CreatedDate": self._when.get(record_id, NOW.isoformat())}

    def reading(self, what: str) -> contextlib.AbstractContextManager[None]:  # noqa: ARG002 (as OrgClient has it)
        """Return a context that does nothing."""
        return contextlib.nullcontext()

    def _answer(self) -> None:
        self.requests += 1
        if self._lose_every and self.requests % self._lose_every == 0:
            raise OrgUnreachable("The answer was lost, as the test asks")

    def _write(self, graph: Graph) -> GraphOutcome:
        before, ids = {name: dict(some) for name, some in self.records.items()}, dict[str, str]()
        for node in graph.nodes:
            error = self._write_node(node, ids)
            if error is not None:
                self.records = defaultdict(dict, before)
                return GraphOutcome(graph.graph_id, False, errors=(error,))
        return GraphOutcome(graph.graph_id, True, ids)

    def _write_node(self, node: Node, ids: dict[str, str]) -> NodeError | None:
        sobject, *target = map(unquote, node.target.split("/"))
        given = (node.body or {}).items()
        body = {name: ids.get(value[2:-4], value) if _refers(value) else value for name, value in given}
        for known in (target[-1] if target else None, *(v for v in body.values() if isinstance(v, str))):
            if code := self._refuse.get(known or ""):
                return NodeError(node.reference_id, code, f"{code}, as the test asks", (), 400)
        if node.method == "POST" and self._has_key(sobject, body):
            return NodeError(node.reference_id, "DUPLICATE_VALUE", "duplicate value found", (), 400)
        record_id = self._target(sobject, node, target, body)
        ids[node.reference_id] = record_id
        self.records[sobject][record_id] = self.records[sobject].get(record_id, {}) | body
        return None

    def _has_key(self, sobject: str, body: Mapping[str, Any]) -> bool:
        keys = {(n, v) for n, v in body.items() if n.endswith("__c") and isinstance(v, str) and ":" in v}
        return any(keys & set(_texts(known)) for known in self.records[sobject].values())

    def _target(self, sobject: str, node: Node, target: Sequence[str], body: dict[str, Any]) -> str:
        if node.method == "POST":
            return self._new(sobject)
        if len(target) == 1:
            return target[0]
        field, value = target
        body[field] = value
        known = (record_id for record_id, there in self.records[sobject].items() if there.get(field) == value)
        return next(known, None) or self._new(sobject)

    def _new(self, sobject: str) -> str:
        self._made += 1
        record_id = f"{sobject[:3]}{self._made:015}"
        self._when[record_id] = self._now.isoformat()
        return record_id


@dataclass(frozen=True)
class JobRan:
    """What came of a run in memory."""

    results: Mapping[str, Result]
    decisions: Mapping[str, Decision]
    finish: Finish  # what ``finish`` got to read
    org: MemoryOrg

    def count(self, outcome: str) -> int:
        """Return how many records have this outcome: succeeded, skipped, failed."""
        return sum(result.outcome == outcome for result in self.results.values())


class _NoPause(Patience):
    """Waits for nothing: a test has no time."""

    def wait(self, fault: OrgUnreachable) -> None:
        """Return at once."""


def run_job(
    job: type[JobType[R]],
    records: Sequence[R],
    *,
    parameters: Mapping[str, str] | None = None,
    org: MemoryOrg | None = None,
    where: str = "",
    now: datetime = NOW,
    isolated: bool = False,
    query: Query | None = None,
) -> JobRan:
    """Run a job over these records in memory, from ``execute`` to the writes of ``finish``.

    ``isolated``: its code runs in a process of its own, as it does in a worker. So an exit, a loop or a leak costs only
    its record. Then the class has to be at the top of its module.

    ``query`` gives what ``context.query`` asks for: a class of rows and the clause -> the rows. Not if ``isolated``.

    Every page is decided twice. Raises AssertionError if the two differ, JobTypeError for a class that could not run,
    InvalidRequest for wrong parameters, Retry if the job raises it, and UserCodeFailed if ``finish`` fails.
    """
    check(job)
    given = list((parameters or {}).items())
    context = Context(JOB_ID, now, read.load(job.parameters, given), where)
    code = _Apart(job, Known(JOB_ID, now, given, where, dry_run=False)) if isolated else _Here(job, context, query)
    with contextlib.closing(code):
        return _run(job, records, context, code, org or MemoryOrg())


def _run(job: type[JobType[R]], records: Sequence[R], context: Context, code: _Here | _Apart, org: MemoryOrg) -> JobRan:
    decided: dict[str, Decision] = {}
    for start in range(0, len(records), job.page_size):
        page = records[start : start + job.page_size]
        first, second = (code.decide(page) for _ in range(2))
        different = [one.source for one, other in zip(first, second, strict=True) if one != other]
        if different:
            raise AssertionError(f"execute decided differently the second time: {', '.join(different[:5])}")
        decided |= {one.source: one for one in first}
    began = org.later()
    results = _write(org, list(decided.values()), context, began)
    counts = Counter(result.outcome for result in results.values())
    well = (one for one in decided.values() if results[one.source].outcome is Outcome.SUCCEEDED)
    totals: Mapping[tuple[str, str], Decimal] = summed(tally for one in well for tally in one.tallies)
    succeeded, skipped, failed = counts[Outcome.SUCCEEDED], counts[Outcome.SKIPPED], counts[Outcome.FAILED]
    finish = Finish(context, succeeded, skipped, failed, totals)
    last = code.finish(finish)
    if last.nodes:
        [written] = _write(org, [last], context, began).values()
        if written.outcome is Outcome.FAILED:
            raise deciding.UserCodeFailed("FINISH_FAILED", f"{written.code}: {written.message}")
    return JobRan(results, decided, finish, org)


def _no_org(row: type[Row], where: str) -> Sequence[Row]:
    raise QueryRefused(f"The job asks for {row.__name__} rows where {where}: give run_job a query")


@dataclass(frozen=True)
class _Here:
    """The job's code in the process of the test."""

    job: type[JobType[Any]]
    context: Context

    query: Query | None

    def decide(self, page: Sequence[Row]) -> list[Decision]:
        def attempt(places: Sequence[int]) -> list[Decision] | Broken:
            asking = replace(self.context, ask=limited(self.query or _no_org, self.job.queries_a_page))
            return deciding.attempt(self.job, [page[place] for place in places], asking)

        return deciding.decide([record.Id for record in page], attempt)

    def finish(self, finish: Finish) -> Decision:
        return deciding.finished(self.job, finish)

    def close(self) -> None:
        """Have nothing to end."""


class _Apart:
    """The job's code in a process of its own."""

    def __init__(self, job: type[JobType[Any]], known: Known) -> None:
        self._crew = Crew(1)
        self._apart, self._known = Apart(job, self._crew), known

    def decide(self, page: Sequence[Row]) -> list[Decision]:
        return self._apart.execute(self._known, [(record.Id, values(record)) for record in page])

    def finish(self, finish: Finish) -> Decision:
        sums = Sums(finish.succeeded, finish.skipped, finish.failed, as_tallies(finish.totals))
        return self._apart.finish(self._known, sums)

    def close(self) -> None:
        self._crew.stop()


def _write(org: MemoryOrg, decided: Sequence[Decision], context: Context, began: datetime) -> dict[str, Result]:
    """Return the result of each decision, after those that write have been written, 100 at a time."""
    found = {one.source: _unwritten(one) for one in decided if one.outcome != "write"}
    writing = [one for one in decided if one.outcome == "write"]
    for start in range(0, len(writing), 100):
        client: Any = org  # it has the methods of OrgClient that a writer calls
        writer = OwnWriter(
            client, context.job_id, began, go_on=lambda: None, slow_down=lambda _: None, patience=_NoPause()
        )
        writer.write(writing[start : start + 100])
        found |= writer.results
    return {one.source: found[one.source] for one in decided}


def _unwritten(one: Decision) -> Result:
    outcomes = {"counted": Outcome.SUCCEEDED, "skipped": Outcome.SKIPPED, "failed": Outcome.FAILED}
    return Result(one.source, outcomes[one.outcome], code=one.code, message=one.message)


def _refers(value: object) -> bool:
    return isinstance(value, str) and value.startswith("@{") and value.endswith(".id}")


def _texts(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in body.items() if isinstance(value, str))
