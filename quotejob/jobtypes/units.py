"""Write units of records into the org by composite graphs. A unit is written completely, or not at all.

A unit is what belongs to one record of a job: a Quote with its lines, or the writes of a user's own job.

* A request whose answer was lost is sent again. So every unit has something that makes a repeat harmless: a unique key,
  or writes that change nothing when they come again. ``DUPLICATE_VALUE`` may mean *already written*: the unit is looked
  up by its key and counts as a success.
* A refused graph names one bad record. Its unit has failed; the others of the graph are sent again, each alone.
* The org stops after 14 refused graphs. Then many records are bad, and all units that are left are sent together in a
  form that names each bad record: see :mod:`quotejob.salesforce.together`. So 1,000 bad records cost few requests.

Answers are matched by referenceId, never by position. The limits are those of the REST API guide, "Composite Graph
Limits".
"""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any, Generic, TypeVar

from quotejob.errors import OrgError, OrgRefused, OrgUnreachable
from quotejob.run.receipt import Result
from quotejob.salesforce import MAX_GRAPHS, MAX_NODES, Graph, GraphOutcome, Kind, Node, NodeError, OrgClient
from quotejob.salesforce.translate import UNEXPECTED_ANSWER, error_class

_MAX_SECONDS_OF_FAULTS = 60  # passing faults in a row, before a batch gives up for now
_LONGEST_PAUSE = 10  # seconds

# Codes with which an org refuses a record for good (SOAP API guide, StatusCode): sending it again changes nothing. A
# record that is refused with an unknown code is sent once more.
REFUSALS = frozenset(
    """
    APEX_DATA_ACCESS_RESTRICTION BAD_CUSTOM_ENTITY_PARENT_DOMAIN CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY
    CANNOT_EXECUTE_FLOW_TRIGGER DELETE_FAILED DUPLICATE_VALUE DUPLICATES_DETECTED DUPLICATE_EXTERNAL_ID
    ENTITY_IS_DELETED ENTITY_IS_LOCKED FIELD_CUSTOM_VALIDATION_EXCEPTION FIELD_FILTER_VALIDATION_EXCEPTION
    FIELD_INTEGRITY_EXCEPTION INACTIVE_OWNER_OR_USER INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY
    INSUFFICIENT_ACCESS_OR_READONLY INVALID_CROSS_REFERENCE_KEY INVALID_CURRENCY_ISO INVALID_FIELD
    INVALID_FIELD_FOR_INSERT_UPDATE INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST INVALID_TYPE INVALID_TYPE_ON_FIELD_IN_RECORD
    JSON_PARSER_ERROR MALFORMED_ID NOT_FOUND NUMBER_OUTSIDE_VALID_RANGE PROCESSING_HALTED REQUIRED_FIELD_MISSING
    STANDARD_PRICE_NOT_DEFINED STRING_TOO_LONG TRANSFER_REQUIRES_READ UNKNOWN_ENTITY VALIDATION_EXCEPTION
    """.split()  # noqa: SIM905 (a list is not easier to read)
)

# Refusals that may be due to the other records of the same graph: their triggers, limits and duplicates. Such a record
# gets a try of its own.
BY_COMPANY = frozenset(
    ("CANNOT_EXECUTE_FLOW_TRIGGER", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "DUPLICATE_VALUE", "DUPLICATES_DETECTED")
)
_MOST_REFUSED = 14  # graphs of one request; after one more the org stops

U = TypeVar("U")
Group = tuple[U, ...]  # the units of one graph


