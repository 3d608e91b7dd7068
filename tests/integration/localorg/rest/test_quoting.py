"""Price books, totals and cascades, seen from outside (Object Reference: Opportunity, Quote and their lines)."""

from __future__ import annotations

from typing import Any

import pytest
from _server import Deal, Server


def refusal(server: Server, object_name: str, body: dict[str, Any]) -> tuple[str, str]:
    """(code, message) of a create that has to be refused."""
    answer = server.post(f"sobjects/{object_name}", body)
    assert answer.status_code == 400, answer.text
    return answer.json()[0]["errorCode"], answer.json()[0]["message"]


def quote(server: Server, deal: Deal, **fields: Any) -> str:
    body = {"Name": "Q", "OpportunityId": deal.opportunity, "Pricebook2Id": deal.book, **fields}
    return server.create("Quote", **body)


def line(deal: Deal, quote_id: str, **fields: Any) -> dict[str, Any]:
    return {"QuoteId": quote_id, "PricebookEntryId": deal.entry, "Quantity": 1, "UnitPrice": 100, **fields}


def opportunity_line(deal: Deal, **fields: Any) -> dict[str, Any]:
    body = {"OpportunityId": deal.opportunity, "PricebookEntryId": deal.entry, "Quantity": 2, "UnitPrice": 50}
    return {**body, **fields}


def partner_entry(server: Server, deal: Deal) -> tuple[str, str]:
    """(book, entry) for the deal's product in the custom book."""
    book = server.query("SELECT Id FROM Pricebook2 WHERE Name = 'Partner Price Book'")[0]["Id"]
    body = {"Pricebook2Id": book, "Product2Id": deal.product, "UnitPrice": 80, "IsActive": True}
    return book, server.create("PricebookEntry", **body)


# --- quotes -------------------------------------------------------------------------------------------------------


def test_the_org_computes_a_quotes_totals(server: Server, deal: Deal) -> None:
    quote_id = quote(server, deal, Tax=7.5, ShippingHandling=12)
    row = server.row("Quote", quote_id)
    assert (row["Subtotal"], row["GrandTotal"], row["LineItemCount"], row["Status"]) == (0.0, 19.5, 0, "Draft")
    assert row["AccountId"] == deal.account
    assert len(row["QuoteNumber"]) == 8

    server.create("QuoteLineItem", **line(deal, quote_id, Quantity=3, UnitPrice=33.335, Discount=10))
    server.create("QuoteLineItem", **line(deal, quote_id, Quantity=2.5, UnitPrice=19.99))
    names = "Subtotal, TotalPrice, UnitPrice, ListPrice, Product2Id"
    rows = server.query(f"SELECT {names} FROM QuoteLineItem WHERE QuoteId = '{quote_id}' ORDER BY LineNumber")
    assert [(each["UnitPrice"], each["Subtotal"], each["TotalPrice"]) for each in rows] == [
        (33.34, 100.02, 90.02),
        (19.99, 49.98, 49.98),
    ]
    assert {each["ListPrice"] for each in rows} == {100.0}
    assert {each["Product2Id"] for each in rows} == {deal.product}
    row = server.row("Quote", quote_id)
    assert (row["Subtotal"], row["TotalPrice"], row["Discount"], row["LineItemCount"]) == (150.0, 140.0, 6.67, 2)
    assert row["GrandTotal"] == 159.5
    server.patch(f"sobjects/Quote/{quote_id}", {"Tax": 0})
    assert server.row("Quote", quote_id)["GrandTotal"] == 152.0


def test_totals_follow_changed_and_deleted_lines(server: Server, deal: Deal) -> None:
    quote_id = quote(server, deal)
    first = server.create("QuoteLineItem", **line(deal, quote_id))
    server.create("QuoteLineItem", **line(deal, quote_id, UnitPrice=10))
    server.patch(f"sobjects/QuoteLineItem/{first}", {"Quantity": 2, "Discount": 50})
    assert server.row("Quote", quote_id)["TotalPrice"] == 110.0
    assert server.delete(f"sobjects/QuoteLineItem/{first}").status_code == 204
    row = server.row("Quote", quote_id)
    assert (row["TotalPrice"], row["LineItemCount"]) == (10.0, 1)
    # A line deleted by itself skips the recycle bin.
    assert server.get(f"sobjects/QuoteLineItem/{first}").json()[0]["errorCode"] == "NOT_FOUND"


