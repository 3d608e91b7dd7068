"""What an org knows about selling: the price book that a line may use, and the totals that the org computes.

Rules and arithmetic follow the Object Reference pages of Opportunity, OpportunityLineItem, Quote, QuoteLineItem and
PricebookEntry. Records calls the hooks here around each write; parents whose lines changed are remembered, and `settle`
computes their totals once, however many lines were written.

Syncing is not imitated: SyncedQuoteId and IsSyncing are kept, but no line is copied between a quote and its
opportunity. The platform sums line totals before it rounds them. Here a total is the sum of what its lines show.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple, TypeVar

from localorg import errors
from localorg.data import currencies
from localorg.data.arithmetic import (
    expected_revenue,
    fiscal_fields,
    line_totals,
    quote_totals,
    stage_fields,
    unit_price_of,
)
from localorg.data.values import rounded
from localorg.errors import OrgError

Row = MutableMapping[str, Any]
Values = Mapping[str, Any]
LINES = {"QuoteLineItem": "QuoteId", "OpportunityLineItem": "OpportunityId"}
"""The two kinds of line, and the field that names the parent."""
_PARENTS = frozenset({"Quote", "Opportunity"})
_SOLD = frozenset({"PricebookEntry", "Pricebook2", "Product2"})
_MOST_KEPT = 20_000  # entries and parents remembered
_PRICED_BY = frozenset({"Quantity", "UnitPrice", "TotalPrice", "Discount"})


# --- refusals -----------------------------------------------------------------------------------------------------


def entry_refused(reason: str) -> OrgError:
    """Return the error for a line whose price book entry cannot be used."""
    return errors.field_integrity(f"PricebookEntryId ({reason})", ("PricebookEntryId",))


def lost_reference(field_name: str, *, deleted: bool) -> OrgError:
    """Return the error for a reference to a row that does not exist, or no longer exists."""
    if field_name == "PricebookEntryId":
        if deleted:
            return entry_refused("pricebook entry has been archived")
        advice = "versions 3.0 and higher must specify pricebook entry id; others must specify product id"
        return errors.field_integrity(f"PricebookEntryId, unknown ({advice})", ("PricebookEntryId",))
    if deleted:
        return OrgError(400, "ENTITY_IS_DELETED", "entity is deleted", ())
    return errors.invalid_cross_reference((field_name,))


class _Entry(NamedTuple):
    """The parts of a price book entry that a new line needs."""

    book: str
    product: str
    price: float
    is_active: int
    is_archived: int
    name: str | None
    code: str | None


_ENTRY = """SELECT Pricebook2Id, Product2Id, UnitPrice, IsActive, IsArchived, Name, ProductCode
            FROM PricebookEntry WHERE Id = ?"""
# Binds a JSON array of ids. CROSS JOIN makes SQLite look them up in this order, one by one.
_QUOTE_LINES = """SELECT q.Id, q.Tax, q.ShippingHandling, COUNT(l.Id), SUM(l.Subtotal), SUM(l.TotalPrice)
    FROM json_each(?) AS asked CROSS JOIN Quote q ON q.Id = asked.value
    LEFT JOIN QuoteLineItem l ON l.QuoteId = q.Id AND l.IsDeleted = 0 WHERE q.IsDeleted = 0 GROUP BY asked.key"""
_OPPORTUNITY_LINES = """SELECT o.Id, o.Probability, COUNT(l.Id), SUM(l.TotalPrice), SUM(l.Quantity)
    FROM json_each(?) AS asked CROSS JOIN Opportunity o ON o.Id = asked.value
    LEFT JOIN OpportunityLineItem l ON l.OpportunityId = o.Id AND l.IsDeleted = 0 WHERE o.IsDeleted = 0
    GROUP BY asked.key"""
_SETTLE_QUOTE = """UPDATE Quote SET LineItemCount = ?, Subtotal = ?, TotalPrice = ?, Discount = ?, GrandTotal = ?,
    LastModifiedDate = ?, SystemModstamp = ? WHERE Id = ?"""
_SETTLE_OPPORTUNITY = """UPDATE Opportunity SET HasOpportunityLineItem = ?, Amount = ?, TotalOpportunityQuantity = ?,
    ExpectedRevenue = ?, LastModifiedDate = ?, SystemModstamp = ? WHERE Id = ?"""
_STANDARD_PRICE = """SELECT e.UnitPrice FROM PricebookEntry e JOIN Pricebook2 b ON b.Id = e.Pricebook2Id
                     WHERE e.Product2Id = ? AND b.IsStandard = 1 AND e.IsDeleted = 0"""


class Quoting:
    """The rules around the writes of one database; used in its thread, inside a transaction."""

    def __init__(self, connection: sqlite3.Connection, now: Callable[[], str]) -> None:
        self._db = connection
        self._now = now
        self._currencies = currencies.several(connection)
        self._entries: dict[str, _Entry] = {}  # entries that lines were made from
        self._parents: dict[str, tuple[Any, ...]] = {}  # what new lines ask of their parents
        self._quotes: dict[str, None] = {}
        self._opportunities: dict[str, None] = {}
        self._quote_number = self._largest("Quote", "QuoteNumber")
        self._line_number = self._largest("QuoteLineItem", "LineNumber")
        self._creating: dict[str, Callable[[Row], None]] = {
            "Opportunity": self._new_opportunity,
            "OpportunityLineItem": self._new_opportunity_line,
            "Quote": self._new_quote,
            "QuoteLineItem": self._new_quote_line,
            "PricebookEntry": self._new_entry,
        }
        self._updating: dict[str, Callable[[Values, Row], None]] = {
            "Opportunity": self._changed_opportunity,
            "OpportunityLineItem": self._changed_opportunity_line,
            "Quote": self._changed_quote,
            "QuoteLineItem": self._changed_quote_line,
            "PricebookEntry": self._changed_entry,
        }

    def _largest(self, table: str, column: str) -> int:
        (number,) = self._db.execute(f"SELECT MAX({column}) FROM {table}").fetchone()
        return int(number or 0)

    # --- hooks ----------------------------------------------------------------------------------------------------

    def still_missing(self, object_name: str, row: Values, missing: list[str]) -> list[str]:
        """Return which of the missing required fields are really missing: some can be derived."""
        if object_name == "PricebookEntry" and row.get("UseStandardPrice"):
            return [name for name in missing if name != "UnitPrice"]
        return missing

    def creating(self, object_name: str, row: Row) -> None:
        """Check a row before its insert, and fill in what the org computes. Its references are checked already."""
        if rule := self._creating.get(object_name):
            rule(row)
        if object_name in LINES and self._currencies:
            currencies.check_line(self._db, object_name, row)

    def created(self, object_name: str, row: Values) -> None:
        """Note that a row has been inserted."""
        if object_name in LINES:
            self._touch(object_name, row)
            if object_name == "OpportunityLineItem" and self._parents[row["OpportunityId"]][0] is None:
                self._adopt_book(row)

    def updating(self, object_name: str, old: Values, changes: Row) -> None:
        """Check a change before it is made, and add the changes that follow from it."""
        if rule := self._updating.get(object_name):
            rule(old, changes)

    def updated(self, object_name: str, old: Values, changes: Values) -> None:
        """Note that a change has been made."""
        if object_name in LINES:
            self._touch(object_name, old)
            return
        self._unlearn(object_name)
        if object_name == "Quote" and not changes.keys().isdisjoint(("Tax", "ShippingHandling")):
            self._quotes[old["Id"]] = None
        elif object_name == "Opportunity" and "SyncedQuoteId" in changes:
            self._sync(old["Id"], changes["SyncedQuoteId"])
        elif object_name == "PricebookEntry" and "UnitPrice" in changes:
            self._follow_standard_price({**old, **changes})
        elif object_name == "Product2" and not changes.keys().isdisjoint(("Name", "ProductCode")):
            self._rename_entries({**old, **changes})

    def deleting(self, object_name: str, row: Values) -> None:
        """Check a row before it is deleted."""
        if object_name == "Pricebook2" and row["IsStandard"]:
            raise OrgError(400, "DELETE_FAILED", "The standard price book cannot be deleted", ())

    def deleted(self, object_name: str, row: Values) -> None:
        """Note that a row has been deleted, by itself or with its parent."""
        self._unlearn(object_name)
        if object_name in LINES:
            self._touch(object_name, row)
        elif object_name == "Quote" and row["IsSyncing"]:
            self._db.execute("UPDATE Opportunity SET SyncedQuoteId = NULL WHERE SyncedQuoteId = ?", (row["Id"],))
        elif object_name == "PricebookEntry":
            self._db.execute("UPDATE PricebookEntry SET IsArchived = 1, IsActive = 0 WHERE Id = ?", (row["Id"],))

    def _unlearn(self, object_name: str) -> None:
        """Forget what lines have read about a row of this object, because it has changed. It is read again."""
        if object_name in _PARENTS:
            self._parents.clear()
        elif object_name in _SOLD:
            self._entries.clear()

    # --- Opportunity ----------------------------------------------------------------------------------------------

    def _new_opportunity(self, row: Row) -> None:
        derived = {**stage_fields(row["StageName"]), **fiscal_fields(row["CloseDate"]), "PushCount": 0}
        for name, value in derived.items():
            if row.get(name) is None or name in ("IsClosed", "IsWon"):
                row[name] = value
        row["ExpectedRevenue"] = expected_revenue(row.get("Amount"), row["Probability"])

    def _changed_opportunity(self, old: Values, changes: Row) -> None:
        if old["HasOpportunityLineItem"]:
            self._refuse_new_book(old, changes, "opportunity")
            changes.pop("Amount", None)  # ignored without an error, as the Object Reference says
        if changes.get("StageName", old["StageName"]) != old["StageName"]:
            changes.update({**stage_fields(changes["StageName"]), "LastStageChangeDate": self._now(), **changes})
        if "CloseDate" in changes:
            changes.update(fiscal_fields(changes["CloseDate"]))
            changes["PushCount"] = old["PushCount"] + (changes["CloseDate"][:7] > old["CloseDate"][:7])
        if changes.get("SyncedQuoteId"):
            self._check_synced(old["Id"], changes["SyncedQuoteId"])
        new = {**old, **changes}
        changes["ExpectedRevenue"] = expected_revenue(new["Amount"], new["Probability"])

    def _check_synced(self, opportunity: str, quote: str) -> None:
        row = self._db.execute("SELECT OpportunityId FROM Quote WHERE Id = ?", (quote,)).fetchone()
        if row[0] != opportunity:
            raise errors.field_integrity("SyncedQuoteId (the quote belongs to another opportunity)", ("SyncedQuoteId",))

    def _sync(self, opportunity: str, quote: str | None) -> None:
        self._db.execute("UPDATE Quote SET IsSyncing = (Id IS ?) WHERE OpportunityId = ?", (quote, opportunity))

    def _refuse_new_book(self, old: Values, changes: Values, of: str) -> None:
        if changes.get("Pricebook2Id", old["Pricebook2Id"]) != old["Pricebook2Id"]:
            reason = f"Pricebook2Id (the {of} has line items, so its price book cannot be changed)"
            raise errors.field_integrity(reason, ("Pricebook2Id",))

    # --- lines ----------------------------------------------------------------------------------------------------

    def _entry(self, entry_id: str) -> _Entry:
        entry = self._entries.get(entry_id)
        if entry is None:
            entry = _Entry(*self._db.execute(_ENTRY, (entry_id,)).fetchone())
            _kept(self._entries)[entry_id] = entry
        return entry

    def _parent(self, statement: str, parent_id: str) -> tuple[Any, ...]:
        """Return what a new line needs to know about its parent, the price book first."""
        found = self._parents.get(parent_id)
        if found is None:
            found = _kept(self._parents)[parent_id] = self._db.execute(statement, (parent_id,)).fetchone()
        return found

    def _entry_for(self, row: Row) -> _Entry:
        """Return the entry of a new line, if it may still be sold. Product2Id comes from the entry."""
        entry = self._entry(row["PricebookEntryId"])
        if entry.is_archived:
            raise entry_refused("pricebook entry has been archived")
        if not entry.is_active:
            raise entry_refused("pricebook entry is inactive")
        if (row.get("Product2Id") or entry.product) != entry.product:
            raise errors.field_integrity("Product2Id (not the product of the pricebook entry)", ("Product2Id",))
        row["Product2Id"] = entry.product
        row["ListPrice"] = entry.price
        return entry

    def _new_opportunity_line(self, row: Row) -> None:
        entry = self._entry_for(row)
        book, name = self._parent("SELECT Pricebook2Id, Name FROM Opportunity WHERE Id = ?", row["OpportunityId"])
        if book is None:
            self._refuse_inactive(entry.book)
        elif book != entry.book:
            raise entry_refused("pricebook entry is in a different pricebook than the one assigned to the opportunity")
        row["Name"] = f"{name} {entry.name}"[:376]
        row["ProductCode"] = entry.code
        if row.get("UnitPrice") is not None and row.get("TotalPrice") is not None:
            raise errors.invalid_field("Cannot specify both 'UnitPrice' and 'TotalPrice' in create call")
        if row.get("UnitPrice") is None and row.get("TotalPrice") is None:
            raise errors.required_missing(("UnitPrice",))
        _price(row, {})

    def _refuse_inactive(self, book: str) -> None:
        (is_active,) = self._db.execute("SELECT IsActive FROM Pricebook2 WHERE Id = ?", (book,)).fetchone()
        if not is_active:
            raise entry_refused("pricebook entry is in an inactive pricebook")

    def _adopt_book(self, line: Values) -> None:
        """Give the price book of the first line to an Opportunity that has none."""
        self._db.execute(
            """UPDATE Opportunity SET Pricebook2Id = (SELECT Pricebook2Id FROM PricebookEntry WHERE Id = ?)
               WHERE Id = ? AND Pricebook2Id IS NULL""",
            (line["PricebookEntryId"], line["OpportunityId"]),
        )
        self._parents.clear()

    def _changed_opportunity_line(self, old: Values, changes: Row) -> None:
        if changes.keys().isdisjoint(_PRICED_BY):
            return
        if changes.get("UnitPrice") is not None and changes.get("TotalPrice") is not None:
            raise errors.invalid_field("Cannot change both 'UnitPrice' and 'TotalPrice' in update call")
        if "Quantity" in changes and changes.get("UnitPrice") is None:
            changes.setdefault("TotalPrice", old["TotalPrice"])  # a new quantity alone leaves the total as it is
        _price(changes, old)

    def _new_quote_line(self, row: Row) -> None:
        entry = self._entry_for(row)
        (book,) = self._parent("SELECT Pricebook2Id FROM Quote WHERE Id = ?", row["QuoteId"])
        if book is None:
            raise entry_refused("the quote has no pricebook")
        if book != entry.book:
            raise entry_refused("pricebook entry is in a different pricebook than the one assigned to the quote")
        self._line_number += 1
        row["LineNumber"] = f"{self._line_number:08d}"
        _price(row, {})

    def _changed_quote_line(self, old: Values, changes: Row) -> None:
        if not changes.keys().isdisjoint(_PRICED_BY):
            _price(changes, old)

    def _touch(self, object_name: str, line: Values) -> None:
        parents = self._quotes if object_name == "QuoteLineItem" else self._opportunities
        parents[line[LINES[object_name]]] = None

    # --- Quote ----------------------------------------------------------------------------------------------------

    def _new_quote(self, row: Row) -> None:
        (account,) = self._db.execute(
            "SELECT AccountId FROM Opportunity WHERE Id = ?", (row["OpportunityId"],)
        ).fetchone()
        self._quote_number += 1
        row["AccountId"] = account
        row["QuoteNumber"] = f"{self._quote_number:08d}"
        row["LineItemCount"] = 0
        totals = quote_totals(0.0, 0.0, row.get("Tax"), row.get("ShippingHandling"))
        row["Subtotal"], row["TotalPrice"], row["Discount"], row["GrandTotal"] = totals

    def _changed_quote(self, old: Values, changes: Row) -> None:
        if old["LineItemCount"]:
            self._refuse_new_book(old, changes, "quote")

    # --- price books ----------------------------------------------------------------------------------------------

    def _new_entry(self, row: Row) -> None:
        (is_standard,) = self._db.execute(
            "SELECT IsStandard FROM Pricebook2 WHERE Id = ?", (row["Pricebook2Id"],)
        ).fetchone()
        twin = "SELECT 1 FROM PricebookEntry WHERE Product2Id = ? AND Pricebook2Id = ? AND IsDeleted = 0"
        wanted = [row["Product2Id"], row["Pricebook2Id"]]
        if self._currencies:
            twin, wanted = f"{twin} AND CurrencyIsoCode = ?", [*wanted, row["CurrencyIsoCode"]]
        if self._db.execute(twin, wanted).fetchone():
            message = "This price definition already exists in this price book"
            raise OrgError(400, "FIELD_INTEGRITY_EXCEPTION", message, ())
        standard = None if is_standard else self._db.execute(_STANDARD_PRICE, (row["Product2Id"],)).fetchone()
        if standard is None and not is_standard:
            raise errors.standard_price_not_defined()
        if row.get("UseStandardPrice"):
            if standard is None or row.get("UnitPrice") is not None:
                raise errors.field_integrity("[]")
            row["UnitPrice"] = standard[0]
        row["Name"], row["ProductCode"] = self._db.execute(
            "SELECT Name, ProductCode FROM Product2 WHERE Id = ?", (row["Product2Id"],)
        ).fetchone()

    def _changed_entry(self, old: Values, changes: Row) -> None:
        if changes.get("UseStandardPrice", old["UseStandardPrice"]):
            if "UnitPrice" in changes:
                raise errors.field_integrity("[]")
            (changes["UnitPrice"],) = self._db.execute(_STANDARD_PRICE, (old["Product2Id"],)).fetchone()

    def _follow_standard_price(self, entry: Values) -> None:
        """Copy a new standard price to the entries that use it."""
        self._db.execute(
            """UPDATE PricebookEntry SET UnitPrice = ? WHERE Product2Id = ? AND UseStandardPrice = 1
               AND (SELECT IsStandard FROM Pricebook2 WHERE Id = ?)""",
            (entry["UnitPrice"], entry["Product2Id"], entry["Pricebook2Id"]),
        )

    def _rename_entries(self, product: Values) -> None:
        self._db.execute(
            "UPDATE PricebookEntry SET Name = ?, ProductCode = ? WHERE Product2Id = ?",
            (product["Name"], product["ProductCode"], product["Id"]),
        )

    # --- totals ---------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Compute the totals of every parent whose lines have changed since the last time."""
        if self._quotes:
            found = self._db.execute(_QUOTE_LINES, (json.dumps(list(self._quotes)),)).fetchall()
            self._db.executemany(_SETTLE_QUOTE, map(self._settled_quote, found))
            self._quotes.clear()
        if self._opportunities:
            found = self._db.execute(_OPPORTUNITY_LINES, (json.dumps(list(self._opportunities)),)).fetchall()
            self._db.executemany(_SETTLE_OPPORTUNITY, map(self._settled_opportunity, found))
            self._opportunities.clear()

    def forget(self) -> None:
        """Forget the noted changes and the cached rows, because the transaction has been rolled back."""
        self._entries.clear()
        self._parents.clear()
        self._quotes.clear()
        self._opportunities.clear()

    def _settled_quote(self, found: Sequence[Any]) -> tuple[Any, ...]:
        quote, tax, shipping, count, subtotal, total = found
        now = self._now()
        return (count, *quote_totals(subtotal or 0.0, total or 0.0, tax, shipping), now, now, quote)

    def _settled_opportunity(self, found: Sequence[Any]) -> tuple[Any, ...]:
        opportunity, probability, count, total, quantity = found
        amount, now = rounded(total or 0.0, 2), self._now()
        return int(count > 0), amount, quantity, expected_revenue(amount, probability), now, now, opportunity


K = TypeVar("K")


def _kept(memory: dict[str, K]) -> dict[str, K]:
    """Return the memory, emptied when it is full."""
    if len(memory) >= _MOST_KEPT:
        memory.clear()
    return memory


def _price(changes: Row, old: Values) -> None:
    """Fill in the computed prices of a line that is new (old is empty) or about to change."""
    new = {**old, **changes} if old else changes
    discount = new.get("Discount")
    if not 0 <= (discount or 0) <= 100:
        raise errors.number_outside_valid_range("Discount", "Discount", discount)
    if changes.get("TotalPrice") is None:
        changes["Subtotal"], changes["TotalPrice"] = line_totals(new["Quantity"], new["UnitPrice"], discount)
        return
    changes["UnitPrice"] = unit_price_of(new["TotalPrice"], new["Quantity"], discount)
    changes["Subtotal"], _ = line_totals(new["Quantity"], changes["UnitPrice"], discount)
