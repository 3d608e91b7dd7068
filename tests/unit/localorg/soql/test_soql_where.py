"""WHERE clauses against a plain model of SOQL's rules: two truth values, null, case, patterns, ranges of days."""

import contextlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from soqlorg import SoqlOrg

from localorg.errors import OrgError
from localorg.schema.loading import load_schema

Row = dict[str, Any]
EXAMPLES = int(os.environ.get("SOQL_EXAMPLES", "300"))  # for a long run: 50,000

NAMES = [None, "a", "A", "Ab", "b%", "a_b", "Éa", "éA", "o'x", "a\\b", "ß", "line\nline", "日本"]
AMOUNTS = [None, -1.0, 0.0, 0.1, 1.5, 2.0]
DATES = [None, "2024-05-13", "2024-05-14", "2024-05-15", "2024-05-16", "2024-04-30", "2023-12-31"]
PARENTS = [None, "Acme", "ACME", "Other"]
TODAY = date(2024, 5, 15)


def _rows() -> tuple[SoqlOrg, list[Row]]:
    org = SoqlOrg()
    accounts: dict[str | None, str] = {name: org.add("Account", Name=name) for name in PARENTS if name}
    rows: list[Row] = []
    for n in range(60):
        row: Row = {
            "Name": NAMES[n % len(NAMES)],
            "Amount": AMOUNTS[n % len(AMOUNTS)],
            "CloseDate": DATES[n // 2 % len(DATES)],
            "IsClosed": n % 3 == 0,
        }
        parent = PARENTS[n // 3 % len(PARENTS)]
        row["Id"] = org.add("Opportunity", AccountId=accounts.get(parent), **row)
        rows.append({**row, "Account.Name": parent, "AccountId": accounts.get(parent)})
    return org, rows


ORG, ROWS = _rows()
IDS = [row["Id"] for row in ROWS]
ACCOUNTS = sorted({row["AccountId"] for row in ROWS if row["AccountId"]})


@dataclass(frozen=True)
class Clause:
    """A condition as text, and what it should say of a row."""

    text: str
    holds: Callable[[Row], bool]


# --- the model ---


def same(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() == right.lower()
    return bool(left == right)


def key(value: Any) -> Any:
    """Text is in order of its UTF-8 bytes, with A-Z taken as a-z."""
    return value.translate({c: c + 32 for c in range(65, 91)}).encode() if isinstance(value, str) else value


ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def compared(field: str, operator: str, value: Any) -> Callable[[Row], bool]:
    if operator == "=":
        return lambda row: same(row[field], value)
    if operator in {"!=", "<>"}:
        return lambda row: not same(row[field], value)
    return lambda row: row[field] is not None and ORDER[operator](key(row[field]), key(value))


def like(pattern: str) -> re.Pattern[str]:
    """A pattern of SOQL source (escapes and all) as a regular expression."""
    out, rest = "", iter(pattern)
    for mark in rest:
        if mark == "\\":
            mark = next(rest)
            out += re.escape({"n": "\n"}.get(mark, mark))
        else:
            out += {"%": ".*", "_": "."}.get(mark, re.escape(mark))
    return re.compile(out, re.IGNORECASE | re.DOTALL)


# --- the clauses ---


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def spelled(value: Any) -> str:
    if value is None:
        return "null"
    return quoted(value) if isinstance(value, str) else str(value)


TEXTS = [name for name in NAMES if name] + ["AB", "zz", "ÉA", "acme"]
texts = st.sampled_from(TEXTS)
operators = st.sampled_from(["=", "!=", "<>", "<", "<=", ">", ">="])


@st.composite
def on_value(draw: st.DrawFn) -> Clause:
    field, values = draw(
        st.sampled_from(
            [
                ("Name", texts),
                ("Account.Name", texts),
                ("Amount", st.sampled_from([*AMOUNTS[1:], 3, -0.5])),
                ("Id", st.sampled_from(IDS)),
                ("AccountId", st.sampled_from(ACCOUNTS)),
            ]
        )
    )
    operator, value = draw(operators), draw(values)
    if operator in {"<", "<=", ">", ">="} and field.endswith("Id"):
        operator = "="
    shown = value[:15] if field.endswith("Id") and draw(st.booleans()) else value
    return Clause(f"{field} {operator} {spelled(shown)}", compared(field, operator, value))


@st.composite
def on_null(draw: st.DrawFn) -> Clause:
    field = draw(st.sampled_from(["Name", "Account.Name", "Amount", "AccountId", "CloseDate"]))
    operator = draw(st.sampled_from(["=", "!="]))
    return Clause(f"{field} {operator} null", lambda row: (row[field] is None) == (operator == "="))


@st.composite
def on_boolean(draw: st.DrawFn) -> Clause:
    value, operator = draw(st.sampled_from(["TRUE", "false", "null"])), draw(st.sampled_from(["=", "!="]))
    wanted = (value == "TRUE") == (operator == "=")
    return Clause(f"IsClosed {operator} {value}", lambda row: row["IsClosed"] == wanted)


@st.composite
def on_pattern(draw: st.DrawFn) -> Clause:
    field = draw(st.sampled_from(["Name", "Account.Name"]))
    parts = st.sampled_from(["%", "_", "a", "A", "b", "É", "é", "\\%", "\\_", "\\\\", "\\'", "\\n", "line", "日"])
    pattern = "".join(draw(st.lists(parts, max_size=5)))
    found = like(pattern)
    return Clause(f"{field} LIKE '{pattern}'", lambda row: row[field] is not None and bool(found.fullmatch(row[field])))


@st.composite
def on_list(draw: st.DrawFn) -> Clause:
    fields: list[tuple[str, list[Any]]] = [
        ("Name", [*TEXTS, None]), ("Amount", AMOUNTS), ("AccountId", [*ACCOUNTS, None]),
    ]  # fmt: skip
    field, values = draw(st.sampled_from(fields))
    chosen = draw(st.lists(st.sampled_from(values), min_size=1, max_size=60))
    inside = draw(st.booleans())
    text = f"{field} {'IN' if inside else 'NOT IN'} ({', '.join(map(spelled, chosen))})"
    return Clause(text, lambda row: any(same(row[field], value) for value in chosen) == inside)


RANGES = {
    "TODAY": (TODAY, TODAY + timedelta(1)),
    "yesterday": (TODAY - timedelta(1), TODAY),
    "LAST_N_DAYS:1": (TODAY - timedelta(1), TODAY + timedelta(1)),
    "NEXT_N_DAYS:1": (TODAY + timedelta(1), TODAY + timedelta(2)),
    "LAST_MONTH": (date(2024, 4, 1), date(2024, 5, 1)),
    "N_MONTHS_AGO:5": (date(2023, 12, 1), date(2024, 1, 1)),
    "2024-05-14": (date(2024, 5, 14), date(2024, 5, 15)),
}


@st.composite
def on_days(draw: st.DrawFn) -> Clause:
    literal, operator = draw(st.sampled_from(sorted(RANGES))), draw(operators)
    first, after = RANGES[literal]

    def holds(row: Row) -> bool:
        day = row["CloseDate"] and date.fromisoformat(row["CloseDate"])
        if day is None:
            return operator in {"!=", "<>"}
        return {
            "=": first <= day < after,
            "!=": not first <= day < after,
            "<>": not first <= day < after,
            "<": day < first,
            "<=": day < after,
            ">": day >= after,
            ">=": day >= first,
        }[operator]

    return Clause(f"CloseDate {operator} {literal}", holds)


def combined(children: st.SearchStrategy[Clause]) -> st.SearchStrategy[Clause]:
    several = st.lists(children, min_size=2, max_size=4)
    return st.one_of(
        children.map(lambda one: Clause(f"(NOT {one.text})", lambda row: not one.holds(row))),
        several.map(lambda all_: Clause(
            f"({' AND '.join(each.text for each in all_)})", lambda row: all(each.holds(row) for each in all_))),
        several.map(lambda any_: Clause(
            f"({' or '.join(each.text for each in any_)})", lambda row: any(each.holds(row) for each in any_))),
    )  # fmt: skip


simple = st.one_of(on_value(), on_null(), on_boolean(), on_pattern(), on_list(), on_days())
clauses = st.recursive(simple, combined, max_leaves=12)


@settings(max_examples=EXAMPLES, deadline=None)
@given(clauses)
def test_a_clause_finds_the_rows_it_holds_for(clause: Clause) -> None:
    found = ORG.values(f"SELECT Id FROM Opportunity WHERE {clause.text}", "Id")
    assert found == [row["Id"] for row in ROWS if clause.holds(row)]


@settings(max_examples=100, deadline=None)
@given(clauses)
def test_counting_agrees_with_reading(clause: Clause) -> None:
    body = ORG.body(f"SELECT COUNT() FROM Opportunity WHERE {clause.text}")
    assert body == {"totalSize": sum(map(clause.holds, ROWS)), "done": True, "records": []}


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text("()'\\% =<>ANDORNT amount,1", max_size=60))
def test_any_text_after_where_is_answered_or_refused(text: str) -> None:
    with contextlib.suppress(OrgError):
        ORG.body(f"SELECT Id FROM Opportunity WHERE {text}")


# --- the rules one by one ---


@pytest.fixture(scope="module")
def org() -> SoqlOrg:
    org = SoqlOrg()
    account = org.add("Account", Name="Acme", NumberOfEmployees=5)
    org.add("Opportunity", Name="plain", AccountId=account, IsClosed=1)
    org.add("Opportunity", Name=None)
    return org


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("Name = 'PLAIN'", ["plain"]),
        ("Name != 'plain'", [None]),
        ("(NOT Name LIKE 'p%')", [None]),
        ("(NOT Name LIKE 'q%')", ["plain", None]),
        ("Name NOT IN ('x')", ["plain", None]),
        ("Name NOT IN ('x', null)", ["plain"]),
        ("Name = ''", [None]),
        ("IsClosed = null", [None]),
        ("IsClosed != null", ["plain"]),
        ("IsClosed IN (true, false)", ["plain", None]),
        ("Account.Name = null", [None]),
        ("Account.Name = 'acme' OR Name = null", ["plain", None]),
        ("Account.IsDeleted = false", ["plain", None]),
        ("Account.NumberOfEmployees > 4", ["plain"]),
        ("Name = 'pl\\u0061in'", ["plain"]),
        ("Name LIKE 'P_A%n'", ["plain"]),
        ("Name LIKE 'p\\_a%'", []),
    ],
)
def test_rules(org: SoqlOrg, where: str, found: list[str | None]) -> None:
    assert org.values(f"SELECT Name FROM Opportunity WHERE {where}") == found


