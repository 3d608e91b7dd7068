"""Functions of fields: the date functions, and the aggregates (SOQL and SOSL Reference, "Date Functions", "Aggregate
Functions"). Date functions read dateTimes in UTC, as the API does."""

from __future__ import annotations

from collections.abc import Callable

from localorg.schema import NUMBERS, TEXTS

from .names import Column, Scope
from .syntax import Call, Operand

_COMPARABLE = TEXTS | NUMBERS | {"id", "reference", "date", "datetime"}


def _part(letter: str) -> Callable[[str], str]:
    return lambda day: f"CAST(strftime('%{letter}', {day}) AS INTEGER)"


def _quarter(day: str) -> str:
    return f"((CAST(strftime('%m', {day}) AS INTEGER) + 2) / 3)"


def _week(letter: str) -> Callable[[str], str]:
    return lambda day: f"((CAST(strftime('%{letter}', {day}) AS INTEGER) + 6) / 7)"


# The fiscal year is the calendar year: this org's starts in January.
_DATE_PARTS: dict[str, Callable[[str], str]] = {
    "CALENDAR_YEAR": _part("Y"),
    "CALENDAR_QUARTER": _quarter,
    "CALENDAR_MONTH": _part("m"),
    "FISCAL_YEAR": _part("Y"),
    "FISCAL_QUARTER": _quarter,
    "FISCAL_MONTH": _part("m"),
    "DAY_IN_MONTH": _part("d"),
    "DAY_IN_WEEK": lambda day: f"(CAST(strftime('%w', {day}) AS INTEGER) + 1)",
    "DAY_IN_YEAR": _part("j"),
    "WEEK_IN_MONTH": _week("d"),
    "WEEK_IN_YEAR": _week("j"),
}
AGGREGATES = frozenset({"COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX"})


def operand(scope: Scope, what: Operand, *, aggregates: bool = False) -> Column:
    """The column a field or function means; aggregates only where the caller allows them."""
    if not isinstance(what, Call):
        return scope.column(what)
    if what.argument is None:
        raise _unexpected(scope, what)
    if what.function in AGGREGATES:
        if not aggregates:
            raise scope.refuse("MALFORMED_QUERY", what.at, f"Aggregate functions are not allowed here: {what.function}")
        return _aggregate(scope, what, operand(scope, what.argument))
    column = operand(scope, what.argument)
    if what.function == "TOLABEL" and column.type in TEXTS:
        return column
    return _date_function(scope, what, column)


def _date_function(scope: Scope, call: Call, column: Column) -> Column:
    moment = column.type == "datetime"
    if call.function in {"DAY_ONLY", "HOUR_IN_DAY"} and moment:
        if call.function == "DAY_ONLY":
            return Column(f"substr({column.sql}, 1, 10)", "date", column.name, joined=True)
        return Column(f"CAST(substr({column.sql}, 12, 2) AS INTEGER)", "int", column.name, joined=True)
    if call.function not in _DATE_PARTS or column.type not in {"date", "datetime"}:
        raise _unexpected(scope, call)
    day = f"substr({column.sql}, 1, 10)" if moment else column.sql
    return Column(_DATE_PARTS[call.function](day), "int", column.name, joined=True)


def _aggregate(scope: Scope, call: Call, column: Column) -> Column:
    name, sql = column.name, column.sql
    if column.field is not None and not column.field.aggregatable:
        sentence = f"field {name} does not support aggregate operator {call.function}"
        raise scope.refuse("MALFORMED_QUERY", call.at, sentence)
    if call.function == "COUNT":
        return Column(f"COUNT({sql})", "int", name)
    if call.function == "COUNT_DISTINCT":
        return Column(f"COUNT(DISTINCT {sql})", "int", name)
    if column.type not in (NUMBERS if call.function in {"SUM", "AVG"} else _COMPARABLE):
        sentence = f"field {name} does not support aggregate operator {call.function}"
        raise scope.refuse("MALFORMED_QUERY", call.at, sentence)
    if call.function in {"MIN", "MAX"}:
        return Column(f"{call.function}({sql})", column.type, name, joined=True)
    kind = "double" if call.function == "AVG" or column.type != "int" else "int"
    # Sums of decimal amounts are rounded to what the amounts are kept in, so that binary dust does not show.
    scale = column.field.scale if column.field and call.function == "SUM" else 10
    rounded = f"ROUND({call.function}({sql}), {scale})" if kind == "double" else f"SUM({sql})"
    return Column(rounded, kind, name, joined=True)


def _unexpected(scope: Scope, call: Call) -> Exception:
    return scope.refuse("MALFORMED_QUERY", call.at, f"unexpected token: {call.function}")
