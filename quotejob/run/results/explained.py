"""Why a price is what it is: kept with each page, in a compact form, and put into results when somebody asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from quotejob.pricing.model import PricedLine, PricedQuote
from quotejob.run.progress import Progress
from quotejob.run.receipt import ExplainedLine, Explanation, Result
from quotejob.store import rows

MORE = "..."


class _Page(msgspec.Struct, frozen=True, array_like=True):
    """The stored form: most lines have the same few reasons, so these are written once."""

    code_version: str | None
    reasons: list[list[str]]
    quotes: dict[str, list[tuple[str, str, str, str | None, int]]]  # by Opportunity; the last number is of the reasons


def pack(quotes: Iterable[PricedQuote], code_version: str | None) -> bytes:
    """Return the reasons of these prices as bytes."""
    known: dict[tuple[str, ...], int] = {}
    found = {quote.opportunity_id: [_row(line, known) for line in quote.lines] for quote in quotes}
    return rows.squeeze([code_version, [list(reasons) for reasons in known], found])


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
                self._found |= _explanations(rows.unsqueeze(page, _Page))
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
