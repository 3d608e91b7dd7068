"""An independent check of every Quote of a job: read from the org, computed again here. Shares no code with quotejob.

Only the region table of pricing.yaml is read: the shipped rules have nothing else active.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pycountry
import yaml

from harness.api import Json
from harness.org_reader import OrgReader

PRICING = Path(__file__).resolve().parent.parent / "pricing.yaml"
WHAT = (
    "count, one per Opportunity, QuoteJobKey__c, every line's price book entry, quantity and discount, unit price, "
    "Pricebook2Id, ExpirationDate, Status, Name"
)


@dataclass(slots=True)
class Verdict:
    """What a check looked at and what it found wrong."""

    quotes: int = 0
    lines: int = 0
    list_total: Decimal = Decimal(0)  # of the Opportunities' lines
    net_total: Decimal = Decimal(0)  # of the Quotes' lines
    differences: list[str] = field(default_factory=list)


class RegionPrices:
    """The discount of a country by pricing.yaml's region table."""

    def __init__(self) -> None:
        region = yaml.load(PRICING.read_text(), yaml.BaseLoader)["region"]  # noqa: S506 (only texts: NO is Norway)
        self._off = {name: Decimal(rules["discount"]) / 100 for name, rules in region["table"].items()}
        self._none, self._other = region["no_country"], region["other_countries"]
        self._region_of = {
            _plain(spelling): name
            for name, rules in region["table"].items()
            for code in rules.get("countries", ())
            for spelling in _spellings(code)
        }

    def unit_price(self, price: Decimal, country: str | None) -> Decimal:
        """Return ``price`` less the country's discount, rounded half up to two decimals."""
        name = self._region_of.get(_plain(country), self._other) if country and country.strip() else self._none
        return _number((price * (1 - self._off[name])).quantize(Decimal("0.01"), ROUND_HALF_UP))


def check_job(reader: OrgReader, job_id: str, where: str, *, some: bool = False) -> Verdict:
    """Compare every Quote of the job with the Opportunities the WHERE clause matches.

    ``some``: the clause matches at most some hundred of the job's Opportunities, and only their Quotes are compared.
    """
    prices = RegionPrices()
    verdict = Verdict()
    say = verdict.differences.append
    opportunities = {row["Id"]: row for row in reader.query(_OPPORTUNITIES.format(where=where))}
    theirs = f"QuoteJobKey__c LIKE '{job_id}:%'"
    if some:
        theirs += f" AND OpportunityId IN ({', '.join(map(repr, opportunities))})"
    quotes = list(reader.query(_QUOTES.format(where=theirs)))
    counted = reader.count(f"SELECT COUNT() FROM Quote WHERE {theirs}")
    if counted != len(quotes):
        say(f"COUNT() of the job's quotes is {counted}, but {len(quotes)} came back")
    of = Counter(quote["OpportunityId"] for quote in quotes)
    for opportunity_id, opportunity in opportunities.items():
        wanted = 1 if opportunity["OpportunityLineItems"] else 0
        if of[opportunity_id] != wanted:
            say(f"{opportunity['Name']}: {of[opportunity_id]} quotes instead of {wanted}")
    for quote in quotes:
        if quote["OpportunityId"] not in opportunities:
            say(f"{quote['Id']}: a quote of {quote['OpportunityId']}, which the clause does not match")
            continue
        opportunity = opportunities[quote["OpportunityId"]]
        verdict.quotes += 1
        verdict.lines += len(quote["QuoteLineItems"] or ())
        verdict.list_total += _total(opportunity["OpportunityLineItems"])
        verdict.net_total += _total(quote["QuoteLineItems"])
        verdict.differences += [
            f"{opportunity['Name']}: {text}" for text in _compare(job_id, opportunity, quote, prices)
        ]
    return verdict


_OPPORTUNITIES = """
    SELECT Id, Name, CloseDate, Pricebook2Id, Account.BillingCountry,
           (SELECT PricebookEntryId, Quantity, UnitPrice, Discount FROM OpportunityLineItems)
    FROM Opportunity WHERE {where}"""
_QUOTES = """
    SELECT Id, Name, OpportunityId, Pricebook2Id, ExpirationDate, Status, QuoteJobKey__c,
           (SELECT PricebookEntryId, Quantity, UnitPrice, Discount FROM QuoteLineItems)
    FROM Quote WHERE {where}"""


def _compare(job_id: str, opportunity: Json, quote: Json, prices: RegionPrices) -> Iterable[str]:
    country = (opportunity["Account"] or {}).get("BillingCountry")
    wanted: dict[str, Any] = {
        "Pricebook2Id": opportunity["Pricebook2Id"],
        "ExpirationDate": str(date.fromisoformat(opportunity["CloseDate"]) + timedelta(days=30)),
        "Status": "Draft",
        "QuoteJobKey__c": f"{job_id}:{opportunity['Id']}",
    }
    for name, value in wanted.items():
        if quote[name] != value:
            yield f"{name} is {quote[name]}, should be {value}"
    if not quote["Name"] or len(quote["Name"]) > 80:
        yield f"Name is {quote['Name']!r}, should have 1 to 80 characters"
    priced = Counter(
        (*_terms(line), prices.unit_price(_number(line["UnitPrice"]), country))
        for line in opportunity["OpportunityLineItems"] or ()
    )
    written = Counter((*_terms(line), _number(line["UnitPrice"])) for line in quote["QuoteLineItems"] or ())
    for (entry, quantity, discount, price), times in (priced - written).items():
        yield f"{times} line(s) of {quantity} x {entry} at {price} less {discount} % are missing (country {country})"
    for (entry, quantity, discount, price), times in (written - priced).items():
        yield f"{times} line(s) of {quantity} x {entry} at {price} less {discount} % are too many (country {country})"


def _terms(line: Json) -> tuple[str, Decimal, Decimal]:
    """Return what of a line does not change in its Quote. No discount is one of 0 %."""
    return line["PricebookEntryId"], _number(line["Quantity"]), _number(line["Discount"] or 0)


def _total(lines: list[Json] | None) -> Decimal:
    return sum((_total_of_line(line) for line in lines or ()), Decimal(0))


def _total_of_line(line: Json) -> Decimal:
    share = 1 - _number(line["Discount"] or 0) / 100
    return _number(line["Quantity"]) * _number(line["UnitPrice"]) * share


def _spellings(code: str) -> list[str]:
    """Return the codes and the English names that ISO 3166 has for a country."""
    country = pycountry.countries.get(alpha_2=code)
    return [code] if country is None else [value for name, value in country if name != "numeric"]


def _plain(country: str) -> str:
    letters = unicodedata.normalize("NFKD", country.casefold())
    return "".join(letter for letter in letters if letter.isalnum())


def _number(value: Any) -> Decimal:
    return Decimal(str(value)).normalize()
