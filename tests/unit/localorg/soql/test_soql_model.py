"""WHERE clauses on moments, days, date functions, semi-joins and multi-select picklists, against a plain Python model.

The model counts units from a fixed day and compares the counts; it shares no arithmetic with the code. A long run:
`SOQL_EXAMPLES=50000 pytest tests/unit/localorg/test_soql_model.py tests/unit/localorg/test_soql_where.py`.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from soqlorg import FORCE_APP, SoqlOrg

from localorg.schema.loading import load_schema
from localorg.schema.model import Schema

Row = dict[str, Any]
EXAMPLES = int(os.environ.get("SOQL_EXAMPLES", "200"))
ZONE = ZoneInfo("America/Los_Angeles")
NOW = datetime(2024, 5, 15, 3, tzinfo=UTC)
TODAY = NOW.astimezone(ZONE).date()  # the 14th
TAGS = ["Red", "green", "Blue", "Ä"]


def schema() -> Schema:
    """The usual objects, with a multi-select picklist on Opportunity."""
    with tempfile.TemporaryDirectory() as folder:
        fields = Path(folder, "objects", "Opportunity", "fields")
        fields.mkdir(parents=True)
        Path(fields, "Tags__c.field-meta.xml").write_text(
            '<CustomField xmlns="http://soap.sforce.com/2006/04/metadata"><fullName>Tags__c</fullName>'
            "<type>MultiselectPicklist</type></CustomField>"
        )
        return load_schema([FORCE_APP, Path(folder)])


def rows() -> tuple[SoqlOrg, list[Row]]:
    org, rnd, found = SoqlOrg("America/Los_Angeles", schema()), random.Random(3), []
    for n in range(80):
        shift = rnd.choice([0, 0, 1, -1, rnd.randint(-30, 30), rnd.randint(-400, 400), rnd.randint(-1500, 1500)])
        moment = NOW + timedelta(
            days=shift, seconds=rnd.choice([0, 3600 * 4, 3600 * 3 + 3599, rnd.randint(-90000, 90000)])
        )
        day = TODAY + timedelta(days=rnd.choice([0, 1, -1, rnd.randint(-30, 30), rnd.randint(-1500, 1500)]))
        row: Row = {
            "CreatedDate": None if n % 9 == 0 else moment,
            "CloseDate": None if n % 7 == 0 else day,
            "Tags__c": None if n % 5 == 0 else ";".join(rnd.sample(TAGS, rnd.randint(1, 3))),
            "PushCount": None if n % 11 == 0 else rnd.randint(-2, 3),
        }
        stored = {
            **row,
            "CreatedDate": row["CreatedDate"] and f"{moment:%Y-%m-%dT%H:%M:%S}.000+0000",
            "CloseDate": row["CloseDate"] and day.isoformat(),
        }
        row["Id"] = org.add("Opportunity", Name=f"O{n}", **stored)
        for _ in range(rnd.choice([0, 0, 1, 2])):
            status = rnd.choice(["Draft", "Approved"])
            org.add("Quote", Name="Q", OpportunityId=row["Id"], Status=status)
            row.setdefault("quotes", set()).add(status)
        found.append(row)
    org.add("Quote", Name="loose", Status="Draft")
    return org, found


ORG, ROWS = rows()


@dataclass(frozen=True)
class Clause:
    """A condition as text, what it should say of a row, and whether a semi-join is in it."""

    text: str
    holds: Callable[[Row], bool]


# --- date literals: days are counted in units, and the counts compared ---


def number(unit: str, day: date) -> int:
    """Which of all units of this kind a day is in."""
    months = day.year * 12 + day.month - 1
    return {
        "DAY": day.toordinal(),
        "WEEK": day.toordinal() // 7,  # 0001-01-01 was a Monday, so day 7 was a Sunday
        "MONTH": months,
        "QUARTER": months // 3,
        "FISCAL_QUARTER": months // 3,
        "YEAR": day.year,
        "FISCAL_YEAR": day.year,
    }[unit]


UNITS = ["DAY", "WEEK", "MONTH", "QUARTER", "YEAR", "FISCAL_QUARTER", "FISCAL_YEAR"]


@st.composite
def literals(draw: st.DrawFn) -> tuple[str, str, int, int]:
    """(text, unit, first, last): the unit numbers a date literal spans, counted from today's."""
    unit = draw(st.sampled_from(UNITS))
    n = draw(st.integers(0, 6) | st.integers(0, 1500))
    kind = draw(st.sampled_from(["LAST", "THIS", "NEXT", "LAST_N", "NEXT_N", "AGO", "NAMED"]))
    if kind == "NAMED" or (unit == "DAY" and kind in {"LAST", "THIS", "NEXT"}):
        return draw(
            st.sampled_from(
                [
                    ("YESTERDAY", "DAY", -1, -1),
                    ("today", "DAY", 0, 0),
                    ("Tomorrow", "DAY", 1, 1),
                    ("LAST_90_DAYS", "DAY", -90, 0),
                    ("NEXT_90_DAYS", "DAY", 1, 90),
                ]
            )
        )
    if kind == "LAST_N":
        return f"LAST_N_{unit}S:{n}", unit, -n, 0 if unit == "DAY" else -1
    if kind == "NEXT_N":
        return f"next_n_{unit}s:{n}", unit, 1, n
    if kind == "AGO":
        return f"N_{unit}S_AGO:{n}", unit, -n, -n
    first = {"LAST": -1, "THIS": 0, "NEXT": 1}[kind]
    return f"{kind}_{unit}", unit, first, first


