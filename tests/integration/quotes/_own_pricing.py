"""Pricing functions as users write them, good ones and bad ones. What happens to an Opportunity goes by its Name."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from quotejob import Opportunity, OpportunityLine, PricedQuote, Skip, children, path


class DealLine(OpportunityLine, frozen=True, kw_only=True):
    color: str | None = path("Color__c", default=None)


class Deal(Opportunity, frozen=True, kw_only=True):
    region: str | None = path("Region__c", default=None)
    industry: str | None = path("Account.Industry", default=None)
    lines: tuple[DealLine, ...] = children("OpportunityLineItems")


class Rich(Opportunity, frozen=True, kw_only=True):
    tier: str | None = path("Account.Tier__c", default=None)
    floor: Decimal | None = path("Floor__c", default=None)


class NeverEmpty(Opportunity, frozen=True, kw_only=True):
    region: str = path("Region__c")


def price(deal: Deal, priced: PricedQuote) -> PricedQuote | Skip:
    """5 % less for gold, as the region says; the line's colour goes along."""
    if deal.region == "Blocked":
        return deal.skip("the account is blocked")
    if deal.region == "Bad":
        raise ValueError("no price for this region")
    colors = {line.Id: line.color for line in deal.lines}
    return priced.each(
        lambda line: line.less(5, "gold account").with_fields(Color__c=colors[line.opportunity_line_id])
    ).with_fields(Region__c=deal.region, Seats__c=Decimal("1.5"))


def reads_much(deal: Rich, priced: PricedQuote) -> PricedQuote:
    return priced


def never_empty(deal: NeverEmpty, priced: PricedQuote) -> PricedQuote:
    return priced


def _leak() -> None:
    hoard = []
    while True:
        hoard.append(bytearray(1 << 24))


def _loop() -> None:
    while True:
        pass


def _fail() -> None:
    raise ValueError("no such price")


HARM: dict[str, Callable[[], Any]] = {
    "exit": lambda: os._exit(7),
    "crash": lambda: ctypes.string_at(0),
    "leak": _leak,
    "loop": _loop,
    "raise": _fail,
}


def nasty(deal: Opportunity, priced: PricedQuote) -> PricedQuote:
    if deal.Name in HARM:
        HARM[deal.Name]()
    if deal.Name == "nonsense":
        return {"price": 7}  # type: ignore[return-value]
    return priced


def nasty_page(deals: Sequence[Opportunity], priced: Sequence[PricedQuote]) -> Sequence[PricedQuote]:
    return [nasty(deal, quote) for deal, quote in zip(deals, priced, strict=True)]


def empty(deal: Opportunity, priced: PricedQuote) -> PricedQuote:
    """Fields are set to nothing."""
    return priced.each(lambda line: line.with_fields(Color__c=None, Shade__c="")).with_fields(Origin__c=None, Way__c="")


def nothing(deal: Opportunity, priced: PricedQuote) -> None:
    return None


def no_types(deal, priced):  # type: ignore[no-untyped-def]
    return priced
