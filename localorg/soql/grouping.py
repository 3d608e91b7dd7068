"""SELECT of aggregates: GROUP BY, HAVING, and the subtotals of ROLLUP and CUBE.

Source: SOQL and SOSL Reference, "GROUP BY", "GROUP BY ROLLUP", "GROUP BY CUBE", "HAVING". SQLite has neither ROLLUP nor
CUBE, so each level of subtotals is a SELECT of its own, and all of them are put together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

from localorg.errors import OrgError
from localorg.schema.model import DOUBLES
from localorg.soql.conditions import Conditions, Value
from localorg.soql.functions import AGGREGATES, operand, picklist_rank, shown
from localorg.soql.names import Column, Scope
from localorg.soql.plans import MOST_ROWS, Groups
from localorg.soql.syntax import Call, Item, Name, Operand, Query, Sort

_MOST_SUBTOTALS = 3  # fields in ROLLUP or CUBE
Where = Callable[[list[Value]], str]


def is_aggregate(what: Operand) -> bool:
    """Return whether this is an aggregate, GROUPING(), or the FORMAT() of an aggregate."""
    if not isinstance(what, Call):
        return False
    if what.function == "FORMAT" and what.argument is not None:
        return is_aggregate(what.argument)
    return what.function in AGGREGATES or what.function == "GROUPING"


def keyed(scope: Scope, query: Query) -> Iterator[tuple[str, Operand]]:
    """Return each selected item with its key: the alias, the field's own name, or expr0, expr1 ... for the rest."""
    unnamed = 0
    for item in query.items:
        if isinstance(item, Query):
            sentence = "Sub-queries are not allowed beside aggregates or GROUP BY"
            raise scope.refuse("MALFORMED_QUERY", item.sources[0].name.at, sentence)
        if item.alias:
            yield item.alias, item.what
        elif isinstance(item.what, Name):
            yield scope.column(item.what).name, item.what
        else:
            yield f"expr{unnamed}", item.what
            unnamed += 1


