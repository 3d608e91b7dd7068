"""The whole system as processes, started once a test process: web, two workers, scheduler, Flower, local org.

Its Redis is always a private one: these tests read every key, and two systems must not share one server.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.api import Api
from harness.org_reader import OrgReader
from harness.stack import Stack

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything runs and a worker answers. A process that ended meanwhile fails the session at its end."""
    with Stack(tmp_path_factory.mktemp("stack")) as stack:
        stack.start_redis()
        stack.start_org(0, "--profile", "instant")
        stack.start_web()
        stack.start_worker(1)
        stack.start_worker(2)
        stack.start_beat()
        stack.start_flower()
        stack.wait_ready()
        yield stack
        stack.check()


@pytest.fixture(scope="session")
def reader(stack: Stack) -> OrgReader:
    """The stack's org, read and prepared through its own REST API."""
    assert stack.org
    return OrgReader(stack.org)


@pytest.fixture(scope="session")
def api(stack: Stack, reader: OrgReader) -> Api:
    """The stack's API, called with its org's context."""
    assert stack.org
    return Api(stack.web_url, stack.org, reader.username())


@pytest.fixture(scope="module")
def chromium(optional_tool: Callable[[str], str]) -> Iterator[Any]:
    """A real browser, without a window."""
    from _browser import browser  # the tests that need no browser need no Playwright either

    with browser(optional_tool("chromium")) as found:
        yield found


@pytest.fixture
def name() -> str:
    """A name for this test's Opportunities that no other test uses."""
    return f"Acceptance {next(_numbers)}:"


@pytest.fixture(scope="session")
def entries(reader: OrgReader) -> Callable[[bool], list[dict[str, Any]]]:
    """``entries(standard)``: the active entries of the standard, or of a custom, active price book; one book's only."""

    def find(standard: bool) -> list[dict[str, Any]]:
        rows = list(
            reader.query(
                "SELECT Id, UnitPrice, Pricebook2Id FROM PricebookEntry WHERE IsActive = true "
                f"AND Pricebook2.IsActive = true AND Pricebook2.IsStandard = {str(standard).lower()} "
                "ORDER BY Pricebook2Id, Id"
            )
        )
        return [row for row in rows if row["Pricebook2Id"] == rows[0]["Pricebook2Id"]]

    return find


@pytest.fixture(scope="session")
def make_opportunity(reader: OrgReader, entries: Callable[[bool], list[dict[str, Any]]]) -> Callable[..., str]:
    """``make_opportunity(name, lines=2, standard=True, country="Germany")``: written into the org; gives its id."""

    def make(name: str, lines: int = 2, *, standard: bool = True, country: str | None = "Germany") -> str:
        book = entries(standard)
        account = reader.create("Account", {"Name": name, "BillingCountry": country})
        opportunity = reader.create(
            "Opportunity",
            {
                "Name": name,
                "AccountId": account,
                "StageName": "Prospecting",
                "CloseDate": "2027-02-27",
                "Pricebook2Id": book[0]["Pricebook2Id"],
            },
        )
        nodes = [
            reader.node(
                f"line{number}",
                "OpportunityLineItem",
                {
                    "OpportunityId": opportunity,
                    "PricebookEntryId": book[number % len(book)]["Id"],
                    "Quantity": 1 + number % 7,
                    "UnitPrice": 10.05 + number,
                },
            )
            for number in range(lines)
        ]
        for part in (nodes[start : start + 400] for start in range(0, lines, 400)):
            reader.graph(part)
        return opportunity

    return make
