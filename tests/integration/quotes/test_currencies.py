"""An org with several currencies: each Quote is in the currency of its Opportunity, with its decimals."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from _quoting import Ran, line

from harness.api import Json, LocalOrg
from harness.org_reader import OrgReader
from harness.stack import Stack
from quotejob.jobs.job import Status


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalOrg]:
    """The user's own currency is USD."""
    with Stack(tmp_path_factory.mktemp("currencies")) as stack:
        yield stack.start_org(0, "--opportunities", "1", "--currencies", "USD,EUR,JPY,KWD")


@pytest.fixture(scope="module")
def reader(local: LocalOrg) -> OrgReader:
    """The org, read and prepared through its own REST API."""
    return OrgReader(local)


@pytest.fixture(scope="module")
def entry_in(reader: OrgReader) -> Callable[[str], str]:
    """``entry_in("EUR")``: a price book entry of the standard price book in that currency."""
    (usd,) = reader.query(
        "SELECT Product2Id, Pricebook2Id FROM PricebookEntry "
        "WHERE Pricebook2.IsStandard = true AND IsActive = true ORDER BY Id LIMIT 1"
    )

    def find(code: str) -> str:
        wanted = {"Product2Id": usd["Product2Id"], "Pricebook2Id": usd["Pricebook2Id"], "CurrencyIsoCode": code}
        where = " AND ".join(f"{name} = '{value}'" for name, value in wanted.items())
        for entry in reader.query(f"SELECT Id FROM PricebookEntry WHERE {where}"):
            return str(entry["Id"])
        return str(reader.create("PricebookEntry", {**wanted, "UnitPrice": 100, "IsActive": True}))

    return find


@pytest.mark.parametrize(
    ("code", "price", "quoted"), [("USD", "99.99", "89.99"), ("EUR", "99.99", "89.99"), ("JPY", "9999", "8999")]
)
def test_a_quote_is_in_the_currency_of_its_opportunity(
    code: str,
    price: str,
    quoted: str,
    make: Callable[..., str],
    run: Callable[[str], Ran],
    entry_in: Callable[[str], str],
    quote_of: Callable[..., Json],
) -> None:
    """Not in that of the user, whose price book entries its lines could not have."""
    made = make(line(1, price, PricebookEntryId=entry_in(code)), CurrencyIsoCode=code)
    ran = run(f"Id = '{made}'")
    assert (ran.job.status, ran.results[made].message) == (Status.COMPLETED, None)
    quote = quote_of(made, "CurrencyIsoCode")
    assert quote["CurrencyIsoCode"] == code
    assert [str(each["UnitPrice"]) for each in quote["QuoteLineItems"]] == [str(float(quoted))]


def test_an_opportunity_keeps_the_decimals_of_a_currency_that_is_no_longer_active(
    make: Callable[..., str],
    run: Callable[[str], Ran],
    entry_in: Callable[[str], str],
    quote_of: Callable[..., Json],
    reader: OrgReader,
) -> None:
    """A yen has none, whether it is still used for new records or not."""
    made = make(line(3, "1001", PricebookEntryId=entry_in("JPY")), CurrencyIsoCode="JPY")
    (currency,) = reader.query("SELECT Id FROM CurrencyType WHERE IsoCode = 'JPY'")
    reader.update("CurrencyType", currency["Id"], {"IsActive": False})
    try:
        run(f"Id = '{made}'")
    finally:
        reader.update("CurrencyType", currency["Id"], {"IsActive": True})
    (quoted,) = quote_of(made)["QuoteLineItems"]
    assert quoted["UnitPrice"] == 901


def test_the_rules_may_choose_the_currency(
    make: Callable[..., str], run: Callable[[str], Ran], entry_in: Callable[[str], str], rules: Callable[[str], None]
) -> None:
    """Then the org says what does not fit, for that record only."""
    rules("maximum_discount: 30\nfields:\n  quote: {CurrencyIsoCode: {value: USD}}\n")
    made = make(line(1, "10", PricebookEntryId=entry_in("EUR")), CurrencyIsoCode="EUR")
    result = run(f"Id = '{made}'").results[made]
    assert result.code == "FIELD_INTEGRITY_EXCEPTION"
    assert "currency code does not match" in str(result.message)
