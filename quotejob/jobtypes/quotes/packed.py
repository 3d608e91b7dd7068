"""The form of priced quotes in Redis, between pricing and writing: compact JSON, compressed, decimals exact.

Rows of the version before are shorter: their lines have no discount of their own, and nothing is copied. Then the Quote
has the usual status, which is not stored either.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import zstandard

from quotejob.pricing.fields import QUOTE_FIELDS, values
from quotejob.pricing.model import PricedLine, PricedQuote

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_USUAL = values(QUOTE_FIELDS, {})
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
NOTHING = zstandard.compress(b"[]")  # no quotes


def pack(quotes: Iterable[PricedQuote]) -> bytes:
    """Return the quotes as bytes. unpack returns equal quotes."""
    return zstandard.compress(_ENCODER.encode([_quote_row(quote) for quote in quotes]))


def unpack(stored: bytes, wanted: Container[str] | None = None) -> list[PricedQuote]:
    """Return the quotes that pack packed, or only those of the wanted Opportunities."""
    return [_quote(row) for row in _rows(stored) if wanted is None or row[0] in wanted]


def row(quote: PricedQuote) -> bytes:
    """Return one quote as bytes: equal quotes give equal bytes."""
    return _ENCODER.encode(_quote_row(quote))


def sizes(stored: bytes) -> list[tuple[str, int]]:
    """Return the Opportunity of each of the quotes, and the number of its lines, without making the quotes."""
    return [(row[0], len(row[4])) for row in _rows(stored)]


def _rows(stored: bytes) -> list[list[Any]]:
    rows: list[list[Any]] = _DECODER.decode(zstandard.decompress(stored))
    return rows


def _quote_row(quote: PricedQuote) -> list[Any]:
    lines = [_line_row(line) for line in quote.lines]
    row = [quote.opportunity_id, quote.name, quote.pricebook2_id, quote.expiration_date.isoformat(), lines]
    return row if quote.copied == _USUAL else [*row, quote.copied]


def _line_row(line: PricedLine) -> list[Any]:
    numbers = (line.quantity, line.list_unit_price, line.unit_price, line.discount)
    row = [line.opportunity_line_id, line.pricebook_entry_id, *map(str, numbers)]
    if line.line_discount is None and not line.copied:
        return row
    return [*row, None if line.line_discount is None else str(line.line_discount), line.copied]


def _quote(row: list[Any]) -> PricedQuote:
    opportunity_id, name, pricebook2_id, expires, lines, *copied = row
    return PricedQuote(
        opportunity_id=opportunity_id,
        name=name,
        pricebook2_id=pricebook2_id,
        expiration_date=date.fromisoformat(expires),
        lines=tuple(map(_line, lines)),
        copied=copied[0] if copied else _USUAL,
    )


def _line(row: list[Any]) -> PricedLine:
    line_id, entry_id, quantity, list_unit_price, unit_price, discount, *more = row
    line_discount, copied = more or (None, {})
    return PricedLine(
        opportunity_line_id=line_id,
        pricebook_entry_id=entry_id,
        quantity=Decimal(quantity),
        list_unit_price=Decimal(list_unit_price),
        unit_price=Decimal(unit_price),
        discount=Decimal(discount),
        line_discount=None if line_discount is None else Decimal(line_discount),
        copied=copied,
    )
