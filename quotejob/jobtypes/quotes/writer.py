"""Write quotes into the org by composite graphs, each exactly once.

* A Quote is inserted with a unique key. A graph is written completely or not at all, so the key protects its lines too.
* A request whose answer was lost is sent again. ``DUPLICATE_VALUE`` then means *already written*: the quote is looked
  up by its key and counts as a success.
* A refused graph of several quotes is split, so that one bad record fails only its own quote. Graphs that the org did
  not run (it stops after 14 failures) are sent again.
* A quote with more lines than one request holds needs several requests; see :meth:`Writer._write_large`.

Answers are matched by the id of the Opportunity or of the line, which is the referenceId, never by position. The limits
are those of the REST API guide, "Composite Graph Limits".
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from quotejob.errors import OrgError, OrgUnreachable
from quotejob.jobtypes import key_field
from quotejob.pricing import opportunity_name
from quotejob.pricing.model import PricedLine, PricedQuote
from quotejob.run.receipt import Outcome, Result
from quotejob.salesforce import MAX_GRAPHS, MAX_NODES, Graph, GraphOutcome, Kind, Node, NodeError, OrgClient
from quotejob.salesforce.translate import error_class

_MAX_KEYS_PER_QUERY = 100  # the URI of a query takes 16 KiB
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

Group = tuple[PricedQuote, ...]  # the quotes of one graph


def nodes(quote: PricedQuote) -> int:
    """Return the number of composite graph nodes that the quote needs."""
    return 1 + len(quote.lines)


def key_of(key_id: str, record_id: str) -> str:
    """Return the unique key of a Quote, by its Opportunity, or of a line of a large quote. ``key_id``: Job.key_id."""
    return f"{key_id}:{record_id}"


def written(org: OrgClient, key_id: str, opportunity_ids: Sequence[str]) -> dict[str, str]:
    """Return the Quotes with a job's keys that the org has for these Opportunities: Opportunity id -> Quote id."""
    found: dict[str, str] = {}
    for start in range(0, len(opportunity_ids), _MAX_KEYS_PER_QUERY):
        some = opportunity_ids[start : start + _MAX_KEYS_PER_QUERY]
        keys = ", ".join(f"'{key_of(key_id, record_id)}'" for record_id in some)
        rows = org.query(f"SELECT Id, OpportunityId FROM Quote WHERE {key_field.NAME} IN ({keys})")
        with org.reading("the ids of the Quotes"):
            found |= {row["OpportunityId"]: row["Id"] for row in rows}
    return found


