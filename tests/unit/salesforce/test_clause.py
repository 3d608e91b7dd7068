"""The WHERE clause checked as text: what passes, what is refused, and that what passes stays in its parentheses."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quotejob.errors import InvalidRequest
from quotejob.salesforce.clause import (
    MAX_DEPTH,
    MAX_ENCODED,
    MAX_LENGTH,
    MAX_STRING,
    check_clause,
    likely_meant,
    select_opportunities,
)

TAKEN = [
    "Id != null",
    "Name LIKE 'Sample Opportunity%'",
    "StageName = 'Closed Won' AND Amount >= 1000.50",
    "(Amount > 0 AND IsClosed = FALSE) OR (NOT Name = 'x')",
    "NOT Name = 'x'",
    "Amount > -5 AND Amount < 1e6 AND Probability <> .5",
    "Amount > USD5000 AND Amount < EUR5000.50",
    "CloseDate = THIS_YEAR AND CloseDate != LAST_N_DAYS:30",
    "CloseDate > NEXT_N_FISCAL_QUARTERS:2 OR CloseDate < N_DAYS_AGO:7",
    "CloseDate = 2026-01-31",
    "CreatedDate > 2026-01-31T09:00:00Z AND CreatedDate < 2026-02-01T09:00:00.000+01:00",
    "CALENDAR_YEAR(CreatedDate) = 2026",
    "Account.BillingCountry IN ('DE', 'FR') AND Owner.Profile.Name != null",
    "Account.Region__c = 'x' AND ns__Field__c = 1 AND Mother__r.Name = 'y'",
    "Features__c INCLUDES ('A;B', 'C') AND Features__c EXCLUDES ('D')",
    "Id IN (SELECT OpportunityId FROM OpportunityLineItem)",
    "Id IN (SELECT OpportunityId FROM OpportunityLineItem WHERE (Quantity > 1 AND Product2.Family = 'Services'))",
    "id not in\n\t(select OpportunityId from Quote where Name = 'a') AND Id IN (SELECT OpportunityId FROM Quote)",
    r"Name = 'O\'Brien \\ \n \u00e9' AND Name LIKE '100\% \_'",
    "Name = ') OR (Name != null ; LIMIT 5 -- ORDER BY \" :x'",
    "Name = 'grün 契約 🎉'",
    "Order.Name = 'a' AND Group__c = 'b' AND Limit__c = 1",
]

REFUSED = [
    ("", "empty"),
    (" \t\r\n ", "empty"),
    # another clause after the condition
    ("Name != null ORDER BY CloseDate LIMIT 5", "ORDER at character 14"),
    ("Name != null LIMIT 5", "LIMIT at character 14"),
    ("Amount > 5LIMIT 5", "LIMIT at character 11"),
    ("CloseDate = LAST_N_DAYS:30LIMIT 5", "LIMIT"),
    ("Name != null OFFSET 0", "OFFSET"),
    ("Name != null GROUP BY Name", "GROUP"),
    ("Name != null HAVING COUNT(Id) > 1", "HAVING"),
    ("Name != null FOR VIEW", "FOR"),
    ("Name != null FOR REFERENCE", "FOR"),
    ("Name != null FOR UPDATE", "FOR"),
    ("Name != null UPDATE VIEWSTAT", "UPDATE"),
    ("Name != null ALL ROWS", "ALL"),
    ("Name != null WITH SECURITY_ENFORCED", "WITH"),
    ("Name != null USING SCOPE mine", "USING"),
    ("WHERE Name != null", "begins with WHERE"),
    ("SELECT Id FROM Opportunity", "SELECT at character 1"),
    ("lImIt = 5", "LIMIT"),
    # out of the parentheses
    ("Name='a') OR (Name != null", "has no opening one"),
    (")", "has no opening one"),
    ("(Name = 'a'", "is not closed"),
    ("((Name = 'a')", "is not closed"),
    # strings
    ("Name = 'a", "not closed"),
    ("Name = 'a''", "not closed"),
    (r"Name = 'a\'", "not closed"),
    (r"Name = 'a\q'", "unknown escape"),
    (r"Name = '\u12'", "unknown escape"),
    ("Name = 'a\nb'", "control character"),
    ("Name = 'a\x00b'", "control character"),
    ("Name = 'a\u2028b'", "control character"),
    ("Name = '\ud800'", "control character"),
    ('Name = "a"', "single quotes"),
    # what SOQL does not have, or conditions do not
    ("Name = 'a'; DELETE", "semicolons"),
    ("Name = 'a' -- b", "comments"),
    ("Name = 'a' /* b */", "comments"),
    ("Name = 'a' // b", "comments"),
    ("Name = :name", "bind"),
    ("Id IN :ids", "bind"),
    (r"Name = \'a\'", "only inside a string"),
    ("Name\u00a0= 'a'", "U+00A0"),
    ("Naïve = 1", "U+00EF"),
    ("Name = 'a' & 1", "&"),
    ("Amount > {0}", "{"),
    # semi-joins are the one place for SELECT, FROM and WHERE, once, in this order
    ("(SELECT Id FROM Quote)", "SELECT"),
    ("Id = (SELECT OpportunityId FROM Quote)", "SELECT"),
    ("Id IN ((SELECT OpportunityId FROM Quote))", "SELECT"),
    ("Id IN (SELECT OpportunityId)", "no FROM"),
    ("Id IN (SELECT OpportunityId WHERE Id = null)", "WHERE"),
    ("Id IN (SELECT OpportunityId FROM Quote FROM Quote)", "FROM"),
    ("Id IN (SELECT OpportunityId FROM Quote WHERE Id = null WHERE Id = null)", "WHERE"),
    ("Id IN (SELECT OpportunityId FROM Quote LIMIT 1)", "LIMIT"),
    ("Id IN (SELECT OpportunityId FROM Quote ORDER BY Id)", "ORDER"),
    ("Id IN (SELECT OpportunityId FROM Quote WHERE Id IN (SELECT QuoteId FROM QuoteLineItem))", "SELECT"),
    ("Id IN (SELECT OpportunityId FROM Quote) FROM Opportunity", "FROM"),
    ("Id IN (SELECT OpportunityId FROM Quote) WHERE Id = null", "WHERE"),
    ("FROM Opportunity", "FROM"),
    # what the writer most likely meant
    ("CreatedDate > 2026-01-31T09:00:00", "needs a time zone (Z for UTC, or such as +01:00); write it as 2026-01-31T0"),
    ("CreatedDate > 2026-01-31 09:00:00Z", "needs a T between date and time, without blanks; write it as 2026-01-31T"),
    ("CreatedDate > 2026-01-31 09:00:00", "write it as 2026-01-31T09:00:00Z"),
    ("CreatedDate > 2026-01-31 9:30", "write it as 2026-01-31T09:30:00Z"),
    ("CreatedDate > 2026-01-31T09:00Z", "the date-time at character 15 needs the seconds"),
    ("CreatedDate > 2026-01-31T09:00:00.5+01", "write it as 2026-01-31T09:00:00.5+01:00"),
    ("CreatedDate > 2026-01-31T09:00:00 -0500", "without a blank before it; write it as 2026-01-31T09:00:00-0500"),
    ("CreatedDate > 09:00:00", "together with its date and zone"),
    ("CloseDate = LAST_N_DAYS: 30", "without blanks and with a whole number: LAST_N_DAYS:30"),
    ("CloseDate > 01/31/2026", "write dates without quotes, as 2026-01-31"),
    ("CloseDate > TODAY - 7", "a condition cannot compute"),
    ("SELECT Id FROM Opportunity WHERE Name = 'a'", "begins a whole query; send only the condition after its WHERE"),
    ("Name != null ORDER BY Name", "remove ORDER BY"),
    ("Name != null LIMIT 5", "a job prices every Opportunity that matches"),
    ("Name = \u201ca\u201d", "single quotes"),
    ("Name = \u2018a\u2019", "single quotes"),
    ("Name = `a`", "single quotes"),
    ("Name = 'O'Brien'", "ends before Brien: write a quote inside a string as"),
    ("Name = 'a';", "semicolons are not allowed; remove it"),
    ("Name = 'a' && Amount > 1", "write AND"),
    ("Name = 'a' || Amount > 1", "write OR"),
    ("!IsClosed", "write NOT"),
    ("Amount \u2265 5", "write >="),
    ("Amount \uff1d 5", "write ="),
    ("Amount > \u22125", "write -"),
    ("Amount > $5", "plain number"),
    ("Amount > \u20ac5", "plain number"),
    ("Name LIKE %a%", "LIKE 'text%'"),
    ("Id IN ['a']", "a list in parentheses"),
    ("Name\u200b = 'a'", "invisible character"),
    ("Name = 'a\tb'", "a control character, U+0009, at character 10"),
    # too much of it
    ("(" * (MAX_DEPTH + 1) + "Id = null" + ")" * (MAX_DEPTH + 1), "nested"),
    ("Name = '" + "a" * (MAX_STRING + 1) + "'", "longer than"),
    ("Name = 'a' OR " * (MAX_LENGTH // 14) + "Name = 'aaaaaaaaaaaaaaaaaa'", "characters"),
    ("Name IN (" + "'é'," * (MAX_ENCODED // 12) + "'é')", "bytes in a URI"),
]


MEANT = [  # what only the org refuses
    ("Name == 'a'", "== at character 6 is no operator"),
    ("Amount => 5", "=> at character 8 is no operator"),
    ("Name = Acme", "write text in single quotes, such as 'Acme'"),
    ("StageName = Closed Won", "write text in single quotes"),
    ("Name LIKE Acme", "write text in single quotes"),
    ("Name = None", "write null"),
    ("Name IS NULL", "write = null or != null"),
    ("Name is not null", "write = null or != null"),
    ("Amount BETWEEN 1 AND 5", "Amount >= 1 AND Amount <= 5"),
    ("Name NOT LIKE 'a%'", "NOT before the field"),
    ("Name = 'O''Brien'", "write a quote inside a string as"),
    ("Id IN ()", "at least one value"),
    ("Id IN ('a',)", "no value after it"),
    ("Name = ('a', 'b')", "needs IN or NOT IN"),
    ("Name = ", "ends with ="),
    ("Name = 'a' OR", "ends with OR"),
    ("(Name = ) AND Amount > 1", "no value after it"),
    ("Amount > 1,000", "has a comma"),
    ("Amount > 1.000.000", "numbers as 1000.50"),
    ("CloseDate > 31.12.2026", "as 2026-01-31"),
    ("CloseDate > 2026-1-5", "as 2026-01-31"),
    ("CreatedDate > 2026-01-31T09", "is not complete"),
    ("Amount > 5 Name = 'a'", "AND or OR"),
    ("IsWon", "a field, an operator and a value"),
]


@pytest.mark.parametrize(("clause", "says"), MEANT)
def test_what_the_org_refuses_has_advice(clause: str, says: str) -> None:
    """The text check lets it pass, because the org decides; but it can say what the writer probably meant."""
    assert says in (likely_meant(check_clause(clause)) or "")


@pytest.mark.parametrize("clause", TAKEN)
def test_a_good_condition_has_no_advice(clause: str) -> None:
    """If the org refuses it for another reason, such as an unknown field, nothing false is added."""
    assert likely_meant(clause) is None


@pytest.mark.parametrize("clause", TAKEN)
def test_a_condition_passes_unchanged(clause: str) -> None:
    """Every condition the SOQL reference describes passes, strings untouched."""
    assert check_clause(clause) == clause


@pytest.mark.parametrize(("clause", "reason"), REFUSED)
def test_anything_else_is_refused_with_its_reason(clause: str, reason: str) -> None:
    """The refusal names the field and says what is wrong."""
    with pytest.raises(InvalidRequest) as refusal:
        check_clause(clause)
    assert reason in refusal.value.message
    assert [detail["field"] for detail in refusal.value.details] == ["soqlWhereClause"]


def test_white_space_around_is_dropped() -> None:
    """What is stored and shown is the condition itself."""
    assert check_clause("\n  Id != null \t") == "Id != null"
    assert select_opportunities("Id != null").startswith("SELECT Id FROM Opportunity WHERE (Id != null) ORDER BY ")


PIECES = st.sampled_from(
    [
        *("(", ")", "'", "\\", "\\'", "''", ",", ".", ":", "=", "!=", "<>", "<", "-", "--", "/*", "*/", "//", ";", '"'),
        *("0", "1.5", "5e", "2026-01-31", "2026-01-31T00:00:00Z", "LAST_N_DAYS:3", "LAST_N_X:", "N_DAYS_AGO:1"),
        *(
            "AND",
            "OR",
            "NOT",
            "IN",
            "LIKE",
            "null",
            "SELECT",
            "FROM",
            "WHERE",
            "ORDER BY",
            "LIMIT",
            "GROUP",
            "FOR VIEW",
        ),
        *(
            "Name",
            "Account.Name",
            "'a'",
            "'b\\'c'",
            "') OR ('",
            "(SELECT Id",
            "IN (SELECT ",
            "\\u0027",
            "\\n",
            "{0}",
            ":x",
        ),
        *(" ", "\n", "\t", "' '", "'\n'", "\x00", "\u2028", "é", "'é'", "\u00a0", "USD5"),
    ]
)
ODD_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)  # lone surrogates too
CLAUSES = st.lists(PIECES | ODD_TEXT, max_size=25).map(" ".join) | st.lists(PIECES, max_size=25).map("".join) | ODD_TEXT
CONDITIONS = st.recursive(
    st.sampled_from(TAKEN),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" AND ", " OR "]), inner).map("".join), inner.map("({})".format)
    ),
    max_leaves=8,
)


@settings(max_examples=500)
@given(CLAUSES)
@example("'")
@example("\\")
def test_nothing_but_a_refusal_is_ever_raised(clause: str) -> None:
    """Whatever is sent, the answer is the clause or InvalidRequest."""
    with suppress(InvalidRequest):
        assert check_clause(clause) == clause.strip(" \t\r\n")


@settings(max_examples=500)
@given(CLAUSES | CONDITIONS)
def test_a_clause_that_passes_cannot_leave_its_parentheses(clause: str) -> None:
    """Read by another reader: the statement's own parenthesis closes at the very end, outside any string."""
    try:
        statement = select_opportunities(check_clause(clause))
    except InvalidRequest:
        return
    condition = statement.removeprefix("SELECT Id FROM Opportunity WHERE ").removesuffix(" ORDER BY AccountId, Id")
    depths, words = read_by_another(condition)
    assert depths[-1] == 0
    assert all(depth >= 1 for depth in depths[:-1])
    assert not words & {"LIMIT", "ORDER", "GROUP", "HAVING", "FOR", "UPDATE", "OFFSET", "WITH", "USING"}


@given(CONDITIONS)
def test_conditions_joined_are_a_condition(clause: str) -> None:
    """The property above is not true for want of clauses that pass."""
    assert check_clause(clause) == clause


def read_by_another(text: str) -> tuple[list[int], set[str]]:
    """The depth of parentheses after each character, and the words outside strings. Raises when a string stays open."""
    depth, in_string, skip, word = 0, False, False, ""
    depths, words = [], set()
    for letter in text:
        if skip:
            skip = False
        elif in_string:
            skip, in_string = letter == "\\", letter != "'"
        else:
            in_string = letter == "'"
            depth += {"(": 1, ")": -1}.get(letter, 0)
        if not in_string and (letter.isalnum() or letter in "_."):
            word += letter.upper()
        else:
            words.add(word)
            word = ""
        depths.append(depth)
    assert not in_string
    return depths, words
