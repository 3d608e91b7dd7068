"""What is SOQL and what is not, and how a refusal reads."""

import time

import pytest
from soqlorg import SoqlOrg


@pytest.fixture(scope="module")
def org() -> SoqlOrg:
    org = SoqlOrg()
    account = org.add("Account", Name="Acme", Industry="Energy")
    for n, name in enumerate(["Alpha", "beta", "Gamma"]):
        opportunity = org.add(
            "Opportunity",
            Name=name,
            AccountId=account if n else None,
            Amount=10.5 * n,
            IsClosed=n % 2,
            CloseDate=f"2024-05-{13 + n}",
            CreatedDate=f"2024-05-14T0{n}:00:00.000+0000",
            StageName="Prospecting",
            Description="long",
        )
        org.add("Quote", Name=f"Q{n}", OpportunityId=opportunity)
    return org


def test_the_answers_shape(org: SoqlOrg) -> None:
    body = org.body("select id, NAME, amount, isclosed, account.name, Account.Industry, closedate from opportunity "
                    "WHERE name IN ('ALPHA', 'Beta') ORDER BY Name", version="60.0")  # fmt: skip
    assert list(body) == ["totalSize", "done", "records"]
    assert (body["totalSize"], body["done"]) == (2, True)
    first, second = body["records"]
    assert list(second) == ["attributes", "Id", "Name", "Amount", "IsClosed", "Account", "CloseDate"]
    url = f"/services/data/v60.0/sobjects/Opportunity/{second['Id']}"
    assert second["attributes"] == {"type": "Opportunity", "url": url}
    assert (second["Name"], second["Amount"], second["IsClosed"]) == ("beta", 10.5, True)
    assert (second["Account"]["Name"], second["Account"]["Industry"]) == ("Acme", "Energy")
    assert second["Account"]["attributes"]["type"] == "Account"
    assert first["Account"] is None
    assert repr(first["Amount"]) == "0.0"


