"""A dry run of a Quote job: what would be written, as results. And after it: what is not what was seen.

The fingerprint of a decision is made of all that would be written for the record. Whatever the reason, if another
Quote would be written than the one that was seen, it has another fingerprint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, localcontext

from quotejob.jobtypes import foreseen
from quotejob.jobtypes.foreseen import Fields, Write
from quotejob.jobtypes.quotes import packed
from quotejob.jobtypes.quotes.writer import line_body, quote_body
from quotejob.pricing import Rules, opportunity_name
from quotejob.pricing.model import Opportunity, PricedLine, PricedQuote
from quotejob.pricing.rules import EXACT, region_name
from quotejob.run.context import Run
from quotejob.run.dry_runs import changed
from quotejob.run.receipt import Outcome, Planned, PlannedQuote, Result
from quotejob.usercode.writes import Verb

FINGERPRINT_BYTES = 8


def planned(run: Run, quotes: Iterable[PricedQuote], found: Mapping[str, Opportunity], book: Rules) -> list[Result]:
    """Return the results of quotes that are not written. ``found``: their Opportunities, by id.

    Those that the org will refuse, as far as it is known, have failed.
    """
    known = foreseen.kept(run, ("Quote", "QuoteLineItem"))
    return [_refused(quote, known) or _planned(quote, found[quote.opportunity_id], book) for quote in quotes]


def without_changed(run: Run, page: int, quotes: Sequence[PricedQuote]) -> tuple[list[PricedQuote], list[Result]]:
    """Return the quotes of a page that the dry run has shown just so, and the results of the others."""
    seen = run.progress.seen(run.id, page)
    same, others = [], []
    for quote in quotes:
        if seen.get(quote.opportunity_id) == fingerprint(quote):
            same.append(quote)
        else:
            shown = quote.opportunity_id in seen
            others.append(changed(quote.opportunity_id, quote.name, shown=shown))
    return same, others


def fingerprint(quote: PricedQuote) -> str:
    """Return the fingerprint of what would be written, as hexadecimal digits."""
    return hashlib.blake2b(packed.row(quote), digest_size=FINGERPRINT_BYTES).hexdigest()


def _refused(quote: PricedQuote, known: Mapping[str, Fields]) -> Result | None:
    refused = foreseen.refusal(known, _writes(quote))
    if refused is None:
        return None
    name = opportunity_name(quote.name)
    return Result(quote.opportunity_id, Outcome.FAILED, code=refused[0], message=refused[1], record_name=name)


def _writes(quote: PricedQuote) -> Iterator[Write]:
    yield Verb.INSERT, "Quote", quote_body(quote, "a key")
    yield from ((Verb.INSERT, "QuoteLineItem", line_body(line, quote.opportunity_id)) for line in quote.lines)


def _planned(quote: PricedQuote, opportunity: Opportunity, book: Rules) -> Result:
    with localcontext(EXACT):
        shown = _shown(quote, opportunity, book)
    writes = [("insert", "Quote", 1), ("insert", "QuoteLineItem", len(quote.lines))]
    what = Planned(fingerprint(quote), writes, shown)
    return Result(quote.opportunity_id, Outcome.PLANNED, record_name=opportunity.name, planned=what)


def _shown(quote: PricedQuote, opportunity: Opportunity, book: Rules) -> PlannedQuote:
    groups: dict[Decimal, list[PricedLine]] = {}
    for line in quote.lines:
        groups.setdefault(line.discount, []).append(line)
    step = Decimal(1).scaleb(-opportunity.decimals)
    discounts = [
        (f"{(100 * fraction).normalize():f}", len(lines), str(_list_total(lines, step)), str(_net_total(lines, step)))
        for fraction, lines in sorted(groups.items())
    ]
    money = quote.copied.get("CurrencyIsoCode")
    return PlannedQuote(
        name=quote.name,
        lines=len(quote.lines),
        list_total=str(_list_total(quote.lines, step)),
        net_total=str(_net_total(quote.lines, step)),
        currency=None if money is None else str(money),
        region=region_name(opportunity, book),
        discounts=discounts,
    )


def _list_total(lines: Iterable[PricedLine], step: Decimal) -> Decimal:
    return sum(((line.quantity * line.list_unit_price).quantize(step) for line in lines), Decimal(0).quantize(step))


def _net_total(lines: Iterable[PricedLine], step: Decimal) -> Decimal:
    """Return what the lines cost: the discount that the user agreed on a line is taken off by the org itself."""
    return sum(
        ((line.quantity * line.unit_price * (100 - (line.line_discount or 0)) / 100).quantize(step) for line in lines),
        Decimal(0).quantize(step),
    )
