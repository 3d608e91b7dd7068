"""The values of pricing: frozen, each field explained. Money and quantities are Decimal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class OpportunityLine:
    """One OpportunityLineItem as read from the org."""

    id: str  # 18 characters, 00k...
    pricebook_entry_id: str
    product_code: str | None
    product_family: str | None
    quantity: Decimal
    unit_price: Decimal  # the sales price on the line, before our discount


@dataclass(frozen=True, slots=True)
class Opportunity:
    """One Opportunity with all its lines as read from the org."""

    id: str  # 18 characters, 006...
    name: str
    billing_country: str | None  # of its Account; None without an Account or without a country
    amount: Decimal | None
    close_date: date
    pricebook2_id: str | None
    lines: tuple[OpportunityLine, ...]
    decimals: int = 2  # of its currency


@dataclass(frozen=True, slots=True)
class PricedLine:
    """One QuoteLineItem before it is written."""

    opportunity_line_id: str
    pricebook_entry_id: str
    quantity: Decimal
    list_unit_price: Decimal  # the sales price on the Opportunity's line
    unit_price: Decimal  # priced, rounded to the currency's decimals
    discount: Decimal  # the fraction taken off: 0.10 is 10 %


@dataclass(frozen=True, slots=True)
class PricedQuote:
    """A Quote with its lines before it is written. ``opportunity_id`` is its key everywhere."""

    opportunity_id: str
    name: str
    pricebook2_id: str | None
    expiration_date: date
    lines: tuple[PricedLine, ...]
