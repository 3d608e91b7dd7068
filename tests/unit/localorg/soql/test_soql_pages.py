"""Pages, children and their pages, cursors, aggregates: the shape of answers that do not fit in one."""

from datetime import timedelta
from typing import Any

import pytest
from soqlorg import SoqlOrg

from localorg.errors import OrgError
from localorg.soql import cursors

CHILDREN = "(SELECT Id, Quantity, Product2.Name FROM OpportunityLineItems)"


def fill(org: SoqlOrg, lines: list[int]) -> None:
    """Opportunities named 0000, 0001 ... with so many lines each."""
    product = org.add("Product2", Name="P", Family="Hardware")
    for n, count in enumerate(lines):
        parent = org.add("Opportunity", Name=f"{n:04}", Amount=n)
        for k in range(count):
            org.add("OpportunityLineItem", OpportunityId=parent, Quantity=float(k), Product2Id=product)


def more(org: SoqlOrg, body: dict[str, Any]) -> dict[str, Any]:
    path, _, locator = body["nextRecordsUrl"].rpartition("/")
    assert path == "/services/data/v66.0/query"
    return org.soql.more(locator).body


def pages(org: SoqlOrg, text: str, **options: Any) -> list[dict[str, Any]]:
    found = [org.body(text, **options)]
    while not found[-1]["done"]:
        found.append(more(org, found[-1]))
    return found


def rows_of(body: dict[str, Any]) -> int:
    blocks = [record.get("OpportunityLineItems") for record in body["records"]]
    return len(blocks) + sum(len(block["records"]) for block in blocks if block)


@pytest.fixture
def org() -> SoqlOrg:
    return SoqlOrg()


@pytest.mark.parametrize("order", ["", " ORDER BY Amount DESC", " ORDER BY IsClosed"])
def test_a_long_result_comes_in_pages(org: SoqlOrg, order: str) -> None:
    fill(org, [0] * 4_500)
    found = pages(org, f"SELECT Name FROM Opportunity{order}")
    assert [len(page["records"]) for page in found] == [2_000, 2_000, 500]
    assert {page["totalSize"] for page in found} == {4_500}
    assert list(found[0]) == ["totalSize", "done", "nextRecordsUrl", "records"]
    assert list(found[2]) == ["totalSize", "done", "records"]
    assert [page.get("nextRecordsUrl", "-end")[-5:] for page in found] == ["-2000", "-4000", "-end"]
    names = [record["Name"] for page in found for record in page["records"]]
    assert names == sorted(names, reverse="DESC" in order)
    assert len(set(names)) == 4_500


def test_an_exactly_full_page_is_the_last(org: SoqlOrg) -> None:
    fill(org, [0] * 400)
    assert [len(page["records"]) for page in pages(org, "SELECT Id FROM Opportunity", batch_size=200)] == [200, 200]
    body = org.body("SELECT Id FROM Opportunity LIMIT 200", batch_size=200)
    assert (body["totalSize"], body["done"]) == (200, True)


@pytest.mark.parametrize(("asked", "got"), [(1, 200), (200, 200), (350, 350), (99_999, 2_000)])
def test_the_batch_size_is_kept_in_bounds(org: SoqlOrg, asked: int, got: int) -> None:
    fill(org, [0] * 2_100)
    assert len(org.body("SELECT Id FROM Opportunity", batch_size=asked)["records"]) == got


def test_a_limit_ends_the_pages(org: SoqlOrg) -> None:
    fill(org, [0] * 700)
    found = pages(org, "SELECT Id FROM Opportunity LIMIT 450", batch_size=200)
    assert [len(page["records"]) for page in found] == [200, 200, 50]
    assert found[0]["totalSize"] == 450
    assert org.body("SELECT Id FROM Opportunity LIMIT 0") == {"totalSize": 0, "done": True, "records": []}


def test_an_offset_has_one_page_and_a_most(org: SoqlOrg) -> None:
    fill(org, [0] * 30)
    assert org.values("SELECT Name FROM Opportunity ORDER BY Name LIMIT 3 OFFSET 10") == ["0010", "0011", "0012"]
    assert org.values("SELECT Name FROM Opportunity ORDER BY Name OFFSET 28") == ["0028", "0029"]
    assert org.refusal("SELECT Name FROM Opportunity OFFSET 2001").code == "NUMBER_OUTSIDE_VALID_RANGE"


