"""Write quotes into the org by composite graphs, each exactly once.

* A Quote is inserted with a unique key. A graph is written completely or not at all, so the key protects its lines too.
* How requests are sent, refused and sent again is the same for all units of records: :mod:`quotejob.jobtypes.units`.
* A quote with more lines than one request holds needs several requests; see :meth:`Writer._write_large`.

The referenceIds are the ids of the Opportunity and of its lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from quotejob.errors import OrgUnreachable
from quotejob.jobtypes import key_field
from quotejob.jobtypes.units import REFUSALS, Group, UnitWriter, raised, spread, worst
from quotejob.pricing import opportunity_name
from quotejob.pricing.model import PricedLine, PricedQuote
from quotejob.run.receipt import Outcome, Result
from quotejob.run.waves import batched
from quotejob.salesforce import MAX_NODES, Graph, Kind, Node, NodeError, OrgClient

__all__ = ["REFUSALS", "Writer", "key_of", "lines_there", "nodes", "written"]

_MAX_IDS_PER_QUERY = 400  # the URI of a query takes 16 KiB


def nodes(quote: PricedQuote) -> int:
    """Return the number of composite graph nodes that the quote needs."""
    return 1 + len(quote.lines)


def key_of(key_id: str, record_id: str) -> str:
    """Return the unique key of a Quote, by its Opportunity, or of a line of a large quote. ``key_id``: Job.key_id."""
    return f"{key_id}:{record_id}"


def written(org: OrgClient, key_id: str, opportunity_ids: Sequence[str]) -> dict[str, str]:
    """Return the Quotes with a job's keys that the org has for these Opportunities: Opportunity id -> Quote id."""
    found: dict[str, str] = {}
    for some in batched(opportunity_ids, _MAX_IDS_PER_QUERY):
        ids = ",".join(f"'{record_id}'" for record_id in some)
        mine = f"{key_field.NAME} LIKE '{key_id}:%'"
        rows = org.query(f"SELECT Id, OpportunityId FROM Quote WHERE OpportunityId IN ({ids}) AND {mine}")
        with org.reading("the ids of the Quotes"):
            found |= {row["OpportunityId"]: row["Id"] for row in rows}
    return found


def lines_there(org: OrgClient, quote_ids: Sequence[str]) -> dict[str, set[str]]:
    """Return which lines of Opportunities the org has as lines of these Quotes: Quote id -> ids of these lines."""
    found: dict[str, set[str]] = {}
    for some in batched(quote_ids, _MAX_IDS_PER_QUERY):
        ids = ",".join(f"'{quote_id}'" for quote_id in some)
        rows = org.query(f"SELECT QuoteId, OpportunityLineItemId FROM QuoteLineItem WHERE QuoteId IN ({ids})")
        with org.reading("the lines of the Quotes"):
            for row in rows:
                found.setdefault(row["QuoteId"], set()).add(row["OpportunityLineItemId"])
    return found


def quote_body(quote: PricedQuote, key: str) -> dict[str, Any]:
    """Return the fields of the new Quote."""
    return {
        **quote.copied,
        "Name": quote.name,
        "OpportunityId": quote.opportunity_id,
        "Pricebook2Id": quote.pricebook2_id,
        "ExpirationDate": quote.expiration_date.isoformat(),
        key_field.NAME: key,
    }


def line_body(line: PricedLine, quote_id: str) -> dict[str, Any]:
    """Return the fields of a new line of a Quote, without a key."""
    body = {
        **line.copied,
        "QuoteId": quote_id,
        "PricebookEntryId": line.pricebook_entry_id,
        "OpportunityLineItemId": line.opportunity_line_id,
        "Quantity": line.quantity,
        "UnitPrice": line.unit_price,
    }
    return body if line.line_discount is None else body | {"Discount": line.line_discount}


