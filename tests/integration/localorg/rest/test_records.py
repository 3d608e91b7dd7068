"""Rows over HTTP: statuses, shapes and refusals as the platform gives them (REST API guide, "sObject Rows")."""

from __future__ import annotations

import pytest
from _server import DATA, Deal, Server
from requests import Response


def refusal(answer: Response) -> tuple[int, str, str]:
    """(status, code, message) of an answer that has to be an array of one error."""
    (error,) = answer.json()
    return answer.status_code, error["errorCode"], error["message"]


def test_a_row_is_created_read_changed_and_deleted(server: Server) -> None:
    created = server.post("sobjects/Account", {"Name": "Round Trip", "NumberOfEmployees": 7, "AnnualRevenue": 10})
    record_id = created.json()["id"]
    assert created.status_code == 201
    assert created.json() == {"id": record_id, "success": True, "errors": []}
    assert created.headers["Location"] == f"{DATA}/sobjects/Account/{record_id}"
    assert created.headers["Content-Type"] == "application/json;charset=UTF-8"

    row = server.row("Account", record_id)
    assert row["attributes"] == {"type": "Account", "url": f"{DATA}/sobjects/Account/{record_id}"}
    assert (row["Id"], row["Name"], row["BillingCountry"]) == (record_id, "Round Trip", None)
    assert isinstance(row["NumberOfEmployees"], int)
    assert isinstance(row["AnnualRevenue"], float)
    assert row["IsDeleted"] is False
    assert row["OwnerId"] == row["CreatedById"] == server.user_id
    assert row["CreatedDate"].endswith(".000+0000")

    changed = server.patch(f"sobjects/account/{record_id[:15]}", {"billingcountry": "CH"})
    assert (changed.status_code, changed.content) == (204, b"")
    part = server.get(f"sobjects/Account/{record_id}", params={"fields": "BillingCountry,name"}).json()
    assert {**part, "attributes": None} == {"attributes": None, "BillingCountry": "CH", "Name": "Round Trip"}

    assert server.delete(f"sobjects/Account/{record_id}").status_code == 204
    assert refusal(server.get(f"sobjects/Account/{record_id}")) == (404, "ENTITY_IS_DELETED", "entity is deleted")
    assert refusal(server.delete(f"sobjects/Account/{record_id}"))[:2] == (404, "ENTITY_IS_DELETED")


def test_trailing_slashes_and_every_version_are_accepted(server: Server) -> None:
    for version in ("50.0", "59.0", "66.0"):
        for slash in ("", "/"):
            path = f"/services/data/v{version}/sobjects/Account{slash}"
            answer = server.post(path, {"Name": "Slash"})
            assert answer.status_code == 201, path
            row = server.get(f"/services/data/v{version}/sobjects/Account/{answer.json()['id']}{slash}").json()
            assert row["attributes"]["url"].startswith(f"/services/data/v{version}/")
    assert refusal(server.get("/services/data/v49.0/sobjects/Account"))[:2] == (404, "NOT_FOUND")
    assert refusal(server.get("/services/data/v67.0/sobjects/Account"))[:2] == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "code", "fields"),
    [
        ({}, "REQUIRED_FIELD_MISSING", ["Name"]),
        ({"Name": ""}, "REQUIRED_FIELD_MISSING", ["Name"]),
        ({"Name": "x", "Bogus": 1}, "INVALID_FIELD", None),
        ({"Name": "x", "Id": "001000000000001AAA"}, "INVALID_FIELD", ["Id"]),
        ({"Name": "x", "CreatedDate": "2026-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE", ["CreatedDate"]),
        ({"Name": "x" * 256}, "STRING_TOO_LONG", ["Name"]),
        ({"Name": "x", "NumberOfEmployees": "forty"}, "JSON_PARSER_ERROR", None),
        ({"Name": "x", "NumberOfEmployees": 1.5}, "JSON_PARSER_ERROR", None),
        ({"Name": {"a": 1}}, "JSON_PARSER_ERROR", None),
        ({"Name": "x", "AnnualRevenue": 1e19}, "NUMBER_OUTSIDE_VALID_RANGE", ["AnnualRevenue"]),
        ({"Name": "x", "ParentId": "001"}, "MALFORMED_ID", ["ParentId"]),
        ({"Name": "x", "ParentId": "005000000000001"}, "MALFORMED_ID", ["ParentId"]),
        ({"Name": "x", "ParentId": "001000000000001"}, "INVALID_CROSS_REFERENCE_KEY", ["ParentId"]),
    ],
)
def test_a_bad_account_is_refused(server: Server, body: dict[str, object], code: str, fields: list[str] | None) -> None:
    answer = server.post("sobjects/Account", body)
    (error,) = answer.json()
    assert (answer.status_code, error["errorCode"], error.get("fields")) == (400, code, fields)


