"""sObject collections over HTTP: many rows in one request."""

from __future__ import annotations

from typing import Any

from _server import Deal, Server

Row = dict[str, Any]


def account(**fields: Any) -> Row:
    return {"attributes": {"type": "Account"}, **fields}


def results(answer: Any) -> list[Any]:
    """The answer's rows; a row that was not found is None."""
    assert answer.status_code == 200, answer.text
    rows: list[Any] = answer.json()
    return rows


def refusal(answer: Any) -> tuple[int, str]:
    (error,) = answer.json()
    return answer.status_code, error["errorCode"]


def test_rows_of_several_types_are_created_in_order(server: Server) -> None:
    rows = [account(Name="C 1"), {"attributes": {"type": "product2"}, "Name": "C 2"}, account(Name="C 3")]
    made = results(server.post("composite/sobjects", {"records": rows}))
    assert [row["id"][:3] for row in made] == ["001", "01t", "001"]
    assert made[0] == {"id": made[0]["id"], "success": True, "errors": []}


def test_a_bad_row_costs_only_itself(server: Server) -> None:
    made = results(server.post("composite/sobjects", {"records": [account(Name="Fine"), account(Site="x")]}))
    assert [row["success"] for row in made] == [True, False]
    (error,) = made[1]["errors"]
    assert "id" not in made[1]
    assert (error["statusCode"], error["fields"]) == ("REQUIRED_FIELD_MISSING", ["Name"])


def test_all_or_none_undoes_the_good_rows(server: Server) -> None:
    body = {"allOrNone": True, "records": [account(Name="Never there"), account(Site="x")]}
    made = results(server.post("composite/sobjects", body))
    assert [row["errors"][0]["statusCode"] for row in made] == [
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "REQUIRED_FIELD_MISSING",
    ]
    assert "id" not in made[0]
    assert server.query("SELECT Id FROM Account WHERE Name = 'Never there'") == []


def test_rows_that_are_undone_keep_their_id(server: Server, deal: Deal) -> None:
    """All but those that were to be created."""
    rows = [account(Id=deal.account, Site="x"), account(Id=server.create("Account", Name="Blank"), Name=None)]
    by_key = [{"Id": row["Id"], "Site": "x"} for row in (rows[0], {"Id": "001000000000000AAA"})]
    answers = (
        server.patch("composite/sobjects", {"allOrNone": True, "records": rows}),
        server.patch("composite/sobjects/Account/Id", {"allOrNone": True, "records": by_key}),
        server.delete("composite/sobjects", params={"ids": f"{deal.account},nonsense", "allOrNone": "true"}),
    )
    for answer in answers:
        undone, bad = results(answer)
        assert (undone["id"], undone["success"], "id" in bad) == (deal.account, False, False)
        assert undone["errors"][0]["statusCode"] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert server.row("Account", deal.account)["Site"] is None


def test_rows_are_changed_by_id(server: Server, deal: Deal) -> None:
    rows = [account(id=deal.account, Site="here"), account(Site="x"), account(id=deal.opportunity), account(Id="1")]
    made = results(server.patch("composite/sobjects", {"records": rows}))
    assert [row["success"] for row in made] == [True, False, False, False]
    assert [row["errors"][0]["statusCode"] for row in made[1:]] == ["MISSING_ARGUMENT", "MALFORMED_ID", "MALFORMED_ID"]
    assert server.row("Account", deal.account)["Site"] == "here"


def test_a_row_is_changed_at_most_twelve_times(server: Server, deal: Deal) -> None:
    """By one request, however its id is written."""
    ids = [deal.account if n % 2 else deal.account[:15] for n in range(14)]
    made = results(server.patch("composite/sobjects", {"records": [account(Id=each, Site="x") for each in ids]}))
    assert [row["success"] for row in made] == [True] * 12 + [False] * 2
    assert {(row["errors"][0]["statusCode"], row["errors"][0]["message"]) for row in made[12:]} == {
        (
            "DUPLICATE_VALUE",
            "Maximum number of duplicate updates in one batch (12 allowed). "
            f"Attempt to update Id more than once in this Api call: {deal.account}",
        )
    }


