"""Price a page: read its Opportunities with all their lines, price them, and store the priced quotes.

An expected problem of one Opportunity is data in the page's receipt. Only a problem with the org itself is raised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import structlog

from quotejob.jobtypes.quotes import packed
from quotejob.jobtypes.quotes.writer import nodes, written
from quotejob.pricing import Rules, Unpriceable, load_rules, price
from quotejob.pricing.model import Opportunity, OpportunityLine, PricedQuote
from quotejob.run.context import Run
from quotejob.run.receipt import Outcome, Receipt, Result
from quotejob.salesforce import MAX_NODES

log = structlog.get_logger()

_LINES = (
    "(SELECT Id, PricebookEntryId, Product2.ProductCode, Product2.Family, Quantity, UnitPrice "
    "FROM OpportunityLineItems ORDER BY Id)"
)


def price_page(run: Run, wave: int, page: int) -> None:
    """Price one page. Twice, or at the same time, is harmless: the first receipt wins, with its quotes."""
    run.go_on()
    ids = run.progress.page(run.id, page)
    quotes, results = _price_all(run, ids)
    if run.job.retry_of is not None:
        quotes, written = _without_written(run, quotes)
        results += written
    receipt = Receipt(str(page), tuple(results), to_write=len(quotes), api_calls=run.org.calls)
    run.progress.record_page(run.id, wave, receipt, packed.pack(quotes) if quotes else b"")
    log.info(f"Priced a page of {len(ids)} Opportunities", page=page)


def rules(path: Path) -> Rules:
    """Return the pricing rules. They are read and checked once for each process, when a worker starts."""
    return _rules(path)


def read(run: Run, ids: Sequence[str]) -> Iterator[Opportunity]:
    """Yield the Opportunities as they are now, with all their lines. Those that the user cannot see are left out."""
    decimals: dict[str, int] = orjson.loads(run.progress.note(run.id, "decimals") or "{}")
    currency = "CurrencyIsoCode, " if decimals else ""
    listed = ", ".join(f"'{record_id}'" for record_id in ids)
    found = run.org.query(
        f"SELECT Id, Name, Account.BillingCountry, Amount, CloseDate, {currency}Pricebook2Id, {_LINES} "
        f"FROM Opportunity WHERE Id IN ({listed})"
    )
    return (_opportunity(row, decimals) for row in found)


def _price_all(run: Run, ids: Sequence[str]) -> tuple[list[PricedQuote], list[Result]]:
    quotes, results, found = [], [], {opportunity.id: opportunity for opportunity in read(run, ids)}
    for record_id in ids:
        outcome = _price_one(found.get(record_id), record_id, rules(run.settings.pricing_rules))
        if isinstance(outcome, Result):
            results.append(outcome)
        else:
            quotes.append(outcome)
    return quotes, results


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
        return Result(record_id, Outcome.SKIPPED, code="NO_LINES", message="The Opportunity has no line items")
    try:
        return price(opportunity, book)
    except Unpriceable as reason:
        return Result(record_id, Outcome.FAILED, code=reason.code, message=reason.message)


def _opportunity(row: Mapping[str, Any], decimals: Mapping[str, int]) -> Opportunity:
    return Opportunity(
        id=row["Id"],
        name=row["Name"],
        billing_country=(row["Account"] or {}).get("BillingCountry"),
        amount=None if row["Amount"] is None else Decimal(row["Amount"]),
        close_date=date.fromisoformat(row["CloseDate"]),
        pricebook2_id=row["Pricebook2Id"],
        lines=tuple(_line(line) for line in row["OpportunityLineItems"] or ()),
        decimals=decimals.get(row.get("CurrencyIsoCode", ""), 2),
    )


def _line(row: Mapping[str, Any]) -> OpportunityLine:
    product = row["Product2"] or {}
    return OpportunityLine(
        id=row["Id"],
        pricebook_entry_id=row["PricebookEntryId"],
        product_code=product.get("ProductCode"),
        product_family=product.get("Family"),
        quantity=Decimal(row["Quantity"]),
        unit_price=Decimal(row["UnitPrice"]),
    )


@cache
def _rules(path: Path) -> Rules:
    return load_rules(path)
