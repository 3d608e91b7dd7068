"""What an org remembers between writes to be fast never makes it wrong: it forgets whatever may have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localorg.errors import OrgError
from localorg.org import Org
from localorg.schema.loading import load_schema
from localorg.seed import add_opportunities, populate


@pytest.fixture
def org() -> Iterator[Org]:
    made = Org(load_schema())
    populate(made)
    add_opportunities(made, 2, 1)
    yield made
    made.close()


def _one(org: Org, soql: str) -> dict[str, Any]:
    return next(org.soql.rows(soql))


def _line(org: Org) -> dict[str, Any]:
    """The body of one more line like the first there is."""
    row = _one(org, "SELECT OpportunityId, PricebookEntryId, UnitPrice FROM OpportunityLineItem")
    return {name: row[name] for name in ("OpportunityId", "PricebookEntryId", "UnitPrice")} | {"Quantity": 1}


def _create(org: Org, body: dict[str, Any]) -> str:
    return org.in_transaction(org.records.create, "OpportunityLineItem", body)


def _refusal(org: Org, body: dict[str, Any]) -> str:
    with pytest.raises(OrgError) as refused:
        _create(org, body)
    return f"{refused.value.code}: {refused.value.message}"


def test_a_deleted_parent_is_no_parent_any_more(org: Org) -> None:
    body = _line(org)
    _create(org, body)
    org.in_transaction(org.records.delete, "Opportunity", body["OpportunityId"])
    assert _refusal(org, body).startswith("ENTITY_IS_DELETED")


def test_a_parent_whose_creation_was_rolled_back_is_none(org: Org) -> None:
    body = _line(org)
    made: list[str] = []

    def both() -> None:
        account = {"Name": "x", "StageName": "Prospecting", "CloseDate": "2026-01-01"}
        made.append(org.records.create("Opportunity", account))
        org.records.create("OpportunityLineItem", {**body, "OpportunityId": made[0]})
        raise KeyError

    with pytest.raises(KeyError):
        org.in_transaction(both)
    assert _refusal(org, {**body, "OpportunityId": made[0]}).startswith("INVALID_CROSS_REFERENCE_KEY")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda org, entry: org.records.update("PricebookEntry", entry, {"IsActive": False}), "entry is inactive"),
        (lambda org, entry: org.records.delete("PricebookEntry", entry), "archived"),
    ],
)
def test_an_entry_that_changed_is_seen(org: Org, change: Callable[[Org, str], None], said: str) -> None:
    body = _line(org)
    _create(org, body)
    org.in_transaction(change, org, body["PricebookEntryId"])
    assert said in _refusal(org, body)


def test_a_new_list_price_is_seen_and_a_rolled_back_one_not(org: Org) -> None:
    body = _line(org)
    entry = body["PricebookEntryId"]
    before = org.records.get("OpportunityLineItem", _create(org, body))["ListPrice"]

    def raised(price: float) -> float:
        org.records.update("PricebookEntry", entry, {"UnitPrice": price})
        found: float = org.records.get("OpportunityLineItem", org.records.create("OpportunityLineItem", body))[
            "ListPrice"
        ]
        return found

    def raised_in_vain() -> None:
        with pytest.raises(KeyError):
            in_a_savepoint()

    def in_a_savepoint() -> None:
        with org.savepoint():
            assert raised(7) == 7.0
            raise KeyError

    org.in_transaction(raised_in_vain)
    assert org.records.get("OpportunityLineItem", _create(org, body))["ListPrice"] == before
    assert org.in_transaction(raised, 9) == 9.0


def test_a_parent_whose_book_changed_is_seen(org: Org) -> None:
    """In one transaction: the first line gives its book to an Opportunity without one, the next has to be of it."""
    body = _line(org)
    other = _one(
        org,
        "SELECT Id FROM PricebookEntry WHERE IsActive = true AND Pricebook2Id != "
        f"'{_one(org, 'SELECT Pricebook2Id FROM Opportunity ORDER BY Id')['Pricebook2Id']}'",
    )["Id"]

    def lines() -> None:
        fields = {"Name": "x", "StageName": "Prospecting", "CloseDate": "2026-01-01"}
        opportunity = org.records.create("Opportunity", fields)
        org.records.create("OpportunityLineItem", {**body, "OpportunityId": opportunity})
        with pytest.raises(OrgError, match="different pricebook"):
            org.records.create("OpportunityLineItem", {**body, "OpportunityId": opportunity, "PricebookEntryId": other})

    org.in_transaction(lines)


def test_a_hard_delete_leaves_no_trace(org: Org) -> None:
    """What hangs on the row goes too, from the recycle bin as well; other references are emptied."""
    body = _line(org)
    opportunity = body["OpportunityId"]
    quote_body = {"Name": "q", "OpportunityId": opportunity}
    binned = org.in_transaction(org.records.create, "Quote", quote_body)
    org.in_transaction(org.records.delete, "Quote", binned)
    quote = org.in_transaction(org.records.create, "Quote", quote_body)
    org.in_transaction(org.records.update, "Opportunity", opportunity, {"SyncedQuoteId": quote})
    assert org.records.get("Quote", quote)["IsSyncing"]
    org.in_transaction(org.records.delete, "Quote", quote, hard=True)
    assert org.records.get("Opportunity", opportunity)["SyncedQuoteId"] is None
    org.in_transaction(org.records.delete, "Opportunity", opportunity, hard=True)
    for name in ("Quote", "OpportunityLineItem", "Opportunity"):
        column = "Id" if name == "Opportunity" else "OpportunityId"
        statement = f'SELECT COUNT(*) FROM "{name}" WHERE "{column}" = ?'
        assert org.connection.execute(statement, (opportunity,)).fetchone() == (0,)


# --- ids ----------------------------------------------------------------------------------------------------------


def test_no_id_is_handed_out_twice_however_the_org_ends(tmp_path: Path) -> None:
    """Not when the rows that had it are gone for good, nor when the transaction that made it was rolled back."""
    used: set[str] = set()

    def account(org: Org) -> str:
        return org.records.create("Account", {"Name": "x"})

    def fail(org: Org) -> None:
        for _ in range(1500):
            account(org)
        raise KeyError

    for _ in range(3):
        org = Org(load_schema(), path=tmp_path / "org.db")
        populate(org)
        with pytest.raises(KeyError):
            org.in_transaction(fail, org)
        for _ in range(10):
            made = org.in_transaction(account, org)
            assert made not in used
            used.add(made)
            org.in_transaction(org.records.delete, "Account", made, hard=True)
        org.close()