def test_all_missing_and_all_read_only_fields_are_named_at_once(server: Server) -> None:
    missing = server.post("sobjects/Opportunity", {"Amount": 1})
    assert refusal(missing)[2] == "Required fields are missing: [Name, StageName, CloseDate]"
    read_only = server.post("sobjects/Quote", {"Name": "x", "Subtotal": 1, "GrandTotal": 1})
    assert read_only.json()[0]["fields"] == ["Subtotal", "GrandTotal"]


def test_dates_and_numbers_are_read_strictly_and_rounded_half_up(server: Server, deal: Deal) -> None:
    path = f"sobjects/Opportunity/{deal.opportunity}"
    values: tuple[object, ...] = ("31.12.2026", "2026-02-30", 5, "1699-12-31")
    for value in values:
        assert refusal(server.patch(path, {"CloseDate": value}))[:2] == (400, "JSON_PARSER_ERROR"), value
    for amount, kept in ((1.005, 1.01), (-1.005, -1.01), (2.675, 2.68), ("3.1", 3.1), (7, 7.0)):
        assert server.patch(path, {"Amount": amount}).status_code == 204
        assert server.row("Opportunity", deal.opportunity)["Amount"] == kept
    assert refusal(server.patch(path, {"CloseDate": None}))[:2] == (400, "REQUIRED_FIELD_MISSING")


def test_datetimes_are_kept_in_utc(server: Server) -> None:
    book = server.create("Pricebook2", Name="Dated", ValidFrom="2026-03-01T01:30:00+02:00")
    assert server.row("Pricebook2", book)["ValidFrom"] == "2026-02-28T23:30:00.000+0000"


def test_ids_are_checked(server: Server, deal: Deal) -> None:
    wrong = deal.account[:17] + ("A" if deal.account[17] != "A" else "B")
    assert refusal(server.get(f"sobjects/Account/{wrong}"))[:2] == (400, "MALFORMED_ID")
    assert refusal(server.get("sobjects/Account/001000000000001"))[:2] == (404, "NOT_FOUND")
    assert refusal(server.get("sobjects/Account/nonsense"))[:2] == (404, "NOT_FOUND")
    assert refusal(server.get(f"sobjects/Account/{deal.opportunity}"))[:2] == (404, "NOT_FOUND")
    assert refusal(server.get("sobjects/Bogus/001000000000001"))[:2] == (404, "NOT_FOUND")


def test_a_reference_to_a_deleted_row_is_refused(server: Server, deal: Deal) -> None:
    server.delete(f"sobjects/Account/{deal.account}")
    body = {"Name": "x", "StageName": "Prospecting", "CloseDate": "2026-12-31", "AccountId": deal.account}
    assert refusal(server.post("sobjects/Opportunity", body))[:2] == (400, "ENTITY_IS_DELETED")


def test_bodies_that_are_no_json_object_are_refused(server: Server) -> None:
    for data in (b"", b"{", b"[]", b'"x"'):
        answer = server.request("POST", "sobjects/Account", data=data, headers={"Content-Type": "application/json"})
        assert refusal(answer)[:2] == (400, "JSON_PARSER_ERROR"), data


def test_users_and_the_organization_are_neither_made_nor_deleted(server: Server) -> None:
    assert refusal(server.post("sobjects/User", {"LastName": "x"}))[1] == "INVALID_TYPE_FOR_OPERATION"
    assert refusal(server.delete(f"sobjects/Organization/{server.organization_id}"))[0] == 400
    assert server.row("Organization", server.organization_id)["Name"] == "Local Org"
    assert server.row("User", server.user_id)["Username"] == "worker@quotejob.example"


