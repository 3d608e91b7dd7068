"""Price a page: read its Opportunities with all their lines, price them, and store the priced quotes.

An expected problem of one Opportunity is data in the page's receipt. Only a problem with the org itself is raised.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path

import structlog

from quotejob.errors import AnswerTooLarge
from quotejob.formats import in_columns
from quotejob.jobtypes.quotes import dry, packed, unknown
from quotejob.jobtypes.quotes.reading import read
from quotejob.jobtypes.quotes.writer import nodes, written
from quotejob.pricing import Rules, Unpriceable, load_rules, price, unknown_country
from quotejob.pricing.model import Opportunity, PricedQuote
from quotejob.run.context import Run
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.run.results import explained
from quotejob.run.waves import batched
from quotejob.salesforce import MAX_NODES
from quotejob.usercode.pricing.decided import applied
from quotejob.usercode.pricing.pricer import Pricer, pricer
from quotejob.usercode.rows import Column

# Pages of several queries that a process works on at a time. Each takes some MB, and more of them would not end sooner:
# the org writes their quotes more slowly than this.
_LARGE_ONES = threading.BoundedSemaphore(5)
EXPLAIN_LENGTH = "explain"  # a note of the job: how much text the field for reasons takes

log = structlog.get_logger()


def price_page(run: Run, wave: int, page: int) -> None:
    """Price one page. Twice, or at the same time, is harmless: the first receipt wins, with its quotes."""
    run.go_on()
    ids = run.progress.page(run.id, page)
    if len(ids) <= run.settings.page_size:
        _price_page(run, wave, page, ids)
        return
    with _LARGE_ONES:
        run.go_on()  # it may have waited for long
        _price_page(run, wave, page, ids)


def _price_page(run: Run, wave: int, page: int, ids: Sequence[str]) -> None:
    book = rules(run.settings.pricing_rules)
    quotes, results, found = _price_all(run, ids, book)
    own = pricer(run.settings)
    version = own.version if own else None
    reasons = explained.pack(quotes, version, columns=in_columns(wave)) if quotes else b""
    if run.settings.explain_field and (length := run.progress.note(run.id, EXPLAIN_LENGTH)):
        quotes = explained.into_field(quotes, run.settings.explain_field, int(length))
    countries = [unknown_country(found[quote.opportunity_id], book) for quote in quotes]
    unknown.note(run, page, [country for country in countries if country is not None])
    if run.job.after_dry_run is not None:
        quotes, changed = dry.without_changed(run, page, quotes)
        results += changed
    if run.job.dry_run:
        results += dry.planned(run, quotes, found, book)
        quotes = []
    if run.job.retry_of is not None:
        quotes, there = _without_written(run, quotes)
        results += there
    receipt = Receipt(
        str(page),
        tuple(results),
        to_write=len(quotes),
        api_calls=run.org.calls,
        explained=reasons,
        code_version=version,
    )
    run.record_page(wave, receipt, packed.pack(quotes) if quotes else b"")
    log.info(f"Priced a page of {len(ids)} Opportunities", wave=wave, page=page, **run.figures())


@cache
def rules(path: Path) -> Rules:
    """Return the pricing rules. They are read and checked once for each process, when a worker starts."""
    return load_rules(path)


def _price_all(
    run: Run, ids: Sequence[str], book: Rules
) -> tuple[list[PricedQuote], list[Result], dict[str, Opportunity]]:
    """Return the priced quotes, the results of the other records, and the Opportunities by id."""
    own = pricer(run.settings)
    quotes, results = [], []
    opportunities, too_large = _read(run, ids, book, own.about.columns if own else ())
    found = {opportunity.id: opportunity for opportunity in opportunities}
    for record_id in ids:
        outcome = too_large.get(record_id) or _price_one(found.get(record_id), record_id, book)
        if isinstance(outcome, Result):
            results.append(outcome)
        else:
            quotes.append(outcome)
    if own is not None:
        quotes, others = _by_function(own, found, quotes, run.settings.page_size)
        results += others
    return quotes, results, found


def _by_function(
    own: Pricer, found: Mapping[str, Opportunity], quotes: Sequence[PricedQuote], at_once: int
) -> tuple[list[PricedQuote], list[Result]]:
    """Return the quotes as the pricing function wants them, and the results of those that it skipped or failed for.

    ``at_once``: how many it gets at a time.
    """
    made = chain.from_iterable(
        own.price([(found[quote.opportunity_id].asked, quote) for quote in some]) for some in batched(quotes, at_once)
    )
    kept, results = [], []
    for quote, decided in zip(quotes, made, strict=True):
        opportunity = found[quote.opportunity_id]
        if decided.outcome == "priced":
            kept.append(applied(decided, quote, opportunity.decimals))
        else:
            outcome = Outcome(decided.outcome)
            result = Result(opportunity.id, outcome, None, decided.code, decided.message, opportunity.name)
            results.append(result)
    return kept, results


def _read(
    run: Run, ids: Sequence[str], book: Rules, asked: Sequence[Column]
) -> tuple[list[Opportunity], dict[str, Result]]:
    """Return the Opportunities, and the results of those that alone make an answer too large.

    If the answer for several is too large, they are read in halves.
    """
    try:
        return read(run, ids, book, asked), {}
    except AnswerTooLarge as reason:
        if len(ids) == 1:
            return [], {ids[0]: Result(ids[0], Outcome.FAILED, code=reason.code, message=reason.message)}
    log.info(f"The answer for {len(ids)} Opportunities is too large: reading them in halves")
    half = len(ids) // 2
    (first, alone), (second, more) = (_read(run, some, book, asked) for some in (ids[:half], ids[half:]))
    return first + second, alone | more


def _without_written(run: Run, quotes: Sequence[PricedQuote]) -> tuple[list[PricedQuote], list[Result]]:
    """Return the quotes of a retry that the org does not have, and the results of those that it has.

    A Quote is there if its answer was lost, or if another retry wrote it. The writer would find that out too, by a
    refusal of each; this costs a query for 100. It leaves large quotes to the writer: one may be there in part.
    """
    small = [quote.opportunity_id for quote in quotes if nodes(quote) <= MAX_NODES]
    found = written(run.org, run.job.key_id, small)
    left = [quote for quote in quotes if quote.opportunity_id not in found]
    return left, [Result(record_id, Outcome.SUCCEEDED, quote_id) for record_id, quote_id in found.items()]


def _price_one(opportunity: Opportunity | None, record_id: str, book: Rules) -> PricedQuote | Result:
    if opportunity is None:
        reason = "The Opportunity was deleted, or is no longer visible to the user, since the job was planned"
        return Result(record_id, Outcome.SKIPPED, code="NOT_FOUND", message=reason)
    if not opportunity.lines:
        reason = "The Opportunity has no line items"
        return Result(record_id, Outcome.SKIPPED, code="NO_LINES", message=reason, record_name=opportunity.name)
    try:
        return price(opportunity, book)
    except Unpriceable as refusal:
        code, name = refusal.code, opportunity.name
        return Result(record_id, Outcome.FAILED, code=code, message=refusal.message, record_name=name)
