"""The rows that a pricing function gets: what quotejob reads of every Opportunity. Subclasses ask for more.

::

    class Deal(Opportunity, frozen=True, kw_only=True):
        tier: str | None = path("Account.Tier__c", default=None)
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import ClassVar

from quotejob.usercode.rows import Row, children, path


class OpportunityLine(Row, frozen=True, kw_only=True):
    """A line of an Opportunity, with what pricing reads of its product."""

    sobject: ClassVar[str] = "OpportunityLineItem"
    PricebookEntryId: str = ""
    Quantity: Decimal = Decimal(1)
    UnitPrice: Decimal | None = None  # the sales price, before any discount
    Discount: Decimal | None = None  # in percent: 10 is 10 %
    TotalPrice: Decimal | None = None
    product_code: str | None = path("Product2.ProductCode", default=None)
    product_family: str | None = path("Product2.Family", default=None)


class Opportunity(Row, frozen=True, kw_only=True):
    """An Opportunity with all its lines. Every attribute but ``Id`` may be left out in a test."""

    sobject: ClassVar[str] = "Opportunity"
    Name: str = "An Opportunity"
    CloseDate: date = date(2030, 1, 31)
    Amount: Decimal | None = None
    Pricebook2Id: str | None = None
    country: str | None = path("Account.BillingCountry", default=None)
    lines: tuple[OpportunityLine, ...] = children("OpportunityLineItems")
