"""The parts a SOQL statement is made of, as the parser hands them to the compiler.

Every part that a message may point at carries `at`: its offset in the statement, in characters.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Name:
    """A dotted name: a field, a path to a parent's field, an object, an alias."""

    parts: tuple[str, ...]
    at: int

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Call:
    """A function of nothing, of a field, or of another call: COUNT(), CALENDAR_YEAR(CloseDate)."""

    function: str
    argument: Operand | None
    at: int


Operand = Name | Call


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant as written. `kind` is string, number, date, datetime or word (null, true, TODAY, USD5000 ...)."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Compare:
    """field operator constant; the operator is one of = != < <= > >= LIKE."""

    left: Operand
    operator: str
    right: Literal


@dataclass(frozen=True, slots=True)
class Among:
    """field operator (choices); the operator is IN, NOT IN, INCLUDES or EXCLUDES."""

    left: Operand
    operator: str
    choices: tuple[Literal, ...] | Query


@dataclass(frozen=True, slots=True)
class Both:
    """All of the terms hold (AND), or any of them (OR)."""

    every: bool
    terms: tuple[Condition, ...]
    depth: int = 1  # of AND and OR inside each other, counting this one


@dataclass(frozen=True, slots=True)
class Not:
    """The term does not hold."""

    term: Condition


Condition = Compare | Among | Both | Not


@dataclass(frozen=True, slots=True)
class Item:
    """One selected field or function, with its alias."""

    what: Operand
    alias: str | None


@dataclass(frozen=True, slots=True)
class Sort:
    """One term of ORDER BY."""

    what: Operand
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class Source:
    """One term of FROM: an object (or a child relationship in a sub-query), or a path from an earlier alias."""

    name: Name
    alias: str | None


@dataclass(frozen=True, slots=True)
class Query:
    """A whole SELECT, also in parentheses."""

    items: tuple[Item | Query, ...]
    sources: tuple[Source, ...]
    where: Condition | None
    group: tuple[Operand, ...]
    having: Condition | None
    order: tuple[Sort, ...]
    limit: int | None
    offset: int | None
    scope: Name | None = None  # USING SCOPE
    subtotals: str | None = None  # ROLLUP or CUBE, of `group`
    tracking: str | None = None  # VIEW or REFERENCE
