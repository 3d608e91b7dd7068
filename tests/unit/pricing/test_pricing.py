"""Pricing: an Opportunity and rules in, a priced Quote out."""

from __future__ import annotations

import math
import pickle
from datetime import date
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quotejob.pricing import Region, Regions, Rules, Tier, Unpriceable, price, quote_name, reasons
from quotejob.pricing.model import Opportunity, OpportunityLine, PricedLine

D = Decimal
unhurried = settings(deadline=None)  # a busy machine is not a wrong price
NAMER, EMEA, OTHER = Region("NAMER", D("0.10")), Region("EMEA", D("0.15")), Region("other", D("0.05"))
REGIONS = Regions({"US": NAMER, "DE": EMEA, "CI": EMEA, "canuckistan": NAMER}, no_country=NAMER, other_countries=OTHER)
ALL_KINDS = Rules(
    maximum_discount=D("0.30"),
    regions=REGIONS,
    codes={"gc1060": D("0.12"), "sl9080": D("0")},
    families={"hardware": D("0.05")},
    line_quantity=(Tier(D(10), D("0.02")), Tier(D(100), D("0.045"))),
    opportunity_amount=(Tier(D(50000), D("0.01")), Tier(D(250000), D("0.20"))),
)


def line_of(
    unit_price: str | Decimal = "100", quantity: str | Decimal = "1", code: str | None = None, family: str | None = None
) -> OpportunityLine:
    return OpportunityLine("00k000000000001AAA", "01u000000000001AAA", code, family, D(quantity), D(unit_price))


def opportunity_of(
    *lines: OpportunityLine,
    country: str | None = "US",
    amount: Decimal | None = None,
    name: str = "Acme",
    close: date = date(2026, 1, 31),
    decimals: int = 2,
) -> Opportunity:
    return Opportunity("006000000000001AAA", name, country, amount, close, "01s000000000001AAA", lines, decimals)


def priced_line(rules: Rules, opportunity: Opportunity) -> PricedLine:
    (line,) = price(opportunity, rules).lines
    return line


def half_up(exact: Fraction, decimals: int) -> Fraction:
    """The model: halves go away from zero."""
    scaled = abs(exact) * 10**decimals
    return (1 if exact >= 0 else -1) * Fraction(math.floor(scaled + Fraction(1, 2)), 10**decimals)


class TestQuote:
    def test_takes_its_keys_from_the_opportunity(self) -> None:
        """Every value travels with the id it belongs to, and lines keep their order."""
        lines = [OpportunityLine(f"00k{n}", f"01u{n}", None, None, D(n), D("10.50")) for n in range(1, 4)]
        quote = price(opportunity_of(*lines), Rules(D("0.30"), REGIONS))
        assert (quote.opportunity_id, quote.pricebook2_id) == ("006000000000001AAA", "01s000000000001AAA")
        assert [(line.opportunity_line_id, line.pricebook_entry_id, line.quantity) for line in quote.lines] == [
            ("00k1", "01u1", D(1)),
            ("00k2", "01u2", D(2)),
            ("00k3", "01u3", D(3)),
        ]
        assert {(line.list_unit_price, line.unit_price, line.discount) for line in quote.lines} == {
            (D("10.50"), D("9.45"), D("0.10"))
        }

    def test_without_lines_has_no_lines(self) -> None:
        """Whether an empty quote is written is decided elsewhere."""
        assert price(opportunity_of(), ALL_KINDS).lines == ()

    @pytest.mark.parametrize(
        ("close", "expires"),
        [
            (date(2026, 1, 31), date(2026, 3, 2)),
            (date(2028, 1, 31), date(2028, 3, 1)),
            (date(2026, 12, 15), date(2027, 1, 14)),
        ],
    )
    def test_expires_thirty_days_after_the_close_date(self, close: date, expires: date) -> None:
        """Days of the calendar, whatever the clock or the time zone."""
        assert price(opportunity_of(close=close), ALL_KINDS).expiration_date == expires

    @pytest.mark.parametrize("close", [date(4000, 12, 2), date(4000, 12, 31), date(4001, 1, 1), date.max])
    def test_beyond_the_platforms_last_date_is_refused(self, close: date) -> None:
        with pytest.raises(Unpriceable, match=rf"CloseDate {close}: .*dates end on 4000-12-31"):
            price(opportunity_of(close=close), ALL_KINDS)

    def test_before_the_platforms_first_date_is_refused(self) -> None:
        with pytest.raises(Unpriceable, match=r"CloseDate 1699-12-31: .*dates begin on 1700-01-01"):
            price(opportunity_of(close=date(1699, 12, 31)), ALL_KINDS)

    def test_on_the_platforms_first_and_last_date(self) -> None:
        assert price(opportunity_of(close=date(4000, 12, 1)), ALL_KINDS).expiration_date == date(4000, 12, 31)
        assert price(opportunity_of(close=date(1700, 1, 1)), ALL_KINDS).expiration_date == date(1700, 1, 31)


