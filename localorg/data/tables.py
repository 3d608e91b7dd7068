"""What every write to an object needs, prepared once: the fields' readers, the defaults and the SQL statements."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from localorg.data.values import Reader, parser
from localorg.schema.model import DOUBLES, ChildRelationship, Field, Schema, SObject
from localorg.schema.tables import UNINDEXED

OWNER = "$user"
"""The default of a field that the calling user's id goes into."""


class Slot:
    """How one field is written: its reader, and the objects that it may refer to."""

    __slots__ = ("createable", "field", "name", "parse", "targets", "updateable")

    def __init__(self, field: Field, schema: Schema) -> None:
        self.field = field
        self.name = field.name
        self.createable = field.createable
        self.updateable = field.updateable
        self.parse: Reader = parser(field)
        # By key prefix: SQL that returns one row (whether it is deleted) if the object has a row with this id.
        self.targets = {
            schema.objects[name].key_prefix: f'SELECT "IsDeleted" FROM "{name}" WHERE "Id" = ?'
            for name in field.reference_to
        }


class Table:
    """One object and its statements."""

    def __init__(self, sobject: SObject, schema: Schema) -> None:
        self.sobject = sobject
        self.name = sobject.name
        self.prefix = sobject.key_prefix
        self.slots: dict[str, Slot] = {}
        for field in sobject.fields:
            self.slots[field.name] = self.slots[field.name.lower()] = Slot(field, schema)
        self.columns = tuple(field.name for field in sobject.fields)
        self.required = tuple(field.name for field in sobject.fields if field.required)
        self.kept_filled = frozenset(f.name for f in sobject.fields if f.updateable and not f.nillable)
        self.unique = tuple(field.name for field in sobject.fields if field.unique)
        self.references = tuple(
            self.slots[f.name] for f in sobject.fields if f.reference_to and (f.createable or f.updateable)
        )
        # A boolean that is false by default is left to the column's own default, 0.
        self.defaults = {f.name: f.default for f in sobject.fields if f.default and f.default != OWNER}
        self.owners = tuple(field.name for field in sobject.fields if field.default == OWNER)
        self.doubles = frozenset(field.name for field in sobject.fields if field.type in DOUBLES)
        self.booleans = frozenset(field.name for field in sobject.fields if field.type == "boolean")
        self.numbered = tuple((f.name, f.numbered) for f in sobject.fields if f.numbered)
        self.named = sobject.custom or bool(self.numbered)
        self.has_bin = "IsDeleted" in self.columns
        self.select_row = f'SELECT {quoted(self.columns)} FROM "{self.name}" WHERE "Id" = ?'
        self.put_in_bin = (
            f'UPDATE "{self.name}" SET "IsDeleted" = 1, "LastModifiedDate" = ?, "SystemModstamp" = ? WHERE "Id" = ?'
        )
        self.remove = f'DELETE FROM "{self.name}" WHERE "Id" = ?'
        # The rows that are deleted with a row, and the references that are emptied when it is deleted for good.
        self.kin = [
            (each.child, _kin(schema.objects[each.child], each)) for each in sobject.children if each.cascade_delete
        ]
        self.loosen = [
            f'UPDATE "{each.child}" SET "{each.field}" = NULL WHERE "{each.field}" = ?'
            for each in sobject.children
            if not each.cascade_delete and each.field not in UNINDEXED
        ]
        self._inserts: dict[tuple[str, ...], str] = {}
        self._updates: dict[tuple[str, ...], str] = {}

    def slot(self, key: str) -> Slot | None:
        """Return the field with this name, in any case."""
        return self.slots.get(key) or self.slots.get(key.lower())

    def insert(self, row: Mapping[str, Any]) -> str:
        """Return the INSERT of a row with these columns."""
        columns = tuple(row)
        statement = self._inserts.get(columns)
        if statement is None:
            marks = ", ".join("?" * len(columns))
            statement = f'INSERT INTO "{self.name}" ({quoted(columns)}) VALUES ({marks})'
            self._inserts[columns] = statement
        return statement

    def update(self, values: Mapping[str, Any]) -> str:
        """Return the UPDATE of these columns. It binds their values, then the id."""
        columns = tuple(values)
        statement = self._updates.get(columns)
        if statement is None:
            settings = ", ".join(f'"{name}" = ?' for name in columns)
            statement = f'UPDATE "{self.name}" SET {settings} WHERE "Id" = ?'
            self._updates[columns] = statement
        return statement

    def row(self, values: Sequence[Any]) -> dict[str, Any]:
        """Return the row with these column values, in the order of the fields."""
        return dict(zip(self.columns, values, strict=True))


def _kin(child: SObject, relationship: ChildRelationship) -> str:
    """Return the rows that depend on a row, also those in the recycle bin."""
    names = quoted(field.name for field in child.fields)
    return f'SELECT {names} FROM "{child.name}" WHERE "{relationship.field}" = ?'


def numbered(pattern: str, number: int) -> str:
    """Return an auto-number: the pattern "INV-{0000}" and 12 make INV-0012."""
    return re.sub(r"\{(0*)\}", lambda found: str(number).zfill(len(found[1])), pattern)


def quoted(names: Iterable[str]) -> str:
    """Return names as SQL writes them, with commas between."""
    return ", ".join(f'"{name}"' for name in names)
