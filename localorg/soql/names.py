"""Names in a statement to columns of joined tables.

A path such as Account.Owner.Name is a chain of LEFT JOINs, so rows without the parent stay in (SOQL and SOSL Reference,
"Using Relationship Queries": a null foreign key does not drop the row).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from localorg.errors import OrgError, no_such_column_on_entity
from localorg.schema import Field, Schema, SObject

from .place import pointed
from .syntax import Name, Source

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
    """Something a row has a value for: a field of it, of a parent, or a function of one."""

    sql: str
    type: str
    name: str
    field: Field | None = None  # None for a function
    joined: bool = False  # a parent's: null when there is no parent


@dataclass(frozen=True, slots=True)
class Table:
    """An object under the name it has in the SQL."""

    alias: str
    sobject: SObject

    def column(self, name: str) -> str:
        """The quoted SQL of one of its columns."""
        return f'{self.alias}."{name}"'


class Scope:
    """The tables one SELECT can name: its object and the parents it mentions, joined as they are mentioned."""

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
        """A refusal that points at a place in the statement."""
        return OrgError(400, code, pointed(self.statement, at, sentence))

    def column(self, name: Name) -> Column:
        """The field a name means; OrgError INVALID_FIELD when it means none."""
        path = self._path(name)
        table = self._parent(path[:-1], name)
        field = table.sobject.field(path[-1])
        if field is None:
            raise self.refuse("INVALID_FIELD", name.at, no_such_column_on_entity(path[-1], table.sobject.name))
        return Column(table.column(field.name), field.type, field.name, field, joined=table is not self.table)

    def parents(self, name: Name) -> list[tuple[str, Table]]:
        """The parents on the way to a name, nearest first, each with its relationship name in the schema's spelling."""
        path, found, sobject = self._path(name), [], self.table.sobject
        for end in range(1, len(path)):
            table = self._parent(path[:end], name)
            reference = sobject.parent(path[end - 1])
            found.append(((reference.relationship_name if reference else None) or path[end - 1], table))
            sobject = table.sobject
        return found

    def _path(self, name: Name) -> tuple[str, ...]:
        """The parts of a name without the alias, or the object's own name, it may start with."""
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
        parent = self.schema.object(reference.reference_to[0]) if reference else None
        if reference is None or parent is None:
            sentence = f"Didn't understand relationship '{path[-1]}' in field path. {_RELATIONSHIP_ADVICE}"
            raise self.refuse("INVALID_FIELD", name.at, sentence)
        table = Table(f"{self.table.alias}_{len(self._joins) + 1}", parent)
        on = f"{table.column('Id')} = {child.column(reference.name)}"
        self._joins.append(f' LEFT JOIN "{parent.name}" AS {table.alias} ON {on}')
        self._joined[key] = table
        return table


def _alias_of(source: Source, path: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {source.alias.lower(): path} if source.alias else {}


def find_object(schema: Schema, statement: str, name: Name) -> SObject:
    """The object a FROM names; OrgError INVALID_TYPE when there is none."""
    found = schema.object(str(name))
    if found is None or not found.queryable:
        sentence = f"sObject type '{name}' is not supported. {_ENTITY_ADVICE}"
        raise OrgError(400, "INVALID_TYPE", pointed(statement, name.at, sentence))
    return found


def unknown_children(statement: str, name: Name) -> OrgError:
    """The refusal of a sub-query over a child relationship the object does not have."""
    sentence = f"Didn't understand relationship '{name}' in FROM part of query call. {_RELATIONSHIP_ADVICE}"
    return OrgError(400, "INVALID_TYPE", pointed(statement, name.at, sentence))
