"""Syntax tree to plan: every name is resolved, every rule of the language is checked. The database is not read yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from localorg.errors import OrgError
from localorg.schema.model import DOUBLES, Field, Schema, SObject
from localorg.soql.conditions import Conditions, Value
from localorg.soql.functions import SHOWING, innermost, operand, shown
from localorg.soql.grouping import Grouping, check_sortable, direction, has_aggregates, sort_key
from localorg.soql.literals import Mine
from localorg.soql.names import Scope, Table, find_object, unknown_children
from localorg.soql.parser import parse
from localorg.soql.plans import Child, Count, Groups, Plan, Rows, Shape
from localorg.soql.syntax import Call, Item, Name, Query, Sort

MOST_OFFSET = 2_000
_MOST_CHILDREN = 20  # sub-queries in one SELECT
_MOST_LEVELS = 5  # of sub-queries in sub-queries
_MOST_FIELDS_ROWS = 200  # FIELDS(ALL) and FIELDS(CUSTOM)


def compiled(schema: Schema, statement: str, *, deleted: bool) -> Plan:
    """Return the plan of a statement. Raise OrgError when it breaks a rule.

    With `deleted`, the statement sees the recycle bin too (queryAll).
    """
    query = parse(statement)
    sobject = find_object(schema, statement, query.sources[0].name)
    maker = _Maker(Scope(schema, statement, sobject, query.sources, "t"), query, deleted=deleted, level=1)
    if maker.counts():
        return maker.count()
    return maker.groups() if has_aggregates(query) else maker.rows()


class _Maker:
    """A maker of the plan of one SELECT."""

    def __init__(self, scope: Scope, query: Query, *, deleted: bool, level: int) -> None:
        self.scope = scope
        self.query = query
        self.deleted = deleted
        self.level = level
        self.values: list[Value] = []
        self._check()
        self._check_tracking()

    def _check(self) -> None:
        if self.query.offset is not None and self.query.offset > MOST_OFFSET:
            sentence = f"Maximum SOQL offset allowed is {MOST_OFFSET}"
            raise OrgError(400, "NUMBER_OUTSIDE_VALID_RANGE", sentence)

    def _check_tracking(self) -> None:
        if self.query.tracking and (self.level > 1 or has_aggregates(self.query) or self.counts()):
            raise self.refuse(f"FOR {self.query.tracking} is for rows of the main query only")

    @property
    def at(self) -> int:
        """The place to show when the whole SELECT is wrong."""
        return self.query.sources[0].name.at

    @property
    def live(self) -> str:
        return "1" if self.deleted else f"{self.scope.table.column('IsDeleted')} = 0"

    def where(self, values: list[Value] | None = None) -> str:
        """Return the SQL of the condition and the scope.

        The values to bind are added to `values` (by default to its own).
        """
        values = self.values if values is None else values
        where = "1"
        if self.query.where:
            where = Conditions(self.scope, values, deleted=self.deleted).sql(self.query.where)
        return f"{where} AND {owner} = ?" if (owner := self._owner(values)) else where

    def _owner(self, values: list[Value]) -> str | None:
        """Return the owner's column, when USING SCOPE asks for the user's own rows."""
        scope = self.query.scope
        if scope is None or str(scope).lower() == "everything":
            return None
        owner = self.scope.table.sobject.field("OwnerId")
        if str(scope).lower() != "mine" or owner is None:
            sentence = f"scope '{scope}' is not supported for {self.scope.table.sobject.name}"
            raise self.refuse(sentence, scope.at, "INVALID_QUERY_SCOPE")
        values.append(Mine())
        return self.scope.table.column(owner.name)

    def groups(self) -> Groups:
        """Return the plan of a SELECT of aggregates."""
        return Grouping(self.scope, self.query, self.live, self.where).plan()

    def refuse(self, sentence: str, at: int | None = None, code: str = "MALFORMED_QUERY") -> OrgError:
        return self.scope.refuse(code, self.at if at is None else at, sentence)

    # --- SELECT COUNT() ---

    def counts(self) -> bool:
        """Return whether this is SELECT COUNT(), which answers a number instead of records."""
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
        where, order = self.where(), self._order()
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
            tracking=self.query.tracking,
        )

    def _items(self) -> Iterator[Item | Query]:
        """Return the selected items, with FIELDS(...) replaced by its fields."""
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
        return fields_of(self.scope.table.sobject, group)

    def _select(self, selection: _Selection, item: Item) -> None:
        what = item.what
        if isinstance(what, Call):
            self._select_shown(selection, what, item.alias)
            return
        if item.alias:
            raise self.refuse(f"only aggregate expressions use field aliasing: {item.alias}", what.at)
        column = self.scope.column(what)
        self._holder(selection, what).add(self, column.name, column.sql, what, column.type)

    def _select_shown(self, selection: _Selection, call: Call, alias: str | None) -> None:
        """Select FORMAT() and toLabel(): under their alias, or in the place of the field itself."""
        name = innermost(call)
        if call.function not in SHOWING or name is None:
            raise self.refuse(f"unexpected token: {call.function}", call.at)
        column = shown(self.scope, call)
        if alias:
            selection.add(self, alias, column.sql, name)
        else:
            self._holder(selection, name).add(self, column.name, column.sql, name)

    def _holder(self, selection: _Selection, name: Name) -> _Selection:
        for relationship, table in self.scope.parents(name):
            selection = selection.parent(relationship, table)
        return selection

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
        if maker.counts() or has_aggregates(query):
            raise self.refuse("Sub-queries cannot count, aggregate or group", name.at)
        return Child(relationship.name, relationship.field, maker.rows())

    def _order(self) -> str:
        return ", ".join(self._sort(term) for term in self.query.order)

    def _sort(self, term: Sort) -> str:
        column = operand(self.scope, term.what)
        check_sortable(self.scope, term.what, column)
        return f"{sort_key(column)} {direction(term)}"


class _Selection:
    """The selection from one table: its own columns, its children's places, its parents' selections."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.columns: dict[str, str] = {}
        self.booleans: list[str] = []
        self.doubles: list[str] = []
        self.parents: dict[str, _Selection] = {}

    def add(self, maker: _Maker, key: str, sql: str, name: Name, kind: str = "") -> None:
        if key in self.columns:
            raise maker.refuse(f"duplicate field selected: {name}", name.at, "INVALID_FIELD")
        self.columns[key] = sql
        if kind == "boolean":
            self.booleans.append(key)
        elif kind in DOUBLES:
            self.doubles.append(key)

    def parent(self, relationship: str, table: Table) -> _Selection:
        if relationship not in self.parents:
            self.parents[relationship] = _Selection(table)
            self.columns[relationship] = "NULL"
        return self.parents[relationship]

    def shape(self, columns: list[str]) -> Shape:
        """Append the columns to the statement's own and return their places.

        Column 0 is left for the row's place in its page.
        """
        at = len(columns) + 1
        columns += [self.table.column("Id"), *self.columns.values()]
        parents = tuple((key, parent.shape(columns)) for key, parent in self.parents.items())
        sobject, keys = self.table.sobject.name, tuple(self.columns)
        return Shape(sobject, at, keys, tuple(self.booleans), tuple(self.doubles), parents, self.table.kinds)


def _is_bare_count(item: Item | Query) -> bool:
    what = item.what if isinstance(item, Item) else None
    return isinstance(what, Call) and what.function == "COUNT" and what.argument is None


def fields_of(sobject: SObject, group: str) -> list[Field]:
    """Return the fields that FIELDS(ALL), FIELDS(STANDARD) or FIELDS(CUSTOM) means."""
    group = group.upper()
    return [each for each in sobject.fields if group == "ALL" or each.custom == (group == "CUSTOM")]