def test_a_field_that_minds_case_is_compared_so(tmp_path: Path) -> None:
    folder = tmp_path / "objects" / "Account" / "fields"
    folder.mkdir(parents=True)
    head = '<CustomField xmlns="http://soap.sforce.com/2006/04/metadata">'
    (folder / "Code__c.field-meta.xml").write_text(
        f"{head}<fullName>Code__c</fullName><type>Text</type><length>9</length><unique>true</unique>"
        "<caseSensitive>true</caseSensitive></CustomField>"
    )
    (folder / "Tags__c.field-meta.xml").write_text(
        f"{head}<fullName>Tags__c</fullName><type>MultiselectPicklist</type></CustomField>"
    )
    org = SoqlOrg(schema=load_schema([tmp_path]))
    org.add("Account", Name="1", Code__c="ab", Tags__c="Red;Green")
    org.add("Account", Name="2", Code__c="AB", Tags__c="Green;Blue")
    org.add("Account", Name="3")
    for where, found in [
        ("Code__c = 'AB'", ["2"]),
        ("Code__c LIKE 'AB'", ["1", "2"]),
        ("Tags__c INCLUDES ('green')", ["1", "2"]),
        ("Tags__c INCLUDES ('Red;Green', 'Blue')", ["1", "2"]),
        ("Tags__c INCLUDES ('Red;Blue', 'Re')", []),
        ("Tags__c EXCLUDES ('Red')", ["2", "3"]),
        ("(NOT Tags__c EXCLUDES ('Red'))", ["1"]),
        ("Tags__c = 'green;blue'", ["2"]),
    ]:
        assert org.values(f"SELECT Name FROM Account WHERE {where}") == found, where


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("Name", [None, "plain"]),
        ("Name DESC", [None, "plain"]),
        ("Name ASC NULLS LAST", ["plain", None]),
        ("Name DESC NULLS LAST", ["plain", None]),
        ("Account.Name NULLS FIRST, Name", [None, "plain"]),
        ("IsClosed DESC, Id", ["plain", None]),
    ],
)
def test_nulls_come_first_unless_told_otherwise(org: SoqlOrg, order: str, found: list[str | None]) -> None:
    assert org.values(f"SELECT Name FROM Opportunity ORDER BY {order}") == found
