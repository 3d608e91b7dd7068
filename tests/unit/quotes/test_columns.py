"""Results and reasons in columns: what goes in comes out, in few bytes."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotejob import ids
from quotejob.pricing.model import PricedLine, PricedQuote
from quotejob.run.receipt import Outcome, PlannedQuote, Result
from quotejob.run.receipt import Planned as PlannedResult
from quotejob.run.results import explained
from quotejob.run.stored_results import pack_results, unpack_results

KNOWN = "001D000000IRFmaIAH"  # printed in Salesforce's own guides
digits = st.text(ids.DIGITS, min_size=9, max_size=9)
record_ids = st.builds(lambda prefix, number: ids.to18(prefix + number), st.sampled_from(["006xx0", "0Q0xx0"]), digits)
texts = st.one_of(
    record_ids,
    st.none(),
    st.text(max_size=20),
    st.just(KNOWN[:15]),
    st.just(KNOWN[:17] + "X"),  # a wrong suffix
    st.just("ü" + KNOWN[1:]),
)


@given(st.lists(texts))
def test_ids_and_other_texts_come_back(column: list[str | None]) -> None:
    assert list(ids.unpacked(ids.packed(column))) == column


@given(st.lists(st.one_of(st.none(), st.decimals(allow_nan=False, allow_infinity=False).map(str), st.text(max_size=9))))
def test_amounts_and_other_texts_come_back(column: list[str | None]) -> None:
    assert list(ids.unpacked_money(ids.packed_money(column))) == column


@pytest.mark.parametrize("amount", ["0.00", "-0.00", "-0.05", "-12.30", "007.00", "1.5", "1.505", "99999999999999.99"])
def test_each_form_of_an_amount_comes_back(amount: str) -> None:
    assert list(ids.unpacked_money(ids.packed_money([amount]))) == [amount]


def test_neighbours_are_small_numbers() -> None:
    following = ids.to18("001D000000IRFmb")
    assert ids.packed([KNOWN, following, KNOWN, None, "text", following]) == [KNOWN, 1, -1, None, "text", 1]


def test_a_difference_without_an_id_before_it_is_no_column() -> None:
    with pytest.raises(ValueError, match="no column"):
        list(ids.unpacked([1]))


def neighbour(prefix: str, number: int) -> str:
    return ids.to18(f"{prefix}xx0000{number // 62**2 % 62:03}{ids.DIGITS[number // 62 % 62]}{ids.DIGITS[number % 62]}0")


@pytest.mark.parametrize("columns", [False, True])
def test_results_come_back_in_their_order(columns: bool) -> None:
    quote = PlannedQuote("a", 1, "1.00", "0.90")
    found = [
        Result("first", Outcome.FAILED, None, "CODE", "why", "a name"),
        Result(KNOWN, Outcome.SUCCEEDED, KNOWN),
        Result(KNOWN, Outcome.SUCCEEDED),
        Result(KNOWN, Outcome.SKIPPED, code="NO_LINES"),
        Result(KNOWN, Outcome.SUCCEEDED, other_id=KNOWN),
        Result("last", Outcome.PLANNED, planned=PlannedResult("f", [("insert", "Quote", 1)], quote)),
    ]
    assert unpack_results(pack_results(found, columns=columns)) == found


def test_columns_of_results_take_few_bytes() -> None:
    found = [
        Result(neighbour("006", number), Outcome.SUCCEEDED, neighbour("0Q0", number * 3 + number % 7))
        for number in range(200)
    ]
    assert len(pack_results(found, columns=True)) < len(pack_results(found, columns=False)) / 3


def a_quote(number: int, lines: int, discount: Decimal | None = None) -> PricedQuote:
    return PricedQuote(
        opportunity_id=neighbour("006", number),
        name="a",
        pricebook2_id=KNOWN,
        expiration_date=date(2027, 1, 1),
        lines=tuple(
            PricedLine(
                opportunity_line_id=neighbour("00k", number * 9 + place),
                pricebook_entry_id=KNOWN,
                quantity=Decimal(1),
                list_unit_price=Decimal(number * 9091 % 40_000) / 100 + Decimal("0.00"),
                unit_price=Decimal(number * 7001 % 40_000) / 100 + Decimal("0.00"),
                discount=Decimal(0),
                line_discount=discount,
                reasons=("10 % region EMEA",) if number % 2 else (),
            )
            for place in range(lines)
        ),
    )


@pytest.mark.parametrize("numbers", [[1, 2, 0, 3], [0, 0], []])
def test_reasons_come_back(numbers: list[int]) -> None:
    """Also of a quote without lines, and with a line's own discount."""
    quotes = [a_quote(number, lines, Decimal("2.5")) for number, lines in enumerate(numbers)]
    packed = (explained.pack(quotes, "v1", columns=columns) for columns in (False, True))
    plain, columns = (explained._explanations(explained._page(each)) for each in packed)
    assert plain == columns
    assert list(columns) == [quote.opportunity_id for quote in quotes]


def test_columns_of_reasons_take_half_the_bytes() -> None:
    quotes = [a_quote(number, 2) for number in range(200)]
    plain, columns = (len(explained.pack(quotes, None, columns=columns)) for columns in (False, True))
    assert columns < 0.6 * plain, (plain, columns)
