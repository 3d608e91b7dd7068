"""Job types of users' own for the fault runs, one for each kind of write: QUOTEJOB_JOBS names this module.

Opportunities and Accounts here are rows: each class has the name of its object.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from quotejob import Context, JobType, Row, Yielded, deletes, inserts, updates, upserts

KEY = "QuoteJobKey__c"


class Opportunity(Row, frozen=True, kw_only=True):
    """What the jobs that make something read."""

    Name: str


class Account(Row, frozen=True, kw_only=True):
    """What the jobs that change or delete something read."""

    Name: str


class Inserts(JobType[Opportunity]):
    """Makes an Opportunity of each."""

    writes = (inserts("Opportunity", key=KEY),)
    page_size = 3

    def execute(self, records: Sequence[Opportunity], context: Context) -> Iterator[Yielded]:
        """Decide a page."""
        for deal in records:
            yield deal.insert("Opportunity", Name="Made", StageName="New", CloseDate=context.today)
            yield deal.tally("made", 1)


class Family(JobType[Opportunity]):
    """Makes an Opportunity with two Quotes of each, in one unit."""

    writes = (inserts("Opportunity", key=KEY), inserts("Quote"))
    page_size = 3

    def execute(self, records: Sequence[Opportunity], context: Context) -> Iterator[Yielded]:
        """Decide a page."""
        for deal in records:
            parent = deal.insert("Opportunity", Name="Parent", StageName="New", CloseDate=context.today)
            yield parent
            yield deal.insert("Quote", Name="First", OpportunityId=parent)
            yield deal.insert("Quote", Name="Second", OpportunityId=parent)


class Upserts(JobType[Opportunity]):
    """Makes or changes one Opportunity for each, found by a key of its own."""

    writes = (upserts("Opportunity", KEY, "Name", "StageName", "CloseDate"),)
    page_size = 3

    def execute(self, records: Sequence[Opportunity], context: Context) -> Iterator[Yielded]:
        """Decide a page."""
        for deal in records:
            key, today = f"{context.job_id}:{deal.Id}", context.today
            yield deal.upsert("Opportunity", KEY, key, Name="Upserted", StageName="New", CloseDate=today)


class Updates(JobType[Account]):
    """Notes its id in each Account."""

    writes = (updates("Account", "Site"),)
    page_size = 3

    def execute(self, records: Sequence[Account], context: Context) -> Iterator[Yielded]:
        """Decide a page."""
        for account in records:
            yield account.update(Site=context.job_id)


class Deletes(JobType[Account]):
    """Deletes each Account."""

    writes = (deletes("Account"),)
    page_size = 3

    def execute(self, records: Sequence[Account], context: Context) -> Iterator[Yielded]:  # noqa: ARG002
        """Decide a page."""
        for account in records:
            yield account.delete()