class UnitWriter(ABC, Generic[U]):
    """Writes the units of one batch. ``results``, by record id, grows as the org answers."""

    def __init__(
        self,
        org: OrgClient,
        *,
        go_on: Callable[[], None],
        slow_down: Callable[[float], None],
        patience: Patience | None = None,
    ) -> None:
        self._org = org
        self._go_on = go_on  # called before every request; raises JobStopped or LeaseLost
        self._slow_down = slow_down  # makes all workers of this org wait so many seconds before a request
        self._asked_again: set[str] = set()  # records that were sent once more: their refusal may not be final
        self._together = True  # sending units together names bad records; False after a try that named few
        self._patience = patience or Patience()
        self._passing: OrgUnreachable | None = None  # the fault that the last request met
        self.results: dict[str, Result] = {}

    # -- what a kind of units says of itself ---------------------------------------------------------------------------

    @abstractmethod
    def _record_of(self, unit: U) -> str:
        """Return the id of the record that the unit belongs to."""

    @abstractmethod
    def _size(self, unit: U) -> int:
        """Return the number of nodes that the unit needs."""

    @abstractmethod
    def _nodes(self, group: Sequence[U]) -> Iterator[Node]:
        """Yield the nodes of some units."""

    @abstractmethod
    def _references(self, unit: U) -> Iterable[str]:
        """Return the referenceIds of the unit's nodes."""

    @abstractmethod
    def _there(self, group: Sequence[U]) -> Mapping[str, Result]:
        """Ask the org which of these units it has already: record id -> the result of the record."""

    @abstractmethod
    def _written(self, unit: U, ids: Mapping[str, str]) -> Result:
        """Return the result of a unit that was written. ``ids``: those of the new records, by referenceId."""

    @abstractmethod
    def _refused(self, unit: U, error: NodeError) -> Result:
        """Return the result of a unit that the org refuses."""

    # -- the work ------------------------------------------------------------------------------------------------------

    def _write_units(self, groups: Iterable[Group[U]]) -> None:
        waiting = deque(groups)
        while waiting:
            self._go_on()
            request, known = self._take(waiting), len(self.results)
            outcomes = self._send(Graph(name, list(self._nodes(group))) for name, group in request.items())
            again = [left for name, group in request.items() for left in self._settle(group, outcomes.get(name))]
            waiting.extend(again)
            if any(outcome.not_run for outcome in outcomes.values()):
                waiting = deque(self._sift(waiting))
            if len(self.results) > known or len(again) > len(request):  # some are settled, or a group was split
                self._patience.renew()
            elif self._passing is None:
                self._passing = OrgUnreachable("The org ran none of the graphs it was sent")
            self._pause()

    def _send(self, graphs: Iterable[Graph]) -> dict[str, GraphOutcome]:
        """Try once. Returns {} if the answer was lost: the graphs may have been written or not, so send them again."""
        try:
            return self._org.send_graphs(graphs)
        except OrgUnreachable as fault:
            self._passing = fault
            return {}

    def _sift(self, waiting: Iterable[Group[U]]) -> list[Group[U]]:
        """Send all units together, those that are left again, as long as many are settled. Return the groups left."""
        groups = list(waiting)
        while self._together and groups and sum(map(self._size, chain(*groups))) <= MAX_NODES:
            self._go_on()
            everything, known = tuple(chain(*groups)), len(self.results)
            self._settle(everything, self._send_together(everything))
            groups = [left for group in groups if (left := self._left_of(group))]
            if self._passing is not None:
                break
            if len(self.results) - known <= _MOST_REFUSED:
                self._together = False
        return groups

    def _left_of(self, group: Group[U]) -> Group[U]:
        return tuple(unit for unit in group if self._record_of(unit) not in self.results)

    def _send_together(self, group: Group[U]) -> GraphOutcome | None:
        """Try once. Returns None if the answer was lost, so that all units may have been written, or none.

        And if the org does not take this form: graphs decide then, as they do without it.
        """
        try:
            return self._org.send_together(Graph("all", list(self._nodes(group))))
        except OrgUnreachable as fault:
            self._passing = fault
            self._together = fault.code != UNEXPECTED_ANSWER
        except OrgRefused:
            self._together = False
        return None

    def _pause(self) -> None:
        """Wait once after a request, however many of its graphs met a passing fault."""
        if self._passing is not None:
            self._slow_down(self._patience.pause)
            self._patience.wait(self._passing)
            self._passing = None

    def _settle(self, group: Group[U], outcome: GraphOutcome | None) -> list[Group[U]]:
        """Note the results of one graph. Returns the groups that must still be sent."""
        if outcome is None or outcome.not_run:
            return [group]
        if outcome.ok:
            for unit in group:
                self._note(self._written(unit, outcome.ids))
            return []
        error = worst(outcome.errors)
        if error.kind is Kind.RETRY:
            self._passing = raised(error)
            return [group]
        if error.kind is not Kind.RECORD:
            raise raised(error)
        return self._settle_refused(group, outcome.errors)

    def _settle_refused(self, group: Group[U], errors: Sequence[NodeError]) -> list[Group[U]]:
        """Settle a refused graph: units that are written already, and bad records. Returns the others, each alone."""
        duplicate = any(error.code == "DUPLICATE_VALUE" for error in errors)
        there = self._there(group) if duplicate else {}
        named = {error.reference_id: error for error in reversed(errors)}
        for unit in group:
            if (found := there.get(self._record_of(unit))) is not None:
                self._note(found)
            elif len(group) == 1:
                self._settle_alone(unit, worst(errors), unsure=duplicate)
            elif error := next((named[name] for name in self._references(unit) if name in named), None):
                self._settle_in_company(unit, error)
        return [(unit,) for unit in self._left_of(group)]

    def _settle_in_company(self, unit: U, error: NodeError) -> None:
        """Note the refusal of a unit that shared its graph with others, if it would come without these too."""
        if error.code in REFUSALS - BY_COMPANY:
            self._note(self._refused(unit, error))

    def _settle_alone(self, unit: U, error: NodeError, *, unsure: bool) -> None:
        """Note the refusal of a unit that was alone in its graph. An unsure one counts when it comes again.

        A duplicate that is not there is unsure: another transaction had written the key, and was rolled back.
        """
        record_id = self._record_of(unit)
        if (unsure or error.code not in REFUSALS) and record_id not in self._asked_again:
            self._asked_again.add(record_id)
            self._passing = raised(error, OrgUnreachable)
        else:
            self._note(self._refused(unit, error))

    def _note(self, result: Result) -> None:
        self.results[result.record_id] = result

    def _take(self, waiting: deque[Group[U]]) -> dict[str, Group[U]]:
        """Return the graphs of the next request: graph id -> its units."""
        request: dict[str, Group[U]] = {}
        filled = 0
        while waiting and len(request) < MAX_GRAPHS:
            filled += sum(map(self._size, waiting[0]))
            if filled > MAX_NODES:
                break
            request[f"g{len(request)}"] = waiting.popleft()
        return request


