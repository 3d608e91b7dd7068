"""Write the decisions of users' own jobs into the org, each record's unit exactly once.

What makes a repeat harmless depends on the write:

* An insert of the unit has a unique key, and the graph hangs on it: see :mod:`quotejob.jobtypes.units`.
* An update sets absolute values. An upsert goes by a unique external id.
* Deletes come last, one object after the other, in requests of their own. A record that is deleted already is done.
  They are repeatable, but not all or none: a graph that deletes parents before children fails, and their order in a
  graph can only be set by references, which a delete does not give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from quotejob.errors import OrgUnreachable
from quotejob.jobtypes.units import Patience, UnitWriter, raised, spread
from quotejob.run.receipt import Outcome, Result
from quotejob.salesforce import Kind, Node, NodeError, OrgClient
from quotejob.salesforce.together import MAX_ROWS as MAX_DELETES
from quotejob.usercode import decisions
from quotejob.usercode.decisions import At, Decision, Num, Wire
from quotejob.usercode.writes import Verb

ALREADY_THERE = "ALREADY_THERE"
PARTLY_DONE = "PARTLY_DONE"
MAX_KEYS_PER_QUERY = 50  # keys of 255 characters, in a URI of 16 KiB
_METHODS = {Verb.INSERT: "POST", Verb.UPDATE: "PATCH", Verb.UPSERT: "PATCH"}


@dataclass(frozen=True, slots=True)
class Unit:
    """The writes of one record. ``number`` is its place in the batch, for its referenceIds."""

    number: int
    decision: Decision

    @property
    def changes(self) -> list[decisions.Node]:
        """All writes but deletes."""
        return [node for node in self.decision.nodes if node.verb is not Verb.DELETE]

    @property
    def deletes(self) -> list[decisions.Node]:
        """The deletes, in the order in which they are done."""
        return [node for node in self.decision.nodes if node.verb is Verb.DELETE]

    def reference(self, place: int) -> str:
        """Return the referenceId of the write at a place of the unit."""
        return f"u{self.number}n{place}"


class OwnWriter(UnitWriter[Unit]):
    """Writes the decisions of one batch. ``results``, by record id, grows as the org answers."""

    def __init__(
        self,
        org: OrgClient,
        key_id: str,
        began: datetime,
        *,
        go_on: Callable[[], None],
        slow_down: Callable[[float], None],
        patience: Patience | None = None,
    ) -> None:
        super().__init__(org, go_on=go_on, slow_down=slow_down, patience=patience)
        self._key_id = key_id  # Job.key_id, in the keys that we give
        self._began = began.replace(microsecond=0)  # by the org: what has a user's key and is older was there before
        self._half: dict[str, Result] = {}  # records whose deletes are still to come: what they will be then

    def write(self, decided: Sequence[Decision]) -> None:
        """Write all decisions. Raises what go_on raises, OrgUnreachable if the org stays away, OrgClosed and others."""
        units = [Unit(number, decision) for number, decision in enumerate(decided)]
        changing = [unit for unit in units if unit.changes]
        self._together = all(node.verb is Verb.INSERT for unit in changing for node in unit.changes)
        self._write_units(spread(changing))
        self._delete([unit for unit in units if unit.deletes])

    def already(self, decided: Sequence[Decision]) -> None:
        """Note the results of those units that can be found in the org by a key: nothing is written."""
        units = [Unit(number, decision) for number, decision in enumerate(decided)]
        self.results.update(self._there([unit for unit in units if not unit.deletes]))

    # -- deletes -------------------------------------------------------------------------------------------------------

    def _delete(self, units: Sequence[Unit]) -> None:
        """Delete what the units delete, if their other writes are done: all records of one object, then of the next."""
        doing = {unit.decision.source: unit for unit in units if self._may_delete(unit)}
        self._half = {source: self.results.pop(source, self._deleted(unit)) for source, unit in doing.items()}
        done: dict[str, int] = dict.fromkeys(doing, 0)
        objects = dict.fromkeys(node.sobject for unit in doing.values() for node in unit.deletes)
        for sobject in objects:
            wanted = [
                (source, str(node.target))
                for source, unit in doing.items()
                for node in unit.deletes
                if node.sobject == sobject and source in self._half
            ]
            refused = self._delete_all(list(dict.fromkeys(target for _, target in wanted)))
            for source, target in wanted:
                if target not in refused:
                    done[source] += 1
                elif source in self._half:
                    del self._half[source]
                    self._note(self._stopped(doing[source], refused[target], done[source]))
        for result in self._half.values():
            self._note(result)

    def _may_delete(self, unit: Unit) -> bool:
        result = self.results.get(unit.decision.source)
        return not unit.changes or (result is not None and result.outcome is Outcome.SUCCEEDED)

    def _deleted(self, unit: Unit) -> Result:
        return Result(unit.decision.source, Outcome.SUCCEEDED)

    def _delete_all(self, ids: Sequence[str]) -> dict[str, NodeError]:
        """Delete the records. Return those that the org refuses to delete, with its errors."""
        refused: dict[str, NodeError] = {}
        waiting = list(ids)
        while waiting:
            self._go_on()
            some, waiting = waiting[:MAX_DELETES], waiting[MAX_DELETES:]
            again = self._try_delete(some, refused)
            if len(again) < len(some):
                self._patience.renew()
            waiting += again
            self._pause()
        return refused

    def _try_delete(self, some: Sequence[str], refused: dict[str, NodeError]) -> list[str]:
        """Try once. Note what is refused for good; return what has to be sent again."""
        try:
            outcomes = self._org.delete_many(some)
        except OrgUnreachable as fault:
            self._passing = fault
            return list(some)
        again = []
        for record_id, error in outcomes.items():
            if error is None:
                continue
            if error.kind not in (Kind.RETRY, Kind.RECORD):
                raise raised(error)
            if error.kind is Kind.RETRY:
                self._passing = raised(error)
                again.append(record_id)
            else:
                refused[record_id] = error
        return again

    def _stopped(self, unit: Unit, error: NodeError, deleted: int) -> Result:
        """Return the result of a record of which a delete was refused after other writes were done."""
        done, count = len(unit.changes) + deleted, len(unit.decision.nodes)
        if not done:
            return self._refused(unit, error)
        message = f"{done} of {count} writes were done, then the org refused a delete: {error.code}: {error.message}"
        return Result(unit.decision.source, Outcome.FAILED, code=PARTLY_DONE, message=message)

    # -- what a decision is as a unit ----------------------------------------------------------------------------------

    def _record_of(self, unit: Unit) -> str:
        return unit.decision.source

    def _size(self, unit: Unit) -> int:
        return len(unit.changes)

    def _references(self, unit: Unit) -> Iterator[str]:
        return (unit.reference(place) for place in range(len(unit.decision.nodes)))

    def _nodes(self, group: Sequence[Unit]) -> Iterator[Node]:
        for unit in group:
            for place, node in enumerate(unit.changes):
                body = {name: self._value(unit, value) for name, value in node.body.items()}
                if node.verb is Verb.INSERT and node.by is not None:
                    body[node.by] = self._key(unit, node)
                yield Node(unit.reference(place), _METHODS[node.verb], _target(node), body)

    def _value(self, unit: Unit, value: Wire) -> Any:
        if isinstance(value, At):
            return f"@{{{unit.reference(value.node)}.id}}"
        return Decimal(value.text) if isinstance(value, Num) else value

    def _key(self, unit: Unit, node: decisions.Node) -> str:
        return node.target or f"{self._key_id}:{unit.decision.source}"

    def _written(self, unit: Unit, ids: Mapping[str, str]) -> Result:
        first = unit.changes[0]
        written = ids.get(unit.reference(0)) or (first.target if first.verb is Verb.UPDATE else None)
        return Result(unit.decision.source, Outcome.SUCCEEDED, other_id=written)

    def _refused(self, unit: Unit, error: NodeError) -> Result:
        return Result(unit.decision.source, Outcome.FAILED, code=error.code, message=error.message)

    def _there(self, group: Sequence[Unit]) -> Mapping[str, Result]:
        """Look the units up by their keys. One with a user's key may have been there before the job: it is skipped."""
        keyed = [
            (unit, node) for unit in group for node in unit.changes if node.verb is Verb.INSERT and node.by is not None
        ]
        places: dict[tuple[str, str], list[str]] = {}
        for unit, node in keyed:
            places.setdefault((node.sobject, str(node.by)), []).append(self._key(unit, node))
        have = {place: self._by_key(*place, keys) for place, keys in places.items()}
        found: dict[str, Result] = {}
        for unit, node in keyed:
            row = have[node.sobject, str(node.by)].get(self._key(unit, node).casefold())
            if row is not None and unit.decision.source not in found:
                found[unit.decision.source] = self._found(unit, node, row)
        return found

    def _by_key(self, sobject: str, field: str, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the records that have one of these keys in this field, by key in lower case."""
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(keys), MAX_KEYS_PER_QUERY):
            listed = ", ".join(_quoted(key) for key in keys[start : start + MAX_KEYS_PER_QUERY])
            rows = self._org.query(f"SELECT Id, {field}, CreatedDate FROM {sobject} WHERE {field} IN ({listed})")
            with self._org.reading("the records with these keys"):
                found |= {row[field].casefold(): row for row in rows}
        return found

    def _found(self, unit: Unit, node: decisions.Node, row: Mapping[str, Any]) -> Result:
        source, record_id = unit.decision.source, row["Id"]
        with self._org.reading("when a record was made"):
            before = node.target is not None and datetime.fromisoformat(row["CreatedDate"]) < self._began
        if before:
            said = f"{node.sobject} {record_id} with this key was made before this job"
            return Result(source, Outcome.SKIPPED, code=ALREADY_THERE, message=said, other_id=record_id)
        return Result(source, Outcome.SUCCEEDED, other_id=record_id)


def _target(node: decisions.Node) -> str:
    """Return what is below sobjects/ in a node's address."""
    if node.verb is Verb.INSERT:
        return node.sobject
    if node.verb is Verb.UPSERT:
        return f"{node.sobject}/{node.by}/{quote(str(node.target), safe='')}"
    return f"{node.sobject}/{node.target}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