def test_quote_line_prices(server: Server, deal: Deal) -> None:
    quote_id = quote(server, deal)
    body = line(deal, quote_id)
    del body["UnitPrice"]
    assert refusal(server, "QuoteLineItem", body)[0] == "REQUIRED_FIELD_MISSING"
    assert refusal(server, "QuoteLineItem", line(deal, quote_id, Discount=101))[0] == "NUMBER_OUTSIDE_VALID_RANGE"
    assert refusal(server, "QuoteLineItem", line(deal, quote_id, TotalPrice=1))[0] == "INVALID_FIELD_FOR_INSERT_UPDATE"


def test_a_quote_line_may_name_its_opportunity_line_once(server: Server, deal: Deal) -> None:
    source = server.create("OpportunityLineItem", **opportunity_line(deal))
    made = server.create("QuoteLineItem", **line(deal, quote(server, deal), OpportunityLineItemId=source))
    assert server.row("QuoteLineItem", made)["OpportunityLineItemId"] == source
    for name in ("OpportunityLineItemId", "QuoteId", "PricebookEntryId", "Product2Id"):
        answer = server.patch(f"sobjects/QuoteLineItem/{made}", {name: None})
        assert answer.json()[0]["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE", name


# --- price books --------------------------------------------------------------------------------------------------


def test_a_quote_without_a_price_book_takes_no_lines(server: Server, deal: Deal) -> None:
    quote_id = server.create("Quote", Name="Q", OpportunityId=deal.opportunity)
    assert refusal(server, "QuoteLineItem", line(deal, quote_id)) == (
        "FIELD_INTEGRITY_EXCEPTION",
        "field integrity exception: PricebookEntryId (the quote has no pricebook)",
    )


def test_an_entry_of_another_book_is_refused(server: Server, deal: Deal) -> None:
    book, entry = partner_entry(server, deal)
    wrong = "pricebook entry is in a different pricebook than the one assigned to the"
    quote_id = quote(server, deal)
    for object_name, body, what in (
        ("QuoteLineItem", line(deal, quote_id, PricebookEntryId=entry), "quote"),
        ("OpportunityLineItem", opportunity_line(deal, PricebookEntryId=entry), "opportunity"),
    ):
        code, message = refusal(server, object_name, body)
        assert (code, message) == (
            "FIELD_INTEGRITY_EXCEPTION",
            f"field integrity exception: PricebookEntryId ({wrong} {what})",
        )
    server.create("QuoteLineItem", **line(deal, quote(server, deal, Pricebook2Id=book), PricebookEntryId=entry))


def test_inactive_archived_and_unknown_entries_are_refused(server: Server, deal: Deal) -> None:
    quote_id = quote(server, deal)
    kept = server.create("QuoteLineItem", **line(deal, quote_id))
    path = f"sobjects/PricebookEntry/{deal.entry}"
    server.patch(path, {"IsActive": False})
    assert "(pricebook entry is inactive)" in refusal(server, "QuoteLineItem", line(deal, quote_id))[1]
    assert "(pricebook entry is inactive)" in refusal(server, "OpportunityLineItem", opportunity_line(deal))[1]
    # A line that is there already may still be changed.
    assert server.patch(f"sobjects/QuoteLineItem/{kept}", {"Quantity": 5}).status_code == 204
    server.patch(path, {"IsActive": True})
    server.delete(path)
    assert "(pricebook entry has been archived)" in refusal(server, "QuoteLineItem", line(deal, quote_id))[1]
    unknown = line(deal, quote_id, PricebookEntryId="01u000000000001")
    assert "PricebookEntryId, unknown" in refusal(server, "QuoteLineItem", unknown)[1]


def test_the_book_of_what_has_lines_is_fixed(server: Server, deal: Deal) -> None:
    book, _ = partner_entry(server, deal)
    quote_id = quote(server, deal)
    assert server.patch(f"sobjects/Quote/{quote_id}", {"Pricebook2Id": book}).status_code == 204
    server.patch(f"sobjects/Quote/{quote_id}", {"Pricebook2Id": deal.book})
    server.create("QuoteLineItem", **line(deal, quote_id))
    server.create("OpportunityLineItem", **opportunity_line(deal))
    for path in (f"sobjects/Quote/{quote_id}", f"sobjects/Opportunity/{deal.opportunity}"):
        answer = server.patch(path, {"Pricebook2Id": book})
        assert answer.json()[0]["errorCode"] == "FIELD_INTEGRITY_EXCEPTION"
        assert server.patch(path, {"Pricebook2Id": deal.book}).status_code == 204


def test_the_first_line_gives_an_opportunity_its_book(server: Server, deal: Deal) -> None:
    path = f"sobjects/Opportunity/{deal.opportunity}"
    server.patch(path, {"Pricebook2Id": None})
    book, entry = partner_entry(server, deal)
    server.create("OpportunityLineItem", **opportunity_line(deal, PricebookEntryId=entry))
    assert server.row("Opportunity", deal.opportunity)["Pricebook2Id"] == book


def test_the_standard_price_comes_first(server: Server) -> None:
    product = server.create("Product2", Name="New", IsActive=True)
    soql = "SELECT Id, IsStandard FROM Pricebook2 WHERE Name IN ('Standard Price Book', 'Partner Price Book')"
    books = {row["IsStandard"]: row["Id"] for row in server.query(soql)}
    body = {"Product2Id": product, "Pricebook2Id": books[False], "UnitPrice": 1, "IsActive": True}
    assert refusal(server, "PricebookEntry", body)[0] == "STANDARD_PRICE_NOT_DEFINED"
    server.create("PricebookEntry", **{**body, "Pricebook2Id": books[True], "UnitPrice": 5})
    server.create("PricebookEntry", **body)
    assert refusal(server, "PricebookEntry", body)[1] == "This price definition already exists in this price book"


def test_an_entry_may_follow_the_standard_price(server: Server, deal: Deal) -> None:
    book = server.create("Pricebook2", Name="Follower", IsActive=True)
    body = {"Product2Id": deal.product, "Pricebook2Id": book, "UseStandardPrice": True, "IsActive": True}
    assert refusal(server, "PricebookEntry", {**body, "UnitPrice": 1})[0] == "FIELD_INTEGRITY_EXCEPTION"
    entry = server.create("PricebookEntry", **body)
    server.patch(f"sobjects/PricebookEntry/{deal.entry}", {"UnitPrice": 110})
    server.patch(f"sobjects/Product2/{deal.product}", {"Name": "Renamed", "ProductCode": "R-1"})
    row = server.row("PricebookEntry", entry)
    assert (row["UnitPrice"], row["Name"], row["ProductCode"]) == (110.0, "Renamed", "R-1")


def test_the_standard_book_cannot_be_deleted(server: Server, deal: Deal) -> None:
    assert server.delete(f"sobjects/Pricebook2/{deal.book}").status_code == 400


# --- opportunities ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "probability", "category", "closed", "won"),
    [
        ("Prospecting", 10, "Pipeline", False, False),
        ("Proposal/Price Quote", 75, "Pipeline", False, False),
        ("Closed Won", 100, "Closed", True, True),
        ("Closed Lost", 0, "Omitted", True, False),
    ],
)
def test_the_stage_drives_what_follows_from_it(
    server: Server, deal: Deal, stage: str, probability: int, category: str, closed: bool, won: bool
) -> None:
    server.patch(f"sobjects/Opportunity/{deal.opportunity}", {"StageName": stage, "Amount": 1000})
    row = server.row("Opportunity", deal.opportunity)
    assert (row["Probability"], row["ForecastCategory"]) == (probability, category)
    assert (row["IsClosed"], row["IsWon"]) == (closed, won)
    assert row["ExpectedRevenue"] == 10 * probability


