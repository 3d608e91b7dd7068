"""The pricing rules as values, and the pure functions that apply them.

Every line is priced in the same order: region, product, line quantity, Opportunity amount. Each of the four gives at
most one discount. The discounts are *added*; the sum is at most the maximum discount; the unit price is rounded once,
at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from functools import lru_cache

from quotejob.pricing.agreed import LARGEST_NUMBER, Unpriceable, quoted
from quotejob.pricing.countries import country_code, country_key
from quotejob.pricing.fields import LINE_FIELDS, QUOTE_FIELDS, Sources
from quotejob.pricing.model import Opportunity, OpportunityLine, PricedLine, PricedQuote
from quotejob.pricing.names import quote_name

QUOTE_VALID_FOR = timedelta(days=30)  # counted from the Opportunity's close date
FIRST_DATE, LAST_DATE = date(1700, 1, 1), date(4000, 12, 31)  # that a date field of the platform holds
FINEST_NUMBER = Decimal("1e-40")  # at most 40 digits after the point: these are multiplied exactly
MAX_CURRENCY_DECIMALS = 10  # real currencies have 0 to 4
# With the bounds above no product has more than 80 digits, so nothing is rounded before the unit price is.
EXACT = Context(prec=100, rounding=ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Region:
    """A row of the region table."""

    name: str
    discount: Decimal  # a fraction: 0.10 is 10 %


@dataclass(frozen=True, slots=True)
class Regions:
    """The region table: exactly one region for every Account."""

    by_country: Mapping[str, Region]  # keys: ISO 3166 codes (US), and own spellings as country_key() makes them
    no_country: Region  # no Account, or one without a billing country
    other_countries: Region  # a country that is in no list


@dataclass(frozen=True, slots=True)
class Tier:
    """A step of a threshold table."""

    at_least: Decimal  # of the line's quantity, or of the Opportunity's amount in its own currency
    discount: Decimal  # a fraction: 0.10 is 10 %


@dataclass(frozen=True, slots=True)
class Rules:
    """All pricing rules, checked. A kind that is empty gives no discount."""

    maximum_discount: Decimal  # a fraction; no line is discounted by more
    regions: Regions | None = None
    codes: Mapping[str, Decimal] = field(default_factory=dict)  # keys as product_key() makes them; fractions
    families: Mapping[str, Decimal] = field(default_factory=dict)  # asked only if the code has no row of its own
    line_quantity: tuple[Tier, ...] = ()  # rising at_least
    opportunity_amount: tuple[Tier, ...] = ()  # rising at_least
    quote_fields: Sources = field(
        default_factory=lambda: QUOTE_FIELDS
    )  # further fields of the Quote, from the Opportunity
    line_fields: Sources = field(default_factory=lambda: LINE_FIELDS)  # the same for a line


def price(opportunity: Opportunity, rules: Rules) -> PricedQuote:
    """Price an Opportunity: a Quote with one line for each of its lines, in their order.

    An Opportunity without lines gives a Quote without lines; the caller decides whether to write that.
    Raises Unpriceable for a number that is not finite or too large for the platform, for what no line can hold, or for
    a date that the platform does not have.
    """
    with localcontext(EXACT):
        if not 0 <= opportunity.decimals <= MAX_CURRENCY_DECIMALS:
            raise Unpriceable(f"a currency with {opportunity.decimals} decimals cannot be priced")
        _check(opportunity.amount, "Amount")
        lines = tuple(_price_line(opportunity, line, rules) for line in opportunity.lines)
    return PricedQuote(
        opportunity_id=opportunity.id,
        name=quote_name(opportunity.name),
        pricebook2_id=opportunity.pricebook2_id,
        expiration_date=_expiration_date(opportunity.close_date),
        lines=lines,
        copied=opportunity.copied,
    )


def reasons(opportunity: Opportunity, line: OpportunityLine, rules: Rules) -> tuple[tuple[str, Decimal], ...]:
    """Return which rules apply to a line, each with the fraction it gives, in their order and before the maximum."""
    found = (
        _by_region(opportunity, rules),
        _by_product(line, rules),
        _by_tier("line quantity", line.quantity, rules.line_quantity),
        _by_tier("Opportunity amount", opportunity.amount, rules.opportunity_amount),
    )
    return tuple(reason for reason in found if reason is not None)


def unknown_country(opportunity: Opportunity, rules: Rules) -> str | None:
    """Return the Account's country if it is not recognised. It is then priced as one of the other countries."""
    country = " ".join((opportunity.billing_country or "").split())
    key = country_key(country)
    if rules.regions is None or not key or key in rules.regions.by_country or country_code(country) is not None:
        return None
    return country


