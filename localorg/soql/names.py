"""Names in a statement, resolved to columns of joined tables.

A path such as Account.Owner.Name is a chain of LEFT JOINs, so rows without the parent stay in (SOQL and SOSL Reference,
"Using Relationship Queries": a null foreign key does not drop the row).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from localorg.errors import OrgError, no_such_column_on_entity
from localorg.schema.model import Field, Schema, SObject
from localorg.soql.place import pointed
from localorg.soql.syntax import Name, Source

_MOST_LEVELS = 5  # parents of parents in one path
_MOST_JOINS = 55  # parents in one statement

_RELATIONSHIP_ADVICE = (
    "If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship "
    "name. Please reference your WSDL or the describe call for the appropriate names."
)
_ENTITY_ADVICE = (
    "If you are attempting to use a custom object, be sure to append the '__c' after the entity name. "
    "Please reference your WSDL or the describe call for the appropriate names."
)


@dataclass(frozen=True, slots=True)
class Column:
    """Something for which a row has a value: its own field, a parent's field, or a function of a field."""

    sql: str
    type: str
    name: str
    field: Field | None = None  # None for a function
    joined: bool = False  # a parent's: null when there is no parent


@dataclass(frozen=True, slots=True)
class Table:
    """An object under its name in the SQL."""

    alias: str
    sobject: SObject
    kinds: Mapping[str, str] | None = None  # a parent of one of several objects: their names by id prefix

    def column(self, name: str) -> str:
        """Return the quoted SQL of one of its columns."""
        return f'{self.alias}."{name}"'


class Scope:
    """The tables that one SELECT can name: its object, and the parents it mentions, joined when mentioned."""

    def __init__(self, schema: Schema, statement: str, sobject: SObject, sources: Sequence[Source], alias: str) -> None:
        self.schema = schema
        self.statement = statement
        self.table = Table(alias, sobject)
        self._joined: dict[tuple[str, ...], Table] = {(): self.table}
        self._joins: list[str] = []
        self._aliases = {sobject.name.lower(): (), str(sources[0].name).lower(): ()} | _alias_of(sources[0], ())
        for source in sources[1:]:
            path = self._path(source.name)
            self._parent(path, source.name)
            self._aliases |= _alias_of(source, path)

    @property
    def joins(self) -> str:
        """The SQL of every join asked for so far, with a space before it."""
        return "".join(self._joins)

    def refuse(self, code: str, at: int, sentence: str) -> OrgError:
        """Return an error that points at a place in the statement."""
        return OrgError(400, code, pointed(self.statement, at, sentence))

    def column(self, name: Name) -> Column:
        """Return the field that a name means. Raise OrgError INVALID_FIELD when it means none."""
        path = self._path(name)
        table = self._parent(path[:-1], name)
        field = table.sobject.field(path[-1])
        if field is None:
            raise self.refuse("INVALID_FIELD", name.at, no_such_column_on_entity(path[-1], table.sobject.name))
        sql = table.column(field.name)
        if table.kinds and field.type != "id":
            sql += " COLLATE NOCASE"
        return Column(sql, field.type, field.name, field, joined=table is not self.table)

    def parents(self, name: Name) -> list[tuple[str, Table]]:
        """Return the parents on the way to a name, nearest first, with their relationship names as in the schema."""
        path, found, sobject = self._path(name), [], self.table.sobject
        for end in range(1, len(path)):
            table = self._parent(path[:end], name)
            reference = sobject.parent(path[end - 1])
            found.append(((reference.relationship_name if reference else None) or path[end - 1], table))
            sobject = table.sobject
        return found

    def _path(self, name: Name) -> tuple[str, ...]:
        """Return the parts of a name, without the alias or object name with which it may start."""
        first = name.parts[0].lower()
        if len(name.parts) > 1 and first in self._aliases:
            return self._aliases[first] + name.parts[1:]
        return name.parts

    def _parent(self, path: tuple[str, ...], name: Name) -> Table:
        key = tuple(part.lower() for part in path)
        if key in self._joined:
            return self._joined[key]
        if len(path) > _MOST_LEVELS or len(self._joins) >= _MOST_JOINS:
            sentence = f"SOQL statements cannot follow more than {_MOST_LEVELS} levels or {_MOST_JOINS} parents: {name}"
            raise self.refuse("MALFORMED_QUERY", name.at, sentence)
        child = self._parent(path[:-1], name)
        reference = child.sobject.parent(path[-1])
        objects = map(self.schema.object, reference.reference_to if reference else ())
        candidates = [each for each in objects if each]
        if reference is None or not candidates:
            sentence = f"Didn't understand relationship '{path[-1]}' in field path. {_RELATIONSHIP_ADVICE}"
            raise self.refuse("INVALID_FIELD", name.at, sentence)
        alias = f"{self.table.alias}_{len(self._joins) + 1}"
        table = Table(alias, candidates[0]) if len(candidates) == 1 else _of_several(alias, candidates)
        source = _SEVERAL.join(map(_name_rows, candidates)) if table.kinds else f'"{table.sobject.name}"'
        source = f"({source})" if table.kinds else source
        on = f"{table.column('Id')} = {child.column(reference.name)}"
        self._joins.append(f" LEFT JOIN {source} AS {table.alias} ON {on}")
        self._joined[key] = table
        return table


_SEVERAL = " UNION ALL "


def _of_several(alias: str, candidates: Sequence[SObject]) -> Table:
    """Return a parent that may be of several objects. Only fields that all of them have can be named.

    Source: SOQL and SOSL Reference, "Understanding Polymorphic Relationships": Id, Name and Type of the object called
    Name.
    """
    fields = (Field("Id", "id", "ID", 18), Field("Name", "string", "Name", 255), Field("Type", "picklist", "Type", 40))
    name = SObject("Name", "Name", "Names", "", custom=False, fields=fields)
    return Table(alias, name, {each.key_prefix: each.name for each in candidates})


def _name_rows(sobject: SObject) -> str:
    name = '"Name"' if sobject.field("Name") else "NULL"
    return f'SELECT "Id", {name} AS "Name", \'{sobject.name}\' AS "Type" FROM "{sobject.name}"'


def _alias_of(source: Source, path: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {source.alias.lower(): path} if source.alias else {}


def find_object(schema: Schema, statement: str, name: Name) -> SObject:
    """Return the object that a FROM names. Raise OrgError INVALID_TYPE when there is none."""
    found = schema.object(str(name))
    if found is None or not found.queryable:
        sentence = f"sObject type '{name}' is not supported. {_ENTITY_ADVICE}"
        raise OrgError(400, "INVALID_TYPE", pointed(statement, name.at, sentence))
    return found


def unknown_children(statement: str, name: Name) -> OrgError:
    """Return the error for a sub-query over a child relationship that the object does not have."""
    sentence = f"Didn't understand relationship '{name}' in FROM part of query call. {_RELATIONSHIP_ADVICE}"
    return OrgError(400, "INVALID_TYPE", pointed(statement, name.at, sentence))
