"""Why records failed: what is one reason, in which order, and what is said about it."""

from __future__ import annotations

import pytest

from quotejob.jobtypes.quotes.writer import REFUSALS
from quotejob.run import failures, hints
from quotejob.run.failures import grouped
from quotejob.run.receipt import Outcome, Result
from quotejob.usercode import trouble
from quotejob.usercode.rows import BadRecord


def failed(number: int, code: str | None, message: str | None) -> Result:
    return Result(f"006{number:012}AAA", Outcome.FAILED, None, code, message, f"Deal {number}")


def test_the_most_frequent_reason_is_first() -> None:
    """With its first five records in their order; what did not fail does not count."""
    rare = [failed(number, "ENTITY_IS_LOCKED", "locked") for number in range(2)]
    often = [failed(number, "UNABLE_TO_LOCK_ROW", "busy") for number in range(10, 17)]
    others = [Result("006", Outcome.SUCCEEDED, "0Q0"), Result("006", Outcome.SKIPPED, code="NO_LINES")]
    found = grouped("j", [*rare, *others, *often])
    assert found.failed == 9
    assert [(each.code, each.message, each.count) for each in found.groups] == [
        ("UNABLE_TO_LOCK_ROW", "busy", 7),
        ("ENTITY_IS_LOCKED", "locked", 2),
    ]
    assert found.groups[0].records == often[:5]
    assert found.groups[1].records == rare


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("duplicates value on record with id: 0Q0000000000001", "duplicates value on record with id: 0Q0000000000002"),
        ("id 0Q0000000000001AAA", "id 0Q0RO00000000a1YAQ"),
        ("Quantity 12.50 is too large", "Quantity 7 is too large"),
        ("CloseDate 4000-12-31", "CloseDate 3999-01-01"),
    ],
)
def test_ids_and_numbers_make_no_other_reason(one: str, other: str) -> None:
    """The message shown is that of the first record."""
    [group] = grouped("j", [failed(1, "C", one), failed(2, "C", other)]).groups
    assert (group.count, group.message) == (2, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("A", "m"), ("B", "m")),
        (("A", "the first"), ("A", "the other")),
        (("A", "administration 1"), ("A", "configurations 1")),
        ((None, "m"), ("A", "m")),
        (("A", None), ("A", "m")),
    ],
)
def test_other_words_are_another_reason(
    one: tuple[str | None, str | None], other: tuple[str | None, str | None]
) -> None:
    assert len(grouped("j", [failed(1, *one), failed(2, *other)]).groups) == 2


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the reasons that are shown and that are kept; all records are counted."""
    monkeypatch.setattr(failures, "MAX_GROUPS_IN_MEMORY", 150)
    reasons = ["x" * length for length in range(1, 201)]
    found = grouped("j", [failed(1, "C", reason) for reason in [*reasons, reasons[120]]])
    assert found.failed == 201
    assert len(found.groups) == 100
    assert (found.groups[0].message, found.groups[0].count) == ("x" * 121, 2)


def test_every_code_with_a_hint_is_one_that_a_record_can_have() -> None:
    """Of ours, or of the refusals of the writer; most of these have one."""
    own = {trouble.RAISED, BadRecord.code, "NOT_A_WRITE", "UNGUARDED_INSERT"}
    known = REFUSALS | own | {"UNPRICEABLE", "WORKER_LOST", "QUOTE_INCOMPLETE", "UNABLE_TO_LOCK_ROW"}
    assert own <= hints._HINTS.keys() <= known
    assert hints.hint("SOMETHING_NEW") is None
    assert hints.hint(None) is None
    for sentence in hints._HINTS.values():
        assert sentence.endswith(".")
        assert ". ." not in sentence
