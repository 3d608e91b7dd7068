"""Reserved words: where a name or an alias stands they are refused as malformed, whatever objects the org has."""

from __future__ import annotations

import random

import pytest
from soqlorg import SCHEMA

from localorg.errors import OrgError
from localorg.soql.compiler import compiled
from localorg.soql.parser import parse

# SOQL and SOSL Reference, "Alias Notation".
OF_THE_GUIDE = [
    "AND", "ASC", "DESC", "EXCLUDES", "FIRST", "FROM", "GROUP", "HAVING", "IN", "INCLUDES", "LAST",
    "LIKE", "LIMIT", "NOT", "NULL", "NULLS", "OR", "SELECT", "USING", "WHERE", "WITH",
]  # fmt: skip
OF_THE_GRAMMAR = ["AS", "BY", "CUBE", "ELSE", "FALSE", "FOR", "ROLLUP", "TRUE", "UPDATE"]
WORDS = [*OF_THE_GUIDE, *OF_THE_GRAMMAR]
PLACES = [
    "SELECT Id FROM {}",
    "SELECT Id FROM {} WHERE Name = 'x'",
    "SELECT Id FROM Account {}",
    "SELECT Id FROM Account AS {}",
    "SELECT Id FROM Account {} WHERE Name = 'x'",
    "SELECT Id FROM Account {} LIMIT 1",
    "SELECT Id FROM Opportunity o, o.Account {}",
    "SELECT Id FROM Opportunity o, {} a",
    "SELECT {} FROM Account",
    "SELECT Id, {} FROM Account",
    "SELECT COUNT() {} FROM Account",
    "SELECT COUNT() FROM Account {}",
    "SELECT COUNT(Id) {} FROM Account",
    "SELECT COUNT({}) FROM Account",
    "SELECT {}(Id) FROM Account",
    "SELECT (SELECT Id FROM {}) FROM Account",
    "SELECT (SELECT Id FROM Opportunities {}) FROM Account",
    "SELECT Id FROM Account WHERE {} = 'x'",
    "SELECT Id FROM Account WHERE Name = {} AND Id = null",
    "SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM {})",
    "SELECT Id FROM Account WHERE Id IN (SELECT {} FROM Opportunity)",
    "SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Opportunity {})",
    "SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Opportunity {} WHERE Amount > 1)",
    "SELECT COUNT(Id) FROM Account GROUP BY {}",
    "SELECT COUNT(Id) FROM Account GROUP BY Name HAVING {} > 1",
    "SELECT Id FROM Account ORDER BY {}",
    "SELECT Id FROM Account USING SCOPE {}",
]
# A constant may be null, true or false; whether it fits the field is another question.
CONSTANTS = {"NULL", "TRUE", "FALSE"}


@pytest.mark.parametrize("place", PLACES)
def test_a_reserved_word_is_no_name(place: str) -> None:
    for word in WORDS:
        if "= {}" in place and word in CONSTANTS:
            continue
        for spelled in (word, word.lower(), word.title()):
            with pytest.raises(OrgError) as refused:
                compiled(SCHEMA, place.format(spelled), deleted=False)
            assert refused.value.code == "MALFORMED_QUERY", (place.format(spelled), str(refused.value))


@pytest.mark.parametrize(
    "statement", ["SELECT Id FROM Account BY WHERE Name = 'x'", "SELECT COUNT() total FROM Account"]
)
def test_words_too_many(statement: str) -> None:
    with pytest.raises(OrgError, match="MALFORMED_QUERY"):
        compiled(SCHEMA, statement, deleted=False)


def test_names_that_only_begin_or_end_like_reserved_words() -> None:
    draw = random.Random(5)
    for word in WORDS:
        for name in (f"{word}__c", f"{word}x", f"x{word}", f"_{word}", f"{word}1", f"Account.{word}"):
            spelled = draw.choice([name, name.lower(), name.title()])
            parse(f"SELECT {spelled} FROM Account WHERE {spelled} = 'x' ORDER BY {spelled}")
        parse(f"SELECT {word}.Name FROM Account")
    for alias in ("Order", "View", "Scope", "Data", "All", "Rows", "today", "a", "Account", "first_", "order1"):
        parse(f"SELECT {alias}.Id FROM Account {alias} WHERE {alias}.Name = 'x'")


# --- letters and digits of other scripts --------------------------------------------------------------------------


@pytest.mark.parametrize("one", ["\u0661", "\uff11", "\u0967", "\u00b2", "\u2160", "\U0001d7cf"])
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT Id FROM Opportunity WHERE Amount = {}",
        "SELECT Id FROM Opportunity WHERE Amount > 1{}.5",
        "SELECT Id FROM Opportunity WHERE Amount IN (1, {})",
        "SELECT Id FROM Opportunity WHERE CloseDate = 202{}-01-01",
        "SELECT Id FROM Opportunity WHERE CreatedDate > 2024-01-01T00:00:0{}Z",
        "SELECT Id FROM Opportunity WHERE CloseDate = LAST_N_DAYS:{}",
        "SELECT Id FROM Opportunity WHERE Amount = USD{}",
        "SELECT Id FROM Opportunity LIMIT {}",
        "SELECT Id FROM Opportunity LIMIT 1 OFFSET {}",
        "SELECT Name{} FROM Opportunity",
        "SELECT Id FROM Opportunity o{}",
    ],
)
def test_digits_of_other_scripts_are_no_digits(statement: str, one: str) -> None:
    with pytest.raises(OrgError) as refused:
        compiled(SCHEMA, statement.format(one), deleted=False)
    assert refused.value.code == "MALFORMED_QUERY"


@pytest.mark.parametrize("blank", ["\u00a0", "\u2003", "\u3000", "\u2028", "\ufeff"])
def test_blanks_of_other_scripts_are_no_blanks(blank: str) -> None:
    with pytest.raises(OrgError, match="MALFORMED_QUERY"):
        parse(f"SELECT{blank}Id FROM Account")
    parse(f"SELECT Id FROM Account WHERE Name = 'a{blank}\u0661'")
