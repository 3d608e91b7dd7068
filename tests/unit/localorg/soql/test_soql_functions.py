"""What changes with the user: scopes, time zone, locale, fiscal year; and the functions that show it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from soqlorg import SCHEMA, SoqlOrg

from localorg.schema.model import Schema, SObject
from localorg.soql import Soql

ME, OTHER = "005000000000001AAA", "005000000000002AAA"


def person(org: SoqlOrg, zone: str, locale: str) -> None:
    org.connection.execute('DELETE FROM "User"')
    org.add("User", Id=ME, Name="Me", TimeZoneSidKey=zone, LocaleSidKey=locale)


@pytest.fixture
def org() -> SoqlOrg:
    org = SoqlOrg()
    for n, (kind, rating, owner) in enumerate(
        [("A", "Hot", ME), ("A", "Cold", OTHER), ("B", "Hot", ME), (None, "Hot", ME)]
    ):
        org.add("Account", Name=f"Account {n}", Type=kind, Rating=rating, OwnerId=owner, NumberOfEmployees=10**n)
    org.add(
        "Opportunity",
        Name="Deal",
        Amount=1234.5,
        Probability=10.0,
        StageName="Prospecting",
        CloseDate="2024-03-31",
        CreatedDate="2024-05-15T03:04:05.000+0000",
        TotalOpportunityQuantity=2.50,
    )
    return org


# --- scopes and tracking ------------------------------------------------------------------------------------------


def test_scopes(org: SoqlOrg) -> None:
    text = "SELECT Name FROM Account USING SCOPE {} WHERE Rating = 'Hot' ORDER BY Name"
    org.add("Account", Name="Account 9", Rating="Hot", OwnerId=OTHER)
    assert org.values(text.format("mine")) == ["Account 0", "Account 2", "Account 3"]
    assert org.values(text.format("Everything"))[-1] == "Account 9"
    org.soql.user_id = OTHER
    assert org.values(text.format("MINE")) == ["Account 9"]
    assert org.body("SELECT COUNT() FROM Account USING SCOPE mine")["totalSize"] == 2
    assert org.refusal(text.format("team")).code == "INVALID_QUERY_SCOPE"
    assert org.refusal("SELECT Id FROM Product2 USING SCOPE mine").code == "INVALID_QUERY_SCOPE"


def test_rows_read_for_view_are_told(org: SoqlOrg) -> None:
    told: list[tuple[str, str, int]] = []
    org.soql.noted = lambda how, name, ids: told.append((how, name, len(ids)))
    org.body("SELECT Name FROM Account FOR VIEW")
    org.body("SELECT Name FROM Account LIMIT 2 for reference")
    org.body("SELECT Name FROM Account")
    assert told == [("VIEW", "Account", 4), ("REFERENCE", "Account", 2)]


# --- FORMAT, toLabel ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("locale", "shown"),
    [
        ("en_US", ["$1,234.50", "10%", "3/31/2024", "5/14/2024, 8:04 PM", "2.5"]),
        ("en_GB", ["$1,234.50", "10%", "31/03/2024", "14/05/2024, 20:04", "2.5"]),
        ("de_DE", ["1.234,50 $", "10%", "31.03.2024", "14.05.2024, 20:04", "2,5"]),
        ("xx_YY", ["$1,234.50", "10%", "31/03/2024", "14/05/2024, 20:04", "2.5"]),
    ],
)
def test_format_writes_as_the_users_locale_does(org: SoqlOrg, locale: str, shown: list[str]) -> None:
    person(org, "America/Los_Angeles", locale)
    (record,) = org.body(
        "SELECT FORMAT(Amount), FORMAT(Probability), FORMAT(CloseDate) Day, FORMAT(CreatedDate) at, "
        "FORMAT(TotalOpportunityQuantity) FROM Opportunity"
    )["records"]
    assert list(record) == ["attributes", "Amount", "Probability", "Day", "at", "TotalOpportunityQuantity"]
    assert list(record.values())[1:] == shown


def test_format_of_aggregates_and_of_parents(org: SoqlOrg) -> None:
    org.connection.execute('UPDATE "Opportunity" SET "AccountId" = (SELECT max("Id") FROM "Account")')
    (record,) = org.body("SELECT FORMAT(SUM(Amount)) total, FORMAT(MIN(CloseDate)) began FROM Opportunity")["records"]
    assert (record["total"], record["began"]) == ("$1,234.50", "3/31/2024")
    (record,) = org.body("SELECT FORMAT(Account.NumberOfEmployees), toLabel(Account.Rating) r FROM Opportunity")[
        "records"
    ]
    assert (record["Account"]["NumberOfEmployees"], record["r"]) == ("1,000", "Hot")


def test_least_and_greatest_follow_the_order_of_a_picklist(org: SoqlOrg) -> None:
    """As ORDER BY does: Hot, Warm, Cold. A value that is not in the list comes after them, and null is not counted."""
    text = "SELECT MIN(Rating) least, MAX(Rating) most FROM Account WHERE Name LIKE '{}'"
    org.add("Account", Name="Other", Rating="Boiling")
    org.add("Account", Name="Other", Rating="Warm")
    org.add("Account", Name="Other")
    for names, least, most in (
        ("Account%", "Hot", "Cold"),
        ("Other", "Warm", "Boiling"),
        ("%", "Hot", "Boiling"),
        ("None", None, None),
    ):
        (record,) = org.body(text.format(names))["records"]
        assert (record["least"], record["most"]) == (least, most)
    grouped = org.soql.rows("SELECT Type, MAX(Rating) most FROM Account GROUP BY Type HAVING MAX(Rating) = 'Cold'")
    assert [(each["Type"], each["most"]) for each in grouped] == [("A", "Cold")]
    org.add("Opportunity", Name="Hot", AccountId=org.values("SELECT Id FROM Account WHERE Type = 'B'", "Id")[0])
    (record,) = org.body("SELECT MIN(Account.Rating) least FROM Opportunity")["records"]
    assert record["least"] == "Hot"


def test_to_label_stands_where_the_field_would(org: SoqlOrg) -> None:
    (record,) = org.body("SELECT toLabel(StageName), Id FROM Opportunity")["records"]
    assert record["StageName"] == "Prospecting"


# --- time zone, weeks, fiscal years -------------------------------------------------------------------------------


def test_date_functions_in_the_users_time_zone(org: SoqlOrg) -> None:
    person(org, "America/Los_Angeles", "en_US")
    text = "SELECT Name FROM Opportunity WHERE {}"
    assert org.values(text.format("HOUR_IN_DAY(CreatedDate) = 3 AND DAY_IN_MONTH(CreatedDate) = 15"))
    assert org.values(text.format("HOUR_IN_DAY(convertTimezone(CreatedDate)) = 20"))
    assert org.values(text.format("DAY_ONLY(convertTimezone(CreatedDate)) = 2024-05-14"))
    (record,) = org.body(
        "SELECT DAY_IN_MONTH(convertTimezone(CreatedDate)) d, COUNT(Id) n FROM Opportunity "
        "GROUP BY DAY_IN_MONTH(convertTimezone(CreatedDate)) HAVING DAY_IN_MONTH(convertTimezone(CreatedDate)) < 15"
    )["records"]
    assert (record["d"], record["n"]) == (14, 1)


def test_the_time_zone_is_that_of_the_users_row(org: SoqlOrg) -> None:
    text = "SELECT Name FROM Opportunity WHERE CreatedDate = 2024-05-15T03:04:05Z AND CreatedDate = TODAY"
    for zone in ("America/Los_Angeles", "UTC", "nowhere/atall", "Asia/Tokyo"):
        person(org, zone, "en_US")
        assert org.values(text) == ["Deal"], zone
    org.connection.execute("UPDATE Opportunity SET CreatedDate = '2024-05-14T06:59:00.000+0000'")
    text = "SELECT Name FROM Opportunity WHERE CreatedDate = {}"
    person(org, "America/Los_Angeles", "en_US")  # where it is the 14th, and that row is of the 13th
    assert org.values(text.format("YESTERDAY")) == ["Deal"]
    person(org, "UTC", "en_US")
    assert org.values(text.format("YESTERDAY")) == ["Deal"]
    person(org, "Pacific/Kiritimati", "en_US")
    assert org.values(text.format("YESTERDAY")) == ["Deal"]


@pytest.mark.parametrize(
    ("locale", "first"),
    [("en_US", "2024-05-12"), ("de_CH", "2024-05-13"), ("ar_EG", "2024-05-11"), ("en", "2024-05-13")],
)
def test_weeks_start_as_the_locale_has_it(org: SoqlOrg, locale: str, first: str) -> None:
    person(org, "UTC", locale)
    days = [f"2024-05-{day}" for day in range(10, 22)]
    for day in days:
        org.add("Quote", Name=day, ExpirationDate=day)
    found = org.values("SELECT Name FROM Quote WHERE ExpirationDate = THIS_WEEK ORDER BY Name")
    assert found == days[days.index(first) :][:7]


@pytest.mark.parametrize(
    ("start", "by_start", "month", "quarter", "year"),
    [(None, 0, 3, 1, 2024), (1, 0, 3, 1, 2024), (3, 0, 1, 1, 2025), (3, 1, 1, 1, 2024),
     (4, 0, 12, 4, 2024), (4, 1, 12, 4, 2023)],
)  # fmt: skip
def test_the_fiscal_year_is_the_organizations(
    org: SoqlOrg, start: int | None, by_start: int, month: int, quarter: int, year: int
) -> None:
    org.add("Organization", Name="Org", FiscalYearStartMonth=start, UsesStartDateAsFiscalYearName=by_start)
    record = org.body(
        "SELECT FISCAL_MONTH(CloseDate) m, FISCAL_QUARTER(CloseDate) q, FISCAL_YEAR(CloseDate) y FROM Opportunity "
        "GROUP BY FISCAL_MONTH(CloseDate), FISCAL_QUARTER(CloseDate), FISCAL_YEAR(CloseDate)"
    )["records"][0]
    assert (record["m"], record["q"], record["y"]) == (month, quarter, year)
    # It is May 2024: 31 March is in the fiscal year before only when that starts in April.
    literal = "LAST_FISCAL_YEAR" if start == 4 else "THIS_FISCAL_YEAR"
    assert org.values(f"SELECT Name FROM Opportunity WHERE CloseDate = {literal}") == ["Deal"]


# --- order ---


def test_picklists_are_sorted_as_they_are_set_up(org: SoqlOrg) -> None:
    for rating in ("Warm", "Zoo", None, "Anon"):
        org.add("Account", Name="more", Rating=rating)
    ordered = ["Hot", "Hot", "Hot", "Warm", "Cold", "Anon", "Zoo"]
    assert org.values("SELECT Rating FROM Account ORDER BY Rating NULLS LAST, Name", "Rating") == [*ordered, None]
    assert org.values("SELECT Rating FROM Account ORDER BY Rating DESC", "Rating") == [None, *reversed(ordered)]
    text = "SELECT Rating r, COUNT(Id) n FROM Account WHERE Rating != null GROUP BY {} ORDER BY Rating"
    assert org.values(text.format("Rating"), "r") == ["Hot", "Warm", "Cold", "Anon", "Zoo"]
    assert org.values(text.format("ROLLUP(Rating)"), "r")[0] is None


# --- subtotals ----------------------------------------------------------------------------------------------------


def groups(org: SoqlOrg, text: str) -> list[list[Any]]:
    return [list(record.values())[1:] for record in org.body(text)["records"]]


def test_rollup(org: SoqlOrg) -> None:
    text = "SELECT Type t, Rating, COUNT(Id) n, SUM(NumberOfEmployees) FROM Account GROUP BY ROLLUP(Type, Rating)"
    assert groups(org, text) == [
        [None, "Hot", 1, 1000], [None, None, 1, 1000],
        ["A", "Cold", 1, 10], ["A", "Hot", 1, 1], ["A", None, 2, 11],
        ["B", "Hot", 1, 100], ["B", None, 1, 100],
        [None, None, 4, 1111],
    ]  # fmt: skip


def test_cube_grouping_and_order(org: SoqlOrg) -> None:
    text = (
        "SELECT Type, Rating, GROUPING(Type) gt, GROUPING(Rating) gr, COUNT(Id) n FROM Account WHERE Type != null "
        "GROUP BY CUBE(Type, Rating) HAVING COUNT(Id) > 0 ORDER BY GROUPING(Type), GROUPING(Rating), Type, Rating DESC"
    )
    assert groups(org, text) == [
        ["A", "Cold", 0, 0, 1], ["A", "Hot", 0, 0, 1], ["B", "Hot", 0, 0, 1],
        ["A", None, 0, 1, 2], ["B", None, 0, 1, 1],
        [None, "Cold", 1, 0, 1], [None, "Hot", 1, 0, 2],
        [None, None, 1, 1, 3],
    ]  # fmt: skip
    assert groups(org, text + " LIMIT 1 OFFSET 1") == [["A", "Hot", 0, 0, 1]]


def test_rollup_of_nothing_is_nothing(org: SoqlOrg) -> None:
    assert groups(org, "SELECT Type, COUNT(Id) FROM Account WHERE Name = 'none' GROUP BY ROLLUP(Type)") == []


# --- parents of several objects -----------------------------------------------------------------------------------


def several() -> Schema:
    """The usual schema, but a Quote may belong to a person or to a firm."""

    def widened(each: SObject) -> SObject:
        fields = [
            replace(one, reference_to=("User", "Account")) if one.name == "OwnerId" else one for one in each.fields
        ]
        return SObject(each.name, each.label, each.label_plural, each.key_prefix, custom=False, fields=tuple(fields))

    return Schema([widened(each) if each.name == "Quote" else each for each in SCHEMA.objects.values()])


def test_a_parent_of_several_objects() -> None:
    org = SoqlOrg(schema=several())
    org.add("User", Id=ME, Name="Me")
    account = org.add("Account", Name="Acme")
    org.add("Quote", Name="by a person", OwnerId=ME)
    org.add("Quote", Name="by a firm", OwnerId=account)
    org.add("Quote", Name="by nobody")
    records = org.body("SELECT Name, Owner.Name, Owner.Type FROM Quote ORDER BY Name")["records"]
    assert [each["Owner"] and each["Owner"]["Name"] for each in records] == ["Acme", "Me", None]
    assert records[0]["Owner"]["Type"] == "Account"
    url = f"/services/data/v66.0/sobjects/Account/{account}"
    assert records[0]["Owner"]["attributes"] == {"type": "Name", "url": url}
    assert org.values("SELECT Name FROM Quote WHERE Owner.Type = 'user'") == ["by a person"]
    assert org.values("SELECT Name FROM Quote WHERE Owner.Name = 'ACME'") == ["by a firm"]
    assert "No such column 'Industry' on entity 'Name'" in org.refusal("SELECT Owner.Industry FROM Quote").message


# --- queryAll -----------------------------------------------------------------------------------------------------


def test_query_all_looks_into_the_recycle_bin_of_semi_joins_too(org: SoqlOrg) -> None:
    deal = org.values("SELECT Id FROM Opportunity", "Id")[0]
    org.add("Quote", Name="Gone", OpportunityId=deal, IsDeleted=1)
    text = "SELECT Name FROM Opportunity WHERE Id IN (SELECT OpportunityId FROM Quote)"
    assert org.body(text)["totalSize"] == 0
    assert org.body(text, deleted=True)["totalSize"] == 1


# --- columns=true -------------------------------------------------------------------------------------------------


def names(columns: list[dict[str, Any]]) -> list[Any]:
    return [
        (each["columnName"], each["aggregate"], names(each["joinColumns"]))
        if each["joinColumns"]
        else each["columnName"]
        for each in columns
    ]


def test_the_columns_of_rows(org: SoqlOrg) -> None:
    answer = org.soql.columns(
        "SELECT id, account.owner.name, toLabel(StageName), FORMAT(Amount) a, (SELECT Name FROM Quotes) "
        "FROM Opportunity"
    )
    assert (answer["entityName"], answer["idSelected"], answer["groupBy"], answer["keyPrefix"]) == (
        "Opportunity", True, False, "006",
    )  # fmt: skip
    assert names(answer["columnMetadata"]) == [
        "Id", ("Account", False, [("Owner", False, ["Name"])]), "StageName", "a", ("Quotes", True, ["Name"]),
    ]  # fmt: skip
    first = answer["columnMetadata"][0]
    assert (first["displayName"], first["apexType"], first["textType"]) == ("Id", "Id", False)


def test_the_columns_of_groups(org: SoqlOrg) -> None:
    answer = org.soql.columns("SELECT StageName, COUNT(Id), MAX(Amount) most FROM Opportunity GROUP BY StageName")
    shown = [(each["columnName"], each["displayName"], each["aggregate"]) for each in answer["columnMetadata"]]
    assert shown == [("StageName", "StageName", False), ("expr0", "count(Id)", True), ("most", "max(Amount)", True)]
    assert answer["groupBy"] is True
    assert [each["apexType"] for each in answer["columnMetadata"]] == ["String", "Integer", "Double"]
    (column,) = org.soql.columns("SELECT COUNT() FROM Account")["columnMetadata"]
    assert column["displayName"] == "count"
    custom = org.soql.columns("SELECT FIELDS(CUSTOM) FROM Quote LIMIT 1")["columnMetadata"]
    assert ("QuoteJobKey__c", True) in [(each["columnName"], each["custom"]) for each in custom]


def test_the_columns_of_what_could_not_run(org: SoqlOrg) -> None:
    with pytest.raises(Exception, match="No such column"):
        org.soql.columns("SELECT Bacon FROM Account")


def test_soql_needs_no_users_row(org: SoqlOrg) -> None:
    assert isinstance(org.soql, Soql)
    assert org.values("SELECT Name FROM Opportunity WHERE CreatedDate = TODAY") == ["Deal"]