def test_what_a_cursor_found_stays_found(org: SoqlOrg) -> None:
    fill(org, [0] * 600)
    first = org.body("SELECT Name, Amount FROM Opportunity WHERE Amount < 1000 ORDER BY Amount", batch_size=200)
    org.connection.execute("UPDATE Opportunity SET Amount = 5000 WHERE Name = '0200'")
    org.connection.execute("UPDATE Opportunity SET IsDeleted = 1 WHERE Name = '0201'")
    org.connection.execute("DELETE FROM Opportunity WHERE Name = '0202'")
    org.add("Opportunity", Name="new", Amount=-1)
    second = more(org, first)
    third = more(org, second)
    names = [record["Name"] for record in second["records"] + third["records"]]
    assert names == ["0200", *(f"{n:04}" for n in range(203, 600))]
    assert second["records"][0]["Amount"] == 5000
    assert more(org, first) == second


@pytest.mark.parametrize(
    "wrong", ["", "01g", "01gxx0000000000AAA", "0r8", "01gxx0000000001AAA-2000", "x" * 400, "01g/..-1"]
)
def test_an_unknown_locator_is_refused(org: SoqlOrg, wrong: str) -> None:
    with pytest.raises(OrgError) as refused:
        org.soql.more(wrong)
    assert (refused.value.status, refused.value.code) == (400, "INVALID_QUERY_LOCATOR")


def test_a_locator_past_the_end_or_two_days_old_is_refused(org: SoqlOrg) -> None:
    fill(org, [0] * 300)
    body = org.body("SELECT Id FROM Opportunity", batch_size=200)
    locator = body["nextRecordsUrl"].rpartition("/")[2]
    with pytest.raises(OrgError):
        org.soql.more(locator.replace("-200", "-301"))
    org.now += timedelta(days=2)
    assert more(org, body)["done"]
    org.now += timedelta(seconds=1)
    with pytest.raises(OrgError):
        more(org, body)


def test_the_oldest_cursors_are_closed(org: SoqlOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursors, "MOST_CURSORS", 3)
    fill(org, [0] * 201)
    bodies = [org.body("SELECT Id FROM Opportunity", batch_size=200) for _ in range(4)]
    with pytest.raises(OrgError):
        more(org, bodies[0])
    assert all(more(org, body)["done"] for body in bodies[1:])


# --- children ---


def test_children_come_with_their_parents(org: SoqlOrg) -> None:
    fill(org, [2, 0, 1])
    first, second, third = org.body(f"SELECT Name, {CHILDREN}, Amount FROM Opportunity ORDER BY Name")["records"]
    assert list(first) == ["attributes", "Name", "OpportunityLineItems", "Amount"]
    block = first["OpportunityLineItems"]
    assert (block["totalSize"], block["done"], list(block)) == (2, True, ["totalSize", "done", "records"])
    assert [line["Quantity"] for line in block["records"]] == [0.0, 1.0]
    assert block["records"][0]["attributes"]["type"] == "OpportunityLineItem"
    assert block["records"][0]["Product2"]["Name"] == "P"
    assert second["OpportunityLineItems"] is None
    assert third["OpportunityLineItems"]["totalSize"] == 1


def test_child_rows_count_toward_the_page(org: SoqlOrg) -> None:
    fill(org, [5] * 1_000)
    found = pages(org, f"SELECT Name, {CHILDREN} FROM Opportunity")
    assert [len(page["records"]) for page in found] == [333, 333, 333, 1]
    assert all(rows_of(page) <= 2_000 for page in found)
    assert found[0]["nextRecordsUrl"].endswith("-333")
    assert [record["Name"] for page in found for record in page["records"]] == [f"{n:04}" for n in range(1_000)]
    assert org.soql.query(f"SELECT Name, {CHILDREN} FROM Opportunity").rows == 333 * 6