class Writer:
    """Writes the quotes of one batch. ``results``, by Opportunity id, grows as the org answers."""

    def __init__(
        self,
        org: OrgClient,
        job_id: str,
        *,
        go_on: Callable[[], None],
        slow_down: Callable[[float], None],
        note_large: Callable[[str, str | None], None],
    ) -> None:
        self._org = org
        self._job_id = job_id  # the one in the keys: Job.key_id
        self._go_on = go_on  # called before every request; raises JobStopped or LeaseLost
        self._slow_down = slow_down  # makes all workers of this org wait so many seconds before a request
        self._note_large = note_large  # notes a large quote as incomplete: its Opportunity, and its id when it is known
        self._asked_again: set[str] = set()  # Opportunities that were sent once more: their refusal may not be final
        self._patience = _Patience()
        self._passing: OrgUnreachable | None = None  # the fault that the last request met
        self.results: dict[str, Result] = {}

    def write(self, quotes: Sequence[PricedQuote]) -> None:
        """Write all quotes. Raises what go_on raises, OrgUnreachable if the org stays away, OrgClosed, OrgExhausted."""
        self._write_graphs(_spread([quote for quote in quotes if nodes(quote) <= MAX_NODES]))
        for quote in quotes:
            if nodes(quote) > MAX_NODES:
                self._write_large(quote)

    def _write_graphs(self, groups: Iterable[Group], *, keyed: bool = False) -> None:
        waiting = deque(groups)
        while waiting:
            self._go_on()
            request, known = _take(waiting), len(self.results)
            graphs = [Graph(name, list(self._nodes(group, keyed=keyed))) for name, group in request.items()]
            outcomes = self._send(graphs)
            again = [left for name, group in request.items() for left in self._settle(group, outcomes.get(name))]
            waiting.extend(again)
            if len(self.results) > known or len(again) > len(request):  # some are settled, or a group was split
                self._patience.renew()
            elif self._passing is None:
                self._passing = OrgUnreachable("The org ran none of the graphs it was sent")
            self._pause()

    def _send(self, graphs: Sequence[Graph]) -> dict[str, GraphOutcome]:
        """Try once. Returns {} if the answer was lost: the graphs may have been written or not, so send them again."""
        try:
            return self._org.send_graphs(graphs)
        except OrgUnreachable as fault:
            self._passing = fault
            return {}

    def _pause(self) -> None:
        """Wait once after a request, however many of its graphs met a passing fault."""
        if self._passing is not None:
            self._slow_down(self._patience.pause)
            self._patience.wait(self._passing)
            self._passing = None

    def _settle(self, group: Group, outcome: GraphOutcome | None) -> list[Group]:
        """Note the results of one graph. Returns the groups that must still be sent."""
        if outcome is None or outcome.not_run:
            return [group]
        if outcome.ok:
            for quote in group:
                self._succeeded(quote, outcome.ids[quote.opportunity_id])
            return []
        error = _worst(outcome.errors)
        if error.kind is Kind.RETRY:
            self._passing = _raised(error)
            return [group]
        if error.kind is not Kind.RECORD:
            raise _raised(error)
        duplicate = any(each.code == "DUPLICATE_VALUE" for each in outcome.errors)
        return self._settle_refused(group, error, duplicate=duplicate)

    def _settle_refused(self, group: Group, error: NodeError, *, duplicate: bool) -> list[Group]:
        """Settle a refused graph: quotes that are written already, one bad record, or a group to split."""
        ids = [quote.opportunity_id for quote in group]
        there = written(self._org, self._job_id, ids) if duplicate else {}
        for quote in group:
            if quote.opportunity_id in there:
                self._succeeded(quote, there[quote.opportunity_id])
        if not there and len(group) == 1:
            # A duplicate that is not there: another transaction had written the key, and was rolled back.
            unsure = duplicate or error.code not in REFUSALS
            if unsure and group[0].opportunity_id not in self._asked_again:
                self._asked_again.add(group[0].opportunity_id)
                self._passing = _raised(error, OrgUnreachable)
                return [group]
            self._failed(group[0], error)
            return []
        return [(quote,) for quote in group if quote.opportunity_id not in there]

    def _write_large(self, quote: PricedQuote) -> None:
        """Write a quote whose lines need several requests.

        The first graph holds the Quote with its key and as many lines as fit. Then the org is asked which lines it has
        (OpportunityLineItemId tells them apart), and the missing ones are sent, until none is missing. Each line has a
        unique key of its own, so a lost answer, a killed process or two writers at once do no harm. A quote with a line
        that the org refuses is deleted again. If the job ends before the quote is complete, its note remains, and
        :mod:`tasks.clean_up` removes the quote.
        """
        self._note_large(quote.opportunity_id, None)
        self._write_graphs([(replace(quote, lines=quote.lines[: MAX_NODES - 1]),)], keyed=True)
        begun = self.results.pop(quote.opportunity_id)
        if begun.quote_id is None:
            self.results[quote.opportunity_id] = begun
            return
        self._note_large(quote.opportunity_id, begun.quote_id)
        refusal = self._complete(quote, begun.quote_id)
        if refusal is None:
            self._succeeded(quote, begun.quote_id)
        else:
            self._org.delete("Quote", begun.quote_id)
            self._failed(quote, refusal)

    def _complete(self, quote: PricedQuote, quote_id: str) -> NodeError | None:
        """Send the lines that the org does not have yet, until it has all. Returns its error if it refuses one."""
        while missing := self._missing(quote, quote_id):
            self._go_on()
            lines = [self._line_node(line, quote_id, keyed=True) for line in missing[:MAX_NODES]]
            outcome = self._send([Graph("lines", lines)]).get("lines")
            if outcome is not None and outcome.ok:
                self._patience.renew()
            elif outcome is not None:
                error = _worst(outcome.errors)
                if error.kind is Kind.RECORD and error.code != "DUPLICATE_VALUE":
                    return error
                if error.kind in (Kind.WAIT, Kind.GIVE_UP):
                    raise _raised(error)
                self._passing = _raised(error, OrgUnreachable)  # another writer's lines are seen the next time
            self._pause()
        return None

    def is_complete(self, quote: PricedQuote, quote_id: str) -> bool:
        """Return whether the org has all lines of the quote."""
        return nodes(quote) <= MAX_NODES or not self._missing(quote, quote_id)

    def _missing(self, quote: PricedQuote, quote_id: str) -> list[PricedLine]:
        """Return the lines that the org does not have."""
        rows = self._org.query(f"SELECT OpportunityLineItemId FROM QuoteLineItem WHERE QuoteId = '{quote_id}'")
        with self._org.reading("the lines of the Quote"):
            have = {row["OpportunityLineItemId"] for row in rows}
        return [line for line in quote.lines if line.opportunity_line_id not in have]

    def _nodes(self, group: Group, *, keyed: bool = False) -> Iterator[Node]:
        for quote in group:
            yield Node(quote.opportunity_id, "POST", "Quote", self._quote_body(quote))
            for line in quote.lines:
                yield self._line_node(line, f"@{{{quote.opportunity_id}.id}}", keyed=keyed)

    def _quote_body(self, quote: PricedQuote) -> dict[str, Any]:
        return {
            **quote.copied,
            "Name": quote.name,
            "OpportunityId": quote.opportunity_id,
            "Pricebook2Id": quote.pricebook2_id,
            "ExpirationDate": quote.expiration_date.isoformat(),
            "Status": "Draft",
            key_field.NAME: self._key(quote.opportunity_id),
        }

    def _line_node(self, line: PricedLine, quote_id: str, *, keyed: bool) -> Node:
        body = {
            **line.copied,
            "QuoteId": quote_id,
            "PricebookEntryId": line.pricebook_entry_id,
            "OpportunityLineItemId": line.opportunity_line_id,
            "Quantity": line.quantity,
            "UnitPrice": line.unit_price,
        }
        if line.line_discount is not None:
            body["Discount"] = line.line_discount
        key = {key_field.NAME: self._key(line.opportunity_line_id)} if keyed else {}
        return Node(line.opportunity_line_id, "POST", "QuoteLineItem", body | key)

    def _key(self, record_id: str) -> str:
        return key_of(self._job_id, record_id)

    def _succeeded(self, quote: PricedQuote, quote_id: str) -> None:
        self.results[quote.opportunity_id] = Result(quote.opportunity_id, Outcome.SUCCEEDED, quote_id)

    def _failed(self, quote: PricedQuote, error: NodeError) -> None:
        self.results[quote.opportunity_id] = Result(
            quote.opportunity_id,
            Outcome.FAILED,
            code=error.code,
            message=error.message,
            record_name=opportunity_name(quote.name),
        )


