"""The data of a new org: the organization, its users, accounts in many countries, products and two price books.

Everything is drawn from the org's seed, so the same seed gives the same rows with the same ids. Opportunities are made
on demand and fast: they go directly into the tables, with the arithmetic of quoting.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import lru_cache
from itertools import chain, islice, repeat
from random import Random
from typing import Any, NamedTuple

from localorg.data.arithmetic import expected_revenue, fiscal_fields, line_totals, stage_fields
from localorg.data.values import rounded
from localorg.org import Org
from localorg.permissions import User
from localorg.schema import currencies

PRODUCTS = 200
OPPORTUNITY_NAME = "Opportunity {}"
STANDARD_BOOK, PARTNER_BOOK = "Standard Price Book", "Partner Price Book"

_PLACES = {
    "US": ("New York", "Chicago", "San Francisco"),
    "CA": ("Toronto", "Vancouver", "Montreal"),
    "MX": ("Mexico City", "Monterrey"),
    "GB": ("London", "Leeds", "Edinburgh"),
    "DE": ("Berlin", "Hamburg", "Munich"),
    "FR": ("Paris", "Lyon"),
    "CH": ("Zurich", "Basel"),
    "ES": ("Madrid", "Valencia"),
    "IT": ("Milan", "Turin"),
    "NL": ("Rotterdam", "Utrecht"),
    "SE": ("Stockholm", "Gothenburg"),
    "PL": ("Warsaw", "Gdansk"),
    "JP": ("Tokyo", "Osaka", "Nagoya"),
    "IN": ("Mumbai", "Bengaluru", "Chennai"),
    "SG": ("Singapore",),
    "AU": ("Sydney", "Perth"),
    "KR": ("Seoul", "Busan"),
    "BR": ("Sao Paulo", "Recife"),
    "AR": ("Buenos Aires", "Rosario"),
    "CL": ("Santiago",),
    "ZA": ("Cape Town", "Durban"),
    "AE": ("Dubai", "Abu Dhabi"),
    "IL": ("Haifa",),
    "KE": ("Nairobi",),
}
_WITHOUT_COUNTRY = 4
_FIRST = ("Alder", "Basalt", "Cobalt", "Delta", "Ember", "Fjord", "Granite", "Harbor", "Indigo", "Juniper")
_LAST = ("Logistics", "Foods", "Energy", "Textiles", "Robotics", "Shipping", "Optics")
_INDUSTRIES = ("Manufacturing", "Retail", "Technology", "Healthcare", "Finance", "Energy", "Transportation")
_FAMILIES = {
    "Hardware": ("HW", ("Edge Router", "Rack Server", "Storage Shelf", "Access Point", "Sensor Kit")),
    "Software": ("SW", ("Analytics Suite", "Backup Licence", "Fleet Manager", "Design Studio", "Mail Gateway")),
    "Services": ("SV", ("Onboarding", "Support Plan", "Training Day", "Audit", "Migration")),
    "None": ("XX", ("Spare Part", "Cable Set", "Manual", "Adapter", "Carry Case")),
}
_STAGES = (
    "Prospecting",
    "Qualification",
    "Needs Analysis",
    "Value Proposition",
    "Id. Decision Makers",
    "Perception Analysis",
    "Proposal/Price Quote",
    "Negotiation/Review",
    "Closed Won",
    "Closed Lost",
)
_TYPES = ("New Customer", "Existing Customer - Upgrade")
_CLOSING_DAYS = 180  # Opportunities close at most this number of days from today


class Entry(NamedTuple):
    """An active price book entry, with the values that a line needs."""

    id: str
    product: str
    name: str
    code: str
    price: float


class Ground(NamedTuple):
    """The data for Opportunities: ids of accounts, and the active entries of each price book by its id."""

    accounts: Sequence[str]
    books: Sequence[tuple[str, Sequence[Entry]]]


def populate(org: Org) -> None:
    """Fill a new org; an org with data stays as it is, except that missing users are added."""
    org.in_transaction(_users, org)
    if org.connection.execute("SELECT 1 FROM Organization").fetchone() is None:
        org.in_transaction(_populate, org)


def _populate(org: Org) -> None:
    draw = Random(org.seed)
    _organization(org)
    _accounts(org, draw)
    _products(org, draw, _book(org, STANDARD_BOOK, standard=True), _book(org, PARTNER_BOOK, standard=False))


def _insert(org: Org, object_name: str, row: dict[str, Any]) -> None:
    """Insert a row that the API could not create; add audit fields where the object has them."""
    now = org.records.now()
    audit = {"CreatedDate": now, "LastModifiedDate": now, "SystemModstamp": now}
    audit |= {"CreatedById": org.user.id, "LastModifiedById": org.user.id}
    whole = {**row, **audit}
    names = ", ".join(f'"{name}"' for name in whole)
    marks = ", ".join("?" * len(whole))
    org.connection.execute(f'INSERT INTO "{object_name}" ({names}) VALUES ({marks})', tuple(whole.values()))


def _organization(org: Org) -> None:
    row = {
        "Id": org.organization_id,
        "Name": "Local Org",
        "Country": "US",
        "DefaultLocaleSidKey": "en_US",
        "TimeZoneSidKey": org.user.time_zone.key,
        "LanguageLocaleKey": "en_US",
        "FiscalYearStartMonth": 1,
        "OrganizationType": "Developer Edition",
        "InstanceName": "LOC1",
        "IsSandbox": 0,
    }
    _insert(org, "Organization", row)


def _users(org: Org) -> None:
    there = {row[0] for row in org.connection.execute('SELECT "Id" FROM "User"')}
    for user in org.users.everyone:
        if user.id not in there:
            _insert(org, "User", _user_row(user))


def _user_row(user: User) -> dict[str, Any]:
    return {
        "Id": user.id,
        "Username": user.username,
        "FirstName": user.first_name,
        "LastName": user.last_name,
        "Name": user.name,
        "Email": user.username,
        "Alias": user.alias,
        "IsActive": 1,
        "TimeZoneSidKey": user.time_zone.key,
        "LocaleSidKey": "en_US",
        "LanguageLocaleKey": "en_US",
        "EmailEncodingKey": "UTF-8",
        "UserType": "Standard",
    }


def _accounts(org: Org, draw: Random) -> None:
    homes = [(country, city) for country, cities in _PLACES.items() for city in cities]
    names = draw.sample([f"{first} {last}" for first in _FIRST for last in _LAST], len(homes) + _WITHOUT_COUNTRY)
    for name, (country, city) in zip(names, chain(homes, repeat((None, None))), strict=False):
        body = {
            "Name": name,
            "BillingCountry": country,
            "BillingCity": city,
            "Industry": draw.choice(_INDUSTRIES),
            "AnnualRevenue": draw.randrange(1, 500) * 1_000_000,
            "NumberOfEmployees": draw.randrange(20, 9_000),
        }
        org.records.create("Account", body)


def _book(org: Org, name: str, *, standard: bool) -> str:
    if not standard:
        return org.records.create("Pricebook2", {"Name": name, "IsActive": True})
    book = org.ids.next("01s")
    _insert(org, "Pricebook2", {"Id": book, "Name": name, "IsActive": 1, "IsStandard": 1})
    return book


def _products(org: Org, draw: Random, standard: str, partner: str) -> None:
    """Create the products with an entry in either book; a few are inactive, a few only in one of the books."""
    families = list(_FAMILIES)
    for number in range(PRODUCTS):
        family = families[number % len(families)]
        code, kinds = _FAMILIES[family]
        body = {
            "Name": f"{kinds[number // len(families) % len(kinds)]} {number + 1}",
            "ProductCode": f"{code}-{number + 1:04d}",
            "Family": family,
            "IsActive": number % 40 != 39,
        }
        product = org.records.create("Product2", body)
        price = draw.randrange(500, 500_000) / 100
        discounted = rounded(price * draw.uniform(0.7, 0.95), 2)
        _entry(org, standard, product, price, active=number % 40 not in (19, 39))
        _entry(org, partner, product, discounted, active=number % 40 not in (29, 39))


def _entry(org: Org, book: str, product: str, price: float, *, active: bool) -> None:
    body = {"Pricebook2Id": book, "Product2Id": product, "UnitPrice": price, "IsActive": active}
    org.records.create("PricebookEntry", body)


# --- Opportunities ------------------------------------------------------------------------------------------------

_OPPORTUNITY = """INSERT INTO Opportunity (
    Id, AccountId, Name, StageName, Amount, Probability, ExpectedRevenue, TotalOpportunityQuantity, CloseDate, Type,
    IsClosed, IsWon, ForecastCategory, ForecastCategoryName, HasOpportunityLineItem, Pricebook2Id, OwnerId, PushCount,
    FiscalYear, FiscalQuarter, Fiscal, CreatedDate, CreatedById, LastModifiedDate, LastModifiedById, SystemModstamp)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?)"""
_LINE = """INSERT INTO OpportunityLineItem (
    Id, OpportunityId, SortOrder, PricebookEntryId, Product2Id, ProductCode, Name, Quantity, UnitPrice, ListPrice,
    Subtotal, TotalPrice, CreatedDate, CreatedById, LastModifiedDate, LastModifiedById, SystemModstamp)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_AT_ONCE = 2_000

