"""A pricing function of users, in its child: loaded, checked, tried once, called.

::

    def price(deal: Deal, priced: PricedQuote) -> PricedQuote | Skip: ...
    def price_page(deals: Sequence[Deal], priced: Sequence[PricedQuote]) -> Sequence[PricedQuote | Skip]: ...
"""

from __future__ import annotations

import collections.abc
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from quotejob.pricing.model import PricedLine, PricedQuote
from quotejob.usercode.isolation.child import found
from quotejob.usercode.pricing.decided import Decided, Nonsense, decided, failed
from quotejob.usercode.pricing.made_up import made_up
from quotejob.usercode.pricing.opportunities import Opportunity
from quotejob.usercode.rows import BadRecord, Column, columns, decode
from quotejob.usercode.trouble import Retry, broken, told
from quotejob.usercode.version import version_of

_HINT = "it should take (deal: Opportunity, priced: PricedQuote), or a Sequence of each, and return what it prices"


class About(msgspec.Struct, frozen=True):
    """What the worker has to know of a pricing function."""

    columns: tuple[Column, ...]  # what it reads
    by_page: bool  # it takes a page at a time
    version: str  # a hash of its code
    warning: str | None  # what its first try raised


@dataclass(frozen=True, slots=True)
class Function:
    """A pricing function, its annotations understood."""

    call: Callable[..., Any]
    row: type[Opportunity]
    by_page: bool


def understood(function: object) -> Function:
    """Return what a pricing function reads, by its annotations. Raises TypeError if they cannot be used."""
    name = getattr(function, "__qualname__", repr(function))
    if not callable(function):
        raise TypeError(f"{name} is not a function")
    parameters = list(inspect.signature(function).parameters.values())
    hints = get_type_hints(function)
    if len(parameters) != 2 or any(parameter.name not in hints for parameter in parameters):
        raise TypeError(f"{name}: {_HINT}")
    first, second = (hints[parameter.name] for parameter in parameters)
    pages = [get_origin(hint) in (collections.abc.Sequence, list) for hint in (first, second)]
    row, priced = ((get_args(hint)[0] if page else hint) for hint, page in zip((first, second), pages, strict=True))
    if pages[0] != pages[1] or priced is not PricedQuote:
        raise TypeError(f"{name}: {_HINT}")
    if not (isinstance(row, type) and issubclass(row, Opportunity)):
        raise TypeError(f"{name}: annotate its first parameter as Opportunity or a subclass of it, not {row}")
    columns(row)
    return Function(function, row, pages[0])


def price_page(
    function: Function, deals: Sequence[Opportunity], priced: Sequence[PricedQuote], mark: Callable[[int], object]
) -> list[Decided]:
    """Return what the function decides of these Opportunities. ``mark`` is told the place of each when it is its turn.

    A function for one Opportunity costs only that one when it raises. One for a page raises through, and so does Retry.
    """
    if function.by_page:
        given = function.call(_Watched(deals, mark), list(priced))
        if not isinstance(given, Sequence) or len(given) != len(deals):
            got = f"{len(given)} of them" if isinstance(given, Sequence) else type(given).__name__
            raise Nonsense(f"The function should return one result for each of {len(deals)} Opportunities, not {got}")
        return [_checked(_as_given, each, quote) for each, quote in zip(given, priced, strict=True)]
    found = []
    for place, (deal, quote) in enumerate(zip(deals, priced, strict=True)):
        mark(place)
        found.append(_checked(function.call, deal, quote))
    return found


def _as_given(given: object, _: PricedQuote) -> object:
    return given


def _checked(call: Callable[[Any, PricedQuote], object], deal: object, priced: PricedQuote) -> Decided:
    try:
        return decided(call(deal, priced), priced)
    except (Retry, MemoryError):
        raise
    except Nonsense as refused:
        return Decided(priced.opportunity_id, "failed", refused.code, refused.message)
    except Exception as error:
        return failed(priced.opportunity_id, broken(0, error))


class Pricing:
    """What a child makes of ``QUOTEJOB_PRICING``: see :class:`quotejob.usercode.isolation.child.Work`."""

    def __init__(self, target: str) -> None:
        function = found(target)
        self._function = understood(function)
        self._version = version_of(function)
        self._decoder = msgspec.msgpack.Decoder(list[tuple[list[Any], PricedQuote]])

    def about(self) -> bytes:
        """Return an About. Raises Nonsense if the function gives something that is neither a Quote nor a Skip."""
        about = About(columns(self._function.row), self._function.by_page, self._version, self._tried())
        return msgspec.msgpack.encode(about)

    def call(self, body: bytes, mark: Callable[[int], object], ask: object) -> bytes:  # noqa: ARG002 (it asks nothing)
        """Decide a page: pairs of values and priced Quotes. A record that is no row fails alone."""
        pairs = self._decoder.decode(body)
        rows, results = {}, {}
        for place, (values, quote) in enumerate(pairs):
            try:
                rows[place] = decode(self._function.row, values)
            except BadRecord as refused:
                results[place] = Decided(quote.opportunity_id, "failed", refused.code, refused.message)
        places = list(rows)
        quotes = [pairs[place][1] for place in places]
        made = price_page(self._function, list(rows.values()), quotes, lambda place: mark(places[place]))
        results |= zip(places, made, strict=True)
        return msgspec.msgpack.encode([results[place] for place in range(len(pairs))])

    def _tried(self) -> str | None:
        """Call the function with a made-up Opportunity. Return what it raised; that may be right for such a one."""
        deal = made_up(self._function.row)
        line = PricedLine(deal.lines[0].Id, "", deal.lines[0].Quantity, Decimal(1), Decimal(1), Decimal(0))
        quote = PricedQuote(deal.Id, "Quote for an example", None, date(2030, 1, 31), (line,))
        try:
            given = self._function.call([deal], [quote]) if self._function.by_page else self._function.call(deal, quote)
        except Exception as error:
            return told(error)
        if self._function.by_page and (not isinstance(given, Sequence) or len(given) != 1):
            raise Nonsense(f"The function should return one result for each Opportunity, not {type(given).__name__}")
        decided(given[0] if self._function.by_page else given, quote)
        return None


class _Watched(Sequence[Any]):
    """The Opportunities of a page. It notes which one was handed out last: the suspect, should nothing come back."""

    def __init__(self, records: Sequence[Any], mark: Callable[[int], object]) -> None:
        self._records = records
        self._mark = mark

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, int) and -len(self) <= place < len(self):
            self._mark(place % len(self))
        return self._records[place]

    def __iter__(self) -> Iterator[Any]:
        for place in range(len(self)):
            yield self[place]
