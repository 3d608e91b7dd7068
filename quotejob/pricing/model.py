"""The values of pricing: frozen, each field explained. Money and quantities are Decimal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

Fields = Mapping[str, Any]  # names of fields with their values as the org writes them; numbers with a point are Decimal


@dataclass(frozen=True, slots=True)
class OpportunityLine:
    """One OpportunityLineItem as read from the org."""

    id: str  # 18 characters, 00k...
    pricebook_entry_id: str
    product_code: str | None
    product_family: str | None
    quantity: Decimal
    unit_price: Decimal | None  # the sales price on the line, before any discount
    discount: Decimal | None = None  # what the user agreed on the line, in percent: 10 is 10 %
    total_price: Decimal | None = None  # of the line, as the org has it
    copied: Fields = field(default_factory=dict)  # further fields of the Quote's line


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
    copied: Fields = field(default_factory=dict)  # further fields of the Quote


@dataclass(frozen=True, slots=True)
class PricedLine:
    """One QuoteLineItem before it is written."""

    opportunity_line_id: str
    pricebook_entry_id: str
    quantity: Decimal
    list_unit_price: Decimal  # the sales price on the Opportunity's line
    unit_price: Decimal  # priced, rounded to the currency's decimals
    discount: Decimal  # the fraction that our rules take off: 0.10 is 10 %
    line_discount: Decimal | None = None  # the line's own Discount, in percent: 10 is 10 %
    copied: Fields = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PricedQuote:
    """A Quote with its lines before it is written. ``opportunity_id`` is its key everywhere."""

    opportunity_id: str
    name: str
    pricebook2_id: str | None
    expiration_date: date
    lines: tuple[PricedLine, ...]
    copied: Fields = field(default_factory=dict)