def test_an_id_is_there_only_when_it_is_selected(org: SoqlOrg) -> None:
    assert list(org.body("SELECT Name FROM Quote")["records"][0]) == ["attributes", "Name"]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT o.Name FROM Opportunity o WHERE o.Account.Name = 'acme' ORDER BY o.Name",
        "SELECT Opportunity.Name FROM Opportunity WHERE Opportunity.Account.Name = 'acme' ORDER BY Name",
        "SELECT o.Name FROM Opportunity o, o.Account a WHERE a.Name = 'acme' ORDER BY o.Name",
        "SELECT Name FROM Opportunity WHERE Amount > 0 AND (NOT Name = 'Alpha') ORDER BY Name",
        "SELECT Name\nFROM Opportunity\nWHERE NOT Name = 'Alpha'\nORDER BY Name",
        "SELECT Name FROM Opportunity WHERE ((NOT(Name='Alpha')) AND Amount > 1) ORDER BY Name ASC",
        "SELECT Name FROM Opportunity ORDER BY Name LIMIT 2 OFFSET 1",
        "SELECT Name FROM Opportunity WHERE Amount >= 10.5 AND Amount < +999 AND Amount <> .5 ORDER BY Name",
        "SELECT Name FROM Opportunity WHERE CloseDate>=2024-05-14 ORDER BY Name",
        "SELECT Name FROM Opportunity WHERE CreatedDate > 2024-05-13T17:30:00-07:00 ORDER BY Name",
        "SELECT Name FROM Opportunity WHERE Account.Owner.Name = null AND Account.Name != null ORDER BY Name",
        "SELECT Name FROM Opportunity WHERE toLabel(StageName) = 'prospecting' AND DAY_IN_MONTH(CloseDate) > 13",
        "SELECT Name FROM Opportunity WHERE Id IN (SELECT OpportunityId FROM Quote WHERE Name != 'Q0') ORDER BY Name",
    ],
)  # fmt: skip
def test_all_these_find_beta_and_gamma(org: SoqlOrg, text: str) -> None:
    assert org.values(text) == ["beta", "Gamma"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELEKT Id FROM Account", "unexpected token: SELEKT"),
        ("", "SOQL statements cannot be empty or null"),
        ("SELECT Id FROM Account WHERE Name = 'a' AND Name = 'b' OR Name = 'c'", "unexpected token: OR"),
        ("SELECT Id FROM Account WHERE (NOT(Name='a') AND Name = 'b')", "unexpected token: AND"),
        ("SELECT Id FROM Account WHERE Name = 'a' AND NOT Name = 'b'", "unexpected token: NOT"),
        ("SELECT Id FROM Account WHERE Name = 'a", "unexpected char: '''"),
        ("SELECT Id FROM Account WHERE Name = \"a\"", "unexpected char: '\"'"),
        ("SELECT Id FROM Account WHERE Name = Industry", "unexpected token: Industry"),
        ("SELECT Id FROM Account WHERE Name = :name", "unexpected char: ':'"),
        ("SELECT Id FROM Account WHERE Name IS NULL", "unexpected token: IS"),
        ("SELECT Id FROM Account WHERE Name = 'a\\q'", "Illegal character sequence '\\q'"),
        ("SELECT Id FROM Account WHERE Name = '\\%'", "Illegal character sequence '\\%'"),
        ("SELECT Id FROM Account WHERE Name = '\\ud83d'", "Invalid string literal"),
        ("SELECT Id FROM Account WHERE Name = 'a' 'b'", "unexpected token: 'b'"),
        ("SELECT Id FROM Account WHERE Name IN ()", "unexpected token: )"),
        ("SELECT Id FROM Account WHERE (Name = 'a'", "unexpected token: <EOF>"),
        ("SELECT Id FROM Account WHERE Name = 'a')", "unexpected token: )"),
        ("SELECT Id FROM Account WHERE", "unexpected token: <EOF>"),
        ("SELECT Id FROM Account;", "unexpected char: ';'"),
        ("SELECT Id FROM Account -- all", "unexpected char: '-'"),
        ("SELECT Id /* all */ FROM Account", "unexpected char: '/'"),
        ("SELECT Id FROM Account FOR UPDATE", "unexpected token: FOR"),
        ("SELECT COUNT() FROM Account a FOR VIEW", "FOR VIEW is for rows of the main query only"),
        ("SELECT Name FROM Account GROUP BY Name FOR REFERENCE", "FOR REFERENCE is for rows"),
        ("SELECT Id FROM Account WITH SECURITY_ENFORCED", "unexpected token: WITH"),
        ("SELECT Id FROM Account USING mine", "unexpected token: USING"),
        ("SELECT Id FROM Account UPDATE VIEWSTAT", "unexpected token: UPDATE"),
        ("SELECT Id FROM Account WHERE DISTANCE(Location__c, GEOLOCATION(1, 2), 'mi') < 20", "unexpected token: ,"),
        ("SELECT convertCurrency(AnnualRevenue) FROM Account", "only allowed in an org with multiple currencies"),
        ("SELECT FORMAT(Name) FROM Account", "FORMAT does not support field Name"),
        ("SELECT Id FROM Opportunity WHERE FORMAT(Amount) = '1'", "unexpected token: FORMAT"),
        ("SELECT Id FROM Account WHERE convertTimezone(CreatedDate) > TODAY", "unexpected token: CONVERTTIMEZONE"),
        ("SELECT Id FROM Opportunity WHERE HOUR_IN_DAY(convertTimezone(CloseDate)) > 1", "unexpected token"),
        ("SELECT Name FROM Account GROUP BY ROLLUP(Name, Industry, Type, Rating)", "cannot have more than 3 fields"),
        ("SELECT Name, GROUPING(Name) FROM Account GROUP BY Name", "GROUPING is only allowed with"),
        ("SELECT Name, GROUPING(Type) FROM Account GROUP BY CUBE(Name)", "GROUPING needs a grouped field"),
        ("SELECT Id FROM Account ALL ROWS", "unexpected token: ROWS"),
        ("SELECT TYPEOF Owner WHEN User THEN Id END FROM Account", "unexpected token: WHEN"),
        ("SELECT Id FROM Account LIMIT 5 ORDER BY Id", "unexpected token: ORDER BY"),
        ("SELECT Id FROM Account LIMIT -1", "unexpected token: -1"),
        ("SELECT Id FROM Account UNION SELECT Id FROM Quote", "unexpected token: SELECT"),
        ("SELECT * FROM Account", "unexpected char: '*'"),
        ("SELECT Name, COUNT() FROM Account", "COUNT() must be the only element"),
        ("SELECT COUNT() FROM Account ORDER BY Name", "COUNT() must be the only element"),
        ("SELECT Name, COUNT(Id) FROM Account", "Field must be grouped or aggregated: Name"),
        ("SELECT COUNT(Id) FROM Account LIMIT 1", "cannot also use LIMIT"),
        ("SELECT Name n FROM Account", "only aggregate expressions use field aliasing"),
        ("SELECT CALENDAR_YEAR(CreatedDate) FROM Account", "unexpected token: CALENDAR_YEAR"),
        ("SELECT Id FROM Opportunity WHERE SUM(Amount) > 1", "Aggregate functions are not allowed here"),
        ("SELECT Id FROM Opportunity WHERE CloseDate = 2024-02-30", "Invalid date"),
        ("SELECT Id FROM Opportunity WHERE CloseDate = 1500-01-01", "Invalid date"),
        (f"SELECT Id FROM Opportunity WHERE Amount > {'9' * 400}", "For input string"),
        (f"SELECT Id FROM Account WHERE Name = '{'x' * 4001}'", "cannot be longer than 4000"),
        ("SELECT Id FROM Account WHERE Name = 'a'" + " " * 100_000, "cannot be longer than 100000"),
        ("SELECT Id FROM Account WHERE Name = '\ud800'", "not a Unicode character"),
        ("SELECT FIELDS(ALL) FROM Account", "LIMIT of at most 200"),
    ],
)  # fmt: skip
def test_malformed_queries(org: SoqlOrg, text: str, message: str) -> None:
    trouble = org.refusal(text)
    assert trouble.code == "MALFORMED_QUERY"
    assert message in trouble.message