operators = st.sampled_from(["=", "!=", "<>", "<", "<=", ">", ">="])


def in_range(operator: str, value: int | None, first: int, last: int) -> bool:
    """Whether a number compares so with a range; one that is not there only differs."""
    if value is None:
        return operator in {"!=", "<>"}
    inside = first <= value <= last
    return {
        "=": inside, "!=": not inside, "<>": not inside,
        "<": value < first, "<=": value <= last, ">": value > last, ">=": value >= first,
    }[operator]  # fmt: skip


def local_day(moment: datetime | None) -> date | None:
    return moment and moment.astimezone(ZONE).date()


def day_of(field: str) -> Callable[[Row], date | None]:
    return (lambda row: local_day(row[field])) if field == "CreatedDate" else (lambda row: row[field])


@st.composite
def on_literal(draw: st.DrawFn) -> Clause:
    field, operator = draw(st.sampled_from(["CreatedDate", "CloseDate"])), draw(operators)
    text, unit, first, last = draw(literals())
    here, day = number(unit, TODAY), day_of(field)

    def holds(row: Row) -> bool:
        at = day(row)
        if first > last:  # LAST_N_WEEKS:0 is an empty range that begins today's unit
            return operator in {"!=", "<>"} if at is None else _empty(operator, number(unit, at) - here, first)
        return in_range(operator, None if at is None else number(unit, at) - here, first, last)

    return Clause(f"{field} {operator} {text}", holds)


def _empty(operator: str, value: int, first: int) -> bool:
    return {"=": False, "!=": True, "<>": True}.get(operator, value < first if "<" in operator else value >= first)


@st.composite
def on_literals(draw: st.DrawFn) -> Clause:
    field, inside = draw(st.sampled_from(["CreatedDate", "CloseDate"])), draw(st.booleans())
    chosen = draw(st.lists(literals().filter(lambda one: one[2] <= one[3]), min_size=1, max_size=4))
    day = day_of(field)

    def holds(row: Row) -> bool:
        at = day(row)
        found = at is not None and any(
            first <= number(unit, at) - number(unit, TODAY) <= last for _, unit, first, last in chosen
        )
        return found == inside

    listed = ", ".join(text for text, *_ in chosen)
    return Clause(f"{field} {'IN' if inside else 'not in'} ({listed})", holds)


