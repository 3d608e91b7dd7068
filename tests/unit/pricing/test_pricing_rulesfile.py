"""pricing.yaml: what the shipped file says, and what a wrong one is told."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from quotejob.errors import RulesError
from quotejob.pricing import Rules, Tier, load_rules, price
from quotejob.pricing.countries import country_code
from quotejob.pricing.fields import Source, values
from quotejob.pricing.model import Opportunity, OpportunityLine

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "pricing.yaml"
D = Decimal
REGION = """\
maximum_discount: 30
region:
  no_country: NAMER
  other_countries: other
  table:
    NAMER: {discount: 10, countries: [US, [CA, Canada]]}
    other: {discount: 5}
"""

FIELDS = "maximum_discount: 1\nfields:\n  quote:\n"
LINE_FIELDS = "maximum_discount: 1\nfields:\n  line:\n"

Load = Callable[[str | bytes], Rules]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load rules from text, as a file called pricing.yaml."""

    def load_text(text: str | bytes) -> Rules:
        path = tmp_path / "pricing.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_rules(path)

    return load_text


def switched_on() -> str:
    """The shipped file with its examples switched on, in the way its own comment says."""
    text, examples = re.subn(r"(?m)^#(?=\S|  )", "", SHIPPED.read_text(encoding="utf-8"))
    assert examples > 10
    return text


def priced(
    rules: Rules, country: str | None, line: OpportunityLine, amount: str | None = None
) -> tuple[Decimal, Decimal]:
    opportunity = Opportunity("006", "Acme", country, D(amount) if amount else None, date(2026, 1, 31), "01s", (line,))
    (result,) = price(opportunity, rules).lines
    return result.discount, result.unit_price


def line_of(
    unit_price: str, quantity: str = "1", code: str | None = None, family: str | None = None
) -> OpportunityLine:
    return OpportunityLine("00k", "01u", code, family, D(quantity), D(unit_price))


class TestShippedFile:
    def test_has_the_region_table_and_nothing_else_active(self) -> None:
        rules = load_rules(SHIPPED)
        assert rules.regions is not None
        assert {region.name: region.discount for region in rules.regions.by_country.values()} == {
            "NAMER": D("0.10"),
            "EMEA": D("0.15"),
            "APAC": D("0.08"),
        }
        assert rules.regions.no_country.name == "NAMER"
        assert (rules.regions.other_countries.name, rules.regions.other_countries.discount) == ("other", D("0.05"))
        inactive = (rules.codes, rules.families, rules.line_quantity, rules.opportunity_amount)
        assert inactive == ({}, {}, (), ())

    @pytest.mark.parametrize(
        ("discount", "countries"),
        [
            ("0.10", "United States|USA|us|U.S.A.|United States of America|Canada|MX|México"),
            ("0.15", "DE|deu|GERMANY|Deutschland|UK|GB|united kingdom|England|France|NO|no"),
            ("0.15", "Norway|Ireland|Türkiye|Turkey|Israel|UAE|Saudi Arabia|ZA|Nigeria|Kenya"),
            ("0.15", "Cote d'Ivoire|Côte d\u2019Ivoire|Bosnia & Herzegovina|Czech Republic|Kazakhstan|XK"),
            ("0.08", "Japan|JP|JPN|India|China|AU|Australia|New Zealand|Viet Nam|Vietnam"),
            ("0.08", "Korea, Republic of|South Korea|Hong Kong|Singapore|Taiwan|Pakistan|Fiji"),
            ("0.05", "Brazil|BR|Argentina|Chile|Colombia|Puerto Rico|Jamaica|Atlantis|Germani"),
            ("0.10", "| |-"),
        ],
    )
    def test_knows_the_world(self, discount: str, countries: str) -> None:
        """Names and ISO codes, in any case; Norway is a country although YAML reads NO as false."""
        rules = load_rules(SHIPPED)
        for country in countries.split("|"):
            assert priced(rules, country, line_of("100"))[0] == D(discount), country

    def test_lists_countries_by_their_codes(self) -> None:
        table = yaml.load(SHIPPED.read_text(encoding="utf-8"), yaml.BaseLoader)["region"]["table"]
        codes = [code for region in table.values() for code in region.get("countries", [])]
        assert len(codes) == len(set(codes)) > 190
        assert {code for code in codes if country_code(code) != code} == set()

    @pytest.mark.parametrize(
        ("country", "list_price", "net"),
        [
            ("US", "99.99", "89.99"),
            ("France", "0.05", "0.04"),
            ("Japan", "1234.56", "1135.80"),
            ("Peru", "0.50", "0.48"),
        ],
    )
    def test_prices_by_region(self, country: str, list_price: str, net: str) -> None:
        assert priced(load_rules(SHIPPED), country, line_of(list_price))[1] == D(net)

    def test_examples_can_be_switched_on(self, load: Load) -> None:
        """Removing one # a line is all it takes, and the result prices as its header and docs/pricing.md say."""
        rules = load(switched_on())
        assert rules.codes == {"gc1060": D("0.12"), "sl9080": D(0)}
        assert rules.families == {"hardware": D("0.05"), "software": D("0.075")}
        assert rules.line_quantity == (Tier(D(10), D("0.02")), Tier(D(100), D("0.045")))
        assert rules.opportunity_amount == (Tier(D(50000), D("0.01")), Tier(D(250000), D("0.03")))
        assert priced(rules, "US", line_of("19.99", "10", None, "Hardware")) == (D("0.17"), D("16.59"))
        assert rules.quote_fields == {
            "Status": Source(value="Draft"), "Region__c": Source("Region__c"), "Origin__c": Source(value="quotejob"),
        }  # fmt: skip
        assert rules.line_fields["Color__c"] == Source("Color__c")

    def test_the_manuals_table_is_true(self, load: Load) -> None:
        """docs/pricing.md works four lines out; each row is computed here."""
        rules = load(switched_on())
        manual = (ROOT / "docs" / "pricing.md").read_text(encoding="utf-8")
        rows = re.findall(r"(?m)^\| (\w+) \| (\w+) \| (\d+) \| ([\d.]+) \|.*\| ([\d.]+) % \| ([\d.]+) \|$", manual)
        assert len(rows) == 4
        for code, family, quantity, list_price, percent, net in rows:
            line = line_of(list_price, quantity, code, family)
            assert priced(rules, "Germany", line, "60000.00") == (D(percent) / 100, D(net)), code

    def test_loads_at_once(self) -> None:
        """Every worker process reads it when it starts."""
        started = time.thread_time()
        load_rules(SHIPPED)
        assert time.thread_time() - started < 2


