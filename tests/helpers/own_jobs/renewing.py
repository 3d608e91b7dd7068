"""Job types whose requests are counted: one that makes and changes records, one that deletes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from marshmallow import Schema, fields

from quotejob import Context, Finish, JobType, Row, Write, Yielded, children, deletes, inserts, path, updates


class OpportunityLineItem(Row, frozen=True, kw_only=True):
    PricebookEntryId: str
    Quantity: Decimal
    UnitPrice: Decimal


class Opportunity(Row, frozen=True, kw_only=True):
    AccountId: str | None
    Pricebook2Id: str | None
    country: str | None = path("Account.BillingCountry")
    lines: tuple[OpportunityLineItem, ...] = children("OpportunityLineItems")


class Parameters(Schema):
    stage = fields.String(load_default="Prospecting")


class Renewing(JobType[Opportunity]):
    """Makes an Opportunity for each that has lines, with these lines."""

    parameters = Parameters
    writes = (
        inserts("Opportunity", key="QuoteJobKey__c"), inserts("OpportunityLineItem"), updates("Opportunity", "NextStep")
    )  # fmt: skip

    def execute(self, records: Sequence[Opportunity], context: Context) -> Iterator[Yielded]:
        for one in records:
            if not one.lines:
                continue
            new = one.insert(
                "Opportunity", Name=f"Of {one.country}", AccountId=one.AccountId, Pricebook2Id=one.Pricebook2Id,
                StageName=context.parameters["stage"], CloseDate=context.today,
            )  # fmt: skip
            yield new
            for line in one.lines:
                entry, quantity, price = line.PricebookEntryId, line.Quantity, line.UnitPrice
                yield one.insert(
                    "OpportunityLineItem", OpportunityId=new, PricebookEntryId=entry, Quantity=quantity, UnitPrice=price
                )
            yield one.update(NextStep="Renewed")

    def finish(self, finish: Finish) -> Iterator[Write]:
        name = f"{finish.succeeded} renewed"
        yield finish.insert("Opportunity", Name=name, StageName="New", CloseDate=finish.context.today)


class Sweeping(JobType[Opportunity]):
    """Deletes."""

    writes = (deletes("Opportunity"),)

    def execute(self, records: Sequence[Opportunity], context: Context) -> Iterator[Yielded]:
        return (one.delete() for one in records)