# --- moments and days themselves ---


@st.composite
def on_moment(draw: st.DrawFn) -> Clause:
    value = draw(st.sampled_from([row["CreatedDate"] for row in ROWS if row["CreatedDate"]]))
    value += timedelta(seconds=draw(st.sampled_from([0, 0, 1, -1])))
    operator, zone = draw(operators), draw(st.sampled_from([ZONE, UTC, ZoneInfo("Asia/Kolkata")]))
    shown = value.astimezone(zone).isoformat().replace("+00:00", draw(st.sampled_from(["Z", "+00:00", "z"])))
    stamp = int(value.timestamp())

    def holds(row: Row) -> bool:
        at = row["CreatedDate"] and int(row["CreatedDate"].timestamp())
        return in_range(operator, at, stamp, stamp)

    return Clause(f"CreatedDate {operator} {shown}", holds)


# --- date functions ---

FUNCTIONS: dict[str, Callable[[date], int]] = {
    "CALENDAR_YEAR": lambda day: day.year,
    "CALENDAR_QUARTER": lambda day: [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4][day.month - 1],
    "CALENDAR_MONTH": lambda day: day.month,
    "FISCAL_YEAR": lambda day: day.year,
    "FISCAL_QUARTER": lambda day: [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4][day.month - 1],
    "FISCAL_MONTH": lambda day: day.month,
    "DAY_IN_MONTH": lambda day: day.day,
    "DAY_IN_WEEK": lambda day: int(day.strftime("%w")) + 1,
    "DAY_IN_YEAR": lambda day: day.timetuple().tm_yday,
    "WEEK_IN_MONTH": lambda day: next(n for n in range(1, 6) if day.day <= 7 * n),
    "WEEK_IN_YEAR": lambda day: (day.timetuple().tm_yday - 1) // 7 + 1,
}


@st.composite
def on_function(draw: st.DrawFn) -> Clause:
    name, operator = draw(st.sampled_from([*FUNCTIONS, "HOUR_IN_DAY"])), draw(operators)
    field = "CreatedDate" if name == "HOUR_IN_DAY" else draw(st.sampled_from(["CreatedDate", "CloseDate"]))
    here = field == "CreatedDate" and draw(st.booleans())
    zone = ZONE if here else UTC
    row = draw(st.sampled_from(ROWS))

    def value_of(row: Row) -> int | None:
        at = row[field]
        if at is None:
            return None
        at = at.astimezone(zone) if isinstance(at, datetime) else at
        return at.hour if name == "HOUR_IN_DAY" else FUNCTIONS[name](at)

    value = (value_of(row) or 1) + draw(st.sampled_from([0, 0, 1, -1]))
    spelled = draw(st.sampled_from([name, name.lower()]))
    argument = f"convertTimezone({field})" if here else field
    return Clause(
        f"{spelled}({argument}) {operator} {value}", lambda row: in_range(operator, value_of(row), value, value)
    )


# --- whole numbers, multi-select picklists, semi-joins ---


@st.composite
def on_number(draw: st.DrawFn) -> Clause:
    operator, value = draw(operators), draw(st.integers(-3, 4))
    shown = draw(st.sampled_from([f"{value}", f"{value}.0", f"{value:+}"]))
    return Clause(f"PushCount {operator} {shown}", lambda row: in_range(operator, row["PushCount"], value, value))


@st.composite
def on_tags(draw: st.DrawFn) -> Clause:
    tags = st.lists(st.sampled_from([*TAGS, "RED", "ä", "Gre", "none"]), min_size=1, max_size=3)
    chosen, inside = draw(st.lists(tags, min_size=1, max_size=3)), draw(st.booleans())

    def holds(row: Row) -> bool:
        there = {tag.lower() for tag in (row["Tags__c"] or "").split(";")}
        return any({tag.lower() for tag in one} <= there for one in chosen) == inside

    listed = ", ".join("'" + ";".join(one) + "'" for one in chosen)
    return Clause(f"Tags__c {'INCLUDES' if inside else 'excludes'} ({listed})", holds)


