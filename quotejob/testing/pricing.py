"""A pricing function in memory: no org, no Redis, no other process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quotejob.pricing import Rules, load_rules, price
from quotejob.pricing import model as priced_by_rules
from quotejob.pricing.model import PricedQuote
from quotejob.settings import ROOT
from quotejob.usercode.pricing.decided import Decided, applied
from quotejob.usercode.pricing.function import price_page, understood
from quotejob.usercode.pricing.opportunities import Opportunity, OpportunityLine


def run_pricing(
    function: Callable[..., Any], *deals: Opportunity, rules: Rules | None = None, decimals: int = 2
) -> list[PricedQuote | Decided]:
    """Return what a pricing function makes of each of these Opportunities, after the rules, as a job does it.

    A priced one is a Quote with rounded unit prices. Another one has ``outcome``, ``code`` and ``message``. ``rules``:
    without it those of pricing.yaml. ``decimals``: of the currency. Raises TypeError for wrong annotations.
    """
    book = load_rules(ROOT / "pricing.yaml") if rules is None else rules
    quotes = [price(_opportunity(deal, decimals), book) for deal in deals]
    made = price_page(understood(function), deals, quotes, lambda _: None)
    return [
        applied(one, quote, decimals) if one.outcome == "priced" else one
        for one, quote in zip(made, quotes, strict=True)
    ]


def _opportunity(deal: Opportunity, decimals: int) -> priced_by_rules.Opportunity:
    return priced_by_rules.Opportunity(
        id=deal.Id,
        name=deal.Name,
        billing_country=deal.country,
        amount=deal.Amount,
        close_date=deal.CloseDate,
        pricebook2_id=deal.Pricebook2Id,
        lines=tuple(_line(line) for line in deal.lines),
        decimals=decimals,
    )


def _line(line: OpportunityLine) -> priced_by_rules.OpportunityLine:
    return priced_by_rules.OpportunityLine(
        id=line.Id,
        pricebook_entry_id=line.PricebookEntryId,
        product_code=line.product_code,
        product_family=line.product_family,
        quantity=line.Quantity,
        unit_price=line.UnitPrice,
        discount=line.Discount,
        total_price=line.TotalPrice,
    )
