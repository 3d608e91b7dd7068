"""What a pricing function decided of an Opportunity: checked, and in a form that goes to another process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import msgspec

from quotejob.errors import QuotejobError
from quotejob.pricing.agreed import HUNDRED, HUNDREDTH, LARGEST_NUMBER, rounded
from quotejob.pricing.fields import FIELD, OWN_LINE_FIELDS, OWN_QUOTE_FIELDS
from quotejob.pricing.model import PricedLine, PricedQuote
from quotejob.usercode.trouble import MAX_MESSAGE, NONSENSE, Broken
from quotejob.usercode.writes import Skip, plain

SKIPPED = "SKIPPED_BY_PRICING"


class Num(msgspec.Struct, frozen=True, tag="n"):
    """A number of a field, exact."""

    text: str


Wire: TypeAlias = str | int | bool | Num | None


class DecidedLine(msgspec.Struct, frozen=True, array_like=True):
    """What was decided of one line."""

    line_id: str
    unit_price: Decimal
    line_discount: Decimal | None
    reasons: tuple[str, ...]
    fields: dict[str, Wire] = {}


class Decided(msgspec.Struct, frozen=True, array_like=True):
    """What was decided of one Opportunity: its prices, or why there are none."""

    opportunity_id: str
    outcome: Literal["priced", "skipped", "failed"] = "priced"
    code: str | None = None
    message: str | None = None
    lines: tuple[DecidedLine, ...] = ()
    fields: dict[str, Wire] = {}


class Nonsense(QuotejobError):
    """A pricing function gave something that no Quote can be made of. Only this Opportunity fails."""

    code = NONSENSE


def decided(given: object, priced: PricedQuote) -> Decided:
    """Return what a function gave for a Quote, checked. Raises Nonsense, with a sentence that says what is wrong."""
    if isinstance(given, Skip):
        return Decided(priced.opportunity_id, "skipped", SKIPPED, str(plain(given.reason))[:MAX_MESSAGE])
    if not isinstance(given, PricedQuote):
        raise Nonsense(f"The function returned {type(given).__name__}, not what `priced` or `skip` gives")
    lines = _by_id(given)
    if given.opportunity_id != priced.opportunity_id or lines.keys() != _by_id(priced).keys():
        raise Nonsense(f"The function returned a Quote with other lines than those of {priced.opportunity_id}")
    _unchanged(given, priced, ("name", "pricebook2_id", "expiration_date"))
    return Decided(
        priced.opportunity_id,
        lines=tuple(_line(lines[line.opportunity_line_id], line) for line in priced.lines),
        fields=_fields(given.fields, OWN_QUOTE_FIELDS, "the Quote"),
    )


def failed(opportunity_id: str, reason: Broken) -> Decided:
    """Return that nothing could be decided of an Opportunity."""
    return Decided(opportunity_id, "failed", reason.code, reason.message)


def applied(made: Decided, priced: PricedQuote, decimals: int) -> PricedQuote:
    """Return the Quote with what was decided. Unit prices are rounded half up to the currency's decimals."""
    cent = Decimal(1).scaleb(-decimals)
    found = {line.line_id: line for line in made.lines}
    lines = (_applied(found[line.opportunity_line_id], line, cent) for line in priced.lines)
    return replace(priced, lines=tuple(lines), copied={**priced.copied, **_values(made.fields)})


def _applied(made: DecidedLine, line: PricedLine, cent: Decimal) -> PricedLine:
    return replace(
        line,
        unit_price=rounded(made.unit_price, cent),
        line_discount=made.line_discount,
        reasons=made.reasons,
        copied={**line.copied, **_values(made.fields)} if made.fields else line.copied,
    )


def _by_id(quote: PricedQuote) -> dict[str, PricedLine]:
    found = {line.opportunity_line_id: line for line in quote.lines}
    if len(found) < len(quote.lines):
        raise Nonsense(f"The function returned a line of {quote.opportunity_id} more than once")
    return found


def _unchanged(given: Any, before: Any, names: tuple[str, ...]) -> None:
    for name in names:
        if getattr(given, name) != getattr(before, name):
            raise Nonsense(f"The function changed {name}; it may change unit prices, discounts and fields only")


def _line(given: PricedLine, before: PricedLine) -> DecidedLine:
    where = f"line {given.opportunity_line_id}"
    _unchanged(given, before, ("pricebook_entry_id", "quantity", "list_unit_price"))
    price = _number(given.unit_price, f"the unit price of {where}")
    percent = given.line_discount
    if percent is not None:
        percent = _number(percent, f"the discount of {where}")
        if not 0 <= percent <= HUNDRED:
            raise Nonsense(f"The discount of {where} is {percent:f} %; it should be 0 to 100")
        percent = rounded(percent, HUNDREDTH)
    reasons = tuple(str(reason)[:MAX_MESSAGE] for reason in given.reasons)
    return DecidedLine(
        given.opportunity_line_id, price, percent, reasons, _fields(given.fields, OWN_LINE_FIELDS, where)
    )


def _number(value: object, what: str) -> Decimal:
    if isinstance(value, float):
        raise Nonsense(f"{what} is a float ({value!r}): use Decimal")
    if not isinstance(value, Decimal | int) or isinstance(value, bool):
        raise Nonsense(f"{what} is a {type(value).__name__}: use Decimal")
    number = Decimal(value)
    if not number.is_finite() or abs(number) >= LARGEST_NUMBER:
        raise Nonsense(f"{what} is {number:.6g}: not a number that a field of the org can hold")
    return number


def _fields(given: Mapping[str, object], ours: frozenset[str], what: str) -> dict[str, Wire]:
    taken = {name.lower() for name in ours}
    for name in given:
        if not FIELD.fullmatch(str(name)):
            raise Nonsense(f"{name!r} is not the name of a field of {what}")
        if name.lower() in taken:
            raise Nonsense(f"{name} of {what} is set by quotejob; a function cannot set it as a field")
    return {name: _wire(value, f"{name} of {what}") for name, value in given.items()}


def _wire(given: object, what: str) -> Wire:
    value = plain(given)
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | Decimal | float):
        number = _number(value, what)
        return Num(f"{number:f}")
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise Nonsense(f"{what} is a time without a zone; give it tzinfo=UTC")
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    raise Nonsense(f"{what} is a {type(value).__name__}; no field holds that")


def _values(fields: Mapping[str, Wire]) -> dict[str, Any]:
    return {name: Decimal(value.text) if isinstance(value, Num) else value for name, value in fields.items()}
