"""WHERE and HAVING to SQL with bound values.

SOQL knows two truth values where SQL knows three: a condition on a null field either holds or does not, and NOT of it
is the other. So NOT is never written in SQL. It is carried down to the comparisons, and each of those says for itself
what it makes of null (`!= 'x'`, NOT IN and every negated comparison take null rows in).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from localorg.dates import DateLiteral
from localorg.schema.model import TEXTS
from localorg.soql.functions import operand
from localorg.soql.literals import Constant, Edge, Mine, constant, unescaped
from localorg.soql.names import Column, Scope, find_object
from localorg.soql.syntax import Among, Both, Compare, Condition, Name, Not, Operand, Query

Value = str | int | float | Edge | Mine

_OPPOSITE = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_CHAIN = 400  # terms in one flat AND or OR; longer ones are grouped, to stay under SQLite's limit of 1,000 levels
_DEEP = 4  # levels of AND and OR inside each other that SQLite accepts in any order
_LISTED = 40  # a longer list is bound as one JSON value
_MOST_SEMI_JOINS = 2


@dataclass(slots=True)
class Conditions:
    """A compiler of the conditions of one SELECT. `values` are bound in the order of their places in the SQL."""

    scope: Scope
    values: list[Value]
    aggregates: bool = False  # HAVING: operands are aggregates or grouped fields
    check: Callable[[Operand, Column], None] | None = None  # a further check of each operand
    nested: bool = False  # inside a semi-join
    deleted: bool = False  # queryAll: semi-joins see the recycle bin too
    deep: bool = False  # more levels of AND and OR than SQLite accepts in any order
    semi_joins: list[Query] = field(default_factory=list)

    def sql(self, condition: Condition) -> str:
        """Return the SQL of a whole condition. It is never null for any row."""
        self.deep = _depth(condition) > _DEEP
        return self._of(condition, negated=False, plain=True)

    def _of(self, condition: Condition, *, negated: bool, plain: bool) -> str:
        """Return the SQL of a term. `plain`: there are only ANDs above it, so semi-joins are allowed."""
        if isinstance(condition, Not):
            return self._of(condition.term, negated=not negated, plain=False)
        if isinstance(condition, Both):
            return self._both(condition, negated=negated, plain=plain and condition.every)
        if isinstance(condition, Compare):
            return self._compare(condition, negated=negated)
        return self._among(condition, negated=negated, plain=plain)

    def _both(self, condition: Both, *, negated: bool, plain: bool) -> str:
        # SQLite's parser keeps what stands left of an open parenthesis on a short stack, so the deepest term goes
        # first. In shallow conditions the terms stay as they were written.
        terms = condition.terms
        if self.deep:
            terms = tuple(sorted(terms, key=_depth, reverse=True))
        return self._join(terms, condition, negated=negated, plain=plain)

    def _join(self, parts: Sequence[Condition], condition: Both, *, negated: bool, plain: bool) -> str:
        terms = [self._of(term, negated=negated, plain=plain) for term in parts]
        return _joined(terms, " AND " if condition.every != negated else " OR ")

    def _operand(self, what: Operand, operator: str) -> Column:
        column = operand(self.scope, what, aggregates=self.aggregates)
        if column.field is not None and not column.field.filterable:
            sentence = f"field '{column.name}' can not be filtered in a query call"
            raise self.scope.refuse("INVALID_FIELD", what.at, sentence)
        if not _allowed(column.type, operator):
            spoken = {"reference": "id"}.get(column.type, column.type)
            sentence = f"invalid operator on {spoken} field"
            raise self.scope.refuse("INVALID_QUERY_FILTER_OPERATOR", what.at, sentence)
        if self.check:
            self.check(what, column)
        return column

    # --- field operator constant ---

    def _compare(self, condition: Compare, *, negated: bool) -> str:
        column = self._operand(condition.left, condition.operator)
        if condition.operator == "LIKE":
            return self._like(column, condition, negated=negated)
        value = constant(self.scope, column, condition.right, condition.left.at)
        operator = _OPPOSITE[condition.operator] if negated else condition.operator
        # The negation of an ordering comparison includes the rows that the comparison leaves out because of null.
        takes_null = negated and condition.operator not in {"=", "!="}
        if value is None or value == "":
            return self._compare_null(column, condition, operator)
        if isinstance(value, DateLiteral):
            sql = self._compare_range(column, operator, value)
        elif column.type == "boolean":
            return _boolean(column, holds=(value == 1) == (operator == "="))
        else:
            sql = self._compare_value(column, operator, value)
        return f"({column.sql} IS NULL OR {sql})" if takes_null else sql

    def _compare_null(self, column: Column, condition: Compare, operator: str) -> str:
        if condition.operator not in {"=", "!="}:
            sentence = "invalid operator on null value"
            raise self.scope.refuse("INVALID_QUERY_FILTER_OPERATOR", condition.left.at, sentence)
        return _null(column) if operator == "=" else _not_null(column)

    def _compare_value(self, column: Column, operator: str, value: str | int | float) -> str:
        left = column.sql
        if operator in {"=", "!="} and _folded(column, [value]):
            left, value = f"fold({left})", str(value).lower()
        self.values.append(value)
        return f"{left} IS NOT ?" if operator == "!=" else f"{left} {operator} ?"

    def _compare_range(self, column: Column, operator: str, literal: DateLiteral) -> str:
        first, after = (Edge(literal, last, column.type == "datetime") for last in (False, True))
        if operator in {"=", "!="}:
            self.values += [first, after]
            inside = f"{column.sql} >= ? AND {column.sql} < ?"
            return f"({inside})" if operator == "=" else f"({column.sql} IS NULL OR NOT ({inside}))"
        self.values.append(first if operator in {"<", ">="} else after)
        return f"{column.sql} {'<' if operator in {'<', '<='} else '>='} ?"

    def _like(self, column: Column, condition: Compare, *, negated: bool) -> str:
        if condition.right.kind != "string":
            constant(self.scope, column, condition.right, condition.left.at)
            return "1" if negated else "0"  # nothing is like null
        pattern = unescaped(self.scope, condition.right, pattern=True)
        left = column.sql
        if not pattern.isascii():
            left, pattern = f"fold({left})", pattern.lower()
        self.values.append(pattern)
        sql = f"{left} LIKE ? ESCAPE '\\'"
        return f"({column.sql} IS NULL OR NOT {sql})" if negated else sql

    # --- field operator (choices) ---

    def _among(self, condition: Among, *, negated: bool, plain: bool) -> str:
        column = self._operand(condition.left, condition.operator)
        if isinstance(condition.choices, Query):
            return self._semi_join(column, condition, condition.choices, plain=plain)
        inside = (condition.operator in {"IN", "INCLUDES"}) != negated
        values = [constant(self.scope, column, each, condition.left.at) for each in condition.choices]
        if condition.operator in {"INCLUDES", "EXCLUDES"}:
            return self._includes(column, [str(value or "") for value in values], inside=inside)
        return self._in(column, values, inside=inside)

    def _in(self, column: Column, values: Sequence[Constant], *, inside: bool) -> str:
        if column.type == "boolean":
            terms = [_boolean(column, holds=(value == 1) == inside) for value in values]
            return _joined(terms, " OR " if inside else " AND ")
        listed = [value for value in values if value not in {None, ""} and not isinstance(value, DateLiteral)]
        terms = [self._listed(column, listed, inside=inside)] if listed else []
        for value in values:
            if isinstance(value, DateLiteral):
                terms.append(self._compare_range(column, "=" if inside else "!=", value))
        if None in values or "" in values:
            terms.append(_null(column) if inside else _not_null(column))
        return _joined(terms, " OR " if inside else " AND ")

    def _listed(self, column: Column, values: list[Any], *, inside: bool) -> str:
        left = column.sql
        if _folded(column, values):
            left, values = f"fold({left})", [str(value).lower() for value in values]
        if len(values) > _LISTED:
            self.values.append(json.dumps(values))
            choices = "SELECT value FROM json_each(?)"
        else:
            self.values += values
            choices = ", ".join("?" * len(values))
        return f"{left} IN ({choices})" if inside else f"({left} IS NULL OR {left} NOT IN ({choices}))"

    def _includes(self, column: Column, values: Sequence[str], *, inside: bool) -> str:
        """Return the SQL for multi-select picklists: `;` in a value means all of these, `,` between values any."""
        sets = [self._includes_all(column, value) for value in values]
        sql = _joined(sets, " OR ")
        return sql if inside else f"NOT {sql}"

    def _includes_all(self, column: Column, value: str) -> str:
        parts = [f";{part.strip().lower()};" for part in value.split(";")]
        self.values += parts
        there = f"instr(fold(';' || coalesce({column.sql}, '') || ';'), ?) > 0"
        return f"({' AND '.join([there] * len(parts))})"

    # --- Id IN (SELECT ...) ---

    def _semi_join(self, column: Column, condition: Among, query: Query, *, plain: bool) -> str:
        self._check_semi_join(column, condition, query, plain=plain)
        sobject = find_object(self.scope.schema, self.scope.statement, query.sources[0].name)
        alias = f"{self.scope.table.alias}s{len(self.semi_joins)}"
        inner = Scope(self.scope.schema, self.scope.statement, sobject, query.sources, alias)
        chosen = self._chosen(inner, query)
        self._check_same_object(column, condition, chosen, inner, query)
        where = [f"{chosen.sql} IS NOT NULL"]
        if not self.deleted:
            where.append(f"{inner.table.column('IsDeleted')} = 0")
        if query.where:
            where.append(Conditions(inner, self.values, nested=True).sql(query.where))
        select = f'SELECT {chosen.sql} FROM "{sobject.name}" AS {alias}{inner.joins} WHERE {" AND ".join(where)}'
        if condition.operator == "IN":
            return f"{column.sql} IN ({select})"
        return f"({column.sql} IS NULL OR {column.sql} NOT IN ({select}))"

    def _check_semi_join(self, column: Column, condition: Among, query: Query, *, plain: bool) -> None:
        trouble = None
        self.semi_joins.append(query)
        if self.nested:
            trouble = "Nesting of semi join sub-selects is not supported"
        elif not plain:
            trouble = "Semi join sub-selects are not allowed with the 'OR' or 'NOT' operator"
        elif len(self.semi_joins) > _MOST_SEMI_JOINS:
            trouble = f"Cannot have more than {_MOST_SEMI_JOINS} semi join sub-selects"
        elif self.aggregates or column.type not in {"id", "reference"} or column.joined:
            trouble = f"Semi join sub-selects need an id field of the main object, cannot use: '{column.name}'"
        elif any([query.order, query.group, query.having, query.scope, query.tracking]) or (
            query.limit is not None or query.offset is not None
        ):
            trouble = "Semi join sub-selects cannot have ORDER BY, LIMIT, OFFSET or GROUP BY"
        if trouble:
            raise self.scope.refuse("MALFORMED_QUERY", condition.left.at, trouble)

    def _chosen(self, inner: Scope, query: Query) -> Column:
        item = query.items[0]
        what = None if isinstance(item, Query) else item.what
        if len(query.items) > 1 or not isinstance(what, Name):
            sentence = "Semi join sub-selects select one id field"
            raise self.scope.refuse("MALFORMED_QUERY", query.sources[0].name.at, sentence)
        column = inner.column(what)
        if column.type not in {"id", "reference"} or column.joined:
            sentence = f"Semi join sub-selects can only query id fields, cannot use: '{what}'"
            raise self.scope.refuse("MALFORMED_QUERY", what.at, sentence)
        return column

    def _check_same_object(self, outer: Column, condition: Among, chosen: Column, inner: Scope, query: Query) -> None:
        main, other = self.scope.table.sobject, inner.table.sobject
        if main is other:
            sentence = "The inner and outer selects should not be on the same object type"
            raise self.scope.refuse("MALFORMED_QUERY", query.sources[0].name.at, sentence)
        if not _points_at(outer, main.name) & _points_at(chosen, other.name):
            sentence = (
                f"The selected field '{chosen.name}' in the subquery and the left operand field in the where "
                f"expression in the outer query '{outer.name}' should point to the same object type"
            )
            raise self.scope.refuse("MALFORMED_QUERY", condition.left.at, sentence)


def _depth(condition: Condition) -> int:
    if isinstance(condition, Not):
        return _depth(condition.term)
    if not isinstance(condition, Both):
        return 0
    return condition.depth


def _points_at(column: Column, own: str) -> set[str]:
    assert column.field is not None
    return {own} if column.type == "id" else set(column.field.reference_to)


def _allowed(kind: str, operator: str) -> bool:
    if operator in {"INCLUDES", "EXCLUDES"}:
        return kind == "multipicklist"
    if operator == "LIKE":
        return kind in TEXTS - {"multipicklist"}
    if kind in {"boolean", "multipicklist"}:
        return operator in {"=", "!=", "IN", "NOT IN"}
    return True


def _folded(column: Column, values: Sequence[Any]) -> bool:
    """Return whether Python must compare these letter by letter: the database folds the case of A-Z only."""
    if column.type not in TEXTS or (column.field and column.field.case_sensitive):
        return False
    return any(not value.isascii() for value in values if isinstance(value, str))


def _boolean(column: Column, *, holds: bool) -> str:
    if holds:
        return f"{column.sql} = 1"
    return f"{column.sql} IS NOT 1" if column.joined else f"{column.sql} = 0"


def _null(column: Column) -> str:
    empty = f" OR {column.sql} = ''" if column.type in TEXTS else ""
    return f"({column.sql} IS NULL{empty})"


def _not_null(column: Column) -> str:
    return f"{column.sql} <> ''" if column.type in TEXTS else f"{column.sql} IS NOT NULL"


def _joined(terms: Sequence[str], word: str) -> str:
    """Return terms joined in parentheses. Long rows become groups of groups."""
    if len(terms) == 1:
        return terms[0]
    while len(terms) > _CHAIN:
        groups = [terms[start : start + _CHAIN] for start in range(0, len(terms), _CHAIN)]
        terms = [_joined(group, word) for group in groups]
    return f"({word.join(terms)})"
