"""Commit a wave by two jobs of Bulk API 2.0: one inserts its Quotes, the next their lines.

Each Quote and each line has its unique key, and a line points to its Quote by ``Quote.QuoteJobKey__c``. Results are
matched by these keys. A wave costs about a dozen calls, however many quotes it has. Between the two jobs its Quotes are
in the org without lines. So the batch is noted as incomplete before its first job, and the receipt ends the note.

What the two jobs do not settle is settled as graphs do it (:mod:`writer`), after what is there in part was removed.
That are rows which met a passing fault, or which the org had from before, or did not reach.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

import structlog

from quotejob.errors import OrgClosed, OrgRefused
from quotejob.jobs.job import CommitBy
from quotejob.jobtypes import key_field
from quotejob.jobtypes.batches import records
from quotejob.jobtypes.bulk_jobs import Checkpoint, reason, show_life
from quotejob.jobtypes.quotes import commit, packed
from quotejob.jobtypes.quotes.writer import Writer, key_of, line_body, lines_there, quote_body, written
from quotejob.jobtypes.units import BY_COMPANY, REFUSALS, raised
from quotejob.pricing import opportunity_name
from quotejob.pricing.model import PricedLine, PricedQuote
from quotejob.run.bulk_speed import Looks
from quotejob.run.context import Run
from quotejob.run.incomplete import WAVE, IncompleteQuote
from quotejob.run.leases import Lease
from quotejob.run.receipt import Outcome, Result, lost
from quotejob.run.waves import batched
from quotejob.salesforce import IngestResult, Kind, kind_of

LEAST = 2  # quotes of a wave: a single one is written by a graph
AT_ONCE = 400  # quotes that are settled together: their ids are in the URI of one query
DELETED_AT_ONCE = 200  # Collections: records of one request
PARENT = f"Quote.{key_field.NAME}"
NULL = "#N/A"  # in a file of Bulk API 2.0: no value

Refusals = dict[str, tuple[str, str]]  # Opportunity -> code and message
log = structlog.get_logger()


def takes(run: Run, wave: int, batch: int) -> bool:
    """Return whether the batch is written by Bulk: the first of a wave; large quotes have batches of their own."""
    if run.job.commit_by is not CommitBy.BULK or batch != 0:
        return False
    return sum(map(len, run.progress.batch(run.id, wave, batch).values())) >= LEAST


def write_batch(run: Run, wave: int, batch: int) -> None:
    """Write the batch. Twice is harmless: the ids of the Bulk jobs are kept, and every row has a unique key.

    Raises JobStopped if the job has ended; then :func:`settle` settles the batch.
    """
    if batch in run.progress.written_units(run.id, wave):
        return
    run.go_on()
    work = _Wave(run, wave, batch, run.go_on)
    work.note()
    work.write()
    work.record()


def give_up_batch(run: Run, wave: int, batch: int) -> None:
    """Settle a batch that has ended its worker again and again: whole Quotes are succeeded, the rest failed."""
    work = _Wave(run, wave, batch, run.go_on)
    work.note()
    work.stop()
    for record_id in work.undecided():
        work.results[record_id] = lost(record_id)
    work.record()


def settle(run: Run, note: IncompleteQuote, lease: Lease) -> None:
    """Settle a batch of a job that has ended: whole Quotes are recorded, the others removed. Twice is harmless."""
    work = _Wave(run, *note.batch, lease.go_on)
    if work.wanted:
        work.stop()
        work.record(whole=False)


class _Wave:
    """The work on one batch. ``results``, by Opportunity id, grows as the org answers."""

    def __init__(self, run: Run, wave: int, batch: int, go_on: Callable[[], None]) -> None:
        self._run, self._wave, self._go_on = run, wave, go_on
        self._unit = f"{wave}.{batch}"
        self.wanted, self._parts = records.undecided(run, wave, batch)
        self._sizes = {
            record_id: lines
            for page in self._pages()
            for record_id, lines in packed.sizes(run.progress.priced(run.id, page) or packed.NOTHING)
            if record_id in self.wanted
        }
        self.results: dict[str, Result] = {}

    def note(self) -> None:
        """Note that Quotes of this batch may be incomplete in the org from now on."""
        self._run.progress.incomplete.note(self._run.job, self._unit, self._record, WAVE)

    def record(self, *, whole: bool = True) -> None:
        """Store the receipt of the batch, which ends its note; or that of a part, if the job has ended."""
        unit = self._unit if whole else f"{self._unit}.{self._parts}"
        receipt = records.receipt_of(unit, self.results, self.wanted, self._run.org.calls if whole else 0)
        note = (self._run.job.key_id, self._record, WAVE) if whole else None
        self._run.record_batch(self._wave, receipt, whole=whole, incomplete=note)

    def undecided(self) -> list[str]:
        """Return the Opportunities without a result."""
        return [record_id for record_id in self.wanted if record_id not in self.results]

    def write(self) -> None:
        """Write all quotes, until each has its result."""
        try:
            quotes = self._ingest("Quote", self._quote_rows(), len(self.wanted))
            ids = _ids_of(quotes)
            lines = self._ingest("QuoteLineItem", self._line_rows(ids), self._lines_of(ids))
        except OrgRefused as refused:
            raise OrgClosed(
                f"The org does not take jobs of Bulk API 2.0: {refused.message} Let the user use it, or send the job "
                "with commitBy graph",
                code=refused.code,
                http_status=refused.http_status,
            ) from refused
        self._note_whole(ids, lines)
        refusals = _refusals(quotes, "OpportunityId") | _refusals(lines, PARENT)
        for some in batched(self.undecided(), AT_ONCE):
            self._mend(some, ids, refusals)

    def stop(self) -> None:
        """Stop the Bulk jobs. Note the Quotes that are whole, and remove all others."""
        quotes, lines = (
            self._run.org.stop_ingest(self._checkpoint(name).load()) for name in ("Quote", "QuoteLineItem")
        )
        self._note_whole(_ids_of(quotes), lines)
        for some in batched(self.undecided(), AT_ONCE):
            self._settle_there(self._quotes(some))

    # -- the two jobs --------------------------------------------------------------------------------------------------

    def _ingest(self, name: str, rows: Iterator[dict[str, str]], count: int) -> IngestResult:
        """Write rows, about ``count`` of them, or continue the jobs of an earlier try."""
        alive = show_life(self._run)

        def look(processed: int, failed: int) -> None:
            alive(processed, failed)
            self._go_on()

        log.info(f"Writing {count} {name} rows with Bulk API 2.0")
        speed = self._run.leases.bulk_speed(self._run.job.org_id, name)
        done = self._run.org.ingest(
            name,
            "insert",
            rows,
            self._columns(name),
            checkpoint=self._checkpoint(name),
            on_look=look,
            pauses=Looks(count, speed.expected(count)),
        )
        if done.seconds is not None and done.records_processed:
            speed.note(done.records_processed, done.seconds)
        for error in done.errors:
            log.warning(f"Bulk API 2.0 stopped a job for {name}; graphs write what is left: {error}")
        return done

    def _checkpoint(self, name: str) -> Checkpoint:
        return Checkpoint(self._run, f"bulk:{name}:{self._unit}.{self._parts}")

    def _columns(self, name: str) -> list[str]:
        """Return the columns of a file: those of every record, and what is copied into any of them."""
        every, one = (_QUOTE_COLUMNS, _copied_to_quote) if name == "Quote" else (_LINE_COLUMNS, _copied_to_lines)
        return list(dict.fromkeys(chain(every, chain.from_iterable(one(quote) for quote in self._stored()))))

    def _quote_rows(self) -> Iterator[dict[str, str]]:
        bodies = (quote_body(quote, self._key(quote.opportunity_id)) for quote in self._stored())
        return (_row(body) for body in bodies if _fits(body))

    def _line_rows(self, ids: Collection[str]) -> Iterator[dict[str, str]]:
        for quote in self._stored():
            if quote.opportunity_id in ids:
                bodies = [self._line_body(line, quote.opportunity_id) for line in quote.lines]
                yield from map(_row, bodies) if all(map(_fits, bodies)) else ()

    def _line_body(self, line: PricedLine, opportunity_id: str) -> dict[str, Any]:
        key = self._key(line.opportunity_line_id)
        return line_body(line, "") | {PARENT: self._key(opportunity_id), key_field.NAME: key}

    def _stored(self) -> Iterator[PricedQuote]:
        """Yield the priced quotes, one page after the other. So memory does not grow with the wave."""
        for page in self._pages():
            stored = self._run.progress.priced(self._run.id, page)
            yield from packed.unpack(stored, self.wanted) if stored else ()

    def _pages(self) -> list[int]:
        return sorted(set(self.wanted.values()))

    # -- what became of the rows ---------------------------------------------------------------------------------------

    def _note_whole(self, ids: Mapping[str, str], lines: IngestResult) -> None:
        """Note the Quotes that were written with all their lines."""
        if lines.records_failed or lines.errors or lines.records_processed != self._lines_of(ids):
            there = Counter(_opportunity(row[PARENT]) for row in lines.succeeded())
            ids = {record_id: ids[record_id] for record_id in ids if there[record_id] == self._sizes.get(record_id)}
        for record_id, quote_id in ids.items():
            self.results[record_id] = Result(record_id, Outcome.SUCCEEDED, quote_id)

    def _lines_of(self, ids: Collection[str]) -> int:
        return sum(self._sizes.get(record_id, 0) for record_id in ids)

    def _mend(self, some: Sequence[str], ids: Mapping[str, str], refusals: Refusals) -> None:
        """Settle quotes that the two jobs did not: refused ones are removed, the others are written by graphs."""
        quotes = self._quotes(some)
        for record_id in some:
            if record_id in refusals:
                code, message = refusals[record_id]
                name = opportunity_name(quotes[record_id].name)
                self.results[record_id] = Result(record_id, Outcome.FAILED, None, code, message, name)
        self._delete([ids[record_id] for record_id in some if record_id in refusals and record_id in ids])
        left = {record_id: quote for record_id, quote in quotes.items() if record_id not in refusals}
        self._settle_there(left)
        writer = self._writer()
        writer.write([quote for record_id, quote in left.items() if record_id not in self.results])
        self.results |= writer.results

    def _settle_there(self, quotes: Mapping[str, PricedQuote]) -> None:
        """Note the Quotes of these that the org has with all lines, and remove those that it has in part."""
        self._go_on()
        there = written(self._run.org, self._run.job.key_id, list(quotes))
        lines = lines_there(self._run.org, list(there.values()))
        parts = []
        for record_id, quote_id in there.items():
            if {line.opportunity_line_id for line in quotes[record_id].lines} == lines.get(quote_id, set()):
                self.results[record_id] = Result(record_id, Outcome.SUCCEEDED, quote_id)
            else:
                parts.append(quote_id)
        self._delete(parts)

    def _delete(self, quote_ids: Sequence[str]) -> None:
        for some in batched(quote_ids, DELETED_AT_ONCE):
            self._go_on()
            for error in self._run.org.delete_many(some).values():
                if error is not None:
                    raise raised(error)

    def _quotes(self, wanted: Sequence[str]) -> dict[str, PricedQuote]:
        page_of = {record_id: self.wanted[record_id] for record_id in wanted}
        return {quote.opportunity_id: quote for quote in commit.quotes(self._run, page_of)}

    def _writer(self) -> Writer:
        run = self._run
        return Writer(run.org, run.job.key_id, go_on=self._go_on, slow_down=run.slow_down, note_large=_no_large)

    def _key(self, record_id: str) -> str:
        return key_of(self._run.job.key_id, record_id)

    @property
    def _record(self) -> str:
        return IncompleteQuote.of_batch(self._run.id, self._unit)


_QUOTE_COLUMNS = ("Name", "OpportunityId", "Pricebook2Id", "ExpirationDate", key_field.NAME)
_LINE_COLUMNS = (
    PARENT,
    "PricebookEntryId",
    "OpportunityLineItemId",
    "Quantity",
    "UnitPrice",
    "Discount",
    key_field.NAME,
)


def _copied_to_quote(quote: PricedQuote) -> Collection[str]:
    return quote.copied


def _copied_to_lines(quote: PricedQuote) -> Collection[str]:
    return [name for line in quote.lines for name in line.copied]


def _no_large(opportunity_id: str, _quote_id: str | None) -> None:
    raise ValueError(f"the quote of {opportunity_id} is too large for a batch by Bulk")


def _row(body: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in body.items()}


def _text(value: Any) -> str:
    match value:
        case None | "":  # as a graph writes both; an empty cell would leave the field to its default
            return NULL
        case bool():
            return str(value).lower()
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)


def _fits(body: Mapping[str, Any]) -> bool:
    """Return whether a file can hold the record: it has no way to say the text that stands for no value."""
    return NULL not in body.values()


def _ids_of(quotes: IngestResult) -> dict[str, str]:
    """Return the new Quotes: Opportunity -> Quote."""
    return {_opportunity(row[key_field.NAME]): row["sf__Id"] for row in quotes.succeeded()}


def _refusals(done: IngestResult, column: str) -> Refusals:
    """Return why rows were refused for good, by Opportunity. What may be due to other rows is not among them."""
    found: Refusals = {}
    for row in done.failed() if done.records_failed else ():
        code, message = reason(row)
        if code in REFUSALS - BY_COMPANY and kind_of(code, message) is Kind.RECORD:
            found.setdefault(_opportunity(row[column]), (code, message))
    return found


def _opportunity(key: str) -> str:
    """Return the Opportunity in the key of its Quote, or as it is."""
    return key.rpartition(":")[2]