class TestName:
    def test_is_made_from_the_opportunity(self) -> None:
        assert quote_name("Sample Opportunity 7") == "Quote for Sample Opportunity 7"
        assert quote_name("  Acme\n 200\tWidgets ") == "Quote for Acme 200 Widgets"

    def test_is_cut_at_a_word(self) -> None:
        """Eighty characters are kept whole; one more and it is cut, with dots to show it."""
        fits = "x" * 34 + " " + "y" * 35
        assert quote_name(fits) == f"Quote for {fits}"
        assert quote_name("Renewal of the maintenance contract for " + "all forty-two sites " * 5) == (
            "Quote for Renewal of the maintenance contract for all forty-two sites all..."
        )

    def test_is_cut_inside_a_word_that_is_too_long_to_lose(self) -> None:
        assert quote_name("x" * 200) == "Quote for " + "x" * 67 + "..."

    def test_keeps_an_accent_with_its_letter(self) -> None:
        """e + U+0301 at the cut: both go, or the name would end in a different letter."""
        assert quote_name("x" * 66 + "e\u0301" + "x" * 20) == "Quote for " + "x" * 66 + "..."

    @pytest.mark.parametrize(
        "cluster",
        [
            "\U0001f1e8\U0001f1ed",  # a flag: two letters
            "\U0001f469\U0001f3fd",  # a skin tone
            "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",  # a family, joined
            "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # Scotland: a flag of tags
            "\u2764\ufe0f",
            "1\ufe0f\u20e3",
            "\u0915\u094d\u0937\u093f",  # a syllable of Devanagari
            "\u1112\u1161\u11ab",  # one of Hangul, in its parts
            "e\u0301\u0323",
        ],
    )
    def test_is_cut_between_what_readers_see_as_characters(self, cluster: str) -> None:
        """Wherever the cut falls, and in the UTF-16 units that a platform may count."""
        for before in range(60):
            result = quote_name("x" * before + cluster * 80)
            assert len(result.encode("utf-16-le")) <= 160
            kept = result.removeprefix("Quote for " + "x" * before).removesuffix("...")
            assert kept.replace(cluster, "") == "", (before, kept)

    def test_counts_as_the_platform_may(self) -> None:
        """Thirty-five emoji of two units each fit, and not one more."""
        assert quote_name("\U0001f600" * 35) == "Quote for " + "\U0001f600" * 35
        assert quote_name("\U0001f600" * 36) == "Quote for " + "\U0001f600" * 33 + "..."

    def test_may_lose_a_cluster_that_does_not_fit(self) -> None:
        """One letter with more accents than there is room for."""
        assert quote_name("e" + "\u0301" * 200) == "Quote for..."

    @unhurried
    @given(st.text(max_size=130))
    def test_is_never_over_eighty_characters(self, name: str) -> None:
        result = quote_name(name)
        assert 0 < len(result) <= len(result.encode("utf-16-le")) // 2 <= 80
        assert result.startswith("Quote for")
        assert result == result.strip()


class TestRegion:
    @pytest.mark.parametrize(
        ("country", "discount"),
        [
            ("US", "0.10"),
            ("us", "0.10"),
            ("U.S.", "0.10"),
            (" Germany ", "0.15"),
            ("GERMANY", "0.15"),
            ("Côte d\u2019Ivoire", "0.15"),
            ("Cote d'Ivoire", "0.15"),
            ("Allemagne", "0.15"),
            ("Deutschland", "0.15"),
            ("CANUCKISTAN!", "0.10"),
            ("Brazil", "0.05"),
            (None, "0.10"),
            ("", "0.10"),
            ("  ", "0.10"),
            ("-", "0.10"),
        ],
    )
    def test_comes_from_the_billing_country(self, country: str | None, discount: str) -> None:
        """Case, accents and punctuation do not count; nothing is not a country; the rest of the world is other."""
        assert priced_line(ALL_KINDS, opportunity_of(line_of(), country=country)).discount == D(discount)

    def test_table_may_be_absent(self) -> None:
        assert priced_line(Rules(D("0.30")), opportunity_of(line_of("9.99"))).unit_price == D("9.99")


class TestProduct:
    @pytest.mark.parametrize(
        ("code", "family", "discount"),
        [
            ("GC1060", None, "0.12"),
            ("gc1060 ", "Hardware", "0.12"),
            ("SL9080", "Hardware", "0"),
            ("XX", "Hardware", "0.05"),
            (None, "HARDWARE", "0.05"),
            ("XX", "Services", "0"),
            ("", "", "0"),
        ],
    )
    def test_code_comes_before_family(self, code: str | None, family: str | None, discount: str) -> None:
        """A listed code is the whole answer, even at 0 %: so a product is kept out of its family's rule."""
        rules = Rules(D("1"), codes=ALL_KINDS.codes, families=ALL_KINDS.families)
        assert priced_line(rules, opportunity_of(line_of(code=code, family=family))).discount == D(discount)