@st.composite
def semi_joins(draw: st.DrawFn) -> Clause:
    status, inside = draw(st.sampled_from([None, "Draft", "Approved", "Denied"])), draw(st.booleans())
    where = f" WHERE Status = '{status}'" if status else ""

    def holds(row: Row) -> bool:
        there = row.get("quotes", set())
        return (status in there if status else bool(there)) == inside

    return Clause(f"Id {'IN' if inside else 'NOT IN'} (SELECT OpportunityId FROM Quote{where})", holds)


# --- all together ---


def both(terms: list[Clause], word: str) -> Clause:
    every = all if word == "AND" else any
    text = f" {word} ".join(each.text for each in terms)
    return Clause(f"({text})", lambda row: every(each.holds(row) for each in terms))


def combined(children: st.SearchStrategy[Clause]) -> st.SearchStrategy[Clause]:
    several = st.lists(children, min_size=2, max_size=4)
    return st.one_of(
        children.map(lambda one: Clause(f"(NOT {one.text})", lambda row: not one.holds(row))),
        several.map(lambda terms: both(terms, "AND")),
        several.map(lambda terms: both(terms, "OR")),
    )


simple = st.one_of(on_literal(), on_literals(), on_moment(), on_function(), on_number(), on_tags())
clauses = st.recursive(simple, combined, max_leaves=20)


@settings(max_examples=EXAMPLES, deadline=None)
@given(clauses, st.lists(semi_joins(), max_size=2))
def test_a_clause_finds_the_rows_it_holds_for(clause: Clause, joins: list[Clause]) -> None:
    terms = [clause, *joins]
    text = " AND ".join(each.text for each in terms)
    found = ORG.values(f"SELECT Id FROM Opportunity WHERE {text}", "Id")
    assert found == [row["Id"] for row in ROWS if all(each.holds(row) for each in terms)]


@settings(max_examples=EXAMPLES // 4, deadline=None)
@given(clauses, st.sampled_from(["CALENDAR_YEAR(CloseDate)", "PushCount", "DAY_ONLY(convertTimezone(CreatedDate))"]))
def test_groups_add_up(clause: Clause, what: str) -> None:
    text = f"SELECT {what} g, COUNT(Id) n FROM Opportunity WHERE {clause.text} GROUP BY {what}"
    groups = {record["g"]: record["n"] for record in ORG.body(text)["records"]}
    expected: dict[Any, int] = {}
    for row in filter(clause.holds, ROWS):
        day = row["CloseDate"] and row["CloseDate"].year
        local = local_day(row["CreatedDate"])
        key = {"C": day, "P": row["PushCount"], "D": local and local.isoformat()}[what[0]]
        expected[key] = expected.get(key, 0) + 1
    assert groups == expected


narrow = st.recursive(simple, lambda inner: st.tuples(inner, inner).map(lambda two: both([*two], "AND")), max_leaves=3)
OTHERS = [
    Clause("PushCount > 0", lambda row: (row["PushCount"] or 0) > 0),
    Clause("PushCount = null", lambda row: row["PushCount"] is None),
    Clause("CloseDate = THIS_YEAR", lambda row: row["CloseDate"] is not None and row["CloseDate"].year == 2024),
]


@settings(max_examples=EXAMPLES // 4, deadline=None)
@given(narrow, st.integers(1, 30), st.randoms(use_true_random=False))
def test_deep_mixes_of_and_and_or(clause: Clause, depth: int, rnd: random.Random) -> None:
    for level in range(depth * 2):
        pair = [clause, rnd.choice(OTHERS)]
        rnd.shuffle(pair)
        clause = both(pair, "AND" if level % 2 else "OR")
    found = ORG.values(f"SELECT Id FROM Opportunity WHERE {clause.text}", "Id")
    assert found == [row["Id"] for row in ROWS if clause.holds(row)]