def test_uneven_children_lose_no_parent(org: SoqlOrg) -> None:
    lines = [0] * 150 + [40] * 20 + [0, 3] * 60 + [199] * 3 + [1] * 50
    fill(org, lines)
    found = pages(org, f"SELECT Name, {CHILDREN} FROM Opportunity", batch_size=200)
    records = [record for page in found for record in page["records"]]
    assert [record["Name"] for record in records] == [f"{n:04}" for n in range(len(lines))]
    assert [(record["OpportunityLineItems"] or {"totalSize": 0})["totalSize"] for record in records] == lines
    assert all(rows_of(page) <= 200 for page in found)


def test_a_parent_with_many_children_has_child_pages(org: SoqlOrg) -> None:
    fill(org, [2_700, 1])
    body = org.body(f"SELECT Name, {CHILDREN} FROM Opportunity")
    assert body["done"] is True
    assert len(body["records"]) == 2
    block = body["records"][0]["OpportunityLineItems"]
    assert (block["totalSize"], block["done"], len(block["records"])) == (2_700, False, 499)
    assert block["nextRecordsUrl"].endswith("-499")
    second = more(org, block)
    assert (second["totalSize"], second["done"], len(second["records"])) == (2_700, False, 2_000)
    third = more(org, second)
    assert (third["done"], len(third["records"])) == (True, 201)
    quantities = [line["Quantity"] for part in (block, second, third) for line in part["records"]]
    assert quantities == [float(k) for k in range(2_700)]


def test_a_small_batch_has_small_child_pages(org: SoqlOrg) -> None:
    fill(org, [257, 257])
    found = pages(org, f"SELECT Name, {CHILDREN} FROM Opportunity", batch_size=200)
    assert [rows_of(page) for page in found] == [200, 200]
    block = found[1]["records"][0]["OpportunityLineItems"]
    assert (block["totalSize"], len(block["records"]), block["done"]) == (257, 199, False)
    assert len(more(org, block)["records"]) == 58


def test_a_sub_query_has_clauses_of_its_own(org: SoqlOrg) -> None:
    fill(org, [5, 2, 1])
    lines = "SELECT Quantity FROM OpportunityLineItems WHERE Quantity > 0 AND Opportunity.Amount < 2"
    body = org.body(f"SELECT Name, ({lines} ORDER BY Quantity DESC LIMIT 3) FROM Opportunity WHERE Name != '9'")
    blocks = [record["OpportunityLineItems"] for record in body["records"]]
    assert [block and [line["Quantity"] for line in block["records"]] for block in blocks] == [[4, 3, 2], [1], None]
    assert blocks[0]["totalSize"] == 3


def test_sub_queries_side_by_side_and_inside_each_other(org: SoqlOrg) -> None:
    account = org.add("Account", Name="Acme")
    org.add("Account", Name="Empty")
    fill(org, [3, 1])
    org.connection.execute("UPDATE Opportunity SET AccountId = ?", (account,))
    for opportunity in org.values("SELECT Id FROM Opportunity", "Id"):
        org.add("Quote", Name="Q", OpportunityId=opportunity, AccountId=account)
    inner = "SELECT Name, (SELECT Quantity FROM OpportunityLineItems), (SELECT Name FROM Quotes) FROM Opportunities"
    answer = org.soql.query(f"SELECT Name, ({inner}), (SELECT Id FROM Quotes) FROM Account ORDER BY Name")
    acme, empty = answer.body["records"]
    assert [len(o["OpportunityLineItems"]["records"]) for o in acme["Opportunities"]["records"]] == [3, 1]
    assert [o["Quotes"]["totalSize"] for o in acme["Opportunities"]["records"]] == [1, 1]
    assert acme["Quotes"]["totalSize"] == 2
    assert empty["Opportunities"] is empty["Quotes"] is None
    assert answer.rows == 2 + 2 + 4 + 2 + 2


@pytest.mark.parametrize("parents", [3, 150, 900])
def test_children_are_read_in_a_few_statements_however_many_parents(org: SoqlOrg, parents: int) -> None:
    fill(org, [2] * parents)
    said: list[str] = []
    org.connection.set_trace_callback(said.append)
    org.body(f"SELECT Name, {CHILDREN} FROM Opportunity")
    assert sum('"OpportunityLineItem"' in text for text in said) <= 3