@pytest.mark.parametrize(
    ("where", "code", "message"),
    [
        ("Amount = '5'", "INVALID_FIELD", "'Amount' must be of type currency and should not be enclosed in quotes"),
        ("Name = 5", "INVALID_FIELD", "'Name' must be of type string and should be enclosed in quotes"),
        ("Name = TODAY", "INVALID_FIELD", "'Name' must be of type string and should be enclosed in quotes"),
        ("Name = true", "INVALID_FIELD", "should be enclosed in quotes"),
        ("CloseDate = '2024-01-01'", "INVALID_FIELD", "'CloseDate' must be of type date and should not be"),
        ("CloseDate = 2024-01-01T00:00:00Z", "INVALID_FIELD", "'CloseDate' must be of type date and"),
        ("CreatedDate > 2024-01-01", "INVALID_FIELD", "'CreatedDate' must be of type dateTime and should not"),
        ("CALENDAR_YEAR(CloseDate) = THIS_YEAR", "INVALID_FIELD", "must be of type int"),
        ("IsClosed = 'true'", "INVALID_FIELD", "'IsClosed' must be of type boolean and should not be enclosed"),
        ("IsClosed = 1", "INVALID_FIELD", "must be of type boolean"),
        ("Amount > USD5000", "INVALID_FIELD", "must be of type currency"),
        ("Amount IN (1, 'a')", "INVALID_FIELD", "must be of type currency"),
        ("Id = 5", "INVALID_FIELD", "must be of type ID and should be enclosed in quotes"),
        ("Bacon__c = 1", "INVALID_FIELD", "No such column 'Bacon__c' on entity 'Opportunity'"),
        ("Account.Bacon = 1", "INVALID_FIELD", "No such column 'Bacon' on entity 'Account'"),
        ("Bacon__r.Name = 'a'", "INVALID_FIELD", "Didn't understand relationship 'Bacon__r' in field path"),
        ("Description = 'a'", "INVALID_FIELD", "field 'Description' can not be filtered in a query call"),
        ("CurrencyIsoCode = 'USD'", "INVALID_FIELD", "No such column"),
        ("Id = 'abc'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: abc"),
        ("AccountId IN ('001000000000000', 'x')", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: x"),
        ("Amount LIKE '1%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on currency field"),
        ("AccountId LIKE '001%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on id field"),
        ("IsClosed > true", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on boolean field"),
        ("StageName INCLUDES ('a')", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on picklist field"),
        ("Amount > null", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on null value"),
    ],
)  # fmt: skip
def test_what_does_not_fit_its_field(org: SoqlOrg, where: str, code: str, message: str) -> None:
    trouble = org.refusal(f"SELECT Id FROM Opportunity WHERE {where}")
    assert (trouble.code, message in trouble.message) == (code, True), trouble.message


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("Id IN (SELECT OpportunityId FROM Quote) OR Name = 'x'", "not allowed with the 'OR' or 'NOT'"),
        ("NOT Id IN (SELECT OpportunityId FROM Quote)", "not allowed with the 'OR' or 'NOT'"),
        ("Name IN (SELECT OpportunityId FROM Quote)", "cannot use: 'Name'"),
        ("Account.Id IN (SELECT AccountId FROM Quote)", "cannot use: 'Id'"),
        ("Id IN (SELECT Name FROM Quote)", "can only query id fields, cannot use: 'Name'"),
        ("Id IN (SELECT Opportunity.AccountId FROM Quote)", "can only query id fields"),
        ("Id IN (SELECT Id, OpportunityId FROM Quote)", "select one id field"),
        ("Id IN (SELECT COUNT() FROM Quote)", "select one id field"),
        ("Id IN (SELECT Id FROM Opportunity)", "should not be on the same object type"),
        ("Id IN (SELECT AccountId FROM Quote)", "should point to the same object type"),
        ("Id IN (SELECT OpportunityId FROM Quote LIMIT 1)", "cannot have ORDER BY, LIMIT"),
        ("Id IN (SELECT OpportunityId FROM Quote ORDER BY Id)", "cannot have ORDER BY, LIMIT"),
        ("Id IN (SELECT OpportunityId FROM Quote WHERE Id IN (SELECT QuoteId FROM QuoteLineItem))", "Nesting"),
        (" AND ".join(["Id IN (SELECT OpportunityId FROM Quote)"] * 3), "Cannot have more than 2"),
    ],
)  # fmt: skip
def test_what_a_semi_join_may_not_be(org: SoqlOrg, where: str, message: str) -> None:
    trouble = org.refusal(f"SELECT Id FROM Opportunity WHERE {where}")
    assert (trouble.code, message in trouble.message) == ("MALFORMED_QUERY", True), trouble.message


def test_semi_and_anti_joins(org: SoqlOrg) -> None:
    org.add("Opportunity", Name="Lone")
    org.add("Quote", Name="Loose")  # a null reference must not empty an anti-join
    where = "(Name > 'B' AND Id IN (SELECT OpportunityId FROM Quote WHERE Opportunity.Name > 'C'))"
    assert org.values(f"SELECT Name FROM Opportunity WHERE {where}") == ["Gamma"]
    assert org.values("SELECT Name FROM Opportunity WHERE Id NOT IN (SELECT OpportunityId FROM Quote)") == ["Lone"]
    org.connection.execute("DELETE FROM Opportunity WHERE Name = 'Lone'")


def test_the_picture_of_an_unknown_column(org: SoqlOrg) -> None:
    assert org.refusal("SELECT Bacon__c FROM Account LIMIT 2").body() == [
        {
            "message": "\nSELECT Bacon__c FROM Account LIMIT 2\n       ^\nERROR at Row:1:Column:8\n"
            "No such column 'Bacon__c' on entity 'Account'. If you are attempting to use a custom field, be sure to "
            "append the '__c' after the custom field name. Please reference your WSDL or the describe call for the "
            "appropriate names.",
            "errorCode": "INVALID_FIELD",
        }
    ]


def test_the_picture_shows_the_words_around_a_far_place(org: SoqlOrg) -> None:
    message = org.refusal(
        "SELECT Id, ProductCode\nFROM Product2 WHERE IsActive = true AND Name != null AND ProductCode = 3999"
    ).message
    _, line, caret, place, _ = message.split("\n")
    assert place == "ERROR at Row:2:Column:58"
    assert line[caret.index("^") :].startswith("ProductCode = 3999")
    assert len(line) < 75


def test_unknown_objects_and_children(org: SoqlOrg) -> None:
    trouble = org.refusal("SELECT Id FROM Bogus")
    assert trouble.code == "INVALID_TYPE"
    assert "ERROR at Row:1:Column:16\nsObject type 'Bogus' is not supported." in trouble.message
    trouble = org.refusal("SELECT Id, (SELECT Id FROM Lines) FROM Opportunity")
    assert trouble.code == "INVALID_TYPE"
    assert "Didn't understand relationship 'Lines' in FROM part of query call." in trouble.message


def test_a_field_is_selected_once(org: SoqlOrg) -> None:
    assert "duplicate field selected: name" in org.refusal("SELECT Name, name FROM Account").message
    assert "duplicate field selected" in org.refusal("SELECT Account.Name, Account.Name FROM Quote").message


def test_paths_end_after_five_parents(org: SoqlOrg) -> None:
    org.body("SELECT Parent.Parent.Parent.Parent.Parent.Name FROM Account")
    assert org.refusal("SELECT Parent.Parent.Parent.Parent.Parent.Parent.Name FROM Account").code == "MALFORMED_QUERY"


@pytest.mark.parametrize(
    "hostile",
    [
        "(" * 50_000,
        "(" * 20_000 + "Name = 'a'" + ")" * 20_000,
        "NOT (" * 9_000 + "Name = 'a'" + ")" * 9_000,
        "(Name = 'a' AND (Name = 'b' OR " * 1_500 + "Name = 'c'" + "))" * 1_500,
        "Name IN (" + "'a'," * 20_000,
        "'" * 50_001,
    ],
    ids=["open", "nested", "not", "mixed", "list", "quotes"],
)
def test_a_hostile_clause_is_refused_at_once(org: SoqlOrg, hostile: str) -> None:
    started = time.thread_time()
    trouble = org.refusal(f"SELECT Id FROM Account WHERE {hostile}")
    assert trouble.code in {"MALFORMED_QUERY", "QUERY_TOO_COMPLICATED"}
    assert time.thread_time() - started < 2


@pytest.mark.parametrize(
    "long",
    [
        " OR ".join(["Name = 'zz'"] * 6_500),
        " AND ".join(["Name != 'zz'"] * 5_500),
        "Name IN (" + ",".join(["'zz'"] * 16_000) + ")",
        "(" * 99 + "Name = 'a'" + ")" * 99,
        "NOT (" * 90 + "Name = 'a'" + ")" * 90,
        "(Name = 'a' AND (Name = 'b' OR " * 12 + "Name = 'c'" + "))" * 12,
        "(Name = 'a' AND (Name = 'b' OR " * 40 + "Name = 'c'" + "))" * 40,
        "Name LIKE '" + "%a" * 1_999 + "'",
    ],
    ids=["or", "and", "in", "parentheses", "not", "mixed", "deep", "like"],
)
def test_a_long_honest_clause_is_answered(org: SoqlOrg, long: str) -> None:
    org.body(f"SELECT Id FROM Account WHERE {long}")


def test_explain_checks_without_reading(org: SoqlOrg) -> None:
    text = "SELECT Id FROM Opportunity WHERE Name = 'x'"
    answer = org.soql.explain(text)
    assert answer["sourceQuery"] == text
    (plan,) = answer["plans"]
    assert (plan["sobjectType"], plan["sobjectCardinality"], plan["leadingOperationType"]) == (
        "Opportunity",
        3,
        "TableScan",
    )
    with pytest.raises(Exception, match="No such column"):
        org.soql.explain("SELECT Bacon FROM Opportunity")
