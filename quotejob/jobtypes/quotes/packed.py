"""The form of priced quotes in Redis, between pricing and writing: compact JSON, compressed, decimals exact."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any

import orjson
import zstandard

from quotejob.pricing.model import PricedLine, PricedQuote


def pack(quotes: Iterable[PricedQuote]) -> bytes:
    """Return the quotes as bytes. unpack returns equal quotes."""
    return zstandard.compress(orjson.dumps([_quote_row(quote) for quote in quotes]))


def unpack(stored: bytes) -> list[PricedQuote]:
    """Return the quotes that pack packed."""
    return [_quote(row) for row in orjson.loads(zstandard.decompress(stored))]


def _quote_row(quote: PricedQuote) -> list[Any]:
    lines = [
        [
            line.opportunity_line_id,
            line.pricebook_entry_id,
            str(line.quantity),
            str(line.list_unit_price),
            str(line.unit_price),
            str(line.discount),
        ]
        for line in quote.lines
    ]
    return [quote.opportunity_id, quote.name, quote.pricebook2_id, quote.expiration_date.isoformat(), lines]


def _quote(row: list[Any]) -> PricedQuote:
    opportunity_id, name, pricebook2_id, expires, lines = row
    return PricedQuote(
        opportunity_id=opportunity_id,
        name=name,
        pricebook2_id=pricebook2_id,
        expiration_date=date.fromisoformat(expires),
        lines=tuple(PricedLine(line[0], line[1], *(Decimal(number) for number in line[2:])) for line in lines),
    )