@dataclass(slots=True)
class Grouping:
    """The planner of one SELECT of aggregates. `where` makes its condition and adds the values to bind."""

    scope: Scope
    query: Query
    live: str
    where: Where

    def plan(self) -> Groups:
        """Return the plan. Raise OrgError when the statement breaks a rule of grouping."""
        query = self.query
        terms = [self._groupable(what) for what in query.group]
        keys = self._keys(terms)
        if not terms and query.limit is not None:
            sentence = "Non-grouped query that uses overall aggregate functions cannot also use LIMIT"
            raise self._refuse(sentence, query.sources[0].name.at)
        values: list[Value] = []
        levels = self._levels(terms)
        sql = " UNION ALL ".join([self._level(level, terms, keys, values) for level in levels])
        sql += self._order(terms)
        # One group more than the answer may have, to notice when there are too many.
        limit = MOST_ROWS + 1 if query.limit is None else query.limit
        kinds = {key: self._column(what).type for key, what in keys.items()}
        booleans = tuple(key for key, kind in kinds.items() if kind == "boolean")
        doubles = tuple(key for key, kind in kinds.items() if kind in DOUBLES)
        bound = (*values, limit, query.offset or 0)
        sql = f"SELECT {', '.join(f'k{at}' for at in range(len(keys)))} FROM ({sql} LIMIT ? OFFSET ?)"
        return Groups(self.scope.table.sobject, sql, bound, tuple(keys), booleans, doubles, "", bool(query.subtotals))

    # --- what may stand where ---

    def _refuse(self, sentence: str, at: int) -> OrgError:
        return self.scope.refuse("MALFORMED_QUERY", at, sentence)

    def _groupable(self, what: Operand) -> Column:
        column = operand(self.scope, what)
        if column.field is not None and not column.field.groupable:
            raise self._refuse(f"field '{column.name}' can not be grouped in a query call", what.at)
        return column

    def _keys(self, terms: Sequence[Column]) -> dict[str, Operand]:
        keys: dict[str, Operand] = {}
        grouped = {column.sql for column in terms}
        for key, what in keyed(self.scope, self.query):
            self._check(what, self._column(what), grouped, "Field must be grouped or aggregated")
            if key in keys:
                raise self._refuse(f"duplicate alias: {key}", what.at)
            keys[key] = what
        return keys

    def _column(self, what: Operand) -> Column:
        if isinstance(what, Call) and what.function == "FORMAT":
            return shown(self.scope, what, aggregates=True)
        if isinstance(what, Call) and what.function == "GROUPING" and what.argument is not None:
            return self._grouping(what, operand(self.scope, what.argument))
        return operand(self.scope, what, aggregates=True)

    def _grouping(self, call: Call, column: Column) -> Column:
        """Return GROUPING(field): 1 in a row that is the subtotal over that field, 0 in the others."""
        if not self.query.subtotals:
            raise self._refuse("GROUPING is only allowed with GROUP BY ROLLUP or GROUP BY CUBE", call.at)
        return Column(f"GROUPING {column.sql}", "int", column.name, joined=True)

    def _check(self, what: Operand, column: Column, grouped: set[str], sentence: str) -> None:
        if isinstance(what, Call) and what.function == "GROUPING":
            if column.sql.removeprefix("GROUPING ") not in grouped:
                raise self._refuse(f"GROUPING needs a grouped field: {column.name}", what.at)
        elif column.sql not in grouped and not is_aggregate(what):
            raise self._refuse(f"{sentence}: {column.name}", what.at)

    # --- levels ---

    def _levels(self, terms: Sequence[Column]) -> list[tuple[str, ...]]:
        """Return the sets of grouped columns, the finest first. There is one set, unless there are subtotals."""
        names = [column.sql for column in terms]
        if self.query.subtotals is None:
            return [tuple(names)]
        if len(names) > _MOST_SUBTOTALS:
            sentence = f"GROUP BY {self.query.subtotals} cannot have more than {_MOST_SUBTOTALS} fields"
            raise self._refuse(sentence, self.query.group[0].at)
        if self.query.subtotals == "ROLLUP":
            return [tuple(names[:count]) for count in range(len(names), -1, -1)]
        return list(chain.from_iterable(combinations(names, count) for count in range(len(names), -1, -1)))

    def _level(
        self, level: tuple[str, ...], terms: Sequence[Column], keys: dict[str, Operand], values: list[Value]
    ) -> str:
        grouped = {column.sql for column in terms}
        shown_ = [f"{self._at(what, level, grouped)} AS k{n}" for n, what in enumerate(keys.values())]
        sorts = [self._at(term.what, level, grouped, sorting=True) for term in self.query.order]
        if self.query.subtotals and not sorts:  # subtotals come after their rows
            for column in terms:
                sorts += ["0" if column.sql in level else "1", column.sql if column.sql in level else "NULL"]
        columns = shown_ + [f"{sql} AS s{n}" for n, sql in enumerate(sorts)]
        where, having = self.where(values), self._having(grouped, values)
        group = ", ".join(level) or ("NULL" if self.query.subtotals else "")
        sql = f'SELECT {", ".join(columns)} FROM "{self.scope.table.sobject.name}" AS {self.scope.table.alias}'
        sql += f"{self.scope.joins} WHERE {self.live} AND {where}"
        return sql + (f" GROUP BY {group}" if group else "") + having

    def _at(self, what: Operand, level: tuple[str, ...], grouped: set[str], *, sorting: bool = False) -> str:
        """Return the SQL of an item at one level. It is null for a field over which this level sums."""
        column = self._column(what)
        sql = column.sql
        if sql.startswith("GROUPING "):
            return "0" if sql.removeprefix("GROUPING ") in level else "1"
        if sql in grouped and sql not in level:
            return "NULL"
        return sort_key(column) if sorting else sql

    def _having(self, grouped: set[str], values: list[Value]) -> str:
        if self.query.having is None:
            return ""
        if not grouped:
            raise self._refuse("HAVING needs GROUP BY", self.query.sources[0].name.at)

        def check(what: Operand, column: Column) -> None:
            if self.query.subtotals and not is_aggregate(what):
                sentence = "HAVING with ROLLUP or CUBE takes only aggregates in this org"
                raise self._refuse(sentence, what.at)
            self._check(what, column, grouped, "Field in HAVING must be grouped or aggregated")

        return f" HAVING {Conditions(self.scope, values, aggregates=True, check=check).sql(self.query.having)}"

    # --- order ---

    def _order(self, terms: Sequence[Column]) -> str:
        grouped = {column.sql for column in terms}
        sorts = [self._sort(n, term, grouped) for n, term in enumerate(self.query.order)]
        if self.query.subtotals and not sorts:
            sorts = [f"s{n}" for n in range(2 * len(terms))]
        return f" ORDER BY {', '.join(sorts)}" if sorts else ""

    def _sort(self, number: int, term: Sort, grouped: set[str]) -> str:
        column = self._column(term.what)
        check_sortable(self.scope, term.what, column)
        self._check(term.what, column, grouped, "Ordered field must be grouped or aggregated")
        return f"s{number} {direction(term)}"


def check_sortable(scope: Scope, what: Operand, column: Column) -> None:
    """Raise OrgError for a field that ORDER BY does not accept."""
    if column.field is not None and not column.field.sortable:
        sentence = f"field '{column.name}' can not be sorted in a query call"
        raise scope.refuse("MALFORMED_QUERY", what.at, sentence)


def sort_key(column: Column) -> str:
    """Return the sort key of rows. A picklist has the order of its values; other values come after them.

    Source: SOQL and SOSL Reference, "ORDER BY": picklists are sorted as they were set up.
    """
    rank = picklist_rank(column)
    return f"({rank} || lower({column.sql}))" if rank else column.sql


def direction(term: Sort) -> str:
    """Return ASC or DESC, and the place of nulls."""
    return f"{'DESC' if term.descending else 'ASC'} NULLS {'FIRST' if term.nulls_first else 'LAST'}"


def has_aggregates(query: Query) -> bool:
    """Return whether the records of the answer are groups of rows."""
    items = (item.what for item in query.items if isinstance(item, Item))
    return bool(query.group or query.having) or any(is_aggregate(what) for what in items)