def product_key(text: str) -> str:
    """Return a product code or family without case and surrounding blanks, as the platform compares text."""
    return text.strip().casefold()


def _price_line(opportunity: Opportunity, line: OpportunityLine, rules: Rules) -> PricedLine:
    _check(line.unit_price, f"UnitPrice of line {line.id}")
    _check(line.quantity, f"Quantity of line {line.id}")
    _check(line.discount, f"Discount of line {line.id}")
    _check(line.total_price, f"TotalPrice of line {line.id}")
    found = reasons(opportunity, line, rules)
    total = sum((discount for _, discount in found), Decimal(0))
    discount = min(total, rules.maximum_discount)
    terms = quoted(line, discount, opportunity.decimals)
    return PricedLine(
        opportunity_line_id=line.id,
        pricebook_entry_id=line.pricebook_entry_id,
        quantity=line.quantity,
        list_unit_price=terms.unit_price if line.unit_price is None else line.unit_price,
        unit_price=terms.unit_price,
        discount=discount,
        line_discount=terms.discount,
        copied=line.copied,
        reasons=_texts(found, rules.maximum_discount if total > discount else None),
    )


@lru_cache(maxsize=10_000)
def _texts(found: tuple[tuple[str, Decimal], ...], maximum: Decimal | None) -> tuple[str, ...]:
    """Return the reasons as people read them: ``10 % region EMEA``. ``maximum``: the sum was more than that."""
    texts = tuple(f"{percent(discount)} % {name}" for name, discount in found)
    return texts if maximum is None else (*texts, f"together at most {percent(maximum)} %")


def percent(fraction: Decimal) -> str:
    """Return a fraction in percent without zeros at its end: 0.10 is "10"."""
    return f"{(fraction * 100).normalize():f}"


def _expiration_date(close_date: date) -> date:
    if close_date < FIRST_DATE or close_date > LAST_DATE - QUOTE_VALID_FOR:
        days = QUOTE_VALID_FOR.days
        reason = f"dates end on {LAST_DATE}" if close_date > FIRST_DATE else f"dates begin on {FIRST_DATE}"
        raise Unpriceable(f"CloseDate {close_date}: no quote can expire {days} days later, because the org's {reason}")
    return close_date + QUOTE_VALID_FOR


def _check(number: Decimal | None, what: str) -> None:
    if number is None:
        return
    if not number.is_finite() or abs(number) >= LARGEST_NUMBER or number != number.quantize(FINEST_NUMBER):
        raise Unpriceable(f"{what} is {number:.6g}: not a number that a field of the platform can hold")


def region_name(opportunity: Opportunity, rules: Rules) -> str | None:
    """Return the name of the Account's region. None: the rules have no regions."""
    return None if rules.regions is None else _region(opportunity.billing_country or "", rules.regions).name


def _by_region(opportunity: Opportunity, rules: Rules) -> tuple[str, Decimal] | None:
    if rules.regions is None:
        return None
    region = _region(opportunity.billing_country or "", rules.regions)
    return f"region {region.name}", region.discount


def _region(country: str, regions: Regions) -> Region:
    key, code = country_key(country), country_code(country)
    if not key:
        return regions.no_country
    return regions.by_country.get(key) or regions.by_country.get(code or "", regions.other_countries)


def _by_product(line: OpportunityLine, rules: Rules) -> tuple[str, Decimal] | None:
    for kind, text, table in (
        ("product code", line.product_code, rules.codes),
        ("product family", line.product_family, rules.families),
    ):
        discount = table.get(product_key(text)) if text else None
        if discount is not None:
            return f"{kind} {text}", discount
    return None


def _by_tier(what: str, value: Decimal | None, tiers: tuple[Tier, ...]) -> tuple[str, Decimal] | None:
    reached = [tier for tier in tiers if value is not None and value >= tier.at_least]
    return (f"{what} of {reached[-1].at_least:f} or more", reached[-1].discount) if reached else None
