"""Validation formulas: plain comparisons become SOQL conditions, anything more is named."""

from __future__ import annotations

import pytest

from localorg.schema.formula import Unknown, condition


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("Amount < 0", "(Amount < 0)"),
        ("0 >= Amount", "(Amount <= 0)"),
        ("Discount__c == -1.5", "(Discount__c = -1.5)"),
        ('Name <> "a"', "(Name != 'a')"),
        ('Name = "it\'s"', r"(Name = 'it\'s')"),
        ("IsActive", "(IsActive = true)"),
        ("!IsActive", "(NOT (IsActive = true))"),
        ("IsActive = FALSE", "(IsActive = false)"),
        ("CloseDate < TODAY()", "(CloseDate < TODAY)"),
        ("CloseDate < DATE(2020, 1, 31)", "(CloseDate < 2020-01-31)"),
        ("ISBLANK(Account.Industry)", "(Account.Industry = null)"),
        ("NOT(ISNULL(A__c))", "(NOT (A__c = null))"),
        ('ISPICKVAL(StageName, "Closed Won")', "(StageName = 'Closed Won')"),
        ("a__c > 1 && b__c > 2 || c__c > 3", "(((a__c > 1) AND (b__c > 2)) OR (c__c > 3))"),
        (
            'AND(ISPICKVAL(Status, "Sent"),\n  OR(Amount__c = 0, isblank( Amount__c )))',
            "((Status = 'Sent') AND ((Amount__c = 0) OR (Amount__c = null)))",
        ),
        ("(Amount > 5)", "(Amount > 5)"),
    ],
)
def test_a_plain_comparison(formula: str, expected: str) -> None:
    assert condition(formula) == expected


@pytest.mark.parametrize(
    "formula",
    [
        "",
        "Amount +1 > 2",
        "Amount > Other__c",
        "1 = 1",
        "LEN(Name) > 3",
        'REGEX(Name, "x")',
        "ISCHANGED(Name)",
        "$User.Id = OwnerId",
        "PRIORVALUE(Amount) > 5",
        "Amount >",
        "Amount > 1)",
        "AND()",
        "NOT(a__c, b__c)",
        "DATE(x) < TODAY()",
        "ISBLANK(1)",
        '"x"',
        "-Name > 1",
        "'single' = Name",
    ],
)
def test_more_than_that_is_unknown(formula: str) -> None:
    with pytest.raises(Unknown):
        condition(formula)