class TestGoodFiles:
    def test_only_the_maximum_is_required(self, load: Load) -> None:
        assert load("maximum_discount: 0") == Rules(maximum_discount=D(0))

    def test_numbers_are_exactly_what_is_written(self, load: Load) -> None:
        """0.1 % is one thousandth, not the nearest float to it."""
        assert str(load("maximum_discount: 0.1").maximum_discount) == "0.001"
        assert load("maximum_discount: 99.999999").maximum_discount == D("0.99999999")

    def test_fields_are_copied_or_the_same_for_all(self, load: Load) -> None:
        """A constant is what it looks like: a text, a number, true or false; quotes make it a text."""
        rows = "[{from: Account.Industry}, {value: NO}, {value: 1.50}, {value: -3}, {value: true}, {value: '7'}]"
        names = ["A__c", "B__c", "C__c", "D__c", "E__c", "F__c"]
        listed = "".join(f"    {name}: {row}\n" for name, row in zip(names, rows[1:-1].split(", "), strict=True))
        assert load(FIELDS + listed).quote_fields == {
            "Status": Source(value="Draft"),
            "A__c": Source("Account.Industry"), "B__c": Source(value="NO"), "C__c": Source(value=D("1.50")),
            "D__c": Source(value=D(-3)), "E__c": Source(value=True), "F__c": Source(value="7"),
        }  # fmt: skip

    def test_a_lines_own_fields_go_along_unless_the_file_says_otherwise(self, load: Load) -> None:
        """Names are compared without case, as the org does."""
        standard = {name: Source(name) for name in ("ServiceDate", "Description", "SortOrder")}
        assert load("maximum_discount: 1").line_fields == standard
        rules = load(LINE_FIELDS + "    description: {from: Product2.Name}\n    SortOrder: {value: ''}\n")
        assert rules.line_fields == {
            "ServiceDate": Source("ServiceDate"), "description": Source("Product2.Name"), "SortOrder": Source(),
        }  # fmt: skip
        row = {"ServiceDate": "2027-01-31", "Product2": {"Name": "Bolt"}, "Description": "x", "SortOrder": 4}
        assert values(rules.line_fields, row) == {"ServiceDate": "2027-01-31", "description": "Bolt"}

    def test_files_with_names_of_countries_are_still_understood(self, load: Load) -> None:
        """As they were before countries had codes here: a list for each country, or a name alone."""
        named = """\
      countries:
        - [DE, DEU, Germany, Deutschland]
        - [CD, COD, Democratic Republic of the Congo, "Congo, The Democratic Republic of the", DR Congo, DRC]
        - [GB, GBR, UK, England, Scotland, Wales, Blighty]
        - Norway
        - [NL, Holland]
"""
        rules = load(REGION.replace("    other: {discount: 5}\n", f"    other:\n      discount: 5\n{named}"))
        assert rules.regions is not None
        assert {key for key, region in rules.regions.by_country.items() if region.name == "other"} == {
            "DE", "CD", "GB", "NO", "NL", "blighty",
        }  # fmt: skip

    def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(self, load: Load) -> None:
        text = "\ufeff" + REGION.replace("\n", "\r\n")
        assert load(text) == load(REGION)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        # not a rules file at all
        ("", 1, "the file holds no rules"),
        ("# nothing\n", 1, "the file holds no rules"),
        ("- 1\n", 1, "the file: expected a mapping, found a list"),
        ("hello\n", 1, "the file: expected a mapping, found 'hello'"),
        ("{}\n", 1, "the file: expected a mapping, found a mapping with nothing in it"),
        ("maximum_discount: 1\n---\nmaximum_discount: 2\n", 2, "not YAML: expected a single document in the stream"),
        ("maximum_discount: 1\n  region: [\n", 2, "not YAML: mapping values are not allowed here"),
        ("maximum_discount: 1\nregion: {a: [1, 2\n", 3, "not YAML:"),
        ("maximum_discount: 1\n\tx: 1\n", 2, "not YAML:"),
        ("maximum_discount: 1\n# \x07\n", 2, "the character U+0007 is not allowed"),
        (b"maximum_discount: 1\n# \xff\n", 2, "not UTF-8 text"),
        # keys
        ("region: 1\n", 1, "the file: the key 'maximum_discount' is missing"),
        ("maximum_discount: 1\nmaximum_discount: 1\n", 2, "'maximum_discount' is already there, line 1"),
        ("maximum_discount: 1\nregions: {}\n", 2, "the file: unknown key 'regions'; did you mean 'region'?"),
        ("maximum_discount: 1\n? [a, b]\n: 1\n", 2, "a key of the file: expected text, found a list"),
        ("maximum_discount: 1\nproduct:\n", 2, "product: expected a mapping, found nothing"),
        ("maximum_discount: 1\nproduct: {codes: [A]}\n", 2, "product.codes: expected a mapping, found a list"),
        (
            "maximum_discount: 1\nproduct:\n  codes:\n    GC1: 1\n    gc1: 1\n",
            5,
            "product.codes: 'gc1' is already there, line 4",
        ),
        (REGION + "    NAMER: {discount: 5}\n", 8, "region.table: 'NAMER' is already there, line 6"),
        (REGION.replace("discount: 5", "discuont: 5"), 7, "unknown key 'discuont'; did you mean 'discount'?"),
        (REGION.replace("{discount: 5}", "{countries: [DE]}"), 7, "region.table.other: the key 'discount' is missing"),
        (REGION.replace("  no_country: NAMER\n", ""), 3, "region: the key 'no_country' is missing"),
        (REGION.replace("{discount: 5}", "5"), 7, "region.table.other: expected a mapping, found '5'"),
        # countries and regions
        (
            REGION.replace("no_country: NAMER", "no_country: namer"),
            3,
            "region.no_country: 'namer' is not in region.table",
        ),
        (REGION.replace("countries: other", "countries: [other]"), 4, "other_countries: expected text, found a list"),
        (
            REGION.replace("discount: 5", "discount: 5, countries: [u.s.]"),
            7,
            "region.table.other.countries: 'u.s.' is already in NAMER, line 6",
        ),
        (
            REGION.replace("discount: 5", "discount: 5, countries: [MX, [DE, Canadá], [FR, USA]]"),
            7,
            "region.table.other.countries: 'Canadá' is already in NAMER, line 6",
        ),
        (
            REGION.replace("[CA, Canada]", "CA, Canadia"),
            6,
            "'Canadia' is no country that is known; write its ISO 3166 code",
        ),
        (REGION.replace("[CA, Canada]", "[Canadia, Canuck]"), 6, "in a list with the code: [DE, Canadia]"),
        (REGION.replace("[CA, Canada]", "[CA, '...']"), 6, "'...' names no country"),
        (REGION.replace("[CA, Canada]", "[CA, '']"), 6, "countries: expected text, found nothing"),
        (REGION.replace("[CA, Canada]", "[[CA, Canada]]"), 6, "countries: expected text, found a list"),
        (REGION.replace("[CA, Canada]", "{CA: Canada}"), 6, "countries: expected text, found a mapping"),
        (
            REGION.replace("NAMER:", "A" * 999 + ":"),
            6,
            "a key of region.table: '" + "A" * 37 + "...' is over 100 characters",
        ),
        (
            REGION.replace("NAMER:", '"NAM\\eER":'),
            6,
            r"a key of region.table: 'NAM\x1bER' is over 100 characters, or has",
        ),
        (REGION.replace("[US, [CA, Canada]]", "US"), 6, "region.table.NAMER.countries: expected a list, found 'US'"),
        # percentages
        *(
            (
                f"# percent\nmaximum_discount: {number}\n",
                2,
                f"maximum_discount: expected a number from 0 to 100, {found}",
            )
            for number, found in {
                "": "such as 10 or 7.5, found nothing",
                "100.01": "such as 10 or 7.5, found '100.01'",
                "-1": "such as 10 or 7.5, found '-1'",
                "10%": "such as 10 or 7.5, found '10%'",
                "'10'": "such as 10 or 7.5, found the quoted text '10'",
                "010": "such as 10 or 7.5, found '010'",
                "1e1": "such as 10 or 7.5, found '1e1'",
                "0x10": "such as 10 or 7.5, found '0x10'",
                "1_0": "such as 10 or 7.5, found '1_0'",
                "\u0661\u0660": "such as 10 or 7.5, found '\u0661\u0660'",
                ".nan": "such as 10 or 7.5, found '.nan'",
                ".inf": "such as 10 or 7.5, found '.inf'",
                "true": "such as 10 or 7.5, found 'true'",
                "7,5": "such as 10 or 7.5, found '7,5'",
                "1.1234567": "such as 10 or 7.5, found '1.1234567'",
                "[10]": "such as 10 or 7.5, found a list",
                "9" * 5000: "such as 10 or 7.5, found '" + "9" * 37 + "...'",
            }.items()
        ),
        # fields
        ("maximum_discount: 1\nfields: {quotes: {}}\n", 2, "fields: unknown key 'quotes'; did you mean 'quote'?"),
        (FIELDS + "    X__c: Y__c\n", 4, "fields.quote.X__c: expected a mapping, found 'Y__c'"),
        (FIELDS + "    X__c: {form: Y__c}\n", 4, "fields.quote.X__c: unknown key 'form'; did you mean 'from'?"),
        (FIELDS + "    X__c: {from: Y__c, value: 1}\n", 4, "'from' copies a field and 'value' is the same for all"),
        (FIELDS + "    X__c: {}\n", 4, "fields.quote.X__c: expected a mapping, found a mapping with nothing in it"),
        (FIELDS + "    X__c: {from: 'Y__c FROM Quote'}\n", 4, "expected a field such as Region__c or Account.Industry"),
        (FIELDS + "    X__c: {from: (SELECT Id FROM Quotes)}\n", 4, "expected a field such as Region__c"),
        (FIELDS + "    X__c: {from: Account..Name}\n", 4, "expected a field such as Region__c or Account.Industry"),
        (FIELDS + "    X__c: {from: [Y__c]}\n", 4, "fields.quote.X__c.from: expected text, found a list"),
        (FIELDS + "    X__c: {value: }\n", 4, "fields.quote.X__c.value: expected text, found nothing"),
        (FIELDS + "    Y-c: {value: 1}\n", 4, "fields.quote: 'Y-c' is not the name of a field"),
        (FIELDS + "    Ünit__c: {value: 1}\n", 4, "fields.quote: 'Ünit__c' is not the name of a field"),
        (FIELDS + "    X__c: {value: 1}\n    x__C: {value: 1}\n", 5, "fields.quote: 'x__C' is already there, line 4"),
        *(
            (FIELDS + f"    {name}: {{value: 1}}\n", 4, f"fields.quote.{name}: quotejob sets this field itself")
            for name in ("Name", "OpportunityId", "pricebook2id", "ExpirationDate", "QuoteJobKey__c")
        ),
        *(
            (LINE_FIELDS + f"    {name}: {{value: 1}}\n", 4, f"fields.line.{name}: quotejob sets this field itself")
            for name in ("UnitPrice", "discount", "Quantity", "QuoteId", "PricebookEntryId", "OpportunityLineItemId")
        ),
        # thresholds
        (
            "maximum_discount: 1\nthresholds: {line_quantity: []}\n",
            2,
            "expected a list, found a list with nothing in it",
        ),
        (
            "maximum_discount: 1\nthresholds:\n  line_quantity:\n    - {at_least: 1}\n",
            4,
            "the key 'discount' is missing",
        ),
        (
            "maximum_discount: 1\nthresholds:\n  line_quantity:\n"
            "    - {at_least: 10, discount: 1}\n    - {at_least: 10, discount: 2}\n",
            5,
            "thresholds.line_quantity: at_least must rise from row to row",
        ),
        (
            "maximum_discount: 1\nthresholds:\n  opportunity_amount:\n    - {at_least: 50.000.000, discount: 1}\n",
            4,
            "thresholds.opportunity_amount.at_least: expected a number such as 10 or 2500.50, found '50.000.000'",
        ),
        # what YAML can do and a rules file need not
        ("maximum_discount: &a 1\n", 1, "anchors (&) and aliases (*) are not used here"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", 1, "anchors (&) and aliases (*) are not used here"),
        ("maximum_discount: *a\n", 1, "anchors (&) and aliases (*) are not used here"),
        ("maximum_discount: !!python/object/apply:os.system ['true']\n", 1, "tags (!) are not used here"),
        ("maximum_discount: !!float 1\n", 1, "tags (!) are not used here"),
        ("maximum_discount: 1\n<<: {region: 1}\n", 2, "unknown key '<<'"),
        ("maximum_discount: " + "[" * 100_000, 1, "nested deeper than 10 levels"),
        ("maximum_discount: 1\n" + "? " * 50_000, 2, "nested deeper than 10 levels"),
        ("a: " * 50_000, 1, "not YAML: mapping values are not allowed here"),
    ],
)
def test_a_wrong_file_is_told_its_line_and_the_reason(load: Load, text: str | bytes, line: int, reason: str) -> None:
    """As a sentence for the log and as data, both naming the same line; and soon, however hostile the file."""
    started = time.thread_time()
    with pytest.raises(RulesError) as caught:
        load(text)
    assert caught.value.message.startswith(f"pricing.yaml, line {line}: ")
    assert reason in caught.value.message
    assert len(caught.value.message) < 300
    (detail,) = caught.value.details
    assert caught.value.message == f"pricing.yaml, line {detail['line']}: {detail['message']}"
    assert time.thread_time() - started < 20


class TestUnreadableFiles:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(RulesError, match=r"nowhere\.yaml cannot be read: No such file or directory"):
            load_rules(tmp_path / "nowhere.yaml")

    def test_folder(self, tmp_path: Path) -> None:
        with pytest.raises(RulesError, match="cannot be read: Is a directory"):
            load_rules(tmp_path)

    def test_too_large(self, load: Load) -> None:
        """It is refused unread; even an endless one."""
        with pytest.raises(RulesError, match=r"pricing\.yaml is larger than 256 KiB"):
            load("#" * (256 * 1024 + 1))


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(alphabet=st.sampled_from("ab1.-:?,[]{}&*!|>'\"%@#\n \t\\\0é~=<"), max_size=80), st.integers(0, len(REGION))
)
@example("\\", 0)
def test_any_text_is_rules_or_a_rules_error(load: Load, noise: str, at: int) -> None:
    """Nothing else comes out, wherever in a good file the noise falls."""
    for text in (noise, REGION[:at] + noise + REGION[at:]):
        try:
            rules = load(text)
        except RulesError as error:
            told = error.message
        else:
            told = f"pricing.yaml, line 1: a good file, {rules}"
        assert told.startswith("pricing.yaml, line ")
