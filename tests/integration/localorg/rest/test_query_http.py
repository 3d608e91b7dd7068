"""The query resources: pages, child pages, batch size, explain, errors, headers."""

from __future__ import annotations

from _server import DATA, Server, Start


def test_a_query_answers_rows_with_attributes(server: Server) -> None:
    answer = server.get("query/", params={"q": "SELECT Name FROM Account WHERE BillingCountry = 'JP' LIMIT 1"})
    body = answer.json()
    assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert answer.headers["Sforce-Limit-Info"].startswith("api-usage=")
    assert (body["totalSize"], body["done"]) == (1, True)
    assert "nextRecordsUrl" not in body
    (row,) = body["records"]
    assert row.keys() == {"attributes", "Name"}
    assert row["attributes"]["type"] == "Account"
    assert row["attributes"]["url"].startswith(f"{DATA}/sobjects/Account/001")


def test_pages_follow_each_other_and_hold_every_row_once(start: Start) -> None:
    server = start("--opportunities", "2500", "--lines", "0")
    first = server.get("query", params={"q": "SELECT Id FROM Opportunity ORDER BY Id"}).json()
    assert (first["totalSize"], first["done"], len(first["records"])) == (2500, False, 2000)
    assert first["nextRecordsUrl"].startswith(f"{DATA}/query/01g")
    second = server.get(first["nextRecordsUrl"]).json()
    assert (second["totalSize"], second["done"], len(second["records"])) == (2500, True, 500)
    ids = [row["Id"] for row in first["records"] + second["records"]]
    assert ids == sorted(set(ids))


def test_the_batch_size_is_the_callers_within_200_and_2000(start: Start) -> None:
    server = start("--opportunities", "600", "--lines", "0")
    for asked, given in (("500", 500), ("10", 200), ("9999", 600)):
        headers = {"Sforce-Query-Options": f"batchSize={asked}"}
        body = server.get("query", params={"q": "SELECT Id FROM Opportunity"}, headers=headers).json()
        assert len(body["records"]) == given


def test_parents_and_children_are_nested(server: Server) -> None:
    soql = (
        "SELECT Name, Account.Name, (SELECT Quantity, UnitPrice FROM OpportunityLineItems) "
        "FROM Opportunity WHERE Name = 'Opportunity 0'"
    )
    (row,) = server.query(soql)
    assert row["Account"]["attributes"]["type"] == "Account"
    assert (row["OpportunityLineItems"]["totalSize"], row["OpportunityLineItems"]["done"]) == (2, True)
    assert isinstance(row["OpportunityLineItems"]["records"][0]["UnitPrice"], float)


def test_query_all_sees_the_recycle_bin(server: Server) -> None:
    record_id = server.create("Account", Name="Thrown Away")
    server.delete(f"sobjects/Account/{record_id}")
    soql = "SELECT Id FROM Account WHERE Name = 'Thrown Away'"
    assert server.get("query", params={"q": soql}).json()["totalSize"] == 0
    assert server.get("queryAll", params={"q": soql}).json()["totalSize"] == 1


def test_explain_tells_the_cost_and_reads_nothing(server: Server) -> None:
    answer = server.get("query", params={"explain": "SELECT Id FROM Opportunity WHERE StageName = 'Prospecting'"})
    assert answer.status_code == 200
    assert answer.json()["plans"][0]["sobjectType"] == "Opportunity"
    wrong = server.get("query", params={"explain": "SELECT Id FROM Opportunity WHERE Bogus = 1"})
    assert wrong.json()[0]["errorCode"] == "INVALID_FIELD"


def test_bad_queries_are_refused(server: Server) -> None:
    for params, code in (
        ({"q": "SELEKT Id FROM Account"}, "MALFORMED_QUERY"),
        ({"q": "SELECT Bacon__c FROM Account LIMIT 2"}, "INVALID_FIELD"),
        ({"q": "SELECT Id FROM Bogus"}, "INVALID_TYPE"),
        ({}, "MALFORMED_QUERY"),
    ):
        answer = server.get("query", params=params)
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)
    for locator in ("nonsense", "01gB000003OCxSPIA1-2000"):
        answer = server.get(f"query/{locator}")
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


def test_rows_read_are_counted_children_included(start: Start) -> None:
    server = start("--opportunities", "10", "--lines", "3")
    server.query("SELECT Id, (SELECT Id FROM OpportunityLineItems) FROM Opportunity")
    stats = server.get("/localorg/stats").json()
    assert (stats["rowsRead"], stats["requests"]["byResource"]) == (40, {"query": 1})


def test_a_wrong_token_is_refused(server: Server) -> None:
    answer = server.get("query", params={"q": "SELECT Id FROM Account"}, headers={"Authorization": "Bearer x"})
    assert (answer.status_code, answer.json()) == (
        401,
        [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}],
    )
