"""The values of pricing: frozen, each field explained. Money and quantities are Decimal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    asked: Sequence[Any] = ()  # what a pricing function of users wants to know, in the order of its columns


@dataclass(frozen=True, slots=True)
class PricedLine:
    """One QuoteLineItem before it is written. Its methods give a changed one, with the reason for it."""

    opportunity_line_id: str
    pricebook_entry_id: str
    quantity: Decimal
    list_unit_price: Decimal  # the sales price on the Opportunity's line
    unit_price: Decimal  # priced, rounded to the currency's decimals
    discount: Decimal  # the fraction that our rules take off: 0.10 is 10 %
    line_discount: Decimal | None = None  # the line's own Discount, in percent: 10 is 10 %
    copied: Fields = field(default_factory=dict)
    reasons: tuple[str, ...] = field(default=(), compare=False)  # which rule or function gave what, in order
    fields: Fields = field(default_factory=dict, compare=False)  # that a pricing function sets

    def at(self, unit_price: Decimal, reason: str) -> PricedLine:
        """Give it another unit price. It is rounded to the currency's decimals when all is done."""
        return replace(self, unit_price=unit_price, reasons=(*self.reasons, reason))

    def less(self, percent: Decimal | int, reason: str) -> PricedLine:
        """Take some percent off the unit price as it is: ``less(5, "gold account")``."""
        price = self.unit_price * (100 - percent) / 100
        return replace(self, unit_price=price, reasons=(*self.reasons, f"{percent} % {reason}"))

    def discounted(self, percent: Decimal, reason: str) -> PricedLine:
        """Give it another Discount, in percent. The org takes that off the unit price: 10 is 10 %."""
        return replace(self, line_discount=percent, reasons=(*self.reasons, f"Discount {percent} %: {reason}"))

    def with_fields(self, **values: Any) -> PricedLine:
        """Set further fields of the Quote's line."""
        return replace(self, fields={**self.fields, **values})


@dataclass(frozen=True, slots=True)
class PricedQuote:
    """A Quote with its lines before it is written. ``opportunity_id`` is its key everywhere."""

    opportunity_id: str
    name: str
    pricebook2_id: str | None
    expiration_date: date
    lines: tuple[PricedLine, ...]
    copied: Fields = field(default_factory=dict)
    fields: Fields = field(default_factory=dict, compare=False)  # that a pricing function sets

    def each(self, change: Callable[[PricedLine], PricedLine]) -> PricedQuote:
        """Return the same Quote with every line changed so."""
        return replace(self, lines=tuple(change(line) for line in self.lines))

    def with_fields(self, **values: Any) -> PricedQuote:
        """Set further fields of the Quote."""
        return replace(self, fields={**self.fields, **values})
