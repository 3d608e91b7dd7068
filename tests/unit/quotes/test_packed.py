"""Priced quotes in Redis: what goes in comes out, every digit of it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import orjson
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from quotejob.jobtypes.quotes import packed
from quotejob.pricing.model import PricedLine, PricedQuote

D = Decimal
numbers = st.decimals(allow_nan=False, allow_infinity=False, min_value="-1e18", max_value="1e18")
copied = st.dictionaries(st.sampled_from(["A__c", "B__c", "Description"]), st.text() | st.booleans() | numbers)
lines = st.builds(
    PricedLine, st.just("00k1"), st.just("01u1"), numbers, numbers, numbers, numbers, st.none() | numbers, copied
)
quotes = st.builds(
    PricedQuote, st.just("006a"), st.text(), st.none() | st.just("01s"), st.dates(),
    st.lists(lines, max_size=2).map(tuple), copied,
)  # fmt: skip


@settings(deadline=None, max_examples=50)  # making them takes most of the time
@given(st.lists(quotes, max_size=2))
def test_unpack_returns_what_was_packed(some: list[PricedQuote]) -> None:
    """Compared with their text, too: 1.50 stays 1.50 and does not become a float."""
    unpacked = packed.unpack(packed.pack(some))
    assert unpacked == some
    assert [str(line.unit_price) for quote in unpacked for line in quote.lines] == [
        str(line.unit_price) for quote in some for line in quote.lines
    ]


def test_rows_of_the_version_before_are_read() -> None:
    """It knew no discount of a line and copied nothing."""
    row = ["006a", "Quote for A", "01s", "2027-03-02", [["00k1", "01u1", "2", "100.0", "90.00", "0.10"]]]
    line = PricedLine("00k1", "01u1", D(2), D(100), D(90), D("0.10"))
    expected = PricedQuote("006a", "Quote for A", "01s", date(2027, 3, 2), (line,), {"Status": "Draft"})
    assert packed.unpack(zstandard.compress(orjson.dumps([row]))) == [expected]