def test_lines_make_the_amount(server: Server, deal: Deal) -> None:
    path = f"sobjects/Opportunity/{deal.opportunity}"
    assert server.row("Opportunity", deal.opportunity)["HasOpportunityLineItem"] is False
    server.create("OpportunityLineItem", **opportunity_line(deal))
    server.create("OpportunityLineItem", **opportunity_line(deal, Discount=25))
    assert server.patch(path, {"Amount": 1, "NextStep": "call"}).status_code == 204
    row = server.row("Opportunity", deal.opportunity)
    assert (row["Amount"], row["ExpectedRevenue"], row["TotalOpportunityQuantity"]) == (175.0, 17.5, 4.0)
    assert (row["HasOpportunityLineItem"], row["NextStep"]) == (True, "call")


def test_an_opportunity_line_is_priced_by_unit_or_in_total(server: Server, deal: Deal) -> None:
    both = opportunity_line(deal, TotalPrice=100)
    assert refusal(server, "OpportunityLineItem", both)[0] == "INVALID_FIELD"
    neither = opportunity_line(deal, UnitPrice=None)
    assert refusal(server, "OpportunityLineItem", neither)[0] == "REQUIRED_FIELD_MISSING"
    made = server.create("OpportunityLineItem", **opportunity_line(deal, UnitPrice=None, TotalPrice=90, Discount=10))
    row = server.row("OpportunityLineItem", made)
    assert (row["UnitPrice"], row["Subtotal"], row["TotalPrice"], row["ListPrice"]) == (50.0, 100.0, 90.0, 100.0)


