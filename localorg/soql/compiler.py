"""Syntax tree to plan: every name resolved, every rule of the language checked, nothing read from the database yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from localorg.errors import OrgError
from localorg.schema import Field, Schema

from .conditions import Conditions, Value
from .functions import AGGREGATES, operand
from .names import Column, Scope, Table, find_object, unknown_children
from .parser import parse
from .plans import Child, Count, Groups, Plan, Rows, Shape
from .syntax import Call, Item, Name, Operand, Query, Sort

MOST_OFFSET = 2_000
MOST_ROWS = 2_000  # of an answer that cannot be paged
_MOST_CHILDREN = 20  # sub-queries in one SELECT
_MOST_LEVELS = 5  # of sub-queries in sub-queries
_MOST_FIELDS_ROWS = 200  # FIELDS(ALL) and FIELDS(CUSTOM)


def compiled(schema: Schema, statement: str, *, deleted: bool) -> Plan:
    """The plan of a statement; `deleted` lets it see the recycle bin (queryAll). OrgError when it breaks a rule."""
    query = parse(statement)
    sobject = find_object(schema, statement, query.sources[0].name)
    maker = _Maker(Scope(schema, statement, sobject, query.sources, "t"), query, deleted=deleted, level=1)
    if maker.counts():
        return maker.count()
    return maker.groups() if maker.aggregates() else maker.rows()


class _Maker:
    """Makes the plan of one SELECT."""

    def __init__(self, scope: Scope, query: Query, *, deleted: bool, level: int) -> None:
        self.scope = scope
        self.query = query
        self.deleted = deleted
        self.level = level
        self.values: list[Value] = []
        self._check()

    def _check(self) -> None:
        if self.query.offset is not None and self.query.offset > MOST_OFFSET:
            sentence = f"Maximum SOQL offset allowed is {MOST_OFFSET}"
            raise OrgError(400, "NUMBER_OUTSIDE_VALID_RANGE", sentence)

    @property
    def at(self) -> int:
        """Where to point when the trouble is the SELECT as a whole."""
        return self.query.sources[0].name.at

    @property
    def live(self) -> str:
        return "1" if self.deleted else f"{self.scope.table.column('IsDeleted')} = 0"

    def where(self) -> str:
        return Conditions(self.scope, self.values).sql(self.query.where) if self.query.where else "1"

    def refuse(self, sentence: str, at: int | None = None, code: str = "MALFORMED_QUERY") -> OrgError:
        return self.scope.refuse(code, self.at if at is None else at, sentence)

    # --- SELECT COUNT() ---

    def counts(self) -> bool:
        """Whether this is SELECT COUNT(), which answers a number instead of records."""
        return any(_is_bare_count(item) for item in self.query.items)

    def count(self) -> Count:
        if len(self.query.items) > 1 or self.query.group or self.query.order or self.query.having:
            raise self.refuse("COUNT() must be the only element in the SELECT list, without GROUP BY or ORDER BY")
        where = self.where()
        source = f'"{self.scope.table.sobject.name}" AS t{self.scope.joins}'
        limit = -1 if self.query.limit is None else self.query.limit
        sql = f"SELECT COUNT(*) FROM (SELECT 1 FROM {source} WHERE {self.live} AND {where} LIMIT ? OFFSET ?)"
        values = (*self.values, limit, self.query.offset or 0)
        return Count(self.scope.table.sobject, sql, values, where)

    # --- aggregates ---

    def aggregates(self) -> bool:
        """Whether the answer's records are groups of rows."""
        return bool(self.query.group or self.query.having) or any(_is_aggregate(item) for item in self.query.items)

    def groups(self) -> Groups:
        group = [self._groupable(what) for what in self.query.group]
        grouped = {column.sql for column in group}
        keys: dict[str, Column] = {}
        for key, what in self._keys():
            column = operand(self.scope, what, aggregates=True)
            self._check_grouped(what, column, grouped, "Field must be grouped or aggregated")
            if key in keys:
                raise self.refuse(f"duplicate alias: {key}", what.at)
            keys[key] = column
        if not group and self.query.limit is not None:
            raise self.refuse("Non-grouped query that uses overall aggregate functions cannot also use LIMIT")
        where, having = self.where(), self._having(grouped)
        order = self._order(self.query.order, grouped)
        sql = f'SELECT {", ".join(column.sql for column in keys.values())} FROM "{self.scope.table.sobject.name}" AS t'
        sql += f"{self.scope.joins} WHERE {self.live} AND {where}"
        sql += f" GROUP BY {', '.join(column.sql for column in group)}" if group else ""
        sql += f"{having}{f' ORDER BY {order}' if order else ''} LIMIT ? OFFSET ?"
        # One group more than can be answered, so that too many are noticed.
        limit = MOST_ROWS + 1 if self.query.limit is None else self.query.limit
        booleans = tuple(key for key, column in keys.items() if column.type == "boolean")
        values = (*self.values, limit, self.query.offset or 0)
        return Groups(self.scope.table.sobject, sql, values, tuple(keys), booleans, where)

    def _keys(self) -> Iterator[tuple[str, Operand]]:
        """Each item with its key: the alias, the field's own name, or expr0, expr1 ... for the rest."""
        unnamed = 0
        for item in self.query.items:
            if isinstance(item, Query):
                raise self.refuse("Sub-queries are not allowed beside aggregates or GROUP BY")
            if item.alias:
                yield item.alias, item.what
            elif isinstance(item.what, Name):
                yield self.scope.column(item.what).name, item.what
            else:
                yield f"expr{unnamed}", item.what
                unnamed += 1

    def _groupable(self, what: Operand) -> Column:
        if isinstance(what, Call) and what.function in {"ROLLUP", "CUBE"}:
            raise self.refuse(f"GROUP BY {what.function} is not imitated by this org", what.at)
        column = operand(self.scope, what)
        if column.field is not None and not column.field.groupable:
            raise self.refuse(f"field '{column.name}' can not be grouped in a query call", what.at)
        return column

    def _check_grouped(self, what: Operand, column: Column, grouped: set[str], sentence: str) -> None:
        if column.sql not in grouped and not _is_aggregate_call(what):
            raise self.refuse(f"{sentence}: {column.name}", what.at)

    def _having(self, grouped: set[str]) -> str:
        if self.query.having is None:
            return ""
        if not grouped:
            raise self.refuse("HAVING needs GROUP BY")

        def check(what: Operand, column: Column) -> None:
            self._check_grouped(what, column, grouped, "Field in HAVING must be grouped or aggregated")

        return f" HAVING {Conditions(self.scope, self.values, aggregates=True, check=check).sql(self.query.having)}"

    # --- rows ---

    def rows(self) -> Rows:
        selection = _Selection(self.scope.table)
        children = []
        for item in self._items():
            if isinstance(item, Query):
                child = self._child(item)
                selection.add(self, child.key, "NULL", item.sources[0].name)
                children.append(child)
            else:
                self._select(selection, item)
        if len(children) > _MOST_CHILDREN:
            raise self.refuse(f"SOQL statements cannot have more than {_MOST_CHILDREN} sub-queries")
        where, order = self.where(), self._order(self.query.order, None)
        columns: list[str] = []
        shape = selection.shape(columns)
        alias = self.scope.table.alias
        return Rows(
            sobject=self.scope.table.sobject,
            alias=alias,
            columns=", ".join(columns),
            joins=self.scope.joins,
            live=self.live,
            where=where,
            values=tuple(self.values),
            order=f"{order}, {alias}.rowid" if order else f"{alias}.rowid",
            ordered=bool(order),
            limit=self.query.limit,
            offset=self.query.offset,
            shape=shape,
            children=tuple(children),
        )

    def _items(self) -> Iterator[Item | Query]:
        """The selected items, with FIELDS(...) spelled out."""
        for item in self.query.items:
            if isinstance(item, Item) and isinstance(item.what, Call) and item.what.function == "FIELDS":
                for field in self._every_field(item.what):
                    yield Item(Name((field.name,), item.what.at), None)
            else:
                yield item

    def _every_field(self, call: Call) -> Sequence[Field]:
        group = str(call.argument).upper()
        if group not in {"ALL", "CUSTOM", "STANDARD"}:
            raise self.refuse(f"unexpected token: {call.argument}", call.at)
        if group != "STANDARD" and (self.query.limit is None or self.query.limit > _MOST_FIELDS_ROWS):
            raise self.refuse(f"The SOQL FIELDS function must have a LIMIT of at most {_MOST_FIELDS_ROWS}", call.at)
        return [
            each for each in self.scope.table.sobject.fields if group == "ALL" or each.custom == (group == "CUSTOM")
        ]

    def _select(self, selection: _Selection, item: Item) -> None:
        what = item.what
        if isinstance(what, Call):
            raise self.refuse(f"unexpected token: {what.function}", what.at)
        if item.alias:
            raise self.refuse(f"only aggregate expressions use field aliasing: {item.alias}", what.at)
        column = self.scope.column(what)
        for relationship, table in self.scope.parents(what):
            selection = selection.parent(relationship, table)
        selection.add(self, column.name, column.sql, what, boolean=column.type == "boolean")

    def _child(self, query: Query) -> Child:
        name = query.sources[0].name
        relationship = self.scope.table.sobject.child(name.parts[-1]) if len(name.parts) <= 2 else None
        child = self.scope.schema.object(relationship.child) if relationship else None
        if relationship is None or child is None or relationship.name is None:
            raise unknown_children(self.scope.statement, name)
        if self.level >= _MOST_LEVELS:
            raise self.refuse(f"SOQL statements cannot nest more than {_MOST_LEVELS} levels", name.at)
        scope = Scope(self.scope.schema, self.scope.statement, child, query.sources, f"c{self.level}")
        maker = _Maker(scope, query, deleted=self.deleted, level=self.level + 1)
        if maker.counts() or maker.aggregates():
            raise self.refuse("Sub-queries cannot count, aggregate or group", name.at)
        return Child(relationship.name, relationship.field, maker.rows())

    def _order(self, terms: Sequence[Sort], grouped: set[str] | None) -> str:
        return ", ".join(self._sort(term, grouped) for term in terms)

    def _sort(self, term: Sort, grouped: set[str] | None) -> str:
        column = operand(self.scope, term.what, aggregates=grouped is not None)
        if column.field is not None and not column.field.sortable:
            raise self.refuse(f"field '{column.name}' can not be sorted in a query call", term.what.at)
        if grouped is not None:
            self._check_grouped(term.what, column, grouped, "Ordered field must be grouped or aggregated")
        nulls = "FIRST" if term.nulls_first else "LAST"
        return f"{column.sql} {'DESC' if term.descending else 'ASC'} NULLS {nulls}"


