"""Why a price is what it is: kept with each page, in a compact form, and put into results when somebody asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any, cast

import msgspec

from quotejob import ids
from quotejob.pricing.model import PricedLine, PricedQuote
from quotejob.run.progress import Progress
from quotejob.run.receipt import ExplainedLine, Explanation, Result
from quotejob.store import rows

MORE = "..."
Line = tuple[str, str, str, str | None, int]  # its id, prices and discount; the last number is of the reasons


class _Page(msgspec.Struct, frozen=True, array_like=True):
    """The stored form: most lines have the same few reasons, so these are written once."""

    code_version: str | None
    reasons: list[list[str]]
    quotes: dict[str, list[Line]]  # by Opportunity


class _Columns(msgspec.Struct):
    """The same of a page of a large job, in half as many bytes. Versions before 1.0.0 do not read it."""

    version: str | None
    reasons: list[list[str]]
    records: ids.Column
    counts: list[int]  # lines of each record
    lines: ids.Column
    list_prices: ids.Column
    unit_prices: ids.Column
    discounts: list[str | None]
    numbers: list[int]  # of the reasons


_STORED: Any = tuple[str | None, list[list[str]], dict[str, list[Line]]] | _Columns


def pack(quotes: Sequence[PricedQuote], code_version: str | None, *, columns: bool = False) -> bytes:
    """Return the reasons of these prices as bytes, or in ``columns``."""
    known: dict[tuple[str, ...], int] = {}
    found = {quote.opportunity_id: [_row(line, known) for line in quote.lines] for quote in quotes}
    reasons = [list(reasons) for reasons in known]
    if not columns or not any(found.values()):
        return rows.squeeze([code_version, reasons, found])
    lines, list_prices, unit_prices, discounts, numbers = zip(*chain(*found.values()), strict=True)
    made = _Columns(
        code_version,
        reasons,
        ids.packed(found),
        [len(each) for each in found.values()],
        ids.packed(lines),
        ids.packed_money(list_prices),
        ids.packed_money(unit_prices),
        list(discounts),
        list(numbers),
    )
    return rows.squeeze(msgspec.structs.asdict(made))


def _page(stored: bytes) -> _Page:
    """Return what ``pack`` packed, in either form."""
    found = rows.unsqueeze(stored, _STORED)
    if not isinstance(found, _Columns):
        return _Page(*found)
    prices = (ids.unpacked_money(found.list_prices), ids.unpacked_money(found.unit_prices))
    lines: Any = zip(ids.unpacked(found.lines), *prices, found.discounts, found.numbers, strict=True)
    records = zip(ids.unpacked(found.records), found.counts, strict=True)
    quotes = {cast(str, record_id): list(islice(lines, count)) for record_id, count in records}
    return _Page(found.version, found.reasons, quotes)


def _row(line: PricedLine, known: dict[tuple[str, ...], int]) -> list[Any]:
    discount = None if line.line_discount is None else f"{line.line_discount:f}"
    number = known.setdefault(line.reasons, len(known))
    return [line.opportunity_line_id, f"{line.list_unit_price:f}", f"{line.unit_price:f}", discount, number]


class Explanations:
    """Those of one job. The pages of the unit that was asked for last are in memory."""

    def __init__(self, progress: Progress, job_id: str) -> None:
        self._progress = progress
        self._job_id = job_id
        self._unit: str | None = None
        self._found: dict[str, Explanation] = {}

    def put_in(self, place: str, result: Result) -> Result:
        """Return the result with its explanation, if there is one. ``place``: its cursor."""
        unit = place.partition(":")[0]
        if unit != self._unit:
            stored = self._progress.explained(self._job_id, unit)
            self._unit, self._found = unit, {}
            for page in stored:
                self._found |= _explanations(_page(page))
        found = self._found.get(result.record_id)
        return result if found is None else msgspec.structs.replace(result, explanation=found)


def _explanations(page: _Page) -> dict[str, Explanation]:
    return {
        record_id: Explanation(
            tuple(ExplainedLine(*line[:4], tuple(page.reasons[line[4]])) for line in lines), page.code_version
        )
        for record_id, lines in page.quotes.items()
    }


def in_words(explanation: Explanation | None) -> str | None:
    """Return an explanation as one text: ``100.00 -> 85.50 (10 % region EMEA, 5 % gold account); ...``."""
    if explanation is None:
        return None
    lines = (f"{line.list_unit_price} -> {line.unit_price} ({_joined(line.reasons)})" for line in explanation.lines)
    return "; ".join(lines)


def into_field(quotes: Iterable[PricedQuote], field: str, length: int) -> list[PricedQuote]:
    """Return the quotes with their reasons in a field: ``Quote.X`` or ``QuoteLineItem.X``.

    What the field has already stays before them. The text has at most ``length`` characters.
    """
    sobject, _, name = field.partition(".")
    if sobject == "QuoteLineItem":
        return [quote.each(lambda line: _with(line, name, _joined(line.reasons), length)) for quote in quotes]
    return [_with(quote, name, _of_quote(quote), length) for quote in quotes]


def _of_quote(quote: PricedQuote) -> str:
    return "\n".join(f"{number}. {_joined(line.reasons)}" for number, line in enumerate(quote.lines, 1))


def _with(part: Any, name: str, text: str, length: int) -> Any:
    before = next((value for key, value in part.copied.items() if key.lower() == name.lower()), None)
    text = text if before is None else f"{before}\n{text}"
    others = {key: value for key, value in part.copied.items() if key.lower() != name.lower()}
    return replace(part, copied={**others, name: text if len(text) <= length else text[: length - len(MORE)] + MORE})


def _joined(reasons: Sequence[str]) -> str:
    return ", ".join(reasons) or "no discount"
