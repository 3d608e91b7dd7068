"""Price a page: read its Opportunities with all their lines, price them, and store the priced quotes.

An expected problem of one Opportunity is data in the page's receipt. Only a problem with the org itself is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import structlog

from quotejob.jobtypes.quotes import packed, unknown
from quotejob.jobtypes.quotes.reading import read
from quotejob.jobtypes.quotes.writer import nodes, written
from quotejob.pricing import Rules, Unpriceable, load_rules, price, unknown_country
from quotejob.pricing.model import Opportunity, PricedQuote
from quotejob.run.context import Run
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.salesforce import MAX_NODES

log = structlog.get_logger()


def price_page(run: Run, wave: int, page: int) -> None:
    """Price one page. Twice, or at the same time, is harmless: the first receipt wins, with its quotes."""
    run.go_on()
    ids = run.progress.page(run.id, page)
    quotes, results, unknown_countries = _price_all(run, ids)
    unknown.note(run, page, unknown_countries)
    if run.job.retry_of is not None:
        quotes, there = _without_written(run, quotes)
        results += there
    receipt = Receipt(str(page), tuple(results), to_write=len(quotes), api_calls=run.org.calls)
    run.progress.record_page(run.id, wave, receipt, packed.pack(quotes) if quotes else b"")
    log.info(f"Priced a page of {len(ids)} Opportunities", page=page)


@cache
def rules(path: Path) -> Rules:
    """Return the pricing rules. They are read and checked once for each process, when a worker starts."""
    return load_rules(path)


def _price_all(run: Run, ids: Sequence[str]) -> tuple[list[PricedQuote], list[Result], list[str]]:
    """Return the priced quotes, the results of the other records, and the country of each that is not recognised."""
    book = rules(run.settings.pricing_rules)
    quotes, results, found = [], [], {opportunity.id: opportunity for opportunity in read(run, ids, book)}
    for record_id in ids:
        outcome = _price_one(found.get(record_id), record_id, book)
        if isinstance(outcome, Result):
            results.append(outcome)
        else:
            quotes.append(outcome)
    countries = [unknown_country(found[quote.opportunity_id], book) for quote in quotes]
    return quotes, results, [country for country in countries if country is not None]


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
