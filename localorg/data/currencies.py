"""The rules of an org with several currencies: what is sold has a price in the currency of its Opportunity or Quote."""

from __future__ import annotations

import sqlite3
from collections.abc import MutableMapping
from typing import Any

from localorg import errors
from localorg.schema.currencies import FIELD, OBJECT

_PARENTS = {"OpportunityLineItem": ("Opportunity", "OpportunityId"), "QuoteLineItem": ("Quote", "QuoteId")}


def several(connection: sqlite3.Connection) -> bool:
    """Return whether the org of this database has several currencies."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (OBJECT,)).fetchone() is not None


def check_line(connection: sqlite3.Connection, object_name: str, row: MutableMapping[str, Any]) -> None:
    """Give a new line the currency of its parent. Raises OrgError if the price book entry has another one."""
    parent, reference = _PARENTS[object_name]
    (wanted,) = connection.execute(f"SELECT {FIELD} FROM {parent} WHERE Id = ?", (row[reference],)).fetchone()
    entry = "SELECT CurrencyIsoCode FROM PricebookEntry WHERE Id = ?"
    (priced_in,) = connection.execute(entry, (row["PricebookEntryId"],)).fetchone()
    if priced_in != wanted:
        reason = f"PricebookEntryId (pricebook entry currency code does not match {parent.lower()} currency code)"
        raise errors.field_integrity(reason, ("PricebookEntryId",))
    row[FIELD] = wanted
