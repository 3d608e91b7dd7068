"""Local orgs for the tests of this folder, and an Opportunity to sell something to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import pytest
from _server import Deal, Server, Start, start_server

_numbers = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One org for a whole session, with 30 Opportunities of 2 lines. Tests leave what they make, and count on none."""
    running = start_server("--opportunities", "30", "--lines", "2")
    yield running
    assert running.stop() == 0


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts orgs of the test's own; the word arguments are those of the command line."""
    with ExitStack() as stack:

        def starting(*words: str) -> Server:
            running = start_server(*words)
            stack.callback(lambda: running.process.poll() is None and running.stop())
            return running

        yield starting


@pytest.fixture
def deal(server: Server) -> Deal:
    """An Opportunity without lines in the standard book, with a product of its own at 100.00."""
    number = next(_numbers)
    book = server.query("SELECT Id FROM Pricebook2 WHERE IsStandard = true")[0]["Id"]
    product = server.create("Product2", Name=f"Thing {number}", ProductCode=f"T-{number}", IsActive=True)
    entry = server.create("PricebookEntry", Pricebook2Id=book, Product2Id=product, UnitPrice=100, IsActive=True)
    account = server.create("Account", Name=f"Buyer {number}", BillingCountry="CH")
    opportunity = server.create(
        "Opportunity",
        Name=f"Deal {number}",
        AccountId=account,
        StageName="Prospecting",
        CloseDate="2026-12-31",
        Pricebook2Id=book,
    )
    return Deal(account, opportunity, book, entry, product, 100.0)
