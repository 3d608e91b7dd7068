"""Functions of fields: date functions, aggregates, and functions that only change how a value is shown.

Source: SOQL and SOSL Reference, "Date Functions", "Aggregate Functions", "FORMAT ()", "toLabel()",
"convertCurrency ()". Date functions read dateTimes in UTC, as the API does, and in the user's time zone when they are
given convertTimezone().

`formatted` and `local` are functions of the connection: see runner.py.
"""

from __future__ import annotations

from collections.abc import Callable

from localorg.schema.model import NUMBERS, TEXTS
from localorg.soql.names import Column, Scope
from localorg.soql.syntax import Call, Name, Operand

_COMPARABLE = TEXTS | NUMBERS | {"id", "reference", "date", "datetime"}


# The first month of the fiscal year, and the month of a day counted from it: 0 to 11.
_FISCAL_START = '(SELECT coalesce(max("FiscalYearStartMonth"), 1) FROM "Organization")'
_NAMED_BY_START = '(SELECT coalesce(max("UsesStartDateAsFiscalYearName"), 0) FROM "Organization")'


def _part(letter: str) -> Callable[[str], str]:
    return lambda day: f"CAST(strftime('%{letter}', {day}) AS INTEGER)"


def _quarter(day: str) -> str:
    return f"((CAST(strftime('%m', {day}) AS INTEGER) + 2) / 3)"


def _week(letter: str) -> Callable[[str], str]:
    return lambda day: f"((CAST(strftime('%{letter}', {day}) AS INTEGER) + 6) / 7)"


def _fiscal_month(day: str) -> str:
    return f"((CAST(strftime('%m', {day}) AS INTEGER) - {_FISCAL_START} + 12) % 12)"


def _fiscal_year(day: str) -> str:
    """Return the SQL of the fiscal year.

    It is named by the calendar year in which it starts or ends, as the Organization says. Both are the same when it
    starts in January.
    """
    begun = f"(CAST(strftime('%Y', {day}) AS INTEGER) - (CAST(strftime('%m', {day}) AS INTEGER) < {_FISCAL_START}))"
    return f"({begun} + ({_FISCAL_START} > 1 AND NOT {_NAMED_BY_START}))"


_DATE_PARTS: dict[str, Callable[[str], str]] = {
    "CALENDAR_YEAR": _part("Y"),
    "CALENDAR_QUARTER": _quarter,
    "CALENDAR_MONTH": _part("m"),
    "FISCAL_YEAR": _fiscal_year,
    "FISCAL_QUARTER": lambda day: f"({_fiscal_month(day)} / 3 + 1)",
    "FISCAL_MONTH": lambda day: f"({_fiscal_month(day)} + 1)",
    "DAY_IN_MONTH": _part("d"),
    "DAY_IN_WEEK": lambda day: f"(CAST(strftime('%w', {day}) AS INTEGER) + 1)",
    "DAY_IN_YEAR": _part("j"),
    "WEEK_IN_MONTH": _week("d"),
    "WEEK_IN_YEAR": _week("j"),
}
_MOMENT_PARTS = frozenset({"DAY_ONLY", "HOUR_IN_DAY"})
AGGREGATES = frozenset({"COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX"})
SHOWING = frozenset({"FORMAT", "TOLABEL", "CONVERTCURRENCY"})  # allowed in SELECT without making it an aggregate


def operand(scope: Scope, what: Operand, *, aggregates: bool = False) -> Column:
    """Return the column that a field or function means. Aggregates are allowed only where the caller allows them."""
    if not isinstance(what, Call):
        return scope.column(what)
    if what.argument is None:
        raise _unexpected(scope, what)
    if what.function in AGGREGATES:
        if not aggregates:
            raise scope.refuse("MALFORMED_QUERY", what.at, f"Aggregate functions are not allowed here: {what.function}")
        return _aggregate(scope, what, operand(scope, what.argument))
    if what.function == "CONVERTCURRENCY":
        # Source: SOQL and SOSL Reference, "convertCurrency ()": for orgs with several currencies, and this one has one.
        sentence = "convertCurrency is only allowed in an org with multiple currencies"
        raise scope.refuse("MALFORMED_QUERY", what.at, sentence)
    if what.function in _DATE_PARTS or what.function in _MOMENT_PARTS:
        return _date_function(scope, what, _moment(scope, what.argument))
    column = operand(scope, what.argument)
    if what.function == "TOLABEL" and column.type in TEXTS:
        return column
    raise _unexpected(scope, what)


def shown(scope: Scope, call: Call, *, aggregates: bool = False) -> Column:
    """Return the column of a selected FORMAT() or toLabel(): the value as the user sees it."""
    if call.function != "FORMAT" or call.argument is None:
        return operand(scope, call)
    column = operand(scope, call.argument, aggregates=aggregates)
    if column.type not in NUMBERS | {"date", "datetime"}:
        raise scope.refuse("MALFORMED_QUERY", call.at, f"FORMAT does not support field {column.name}")
    scale = column.field.scale if column.field else 2
    return Column(f"formatted({column.sql}, '{column.type}', {scale})", "string", column.name, joined=True)


def innermost(what: Operand) -> Name | None:
    """Return the field inside the calls, or None for COUNT()."""
    while isinstance(what, Call):
        if what.argument is None:
            return None
        what = what.argument
    return what


def _moment(scope: Scope, what: Operand) -> Column:
    """Return what a date function reads: a field, or a dateTime in the user's time zone."""
    if not isinstance(what, Call) or what.function != "CONVERTTIMEZONE" or what.argument is None:
        return operand(scope, what)
    column = operand(scope, what.argument)
    if column.type != "datetime":
        raise _unexpected(scope, what)
    return Column(f"local({column.sql})", "datetime", column.name, joined=True)


def _date_function(scope: Scope, call: Call, column: Column) -> Column:
    moment = column.type == "datetime"
    if call.function in _MOMENT_PARTS and moment:
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
        rank = picklist_rank(column)
        least = f"substr({call.function}({rank} || {sql}), 6)" if rank else f"{call.function}({sql})"
        return Column(least, column.type, name, joined=True)
    kind = "double" if call.function == "AVG" and column.type == "int" else column.type
    # Sums of decimal amounts are rounded to the scale of the amounts, which hides the small errors of binary numbers.
    scale = column.field.scale if column.field and call.function == "SUM" else 10
    rounded = f"SUM({sql})" if kind == "int" else f"ROUND({call.function}({sql}), {scale})"
    return Column(rounded, kind, name, joined=True)


def picklist_rank(column: Column) -> str | None:
    """Return the SQL of five digits that put the values of a picklist in order; None for another field.

    Values that are not in the list have the same digits, and come last. Source: SOQL and SOSL Reference, "ORDER BY" and
    "Aggregate Functions": picklists have the order in which they were set up.
    """
    if column.field is None or column.type != "picklist" or not column.field.picklist:
        return None
    ranks = " ".join(f"WHEN {_quoted(value)} THEN '{n:05}'" for n, value in enumerate(column.field.picklist))
    return f"CASE {column.sql} {ranks} ELSE '99999' END"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _unexpected(scope: Scope, call: Call) -> Exception:
    return scope.refuse("MALFORMED_QUERY", call.at, f"unexpected token: {call.function}")