class TestThresholds:
    @pytest.mark.parametrize(
        ("quantity", "discount"),
        [
            ("-100", "0"),
            ("0", "0"),
            ("9.99", "0"),
            ("10", "0.02"),
            ("99.99", "0.02"),
            ("100", "0.045"),
            ("1e9", "0.045"),
        ],
    )
    def test_last_quantity_step_reached_counts_alone(self, quantity: str, discount: str) -> None:
        rules = Rules(D("1"), line_quantity=ALL_KINDS.line_quantity)
        assert priced_line(rules, opportunity_of(line_of(quantity=quantity))).discount == D(discount)

    @pytest.mark.parametrize(
        ("amount", "discount"),
        [(None, "0"), (D("-1"), "0"), (D("49999.99"), "0"), (D(50000), "0.01"), (D(250000), "0.20")],
    )
    def test_amount_step_is_the_opportunitys(self, amount: Decimal | None, discount: str) -> None:
        rules = Rules(D("1"), opportunity_amount=ALL_KINDS.opportunity_amount)
        assert priced_line(rules, opportunity_of(line_of(), amount=amount)).discount == D(discount)


class TestTogether:
    def test_discounts_are_added(self) -> None:
        """The example at the top of pricing.yaml: 10 + 5 + 2 = 17 %, and one rounding."""
        line = priced_line(ALL_KINDS, opportunity_of(line_of("19.99", "10", family="Hardware")))
        assert (line.discount, line.unit_price) == (D("0.17"), D("16.59"))

    def test_reasons_are_told_in_the_one_order(self) -> None:
        line = line_of(quantity="100", code="GC1060", family="Hardware")
        assert reasons(opportunity_of(line, amount=D(60000)), line, ALL_KINDS) == (
            ("region NAMER", D("0.10")),
            ("product code GC1060", D("0.12")),
            ("line quantity of 100 or more", D("0.045")),
            ("Opportunity amount of 50000 or more", D("0.01")),
        )

    def test_sum_is_cut_at_the_maximum(self) -> None:
        line = priced_line(ALL_KINDS, opportunity_of(line_of("100", "100", "GC1060"), amount=D(250000)))
        assert (line.discount, line.unit_price) == (D("0.30"), D("70.00"))


class TestRounding:
    @pytest.mark.parametrize(
        ("unit_price", "decimals", "expected"),
        [
            ("0.05", 2, "0.05"),  # 0.045
            ("0.15", 2, "0.14"),  # 0.135: half even would say 0.14 too
            ("0.25", 2, "0.23"),  # 0.225: half even would say 0.22
            ("99.99", 2, "89.99"),
            ("-0.25", 2, "-0.23"),  # away from zero, so a credit mirrors its sale
            ("0", 2, "0.00"),
            ("-0.001", 2, "0.00"),
            ("1005", 0, "905"),  # JPY, 904.5
            ("12.3455", 3, "11.111"),  # KWD
            ("999999999999999999", 2, "899999999999999999.10"),
            ("1e2", 2, "90.00"),
        ],
    )
    def test_is_half_up_to_the_currencys_decimals(self, unit_price: str, decimals: int, expected: str) -> None:
        """Compared as text: 90 and 90.00 are equal, but only one has the currency's decimals."""
        result = priced_line(ALL_KINDS, opportunity_of(line_of(unit_price), decimals=decimals)).unit_price
        assert str(result) == expected

    def test_happens_once(self) -> None:
        """The 28 digits Python keeps by default would first make this .5000000000, and then the next whole number."""
        opportunity = opportunity_of(line_of("99999999999999999.4999999999999"), decimals=0)
        assert priced_line(Rules(D(0)), opportunity).unit_price == D("99999999999999999")

    def test_does_not_depend_on_the_callers_decimal_context(self) -> None:
        with localcontext(prec=3):
            assert priced_line(ALL_KINDS, opportunity_of(line_of("123456.78"))).unit_price == D("111111.10")

    @pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity", "-Infinity", "1e18", "-1e400", "1e-41"])
    def test_refuses_what_is_no_number_of_the_platform(self, number: str) -> None:
        """As an error that names the line and costs this one quote."""
        for line in (line_of(number), line_of(quantity=number)):
            with pytest.raises(Unpriceable, match="line 00k000000000001AAA is"):
                price(opportunity_of(line), ALL_KINDS)
        with pytest.raises(Unpriceable, match="Amount is"):
            price(opportunity_of(amount=D(number)), ALL_KINDS)

    @pytest.mark.parametrize("decimals", [-1, 11, 10**9])
    def test_refuses_decimals_no_currency_has(self, decimals: int) -> None:
        with pytest.raises(Unpriceable, match="decimals"):
            price(opportunity_of(line_of(), decimals=decimals), ALL_KINDS)