def test_the_recycle_bin_is_seen_only_when_asked(org: SoqlOrg) -> None:
    fill(org, [2, 1])
    org.connection.execute("UPDATE Opportunity SET IsDeleted = 1 WHERE Name = '0001'")
    org.connection.execute("UPDATE OpportunityLineItem SET IsDeleted = 1 WHERE Quantity = 1")
    text = f"SELECT Name, {CHILDREN} FROM Opportunity"
    assert [(r["Name"], r["OpportunityLineItems"]["totalSize"]) for r in org.body(text)["records"]] == [("0000", 1)]
    seen = org.body(text, deleted=True)["records"]
    assert [(r["Name"], r["OpportunityLineItems"]["totalSize"]) for r in seen] == [("0000", 2), ("0001", 1)]
    assert org.body("SELECT COUNT() FROM Opportunity WHERE IsDeleted = true", deleted=True)["totalSize"] == 1


# --- counts and groups ---


def test_count_is_a_number_without_records(org: SoqlOrg) -> None:
    fill(org, [1, 1, 1])
    assert org.body("SELECT COUNT() FROM Opportunity") == {"totalSize": 3, "done": True, "records": []}
    assert org.body("select count() from Opportunity limit 2")["totalSize"] == 2
    assert org.body("SELECT COUNT() FROM OpportunityLineItem WHERE Opportunity.Name > '0000'")["totalSize"] == 2


def test_aggregates(org: SoqlOrg) -> None:
    for n, stage in enumerate(["A", "B", "a", "B"]):
        org.add(
            "Opportunity",
            Name=f"{n}",
            StageName=stage,
            Amount=0.1 if n < 3 else None,
            IsClosed=n % 2,
            CloseDate=f"2024-0{n + 1}-01",
        )
    items = "COUNT(Id), COUNT(Amount) amounts, SUM(Amount), AVG(Amount) mean, MIN(CloseDate), MAX(Name)"
    assert org.body(f"SELECT {items} FROM Opportunity")["records"] == [
        {"attributes": {"type": "AggregateResult"}, "expr0": 4, "amounts": 3, "expr1": 0.3, "mean": 0.1,
         "expr2": "2024-01-01", "expr3": "3"}
    ]  # fmt: skip
    text = (
        "SELECT StageName, IsClosed, COUNT_DISTINCT(Name) n FROM Opportunity GROUP BY StageName, IsClosed "
        "HAVING COUNT(Id) > 1 AND StageName != 'C' ORDER BY COUNT(Id) DESC, StageName DESC LIMIT 5"
    )
    assert [list(record.values())[1:] for record in org.body(text)["records"]] == [["B", True, 2], ["A", False, 2]]
    quarter = "CALENDAR_QUARTER(CloseDate)"
    text = f"SELECT {quarter} q, COUNT(Id) FROM Opportunity GROUP BY {quarter} ORDER BY {quarter}"
    assert [(r["q"], r["expr0"]) for r in org.body(text)["records"]] == [(1, 3), (2, 1)]
    assert org.body("SELECT SUM(Amount) FROM Opportunity WHERE Name = 'x'")["records"][0]["expr0"] is None


def test_more_groups_than_a_page_are_refused(org: SoqlOrg) -> None:
    fill(org, [0] * 2_001)
    trouble = org.refusal("SELECT Name, COUNT(Id) FROM Opportunity GROUP BY Name")
    assert (trouble.code, "does not support queryMore()" in trouble.message) == ("EXCEEDED_ID_LIMIT", True)
    assert org.body("SELECT Name FROM Opportunity GROUP BY Name LIMIT 2000")["totalSize"] == 2_000


def test_fields_stands_for_all_of_them(org: SoqlOrg) -> None:
    fill(org, [0])
    record = org.body("SELECT FIELDS(ALL) FROM Opportunity LIMIT 200")["records"][0]
    assert set(record) - {"attributes"} == {field.name for field in org.schema.objects["Opportunity"].fields}
    assert list(org.soql.rows("SELECT FIELDS(CUSTOM), Id FROM Quote LIMIT 1")) == []
