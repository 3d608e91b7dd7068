"""The SQLite tables that hold the rows of the objects."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from localorg.schema.model import Field, Schema


def create_tables(connection: sqlite3.Connection, schema: Schema) -> None:
    """Create a table for each object, or bring the tables of an older database up to the schema.

    One column a field. Text is NOCASE unless the field minds case (NOCASE folds A-Z only; queries fold other letters
    themselves). References are indexed, except those to owner, creator and last modifier. Unique fields are held by a
    unique index over the rows that are neither null nor deleted.
    """
    for each in schema.objects.values():
        if each.event:
            continue
        columns = {one.name: _column(one) for one in each.fields}
        columns.setdefault("IsDeleted", f'"IsDeleted" {_SQL_TYPES["boolean"]}')
        connection.execute(f'CREATE TABLE IF NOT EXISTS "{each.name}" ({", ".join(columns.values())})')
        there = {row[1] for row in connection.execute(f'PRAGMA table_info("{each.name}")')}
        for name in columns.keys() - there:
            connection.execute(f'ALTER TABLE "{each.name}" ADD COLUMN {columns[name]}')
        for one in each.fields:
            for statement in _indexes(each.name, one):
                connection.execute(statement)


def _column(one: Field) -> str:
    if one.type == "id":
        return f'"{one.name}" TEXT PRIMARY KEY NOT NULL'
    if one.type in _SQL_TYPES:
        return f'"{one.name}" {_SQL_TYPES[one.type]}'
    plain = one.type in _PLAIN or one.case_sensitive
    return f'"{one.name}" TEXT' if plain else f'"{one.name}" TEXT COLLATE NOCASE'


def _indexes(table: str, one: Field) -> Iterator[str]:
    target = f'"{table}" ("{one.name}")'
    if one.unique:
        name = f'"{table}.{one.name} unique"'
        yield f'CREATE UNIQUE INDEX IF NOT EXISTS {name} ON {target} WHERE "{one.name}" IS NOT NULL AND "IsDeleted" = 0'
    elif one.external_id or (one.type == "reference" and one.name not in UNINDEXED):
        yield f'CREATE INDEX IF NOT EXISTS "{table}.{one.name}" ON {target} WHERE "{one.name}" IS NOT NULL'


# Fields with the same user in nearly every row: an index on them would slow each insert and help no query.
UNINDEXED = frozenset({"OwnerId", "CreatedById", "LastModifiedById"})
_SQL_TYPES = {"boolean": "INTEGER NOT NULL DEFAULT 0", "int": "INTEGER"}
_SQL_TYPES |= {"double": "REAL", "currency": "REAL", "percent": "REAL"}
_PLAIN = frozenset({"id", "reference", "date", "datetime"})  # text that is compared byte by byte
