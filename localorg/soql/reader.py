"""Reads the rows of a plan, with their children.

There is one statement for the rows and one for each sub-query, for any number of parents.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from localorg.soql.conditions import Value
from localorg.soql.cursors import Cursor, Cursors
from localorg.soql.literals import Edge, Mine, Now
from localorg.soql.parser import too_complicated
from localorg.soql.plans import Child, Record, Row, Rows

FIRST_CHILDREN = 499  # child rows of one parent that come with it; the rest has a locator of its own
_PROBE = 100  # parents read to learn how many rows each brings along

_AT_ONCE = 10_000  # ids on their way from the database: all at once are a list of a million for a million rows

_place = itemgetter(0)


@dataclass(slots=True)
class Reader:
    """A reader for one request: its time, the API version of its addresses, and its page size."""

    connection: sqlite3.Connection
    cursors: Cursors
    now: Now
    version: str
    batch_size: int

    def execute(self, sql: str, values: Sequence[Value]) -> sqlite3.Cursor:
        """Run a statement. Raise OrgError QUERY_TOO_COMPLICATED when it is too deep or too wide for SQLite."""
        bound = [value.value(self.now) if isinstance(value, Edge | Mine) else value for value in values]
        try:
            return self.connection.execute(sql, bound)
        except sqlite3.OperationalError as trouble:
            if any(word in str(trouble) for word in ("too large", "overflow", "too many", "at most")):
                raise too_complicated() from trouble
            raise

    def address(self, cursor: Cursor, offset: int) -> str:
        """Return the address where the rest of a result is read."""
        return f"/services/data/v{self.version}/query/{self.cursors.locator(cursor, offset)}"

    def first(self, plan: Rows, limit: int) -> list[Record]:
        """Return the first rows of a plan that has no sub-query."""
        make = plan.shape.maker(self.version)
        return [make(row) for row in self.execute(plan.first, (*plan.values, limit, plan.offset or 0))]

    def ids(self, plan: Rows, limit: int) -> str:
        """Return the ids of the rows of a plan, joined in order. A negative limit means all."""
        found = self.execute(plan.ids, (*plan.values, limit, plan.offset or 0))
        return "".join("".join(row[0] for row in rows) for rows in iter(lambda: found.fetchmany(_AT_ONCE), []))

    def page(self, cursor: Cursor, start: int) -> tuple[list[Record], int, int]:
        """Return the records from an offset on that fill one page, the offset of the next, and the number of rows.

        Child rows count. There is always one record if any is left; a parent that does not fit any more begins the next
        page.
        """
        records: list[Record] = []
        room, at = self.batch_size, start
        while room > 0 and at < len(cursor):
            ids = cursor.ids(at, self._parents_for(cursor, room))
            for place, record, weight in self._load(cursor.plan, ids):
                if weight > room and records:
                    return records, at + place, self.batch_size - room
                records.append(record)
                room -= weight
                if room <= 0:
                    return records, at + place + 1, self.batch_size - room
            at += len(ids)
            cursor.weight = (self.batch_size - room) / max(1, len(records))
        return records, at, self.batch_size - room

    def _parents_for(self, cursor: Cursor, room: int) -> int:
        if not cursor.plan.children:
            return room
        return min(_PROBE, room) if not cursor.weight else max(1, math.ceil(room / cursor.weight))

    def _load(self, plan: Rows, ids: Sequence[str]) -> Iterator[tuple[int, Record, int]]:
        """Return (place among the ids, record, number of its rows) of each id whose row is still there."""
        make, at = plan.shape.maker(self.version), plan.shape.at
        rows = self.execute(plan.page, (_array(ids),)).fetchall()
        records = [make(row) for row in rows]
        weights = self._attach(plan, [row[at] for row in rows], records)
        return zip(map(_place, rows), records, weights, strict=True)

    def _attach(self, plan: Rows, ids: Sequence[str], records: Sequence[Record]) -> list[int]:
        """Put each record's children into it. Return the number of rows that each record now counts for."""
        weights = [1] * len(records)
        for child in plan.children:
            for record in records:
                record[child.key] = None
            for place, block, weight in self._blocks(child, ids):
                records[place][child.key] = block
                weights[place] += weight
        return weights

    def _blocks(self, child: Child, parents: Sequence[str]) -> Iterable[tuple[int, Record, int]]:
        """Return (place of the parent, its block of children, rows in it) of each parent that has any."""
        plan = child.rows
        rows = self.execute(plan.under(child.reference), (_array(parents), *plan.values))
        make, at = plan.shape.maker(self.version), plan.shape.at
        most = min(FIRST_CHILDREN, self.batch_size - 1)
        found: list[tuple[int, list[Row]]] = []
        for place, group in groupby(rows, _place):
            kept = _limited(plan, list(group))
            if kept:
                found.append((place, kept))
        shown = [row for _, kept in found for row in kept[:most]]
        records = [make(row) for row in shown]
        weights = self._attach(plan, [row[at] for row in shown], records)
        start = 0
        for place, kept in found:
            end = start + min(len(kept), most)
            yield place, self._block(plan, kept, records[start:end]), sum(weights[start:end])
            start = end

    def _block(self, plan: Rows, rows: Sequence[Row], records: list[Record]) -> Record:
        block: dict[str, Any] = {"totalSize": len(rows), "done": len(records) == len(rows)}
        if not block["done"]:
            at = plan.shape.at
            cursor = self.cursors.cursor(plan, "".join(row[at] for row in rows), self.batch_size)
            block["nextRecordsUrl"] = self.address(cursor, len(records))
        block["records"] = records
        return block


def _limited(plan: Rows, rows: list[Row]) -> list[Row]:
    first = plan.offset or 0
    return rows[first:] if plan.limit is None else rows[first : first + plan.limit]


def _array(ids: Sequence[str]) -> str:
    return '["' + '","'.join(ids) + '"]' if ids else "[]"