numbers = st.decimals(min_value="-1e15", max_value="1e15", allow_nan=False, allow_infinity=False, places=8)
list_prices = st.decimals(min_value="0", max_value="1e15", allow_nan=False, allow_infinity=False, places=6)
fractions = st.decimals(min_value="0", max_value="1", allow_nan=False, allow_infinity=False, places=8)
tiers = st.lists(st.builds(Tier, numbers, fractions), max_size=3).map(
    lambda rows: tuple(sorted(rows, key=lambda row: row.at_least))
)
regions = st.builds(Region, st.just("somewhere"), fractions)
rule_sets = st.builds(
    Rules,
    maximum_discount=fractions,
    regions=st.none() | st.builds(Regions, st.just({}), regions, regions),
    codes=st.dictionaries(st.sampled_from(["a", "b"]), fractions),
    families=st.dictionaries(st.sampled_from(["a", "b"]), fractions),
    line_quantity=tiers,
    opportunity_amount=tiers,
)
names = st.sampled_from(["a", "B", "c", None])
any_number = st.decimals(min_value="-1e18", max_value="1e18", allow_nan=False) | st.sampled_from(
    [D(0), D(1), D(100), D("0.01"), D("1e-40"), D("99.99999999"), D("1e17"), D("NaN"), D("Infinity"), D("-0")]
)


class TestAlways:
    @unhurried
    @given(rule_sets, list_prices, numbers, numbers | st.none(), names, names, st.integers(0, 4))
    def test_price_lies_between_the_cap_and_the_list(
        self,
        rules: Rules,
        unit_price: Decimal,
        quantity: Decimal,
        amount: Decimal | None,
        code: str | None,
        family: str | None,
        decimals: int,
    ) -> None:
        """Both to the currency's decimals: a list price with more than those may itself round up."""
        line = line_of(unit_price, quantity, code, family)
        priced = priced_line(rules, opportunity_of(line, amount=amount, decimals=decimals))
        lowest = half_up(Fraction(unit_price) * (1 - Fraction(rules.maximum_discount)), decimals)
        assert lowest <= Fraction(priced.unit_price) <= half_up(Fraction(unit_price), decimals)
        if half_up(Fraction(unit_price), decimals) == Fraction(unit_price):
            assert priced.unit_price <= unit_price
        assert 0 <= priced.discount <= rules.maximum_discount
        assert priced.quantity is line.quantity

    @unhurried
    @given(rule_sets, numbers, numbers, numbers | st.none(), names, names, st.integers(0, 4))
    @example(Rules(D("0.30"), REGIONS), D("0.25"), D(1), None, None, None, 2)
    def test_price_is_that_of_exact_fractions(
        self,
        rules: Rules,
        unit_price: Decimal,
        quantity: Decimal,
        amount: Decimal | None,
        code: str | None,
        family: str | None,
        decimals: int,
    ) -> None:
        """Against a model that shares no arithmetic with the code, negative prices included."""
        line = line_of(unit_price, quantity, code, family)
        opportunity = opportunity_of(line, amount=amount, decimals=decimals)
        total = sum((Fraction(given) for _, given in reasons(opportunity, line, rules)), Fraction(0))
        discount = min(total, Fraction(rules.maximum_discount))
        priced = priced_line(rules, opportunity)
        assert Fraction(priced.discount) == discount
        assert Fraction(priced.unit_price) == half_up(Fraction(unit_price) * (1 - discount), decimals)
        assert priced.unit_price.as_tuple().exponent == -decimals

    @unhurried
    @given(any_number, any_number | st.none(), any_number | st.none(), any_number | st.none(), st.integers(0, 10))
    @example(D("1e-40"), D(1), D("99." + "9" * 38), D("1e17"), 2)
    def test_any_line_is_priced_or_unpriceable(
        self,
        quantity: Decimal,
        unit_price: Decimal | None,
        discount: Decimal | None,
        total: Decimal | None,
        decimals: int,
    ) -> None:
        """Nothing else is raised, however strange the numbers."""
        line = OpportunityLine("00k", "01u", None, None, quantity, unit_price, discount, total)
        try:
            priced = priced_line(ALL_KINDS, opportunity_of(line, decimals=decimals))
        except Unpriceable:
            return
        assert priced.unit_price.as_tuple().exponent == -decimals
        assert 0 <= (priced.line_discount or 0) <= 100

    @unhurried
    @given(rule_sets)
    def test_rules_travel_to_another_process(self, rules: Rules) -> None:
        assert pickle.loads(pickle.dumps(rules)) == rules