class Patience:
    """Pauses that grow, with jitter, while passing faults go on. Gives up after _MAX_SECONDS_OF_FAULTS."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew, because something succeeded."""
        self.pause, self._until = 0.25, time.monotonic() + _MAX_SECONDS_OF_FAULTS  # seconds

    def wait(self, fault: OrgUnreachable) -> None:
        """Sleep, or raise the fault if faults have gone on too long."""
        if time.monotonic() > self._until:
            raise fault
        time.sleep(self.pause * random.uniform(0.5, 1.5))
        self.pause = min(self.pause * 2, _LONGEST_PAUSE)


def spread(units: Sequence[U]) -> list[Group[U]]:
    """Return the units in as many groups as a request takes graphs, evenly filled: small graphs cost less to split."""
    count = min(MAX_GRAPHS, len(units))
    edges = [len(units) * place // count for place in range(count + 1)] if count else []
    return [tuple(units[start:end]) for start, end in pairwise(edges)]


def worst(errors: Sequence[NodeError]) -> NodeError:
    """Return the error that decides: first one to try again, then one a person must mend, then one of a record."""
    order = [Kind.RETRY, Kind.WAIT, Kind.GIVE_UP, Kind.RECORD]
    return min(errors, key=lambda error: order.index(error.kind))


def raised(error: NodeError, kind: type[OrgError] | None = None) -> Any:
    """Return the exception for a node's error; ``kind``: as one of this class."""
    kind = kind or error_class(error.code, error.message, error.http_status)
    return kind(error.message, code=error.code, fields=error.fields, http_status=error.http_status)