Values = tuple[Any, ...]


def add_opportunities(org: Org, count: int, lines: int) -> None:
    """Create Opportunities "Opportunity 0" to count - 1, each with this number of lines; existing ones count.

    Accounts, stages and both price books are used in turn; the close dates are within half a year from today.
    """
    have = org.connection.execute("SELECT COUNT(*) FROM Opportunity WHERE Name LIKE 'Opportunity %'").fetchone()[0]
    if have < count:
        org.in_transaction(_add, org, have, count, lines)


def _add(org: Org, start: int, stop: int, lines: int) -> None:
    made = _Maker(org, lines).opportunities(start, stop)
    while batch := list(islice(made, _AT_ONCE)):
        org.connection.executemany(_OPPORTUNITY, [opportunity for opportunity, _ in batch])
        org.connection.executemany(_LINE, chain.from_iterable(line_rows for _, line_rows in batch))


class _Maker:
    """A maker of rows of Opportunities and their lines, as tuples in the order of the INSERTs above."""

    def __init__(self, org: Org, lines: int) -> None:
        self._ids = org.ids
        self._ground = _ground(org.connection)
        self._lines = lines
        self._owner = org.user.id
        now = org.records.now()
        self._audit = (now, self._owner, now, self._owner, now)
        self._today = org.clock().astimezone(org.user.time_zone).date()
        # The same numbers occur often, so keep the results.
        self._totals = lru_cache(maxsize=100_000)(line_totals)

    def opportunities(self, start: int, stop: int) -> Iterator[tuple[Values, list[Values]]]:
        for number in range(start, stop):
            opportunity = self._ids.next("006")
            book, entries = self._ground.books[number % len(self._ground.books)]
            name = OPPORTUNITY_NAME.format(number)
            lines = [self._line(opportunity, name, entries, number, at) for at in range(self._lines)]
            yield self._opportunity(opportunity, name, book, number, lines), lines

    def _opportunity(self, record_id: str, name: str, book: str, number: int, lines: list[Values]) -> Values:
        stage = _STAGES[number // 2 % len(_STAGES)]
        derived = _stage(stage)
        close = self._today + timedelta(days=number % _CLOSING_DAYS)
        amount = rounded(sum(line[11] for line in lines), 2) if lines else None
        return (
            record_id,
            self._ground.accounts[number % len(self._ground.accounts)],
            name,
            stage,
            amount,
            derived["Probability"],
            expected_revenue(amount, derived["Probability"]),
            sum(line[7] for line in lines) if lines else None,
            close.isoformat(),
            _TYPES[number % len(_TYPES)],
            derived["IsClosed"],
            derived["IsWon"],
            derived["ForecastCategory"],
            derived["ForecastCategoryName"],
            int(bool(lines)),
            book,
            self._owner,
            *_fiscal(close),
            *self._audit,
        )

    def _line(self, opportunity: str, name: str, entries: Sequence[Entry], number: int, at: int) -> Values:
        # Two steps without a common factor with the number of entries, so that neighbours have different products.
        entry = entries[(number * 7 + at * 31) % len(entries)]
        quantity = float((number + at * 3) % 20 + 1)
        subtotal, total = self._totals(quantity, entry.price, None)
        return (
            self._ids.next("00k"),
            opportunity,
            at + 1,
            entry.id,
            entry.product,
            entry.code,
            f"{name} {entry.name}",
            quantity,
            entry.price,
            entry.price,
            subtotal,
            total,
            *self._audit,
        )


@lru_cache
def _stage(stage: str) -> dict[str, Any]:
    return stage_fields(stage)


@lru_cache(maxsize=400)
def _fiscal(close: date) -> Values:
    return tuple(fiscal_fields(close.isoformat()).values())


def _ground(connection: sqlite3.Connection) -> Ground:
    accounts = [row[0] for row in connection.execute("SELECT Id FROM Account WHERE IsDeleted = 0 ORDER BY Id")]
    books = connection.execute("SELECT Id FROM Pricebook2 WHERE IsActive = 1 AND IsDeleted = 0 ORDER BY Id").fetchall()
    return Ground(accounts, [(book, _entries(connection, book)) for (book,) in books])


def _entries(connection: sqlite3.Connection, book: str) -> list[Entry]:
    statement = """SELECT Id, Product2Id, Name, ProductCode, UnitPrice FROM PricebookEntry
                   WHERE Pricebook2Id = ? AND IsActive = 1 AND IsDeleted = 0 ORDER BY Id"""
    return [Entry(*row) for row in connection.execute(statement, (book,))]


# --- currencies ---------------------------------------------------------------------------------------------------


def add_currencies(org: Org, codes: Sequence[str]) -> None:
    """Create the CurrencyType of each code, and give the first one to records that the seed made without."""
    if not org.connection.execute(f"SELECT COUNT(*) FROM {currencies.OBJECT}").fetchone()[0]:
        for code in codes:
            body = {
                "IsoCode": code,
                "ConversionRate": 1.0,
                "DecimalPlaces": currencies.DECIMALS.get(code, 2),
                "IsActive": True,
            }
            org.records.create(currencies.OBJECT, body | {"IsCorporate": code == codes[0]})
    org.in_transaction(_use_currency, org.connection, codes[0])


def _use_currency(connection: sqlite3.Connection, code: str) -> None:
    for table in ("Opportunity", "OpportunityLineItem"):
        connection.execute(f"UPDATE {table} SET {currencies.FIELD} = ? WHERE {currencies.FIELD} IS NULL", (code,))
