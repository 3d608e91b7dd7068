"""The parts of a compiled statement: SQL, the values bound to it, and the form of its rows in an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from localorg.numbers import double
from localorg.schema.model import SObject
from localorg.soql.conditions import Value

MOST_ROWS = 2_000  # of an answer that cannot be paged

Row = tuple[Any, ...]
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """The form in which a run of columns becomes a JSON object: the row's id, then one column for each key."""

    type: str
    at: int  # where in the row its id is; the keys' columns follow
    keys: tuple[str, ...]  # in the order selected; parents and children hold their place with a null column
    booleans: tuple[str, ...]
    doubles: tuple[str, ...]  # numbers with decimals
    parents: tuple[tuple[str, Shape], ...]
    kinds: Mapping[str, str] | None = None  # objects by id prefix, where the row may be of several

    def maker(self, version: str) -> Callable[[Row], Record]:
        """Return a function from a row to its record, with addresses of this API version."""
        kind, at, keys, booleans, doubles = self.type, self.at, self.keys, self.booleans, self.doubles
        url, first, last = f"/services/data/v{version}/sobjects/{kind}/", at + 1, at + 1 + len(keys)
        if self.kinds is not None:
            return self._of_several(version, self.kinds)
        parents = [(key, shape.at, shape.maker(version)) for key, shape in self.parents]

        def make(row: Row) -> Record:
            record: Record = {"attributes": {"type": kind, "url": url + row[at]}}
            record.update(zip(keys, row[first:last], strict=True))
            for key in booleans:
                record[key] = record[key] == 1
            for key in doubles:
                record[key] = double(record[key])
            for key, there, parent in parents:
                record[key] = None if row[there] is None else parent(row)
            return record

        return make

    def _of_several(self, version: str, kinds: Mapping[str, str]) -> Callable[[Row], Record]:
        """Return the same for a parent that may be of several objects: its address names its object."""
        base, at, keys = f"/services/data/v{version}/sobjects/", self.at, self.keys

        def make(row: Row) -> Record:
            url = f"{base}{kinds.get(row[at][:3], self.type)}/{row[at]}"
            values = zip(keys, row[at + 1 : at + 1 + len(keys)], strict=True)
            return {"attributes": {"type": self.type, "url": url}, **dict(values)}

        return make


@dataclass(frozen=True, slots=True)
class Child:
    """A sub-query: its key in the record, and the field that points back at the parent."""

    key: str
    reference: str
    rows: Rows


@dataclass(frozen=True, slots=True)
class Rows:
    """A SELECT of rows. Column 0 of every statement is the row's place in its page (0 when it was not asked by id)."""

    sobject: SObject
    alias: str
    columns: str
    joins: str
    live: str  # leaves out the recycle bin, unless the statement asked for it
    where: str
    values: tuple[Value, ...]
    order: str  # never empty: the last term is always the row's own place in the table
    ordered: bool  # whether the statement has an ORDER BY of its own
    limit: int | None
    offset: int | None
    shape: Shape
    children: tuple[Child, ...]
    tracking: str | None = None  # VIEW or REFERENCE: rows read are noted as such

    def select(self, columns: str) -> str:
        """Return the statement itself, over these columns. It binds `values`, then a limit and an offset."""
        table = f'"{self.sobject.name}" AS {self.alias}{self.joins}'
        return (
            f"SELECT {columns} FROM {table} WHERE {self.live} AND {self.where} ORDER BY {self.order} LIMIT ? OFFSET ?"
        )

    @property
    def first(self) -> str:
        """All columns of the first rows."""
        return self.select(f"0, {self.columns}")

    @property
    def ids(self) -> str:
        """The ids of every row."""
        return self.select(f'{self.alias}."Id"')

    @property
    def page(self) -> str:
        """The rows with the ids of a JSON array, in its order; binds the array.

        CROSS JOIN makes SQLite walk the array and look each id up, so the rows come in the array's order unsorted.
        """
        return f"{self._by('Id')} WHERE {self.live}"

    def under(self, reference: str) -> str:
        """Return the child rows' SQL for parents in a JSON array, parent by parent.

        It binds the array, then `values`.
        """
        sort = f" ORDER BY page.key, {self.order}" if self.ordered else ""
        return f"{self._by(reference)} WHERE {self.live} AND {self.where}{sort}"

    def _by(self, field: str) -> str:
        table = f'json_each(?) AS page CROSS JOIN "{self.sobject.name}" AS {self.alias}'
        return f'SELECT page.key, {self.columns} FROM {table} ON {self.alias}."{field}" = page.value{self.joins}'


@dataclass(frozen=True, slots=True)
class Groups:
    """A SELECT of aggregates: one record a group."""

    sobject: SObject
    sql: str
    values: tuple[Value, ...]
    keys: tuple[str, ...]
    booleans: tuple[str, ...]
    doubles: tuple[str, ...]
    where: str
    subtotals: bool = False  # some rows have null for a field they add up over


@dataclass(frozen=True, slots=True)
class Count:
    """SELECT COUNT(): a number and no record."""

    sobject: SObject
    sql: str
    values: tuple[Value, ...]
    where: str


Plan = Rows | Groups | Count
