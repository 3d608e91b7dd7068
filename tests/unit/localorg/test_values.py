"""Values on their way into a column, and the arithmetic of lines and totals."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from localorg.data.arithmetic import line_totals, quote_totals, unit_price_of
from localorg.data.values import reader, rounded, text_reader
from localorg.errors import OrgError
from localorg.schema.model import Field

CENT = Decimal("0.01")
amounts = some.decimals(min_value=0, max_value=10**9, places=2).map(float)
quantities = some.decimals(min_value="0.01", max_value=10**6, places=2).map(float)
percents = some.decimals(min_value=0, max_value=100, places=2).map(float)


@given(some.floats(min_value=-1e12, max_value=1e12))
def test_rounding_is_half_up_of_the_number_as_written(value: float) -> None:
    assert rounded(value, 2) == float(Decimal(repr(value)).quantize(CENT, ROUND_HALF_UP))


@pytest.mark.parametrize(("value", "kept"), [(1.005, 1.01), (-1.005, -1.01), (2.675, 2.68), (0.004, 0.0), (1e-9, 0.0)])
def test_halves_go_away_from_zero(value: float, kept: float) -> None:
    assert rounded(value, 2) == kept


@given(quantities, amounts, percents)
def test_a_line_never_costs_more_than_before_its_discount(quantity: float, price: float, discount: float) -> None:
    subtotal, total = line_totals(quantity, price, discount)
    exact = (Decimal(repr(quantity)) * Decimal(repr(price))).quantize(CENT, ROUND_HALF_UP)
    assert subtotal == float(exact)
    assert 0 <= total <= subtotal


@given(some.integers(1, 1000), amounts)
def test_a_whole_total_gives_its_unit_price_back(quantity: int, price: float) -> None:
    subtotal, _ = line_totals(float(quantity), price, None)
    assert unit_price_of(subtotal, float(quantity), None) == price


def test_a_quote_without_lines_costs_its_tax_and_shipping() -> None:
    assert quote_totals(0.0, 0.0, 1.1, 2.2) == (0.0, 0.0, 0.0, 3.3)
    assert quote_totals(200.0, 150.0, None, None) == (200.0, 150.0, 25.0, 150.0)


def field(kind: str, **more: Any) -> Field:
    return Field("F", kind, "Label", **more)


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        ("string", "  text ", "text"),
        ("string", "   ", None),
        ("string", 5, "5"),
        ("boolean", "TRUE", 1),
        ("boolean", False, 0),
        ("int", "12", 12),
        ("int", 3.0, 3),
        ("double", "1e2", 100.0),
        ("currency", "", None),
        ("date", "2026-02-28", "2026-02-28"),
        ("date", "2026-02-28T10:00:00Z", "2026-02-28"),
        ("datetime", "2026-02-28T23:30:00-01:00", "2026-03-01T00:30:00.000+0000"),
        ("datetime", "2026-02-28T10:00:00.000+0000", "2026-02-28T10:00:00.000+0000"),
        ("reference", "001D000000IRFma", "001D000000IRFmaIAH"),
        ("string", None, None),
    ],
)
def test_values_that_can_be_read(kind: str, value: object, kept: object) -> None:
    made = field(kind, length=10 if kind == "string" else 0, scale=2, precision=18)
    assert reader(made)(value) == kept
    if isinstance(value, str):
        assert text_reader(made)(value) == kept


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("boolean", "yes"),
        ("boolean", 1),
        ("int", True),
        ("int", "1.5"),
        ("double", "NaN"),
        ("double", "Infinity"),
        ("double", "1,5"),
        ("date", "2026-2-1"),
        ("date", "20260201"),
        ("date", "4001-01-01"),
        ("datetime", "2026-02-28T10:00:00"),
        ("string", ["x"]),
    ],
)
def test_values_that_cannot(kind: str, value: object) -> None:
    with pytest.raises(OrgError) as refused:
        reader(field(kind))(value)
    assert refused.value.code == "JSON_PARSER_ERROR"
    if isinstance(value, str):
        with pytest.raises(OrgError) as refused:
            text_reader(field(kind))(value)
        assert refused.value.code == "INVALID_TYPE_ON_FIELD_IN_RECORD"


def test_numbers_have_to_fit() -> None:
    read = reader(field("currency", precision=5, scale=2))
    assert read(999.99) == 999.99
    for value in (1000, -1000, "1e30"):
        with pytest.raises(OrgError, match="NUMBER_OUTSIDE_VALID_RANGE"):
            read(value)


def test_a_restricted_picklist_takes_its_own_values_in_any_case() -> None:
    read = reader(field("picklist", picklist=("Hot", "Cold"), restricted=True, length=255))
    assert read("hot") == "Hot"
    with pytest.raises(OrgError, match="INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"):
        read("Mild")
    assert reader(field("picklist", picklist=("Hot",)))("Mild") == "Mild"


def test_an_email_address_looks_like_one() -> None:
    read = reader(field("email"))
    assert read("a@b.example") == "a@b.example"
    with pytest.raises(OrgError, match="INVALID_EMAIL_ADDRESS"):
        read("a@b")