def test_rows_are_upserted_by_a_key_they_carry(server: Server, deal: Deal) -> None:
    def quote(key: Any) -> Row:
        made = {"attributes": {"type": "Quote"}, "Name": "Q", "OpportunityId": deal.opportunity}
        return {**made, "QuoteJobKey__c": key}

    first = f"job-{deal.opportunity}"
    rows = [quote(first), quote("twice"), quote("TWICE"), quote(None)]
    made = results(server.patch("composite/sobjects/Quote/QuoteJobKey__c", {"records": rows}))
    assert (made[0]["success"], made[0]["created"]) == (True, True)
    codes = [row["errors"][0]["statusCode"] for row in made[1:]]
    assert codes == ["DUPLICATE_VALUE", "DUPLICATE_VALUE", "MISSING_ARGUMENT"]
    again = {"attributes": {"type": "Quote"}, "QuoteJobKey__c": first, "Description": "again"}
    made = results(server.patch("composite/sobjects/Quote/QuoteJobKey__c", {"records": [again]}))
    assert (made[0]["created"], server.row("Quote", made[0]["id"])["Description"]) == (False, "again")
    assert refusal(server.patch("composite/sobjects/Quote/Name2", {"records": [again]})) == (404, "NOT_FOUND")
    assert refusal(server.patch("composite/sobjects/Quote/QuoteJobKey__c", {"records": [account()]}))[0] == 400


def test_rows_are_deleted_by_id(server: Server) -> None:
    ids = [server.create("Account", Name=f"To go {n}") for n in range(3)]
    made = results(server.delete("composite/sobjects", params={"ids": f"{ids[0]},001000000000000AAA,nonsense"}))
    assert [row["success"] for row in made] == [True, False, False]
    assert made[1]["errors"][0]["statusCode"] in ("INVALID_CROSS_REFERENCE_KEY", "MALFORMED_ID")
    together = {"ids": f"{ids[1]},{ids[0]}", "allOrNone": "true"}
    made = results(server.delete("composite/sobjects", params=together))
    assert [row["errors"][0]["statusCode"] for row in made] == [
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "ENTITY_IS_DELETED",
    ]
    server.row("Account", ids[1])


def test_rows_are_read_by_id(server: Server, deal: Deal) -> None:
    path = "composite/sobjects/Account"
    by_url = server.get(path, params={"ids": f"{deal.account},001000000000000AAA", "fields": "Id,name"})
    rows = results(by_url)
    assert (rows[0]["Id"], rows[1]) == (deal.account, None)
    assert rows[0]["attributes"]["type"] == "Account"
    assert results(server.post(path, {"ids": [deal.account], "fields": ["Id", "Name"]})) == rows[:1]
    assert refusal(server.post(path, {"ids": [deal.account], "fields": ["Bogus"]})) == (400, "INVALID_FIELD")
    assert refusal(server.post(path, {"ids": [deal.account]})) == (400, "JSON_PARSER_ERROR")


def test_limits(server: Server) -> None:
    rows = [account(Name=f"Limit {n}") for n in range(200)]
    assert all(row["success"] for row in results(server.post("composite/sobjects", {"records": rows})))
    assert refusal(server.post("composite/sobjects", {"records": [*rows, rows[0]]})) == (400, "EXCEEDED_ID_LIMIT")
    mixed = [account(Name="x"), {"attributes": {"type": "Product2"}, "Name": "x"}] * 6
    assert refusal(server.post("composite/sobjects", {"records": mixed})) == (400, "LIMIT_EXCEEDED")
    assert len(results(server.post("composite/sobjects", {"records": mixed[:10]}))) == 10


def test_malformed_requests_are_refused_whole(server: Server) -> None:
    cases: list[tuple[Any, str]] = [
        ({"records": [{"Name": "x"}]}, "INVALID_INPUT"),
        ({"records": []}, "INVALID_INPUT"),
        ({"records": [1]}, "JSON_PARSER_ERROR"),
        ({"records": [account(Name="x")], "allOrNone": 3}, "JSON_PARSER_ERROR"),
        ({"records": [{"attributes": {"type": "Bogus"}}]}, "INVALID_TYPE"),
        ({"records": [account(Name="Kept?"), account(Name="x", Bogus=1)]}, "INVALID_FIELD"),
        ([], "JSON_PARSER_ERROR"),
    ]
    for body, code in cases:
        assert refusal(server.post("composite/sobjects", body)) == (400, code), body
    assert server.query("SELECT Id FROM Account WHERE Name = 'Kept?'") == []
    assert refusal(server.delete("composite/sobjects")) == (400, "INVALID_INPUT")