def test_unknown_methods_and_resources_get_the_error_array(server: Server, deal: Deal) -> None:
    assert refusal(server.put("sobjects/Account"))[:2] == (405, "METHOD_NOT_ALLOWED")
    assert refusal(server.post(f"sobjects/Account/{deal.account}", {}))[:2] == (405, "METHOD_NOT_ALLOWED")
    assert refusal(server.get("bogus"))[:2] == (404, "NOT_FOUND")
    assert refusal(server.get("sobjects/Account/deleted"))[:2] == (400, "MISSING_ARGUMENT")
    assert server.get("//services/data/v66.0/sobjects").status_code == 200


def test_a_post_can_stand_for_a_patch(server: Server, deal: Deal) -> None:
    path = f"sobjects/Account/{deal.account}"
    assert server.post(path, {"Site": "Here"}, params={"_HttpMethod": "PATCH"}).status_code == 204
    assert server.row("Account", deal.account)["Site"] == "Here"


# --- external ids -------------------------------------------------------------------------------------------------


def test_upsert_creates_then_updates(server: Server, deal: Deal) -> None:
    path = f"sobjects/Quote/QuoteJobKey__c/job:{deal.opportunity}"
    body = {"Name": "First", "OpportunityId": deal.opportunity}
    created = server.patch(path, body)
    assert (created.status_code, created.json()["created"]) == (201, True)
    updated = server.patch(path, {"Name": "Second"})
    record_id = created.json()["id"]
    assert updated.status_code == 200
    assert updated.json() == {"id": record_id, "success": True, "errors": [], "created": False}
    row = server.get(path).json()
    assert (row["Id"], row["Name"], row["QuoteJobKey__c"]) == (record_id, "Second", f"job:{deal.opportunity}")
    # Create-only fields make the same upsert fail the second time.
    again = server.patch(path, body)
    assert again.json()[0]["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"
    assert again.json()[0]["fields"] == ["OpportunityId"]
    assert server.delete(path).status_code == 204
    assert refusal(server.get(path))[:2] == (404, "NOT_FOUND")


def test_the_key_stays_out_of_an_upsert_body(server: Server, deal: Deal) -> None:
    path = f"sobjects/Quote/QuoteJobKey__c/k:{deal.opportunity}"
    refused = server.patch(path, {"QuoteJobKey__c": "x", "Name": "x", "OpportunityId": deal.opportunity})
    assert refusal(refused) == (
        400,
        "INVALID_FIELD",
        "The QuoteJobKey__c field should not be specified in the sobject data.",
    )


def test_upsert_only_as_an_update(server: Server, deal: Deal) -> None:
    path = f"sobjects/Quote/QuoteJobKey__c/none:{deal.opportunity}"
    body = {"Name": "x", "OpportunityId": deal.opportunity}
    assert refusal(server.patch(path, body, params={"updateOnly": "true"}))[:2] == (404, "NOT_FOUND")


def test_fields_that_are_no_key_are_refused(server: Server) -> None:
    assert refusal(server.get("sobjects/Quote/Status/Draft"))[:2] == (404, "NOT_FOUND")
    assert refusal(server.get("sobjects/Quote/Bogus__c/1"))[:2] == (404, "NOT_FOUND")


def test_several_matches_answer_300_with_their_addresses(server: Server) -> None:
    ids = [server.create("Account", Name="Twice Upon") for _ in range(2)]
    answer = server.patch("sobjects/Account/Name/Twice Upon", {"Site": "x"})
    assert answer.status_code == 300
    assert answer.json() == [f"{DATA}/sobjects/Account/{record_id}" for record_id in ids]


def test_a_unique_key_is_unique_in_any_case(server: Server, deal: Deal) -> None:
    key = f"Once:{deal.opportunity}"
    first = server.create("Quote", Name="x", OpportunityId=deal.opportunity, QuoteJobKey__c=key)
    twin = {"Name": "y", "OpportunityId": deal.opportunity, "QuoteJobKey__c": key.upper()}
    again = server.post("sobjects/Quote", twin)
    (error,) = again.json()
    assert (again.status_code, error["errorCode"], error["fields"]) == (400, "DUPLICATE_VALUE", [])
    assert error["message"] == (
        f"duplicate value found: QuoteJobKey__c duplicates value on record with id: {first[:15]}"
    )
    second = server.create("Quote", Name="y", OpportunityId=deal.opportunity)
    assert refusal(server.patch(f"sobjects/Quote/{second}", {"QuoteJobKey__c": key}))[1] == "DUPLICATE_VALUE"
    # A row in the recycle bin no longer holds the value.
    server.delete(f"sobjects/Quote/{first}")
    assert server.patch(f"sobjects/Quote/{second}", {"QuoteJobKey__c": key}).status_code == 204


def test_a_parent_may_be_named_by_its_external_id(server: Server, deal: Deal) -> None:
    key = f"parent:{deal.opportunity}"
    server.create("Quote", Name="x", OpportunityId=deal.opportunity, Pricebook2Id=deal.book, QuoteJobKey__c=key)
    line = {"PricebookEntryId": deal.entry, "Quantity": 1, "UnitPrice": 1, "Quote": {"QuoteJobKey__c": key}}
    assert server.post("sobjects/QuoteLineItem", line).status_code == 201
    unknown = server.post("sobjects/QuoteLineItem", {**line, "Quote": {"QuoteJobKey__c": "nobody"}})
    assert refusal(unknown)[1:] == (
        "INVALID_FIELD",
        "Foreign key external ID: nobody not found for field QuoteJobKey__c in entity Quote",
    )


def test_post_to_the_id_field_creates(server: Server) -> None:
    assert server.post("sobjects/Account/Id", {"Name": "By Id"}).status_code == 201


# --- describe -----------------------------------------------------------------------------------------------------


def test_describe_global_lists_every_object(server: Server) -> None:
    body = server.get("sobjects/").json()
    found = {each["name"]: each for each in body["sobjects"]}
    assert body["encoding"] == "UTF-8"
    assert {"Account", "Opportunity", "Quote", "QuoteLineItem", "User", "Organization"} <= found.keys()
    assert found["Quote"]["keyPrefix"] == "0Q0"
    assert found["Quote"]["urls"]["describe"] == f"{DATA}/sobjects/Quote/describe"


def test_describe_tells_what_may_be_done_with_a_field(server: Server) -> None:
    body = server.get("sobjects/quote/describe").json()
    fields = {each["name"]: each for each in body["fields"]}
    key = fields["QuoteJobKey__c"]
    assert (key["type"], key["unique"], key["externalId"], key["idLookup"], key["custom"]) == ("string", *[True] * 4)
    assert (fields["OpportunityId"]["createable"], fields["OpportunityId"]["updateable"]) == (True, False)
    assert fields["OpportunityId"]["referenceTo"] == ["Opportunity"]
    assert fields["OpportunityId"]["relationshipName"] == "Opportunity"
    assert fields["GrandTotal"]["createable"] is False
    assert "Draft" in [value["value"] for value in fields["Status"]["picklistValues"]]
    lines = next(each for each in body["childRelationships"] if each["childSObject"] == "QuoteLineItem")
    assert (lines["relationshipName"], lines["field"], lines["cascadeDelete"]) == ("QuoteLineItems", "QuoteId", True)


@pytest.mark.parametrize("name", ["Account", "Product2"])
def test_describe_lists_the_scopes_that_a_query_can_have(server: Server, name: str) -> None:
    listed = [each["name"] for each in server.get(f"sobjects/{name}/describe").json()["supportedScopes"]]
    texts = {scope: f"SELECT Id FROM {name} USING SCOPE {scope}" for scope in ("everything", "mine", "team")}
    assert listed == [scope for scope, q in texts.items() if server.get("query", params={"q": q}).status_code == 200]


def test_basic_information_shows_some_rows(server: Server) -> None:
    body = server.get("sobjects/Account/").json()
    assert body["objectDescribe"]["name"] == "Account"
    assert {"Id", "Name"} <= body["recentItems"][0].keys()
