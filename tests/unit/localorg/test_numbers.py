"""Numbers: how many digits fit a field, in which digits they are written, and how the platform writes large ones."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from soqlorg import SoqlOrg

from localorg import dates
from localorg.data.values import reader, text_reader
from localorg.errors import OrgError
from localorg.http.registry import address
from localorg.numbers import Double, double, whole
from localorg.schema.model import Field
from localorg.soql.cursors import _LOCATOR

CODE = Path(__file__).parents[3] / "localorg"
OTHER_DIGITS = ["١", "۱", "१", "１", "𝟏", "²", "Ⅰ", "一"]


def field(kind: str, precision: int = 0, scale: int = 0) -> Field:
    return Field("F", kind, "Label", precision=precision, scale=scale)


# --- what fits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["double", "currency", "percent"])
@pytest.mark.parametrize("precision", range(1, 19))
def test_the_largest_number_fits_and_one_more_does_not(kind: str, precision: int) -> None:
    """For every precision and scale: all nines fit; one more in the last place does not, nor what rounds to it."""
    for scale in range(precision + 1):
        step = Decimal(1).scaleb(-scale)
        most = Decimal(10) ** (precision - scale) - step
        for read in (reader(field(kind, precision, scale)), text_reader(field(kind, precision, scale))):
            for sign in ("", "-"):
                assert read(f"{sign}{most:f}") == float(f"{sign}{most}")
                for more in (most + step, most + step / 2, most * 100 + 100, Decimal("1e300"), Decimal("1e999")):
                    with pytest.raises(OrgError, match="NUMBER_OUTSIDE_VALID_RANGE"):
                        read(f"{sign}{more}")


@pytest.mark.parametrize(
    "value", [999_999_999_999_999_999, -999_999_999_999_999_999, "999999999999999999", "9.99999999999999999e17"]
)
def test_eighteen_nines(value: int | str) -> None:
    assert abs(reader(field("double", 18))(value)) == 1e18
    assert abs(reader(field("double"))(value)) == 1e18


@pytest.mark.parametrize("value", [10**18, -(10**18), "1000000000000000000", 1e18, "999999999999999999.5"])
def test_eighteen_nines_and_one(value: float | str) -> None:
    with pytest.raises(OrgError, match="NUMBER_OUTSIDE_VALID_RANGE"):
        reader(field("double", 18))(value)


@given(some.decimals(-(10**8), 10**8, places=5), some.integers(0, 4))
def test_numbers_are_rounded_half_up(value: Decimal, scale: int) -> None:
    kept = float(value.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP))
    assert reader(field("double", 18, scale))(str(value)) == kept


# --- digits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", OTHER_DIGITS)
def test_digits_of_other_scripts_are_no_numbers(one: str) -> None:
    values = {
        "int": [one, f"1{one}", f"-{one}"],
        "double": [one, f"1{one}", f"1.{one}", f"1e{one}", f"{one}.5"],
        "currency": [one, f"{one}00"],
        "percent": [one],
        "boolean": [one],
        "date": [f"202{one}-01-01", f"2024-0{one}-01", f"2024-01-0{one}"],
        "datetime": [
            f"2024-01-01T0{one}:00:00Z",
            f"2024-01-01{one}10:00:00Z",
            f"202{one}-01-01",
            f"2024-01-01T00:00:00.{one}Z",
        ],
        "reference": [f"001D000000IRFm{one}", f"00{one}D000000IRFmaIAH"],
    }
    for kind, several in values.items():
        for value in several:
            with pytest.raises(OrgError):
                reader(field(kind, 18, 2))(value)
            with pytest.raises(OrgError):
                text_reader(field(kind, 18, 2))(value)
    assert whole(one) is None
    assert whole(f"1{one}") is None
    assert address(f"/services/data/v6{one}.0/query") is None
    assert dates.date_literal(f"LAST_N_DAYS:{one}") is None
    assert _LOCATOR.fullmatch(f"01g000000000000AAA-{one}") is None


@pytest.mark.parametrize("text", ["", " 1", "1 ", "+1", "-1", "1_000", "1.0", "0x1", "9" * 19])
def test_what_is_no_whole_number(text: str) -> None:
    """Python's int() takes most of these."""
    assert whole(text) is None


def test_no_code_of_the_org_takes_other_digits() -> None:
    """A pattern with digits says ASCII, or names its digits; str.isdigit and its like take every script."""
    for file in CODE.rglob("*.py"):
        code = file.read_text("utf-8")
        assert not re.search(r"\.(isdigit|isdecimal|isnumeric)\(", code), file
        for pattern in re.findall(r're\.compile\((?:[^()]|\([^()]*\)|"[^"]*")*\)', code):
            assert r"\d" not in pattern or "ASCII" in pattern, (file, pattern)
        assert not re.search(r'\{\w+:[^}"]*\\d', code), file  # of a path


# --- how they are written -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (10_000_000.0, "1.0E7"),
        (115_000_000.0, "1.15E8"),
        (-16_147_805_824_397.0, "-1.6147805824397E13"),
        (99_213_206.0, "9.9213206E7"),
        (123_456_789.12, "1.2345678912E8"),
        (1e18, "1.0E18"),
        (0.0005, "5.0E-4"),
        (0.00012, "1.2E-4"),
        (9_999_999.99, "9999999.99"),
        (0.001, "0.001"),
        (100.0, "100.0"),
        (0.0, "0.0"),
    ],
)
def test_numbers_are_written_as_java_writes_them(value: float, written: str) -> None:
    assert str(double(value)) == repr(double(value)) == written


@given(some.floats(allow_nan=False, allow_infinity=False))
def test_what_is_written_is_the_number(value: float) -> None:
    kept = double(value)
    assert kept == value
    assert float(str(kept)) == value
    assert Decimal(str(kept)) == Decimal(repr(value))


def test_a_number_that_was_read_can_be_written_back() -> None:
    assert reader(field("currency", 18, 2))(Double(1.15e8)) == 115_000_000.0
    assert reader(field("int"))(Double(1.2e7)) == 12_000_000


def test_records_parents_children_and_sums_hold_such_numbers() -> None:
    org = SoqlOrg()
    account = org.add("Account", Name="Large", AnnualRevenue=2.5e9)
    deal = org.add("Opportunity", Name="Large", AccountId=account, Amount=1.15e8)
    org.add("OpportunityLineItem", OpportunityId=deal, UnitPrice=5e7, Quantity=1.0)
    (record,) = org.body(
        "SELECT Amount, Account.AnnualRevenue, (SELECT UnitPrice, Quantity FROM OpportunityLineItems) FROM Opportunity"
    )["records"]
    line = record["OpportunityLineItems"]["records"][0]
    written = [record["Amount"], record["Account"]["AnnualRevenue"], line["UnitPrice"], line["Quantity"]]
    assert [str(value) for value in written] == ["1.15E8", "2.5E9", "5.0E7", "1.0"]
    (total,) = org.body("SELECT SUM(Amount) total, MAX(Amount), COUNT(Id) FROM Opportunity")["records"]
    assert [str(total["total"]), str(total["expr0"]), total["expr1"]] == ["1.15E8", "1.15E8", 1]