class _Patience:
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


def _spread(quotes: Sequence[PricedQuote]) -> list[Group]:
    """Return the quotes in as many groups as a request takes graphs, evenly filled: small graphs cost less to split."""
    count = min(MAX_GRAPHS, len(quotes))
    edges = [len(quotes) * place // count for place in range(count + 1)] if count else []
    return [tuple(quotes[start:end]) for start, end in pairwise(edges)]


def _take(waiting: deque[Group]) -> dict[str, Group]:
    """Return the graphs of the next request: graph id -> its quotes."""
    request: dict[str, Group] = {}
    filled = 0
    while waiting and len(request) < MAX_GRAPHS:
        filled += sum(nodes(quote) for quote in waiting[0])
        if filled > MAX_NODES:
            break
        request[f"g{len(request)}"] = waiting.popleft()
    return request


def _worst(errors: Sequence[NodeError]) -> NodeError:
    """Return the error that decides: first one to try again, then one a person must mend, then one of a record."""
    order = [Kind.RETRY, Kind.WAIT, Kind.GIVE_UP, Kind.RECORD]
    return min(errors, key=lambda error: order.index(error.kind))


def _raised(error: NodeError, kind: type[OrgError] | None = None) -> Any:
    kind = kind or error_class(error.code, error.message, error.http_status)
    return kind(error.message, code=error.code, fields=error.fields, http_status=error.http_status)
