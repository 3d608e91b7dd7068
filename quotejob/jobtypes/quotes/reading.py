"""Read Opportunities with all their lines, as pricing needs them and with the fields that the rules copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from functools import partial
from itertools import chain
from typing import Any

import orjson

from quotejob.errors import OrgClosed, OrgRefused
from quotejob.pricing import Rules
from quotejob.pricing.fields import Source, Sources, values
from quotejob.pricing.model import Opportunity, OpportunityLine
from quotejob.run.context import Run
from quotejob.run.waves import batched
from quotejob.salesforce.queries import MOST_TOGETHER, Record
from quotejob.salesforce.translate import URI_TOO_LONG
from quotejob.usercode.rows import Column, flat, select_list

_QUOTE_FIELDS = ("Id", "Name", "Account.BillingCountry", "Amount", "CloseDate", "Pricebook2Id")
CURRENCY_GOES_ALONG = "currency"  # a note of the job: a new Quote gets the currency of its Opportunity
_CURRENCY_FIELD = "CurrencyIsoCode"
_LINES = "OpportunityLineItems"
_LINE_FIELDS = (
    "Id",
    "PricebookEntryId",
    "Product2.ProductCode",
    "Product2.Family",
    "Quantity",
    "UnitPrice",
    "Discount",
    "TotalPrice",
)


def read(run: Run, ids: Sequence[str], book: Rules, asked: Sequence[Column] = ()) -> list[Opportunity]:
    """Return the Opportunities as they are now, with all their lines. Those that the user cannot see are left out.

    ``asked``: what a pricing function reads.
    """
    decimals: dict[str, int] = orjson.loads(run.progress.note(run.id, "decimals") or "{}")
    copied = book.quote_fields
    if decimals and run.progress.note(run.id, CURRENCY_GOES_ALONG):
        copied = {_CURRENCY_FIELD: Source(_CURRENCY_FIELD), **copied}
    with explained():
        found = _rows(run, ids, partial(select, book=book, multi_currency=bool(decimals), asked=asked))
    with run.org.reading("Opportunities with all their fields"):
        return [_opportunity(row, decimals, copied, book.line_fields, asked) for row in found]


def _rows(run: Run, ids: Sequence[str], query: Callable[[Sequence[str]], str]) -> Iterator[Record]:
    """Return the rows of these Opportunities, by several requests if a query would be too long for its URI.

    The first request is sent now, so that what the org refuses is refused here.
    """
    parts = [query(some) for some in batched(ids, run.settings.page_size)]
    try:
        if len(parts) == 1:
            return run.org.query(parts[0])
        first, *others = batched(parts, MOST_TOGETHER)
        return chain(run.org.query_together(first), chain.from_iterable(map(run.org.query_together, others)))
    except OrgRefused as refused:
        if refused.code != URI_TOO_LONG or len(ids) == 1:
            raise
        half = len(ids) // 2
        return chain.from_iterable(_rows(run, some, query) for some in (ids[:half], ids[half:]))


@contextmanager
def explained() -> Iterator[None]:
    """Turn the org's refusal of a field into OrgClosed, with a sentence that says what to do."""
    try:
        yield
    except OrgRefused as refused:
        if refused.code != "INVALID_FIELD":
            raise
        reason = refused.message.strip().splitlines()[-1]  # the lines before it show the query
        raise OrgClosed(
            "The org lacks a field that is read, or the user may not read it; give the user access, "
            f"or correct 'fields' in the pricing rules. The org said: {reason}"
        ) from refused


def select(ids: Sequence[str], book: Rules, *, multi_currency: bool, asked: Sequence[Column] = ()) -> str:
    """Return the query for these Opportunities. The lines come in the order that the user gave them.

    ``asked``: what a pricing function reads besides, also of other child relationships than the lines.
    """
    currency = (_CURRENCY_FIELD,) if multi_currency else ()
    children = {column.name.lower(): column.rows for column in asked if column.rows is not None}
    of_lines = children.pop(_LINES.lower(), ())
    of_quote = _columns((*_QUOTE_FIELDS, *currency), book.quote_fields, asked)
    of_line = _columns(_LINE_FIELDS, book.line_fields, of_lines)
    listed = ", ".join(f"'{record_id}'" for record_id in ids)
    lines = f"(SELECT {of_line} FROM {_LINES} ORDER BY SortOrder NULLS LAST, Id)"
    others = select_list([column for column in asked if column.name.lower() in children])
    columns = ", ".join(filter(None, (of_quote, lines, others)))
    return f"SELECT {columns} FROM Opportunity WHERE Id IN ({listed})"


def _columns(names: Sequence[str], copied: Sources, asked: Sequence[Column]) -> str:
    """Return a SELECT list: each field once, whatever its case, because the org refuses a field named twice."""
    columns = {name.lower(): name for name in names}
    copied_paths = (source.path for source in copied.values() if source.path is not None)
    for name in (*copied_paths, *(column.name for column in asked if column.rows is None)):
        columns.setdefault(name.lower(), name)
    return ", ".join(columns.values())


def _opportunity(
    row: Mapping[str, Any],
    decimals: Mapping[str, int],
    quote_fields: Sources,
    line_fields: Sources,
    asked: Sequence[Column],
) -> Opportunity:
    return Opportunity(
        id=row["Id"],
        name=row["Name"],
        billing_country=(row["Account"] or {}).get("BillingCountry"),
        amount=_number(row["Amount"]),
        close_date=date.fromisoformat(row["CloseDate"]),
        pricebook2_id=row["Pricebook2Id"],
        lines=tuple(_line(line, line_fields) for line in row["OpportunityLineItems"] or ()),
        decimals=decimals.get(row.get(_CURRENCY_FIELD, ""), 2),
        copied=values(quote_fields, row),
        asked=flat(asked, row),
    )


def _line(row: Mapping[str, Any], copied: Sources) -> OpportunityLine:
    product = row["Product2"] or {}
    return OpportunityLine(
        id=row["Id"],
        pricebook_entry_id=row["PricebookEntryId"],
        product_code=product.get("ProductCode"),
        product_family=product.get("Family"),
        quantity=Decimal(row["Quantity"]),
        unit_price=_number(row["UnitPrice"]),
        discount=_number(row["Discount"]),
        total_price=_number(row["TotalPrice"]),
        copied=values(copied, row),
    )


def _number(value: Decimal | int | None) -> Decimal | None:
    return None if value is None else Decimal(value)