class _Selection:
    """What is selected of one table: its own columns, its children's places, its parents' selections."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.columns: dict[str, str] = {}
        self.booleans: list[str] = []
        self.parents: dict[str, _Selection] = {}

    def add(self, maker: _Maker, key: str, sql: str, name: Name, *, boolean: bool = False) -> None:
        if key in self.columns:
            raise maker.refuse(f"duplicate field selected: {name}", name.at, "INVALID_FIELD")
        self.columns[key] = sql
        if boolean:
            self.booleans.append(key)

    def parent(self, relationship: str, table: Table) -> _Selection:
        if relationship not in self.parents:
            self.parents[relationship] = _Selection(table)
            self.columns[relationship] = "NULL"
        return self.parents[relationship]

    def shape(self, columns: list[str]) -> Shape:
        """Appends the columns to the statement's own and says where they are. Column 0 is left to the place."""
        at = len(columns) + 1
        columns += [self.table.column("Id"), *self.columns.values()]
        parents = tuple((key, parent.shape(columns)) for key, parent in self.parents.items())
        return Shape(self.table.sobject.name, at, tuple(self.columns), tuple(self.booleans), parents)


def _is_bare_count(item: Item | Query) -> bool:
    what = item.what if isinstance(item, Item) else None
    return isinstance(what, Call) and what.function == "COUNT" and what.argument is None


def _is_aggregate_call(what: Operand) -> bool:
    return isinstance(what, Call) and what.function in AGGREGATES


def _is_aggregate(item: Item | Query) -> bool:
    return isinstance(item, Item) and _is_aggregate_call(item.what)