def test_a_changed_quantity_leaves_the_total_and_moves_the_unit_price(server: Server, deal: Deal) -> None:
    made = server.create("OpportunityLineItem", **opportunity_line(deal))
    path = f"sobjects/OpportunityLineItem/{made}"
    server.patch(path, {"Quantity": 4})
    row = server.row("OpportunityLineItem", made)
    assert (row["UnitPrice"], row["TotalPrice"]) == (25.0, 100.0)
    server.patch(path, {"Discount": 20})
    row = server.row("OpportunityLineItem", made)
    assert (row["UnitPrice"], row["TotalPrice"]) == (25.0, 80.0)
    both = server.patch(path, {"UnitPrice": 1, "TotalPrice": 1})
    assert both.json()[0]["message"] == "Cannot change both 'UnitPrice' and 'TotalPrice' in update call"


# --- cascades -----------------------------------------------------------------------------------------------------


def test_a_deleted_account_takes_everything_below_it_along(server: Server, deal: Deal) -> None:
    quote_id = quote(server, deal)
    rows = {
        "Quote": quote_id,
        "QuoteLineItem": server.create("QuoteLineItem", **line(deal, quote_id)),
        "OpportunityLineItem": server.create("OpportunityLineItem", **opportunity_line(deal)),
        "Opportunity": deal.opportunity,
    }
    assert server.delete(f"sobjects/Account/{deal.account}").status_code == 204
    for object_name, record_id in rows.items():
        assert server.get(f"sobjects/{object_name}/{record_id}").json()[0]["errorCode"] == "ENTITY_IS_DELETED"
        assert server.query(f"SELECT Id FROM {object_name} WHERE Id = '{record_id}'") == []
        soql = f"SELECT Id, IsDeleted FROM {object_name} WHERE Id = '{record_id}'"
        assert server.get("queryAll", params={"q": soql}).json()["records"][0]["IsDeleted"] is True


def test_a_deleted_quote_takes_its_lines_along(server: Server, deal: Deal) -> None:
    quote_id = quote(server, deal)
    made = server.create("QuoteLineItem", **line(deal, quote_id))
    server.delete(f"sobjects/Quote/{quote_id}")
    assert server.get(f"sobjects/QuoteLineItem/{made}").json()[0]["errorCode"] == "ENTITY_IS_DELETED"
    assert server.row("Opportunity", deal.opportunity)["IsDeleted"] is False