class Writer(UnitWriter[PricedQuote]):
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
        super().__init__(org, go_on=go_on, slow_down=slow_down)
        self._job_id = job_id  # the one in the keys: Job.key_id
        self._note_large = note_large  # notes a large quote as incomplete: its Opportunity, and its id when it is known
        self._keyed = False  # lines get keys of their own: only those of large quotes do

    def write(self, quotes: Sequence[PricedQuote]) -> None:
        """Write all quotes. Raises what go_on raises, OrgUnreachable if the org stays away, OrgClosed, OrgExhausted."""
        self._write_graphs(spread([quote for quote in quotes if nodes(quote) <= MAX_NODES]))
        for quote in quotes:
            if nodes(quote) > MAX_NODES:
                self._write_large(quote)

    def _write_graphs(self, groups: Iterable[Group[PricedQuote]], *, keyed: bool = False) -> None:
        self._keyed = keyed
        self._write_units(groups)

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
            self._note(Result(quote.opportunity_id, Outcome.SUCCEEDED, begun.quote_id))
        else:
            self._org.delete("Quote", begun.quote_id)
            self._note(self._refused(quote, refusal))

    def _complete(self, quote: PricedQuote, quote_id: str) -> NodeError | None:
        """Send the lines that the org does not have yet, until it has all. Returns its error if it refuses one."""
        while missing := self._missing(quote, quote_id):
            self._go_on()
            lines = [self._line_node(line, quote_id, keyed=True) for line in missing[:MAX_NODES]]
            outcome = self._send([Graph("lines", lines)]).get("lines")
            if outcome is not None and outcome.ok:
                self._patience.renew()
            elif outcome is not None:
                error = worst(outcome.errors)
                if error.kind is Kind.RECORD and error.code != "DUPLICATE_VALUE":
                    return error
                if error.kind in (Kind.WAIT, Kind.GIVE_UP):
                    raise raised(error)
                self._passing = raised(error, OrgUnreachable)  # another writer's lines are seen the next time
            self._pause()
        return None

    def is_complete(self, quote: PricedQuote, quote_id: str) -> bool:
        """Return whether the org has all lines of the quote."""
        return nodes(quote) <= MAX_NODES or not self._missing(quote, quote_id)

    def _missing(self, quote: PricedQuote, quote_id: str) -> list[PricedLine]:
        """Return the lines that the org does not have."""
        have = lines_there(self._org, [quote_id]).get(quote_id, set())
        return [line for line in quote.lines if line.opportunity_line_id not in have]

    # -- what a quote is as a unit -------------------------------------------------------------------------------------

    def _record_of(self, unit: PricedQuote) -> str:
        return unit.opportunity_id

    def _size(self, unit: PricedQuote) -> int:
        return nodes(unit)

    def _references(self, unit: PricedQuote) -> Iterator[str]:
        yield unit.opportunity_id
        yield from (line.opportunity_line_id for line in unit.lines)

    def _nodes(self, group: Sequence[PricedQuote]) -> Iterator[Node]:
        for quote in group:
            yield Node(quote.opportunity_id, "POST", "Quote", quote_body(quote, self._key(quote.opportunity_id)))
            for line in quote.lines:
                yield self._line_node(line, f"@{{{quote.opportunity_id}.id}}", keyed=self._keyed)

    def _there(self, group: Sequence[PricedQuote]) -> Mapping[str, Result]:
        found = written(self._org, self._job_id, [quote.opportunity_id for quote in group])
        return {record_id: Result(record_id, Outcome.SUCCEEDED, quote_id) for record_id, quote_id in found.items()}

    def _written(self, unit: PricedQuote, ids: Mapping[str, str]) -> Result:
        return Result(unit.opportunity_id, Outcome.SUCCEEDED, ids[unit.opportunity_id])

    def _refused(self, unit: PricedQuote, error: NodeError) -> Result:
        return Result(
            unit.opportunity_id,
            Outcome.FAILED,
            code=error.code,
            message=error.message,
            record_name=opportunity_name(unit.name),
        )

    def _line_node(self, line: PricedLine, quote_id: str, *, keyed: bool) -> Node:
        key = {key_field.NAME: self._key(line.opportunity_line_id)} if keyed else {}
        return Node(line.opportunity_line_id, "POST", "QuoteLineItem", line_body(line, quote_id) | key)

    def _key(self, record_id: str) -> str:
        return key_of(self._job_id, record_id)
