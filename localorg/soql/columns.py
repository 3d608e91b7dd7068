"""The columns of a statement, for clients that print tables: the answer to `query?q=...&columns=true`.

The resource is not in the REST API guide; its shape is the one the Salesforce command line tool reads (`columnName`,
`displayName`, `aggregate`, `joinColumns`), filled up with the keys other clients declare for it.
"""

from __future__ import annotations

from typing import Any

from localorg.schema.model import NUMBERS, TEXTS, Schema
from localorg.soql.compiler import compiled, fields_of
from localorg.soql.functions import innermost, operand
from localorg.soql.grouping import has_aggregates, is_aggregate, keyed
from localorg.soql.names import Column, Scope, find_object
from localorg.soql.parser import parse
from localorg.soql.syntax import Call, Item, Name, Operand, Query

_APEX_TYPES = {"id": "Id", "reference": "Id", "boolean": "Boolean", "int": "Integer", "date": "Date"}
_APEX_TYPES |= {"datetime": "Datetime", **dict.fromkeys(NUMBERS - {"int"}, "Double")}


def columns(schema: Schema, statement: str) -> dict[str, Any]:
    """Return the columns in the order of the SELECT. Raise OrgError when the statement could not run."""
    compiled(schema, statement, deleted=False)
    query = parse(statement)
    sobject = find_object(schema, statement, query.sources[0].name)
    found = _Columns(Scope(schema, statement, sobject, query.sources, "t"), query).all()
    return {
        "columnMetadata": found,
        "entityName": sobject.name,
        "groupBy": bool(query.group),
        "idSelected": any(each["columnName"] == "Id" for each in found),
        "keyPrefix": sobject.key_prefix,
    }


class _Columns:
    def __init__(self, scope: Scope, query: Query) -> None:
        self.scope = scope
        self.query = query

    def all(self) -> list[dict[str, Any]]:
        if has_aggregates(self.query):
            return [self._group(key, what) for key, what in keyed(self.scope, self.query)]
        return [one for item in self.query.items for one in self._of(item)]

    def _of(self, item: Item | Query) -> list[dict[str, Any]]:
        if isinstance(item, Query):
            return [self._child(item)]
        what = item.what
        if isinstance(what, Name):
            return [self._path(what)]
        if what.function == "FIELDS":
            fields = fields_of(self.scope.table.sobject, str(what.argument))
            return [self._path(Name((each.name,), what.at)) for each in fields]
        name = innermost(what)
        if name is None:
            return [_column("expr0", what.function.lower(), aggregate=True, kind="int")]
        if item.alias:
            return [_column(item.alias, _text(what), kind="string")]
        return [self._path(name)]

    def _group(self, key: str, what: Operand) -> dict[str, Any]:
        kind = "int"  # COUNT() and GROUPING()
        if isinstance(what, Call) and what.function == "FORMAT":
            kind = "string"
        elif innermost(what) and _text(what).partition("(")[0] != "grouping":
            kind = operand(self.scope, what, aggregates=True).type
        return _column(key, _text(what), aggregate=is_aggregate(what) or not isinstance(what, Name), kind=kind)

    def _path(self, name: Name) -> dict[str, Any]:
        """Return the column of a field. A field of a parent is inside its parent's column."""
        column = self.scope.column(name)
        found = _column(column.name, column.name, kind=column.type, column=column)
        for relationship, _ in reversed(self.scope.parents(name)):
            found = _column(relationship, relationship, joined=[found])
        return found

    def _child(self, query: Query) -> dict[str, Any]:
        relationship = self.scope.table.sobject.child(query.sources[0].name.parts[-1])
        child = self.scope.schema.object(relationship.child) if relationship else None
        assert relationship is not None
        assert child is not None
        assert relationship.name is not None  # the statement compiled
        scope = Scope(self.scope.schema, self.scope.statement, child, query.sources, "c")
        joined = _Columns(scope, query).all()
        return _column(relationship.name, relationship.name, aggregate=True, joined=joined)


def _text(what: Operand) -> str:
    if isinstance(what, Name):
        return what.parts[-1]
    inside = "" if what.argument is None else f"({_text(what.argument)})"
    return f"{what.function.lower()}{inside}"


def _column(
    name: str,
    shown: str,
    *,
    aggregate: bool = False,
    kind: str | None = None,
    column: Column | None = None,
    joined: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    field = column.field if column else None
    return {
        "aggregate": aggregate,
        "apexType": None if kind is None else _APEX_TYPES.get(kind, "String"),
        "booleanType": kind == "boolean",
        "columnName": name,
        "custom": bool(field and field.custom),
        "displayName": shown,
        "foreignKeyName": field.relationship_name if field else None,
        "insertable": bool(field and field.createable),
        "joinColumns": joined or [],
        "numberType": kind in NUMBERS,
        "textType": kind in TEXTS,
        "updatable": bool(field and field.updateable),
    }
