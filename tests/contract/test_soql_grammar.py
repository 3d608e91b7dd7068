"""What is SOQL and what is not: the local org's grammar beside the vendor's own (npm: @salesforce/soql-common).

Only reading is compared. What a statement means (whether fields exist, what may be grouped) the vendor's package does
not know.
"""

from __future__ import annotations

import os
import re
from collections import Counter

import pytest
from _clients import Node
from _statements import Writer

from localorg.errors import OrgError
from localorg.soql.parser import parse

STATEMENTS = int(os.environ.get("SOQL_STATEMENTS", "2000"))
_PLACE = re.compile(r"ERROR at Row:(\d+):Column:(\d+)")

# Where the two differ on purpose, or because the vendor's package drops characters it does not know.
_TAKEN_BY_THE_PACKAGE = r"(?i)\boffset\b(?!\s+\d)|\bgroup\b(?!\s+by)|\bas\b"
_LITERALS = r"(?i)\b(last|next|n)_\w+\b(?!:\d)|\b(today|this_year|last_90_days)\s*:|\b[a-z]{3}\d"
KNOWN = [
    (r"COUNT\(\s*\)", "COUNT() beside others: the org refuses it after reading"),
    (_TAKEN_BY_THE_PACKAGE, "GROUP as a name, which the guide reserves; AS and OFFSET as an alias"),
    (r"[;.:\"\\]|[^\x00-\x7f]", "characters in places they do not belong: the package's lexer drops them"),
    (_LITERALS, "date literals without their number or with one too many; currency literals, refused after reading"),
]


def judged(statement: str) -> tuple[int, int] | None:
    """Row and column where the org stops reading, None when it does not; (1, 1) where it names no place."""
    try:
        parse(statement)
    except OrgError as error:
        found = _PLACE.search(error.message)
        return (int(found[1]), int(found[2])) if found else (1, 1)
    return None


def test_sound_and_unsound_statements(node: Node) -> None:
    writer = Writer(seed=1)
    statements = [writer.statement() for _ in range(STATEMENTS)]
    vendor = node.run("soql_grammar.judge", {"statements": statements})
    different = [
        (one, judged(one), theirs)
        for one, theirs in zip(statements, vendor, strict=True)
        if (judged(one) is None) != (not theirs)
    ]
    assert different == []
    assert sum(theirs is None for theirs in vendor) > STATEMENTS // 2  # and they are no mere heap of refusals
    assert sum(theirs is not None for theirs in vendor) > STATEMENTS // 20


def test_disturbed_statements(node: Node) -> None:
    writer = Writer(seed=2, wrong=0)
    statements = [writer.disturbed() for _ in range(STATEMENTS)]
    vendor = node.run("soql_grammar.judge", {"statements": statements})
    differences: Counter[str] = Counter()
    for one, theirs in zip(statements, vendor, strict=True):
        if (judged(one) is None) != (not theirs):
            reason = next((reason for pattern, reason in KNOWN if re.search(pattern, one)), None)
            assert reason, (one, judged(one), theirs)
            differences[reason] += 1
    assert differences.total() < STATEMENTS // 20, differences


WORDS = [
    "and", "asc", "desc", "excludes", "first", "from", "having", "in", "includes", "last", "like", "limit", "not",
    "null", "nulls", "or", "select", "using", "where", "with", "as", "by", "cube", "else", "false", "for",
    "rollup", "true", "update", "order", "scope", "view", "reference", "tracking", "typeof", "end", "then", "when",
    "data", "category", "all", "rows", "count", "sum", "fields", "today", "this_year", "usd5",
]  # fmt: skip
PLACES = [
    "SELECT Id FROM {}", "SELECT {} FROM Account", "SELECT Id, {} FROM Account", "SELECT COUNT(Id) {} FROM Account",
    "SELECT COUNT({}) FROM Account", "SELECT COUNT() {} FROM Account", "SELECT {}(Id) FROM Account",
    "SELECT Account.{} FROM Account", "SELECT {}.Name FROM Account", "SELECT (SELECT Id FROM {}) FROM Account",
    "SELECT Id FROM Account a, {} b", "SELECT Id FROM Account AS {}", "SELECT Id FROM Account WHERE {} = 1",
    "SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM {})", "SELECT Id FROM Account ORDER BY {}",
    "SELECT Id FROM Account WHERE Id IN (SELECT {} FROM Opportunity)", "SELECT COUNT(Id) FROM Account GROUP BY {}",
    "SELECT COUNT(Id) FROM Account GROUP BY Name HAVING {} > 1",
]  # fmt: skip
ALIASED = [
    "SELECT Id FROM Account {}", "SELECT Id FROM Account {} WHERE Id = null", "SELECT Id FROM Account a, a.Owner {}",
    "SELECT COUNT() FROM Account {}", "SELECT (SELECT Id FROM Contacts {}) FROM Account",
    "SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Opportunity {})",
]  # fmt: skip


def test_words_stand_where_the_vendor_lets_them_stand(node: Node) -> None:
    """Words of the language, reserved or not, at every place of a name and of an alias."""
    written = [place.format(word.upper()) for place in PLACES for word in WORDS]
    written += [place.format(word.upper()) for place in ALIASED for word in WORDS if word != "as"]
    vendor = node.run("soql_grammar.judge", {"statements": written})
    assert [one for one, theirs in zip(written, vendor, strict=True) if (judged(one) is None) != (not theirs)] == []
    assert 300 < sum(theirs is None for theirs in vendor) < len(written) - 300


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("SELECT Id FROM Account WHERE a = 1 AND b = 2 OR c = 3", (1, 46)),
        ("SELECT Id FROM Account\nWHERE a = 1 AND NOT b = 2", (2, 17)),
        ("SELECT Id FROM Account WHERE a = 1e5", (1, 35)),
        ("SELECT Id FROM Account LIMIT 5 ORDER BY Id", (1, 32)),
        ("SELECT Id FROM Account ORDER BY Id LIMIT 1 x", (1, 44)),
        ("SELECT Id, FROM Account", (1, 12)),
    ],
)
def test_both_stop_reading_at_the_same_place(node: Node, statement: str, place: tuple[int, int]) -> None:
    (theirs,) = node.run("soql_grammar.judge", {"statements": [statement]})
    assert (judged(statement), tuple(theirs[:2])) == (place, place)
