"""The query resource: a statement in, JSON-ready answers out."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from localorg.errors import OrgError
from localorg.schema import Schema

from .compiler import MOST_ROWS, compiled
from .cursors import Cursor, Cursors
from .literals import Now
from .plans import Count, Groups, Plan, Record, Rows
from .reader import Reader

MOST_BATCH, LEAST_BATCH = 2_000, 200
_REMEMBERED = 256  # compiled statements
_WORTH_REMEMBERING = 16_384  # characters; longer statements are lists of ids that do not come twice


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the query resource, and how many rows it holds: parents and children."""

    body: dict[str, Any]
    rows: int


class Soql:
    """Answers SOQL from one SQLite connection; to be used by the thread that owns the connection.

    `clock` tells the time, aware; `time_zone` is the user's, where days begin for date literals; `user_id` is the user
    the statements run as. Refusals are OrgError.
    """

    def __init__(
        self,
        schema: Schema,
        connection: sqlite3.Connection,
        *,
        clock: Callable[[], datetime],
        user_id: str,
        time_zone: ZoneInfo,
    ) -> None:
        self.schema = schema
        self.connection = connection
        self.clock = clock
        self.user_id = user_id
        self.time_zone = time_zone
        self.cursors = Cursors(clock)
        connection.create_function("fold", 1, _fold, deterministic=True)
        self._remembered = lru_cache(_REMEMBERED)(self._compile)

    def query(self, text: str, *, version: str = "66.0", batch_size: int = MOST_BATCH, deleted: bool = False) -> Answer:
        """The first page. `batch_size` is kept within 200 and 2,000; `deleted` is queryAll: the recycle bin too."""
        plan = self._plan(text, deleted=deleted)
        reader = self._reader(version, max(LEAST_BATCH, min(MOST_BATCH, batch_size)))
        if isinstance(plan, Count):
            return self._count(plan, reader)
        if isinstance(plan, Groups):
            return self._groups(plan, reader)
        return self._rows(plan, reader)

    def more(self, locator: str, *, version: str = "66.0") -> Answer:
        """The page a locator (`01g...-2000`) stands for. A page can be read again; OrgError INVALID_QUERY_LOCATOR."""
        cursor, start = self.cursors.find(locator)
        return _page(self._reader(version, cursor.batch_size), cursor, start)

    def rows(self, text: str, *, deleted: bool = False) -> Iterator[Record]:
        """Every record of a statement, page after page."""
        answer = self.query(text, deleted=deleted).body
        while True:
            yield from answer["records"]
            if answer["done"]:
                return
            answer = self.more(answer["nextRecordsUrl"].rpartition("/")[2]).body

    def explain(self, text: str) -> dict[str, Any]:
        """How the statement would run, in the shape of the explain resource; it is checked but not run."""
        plan = self._plan(text, deleted=False)
        name = plan.sobject.name
        size = int(self.connection.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0])
        indexed = _leads_with_index(plan)
        found = max(1, size // 10) if indexed and size else size
        step = {
            "cardinality": found,
            "fields": ["Id"] if indexed else [],
            "leadingOperationType": "Index" if indexed else "TableScan",
            "notes": [],
            "relativeCost": round(found / size, 3) if size else 0.0,
            "sobjectCardinality": size,
            "sobjectType": name,
        }
        return {"plans": [step], "sourceQuery": text}

    # --- inside ---

    def _compile(self, text: str, deleted: bool) -> Plan:
        return compiled(self.schema, text, deleted=deleted)

    def _plan(self, text: str, *, deleted: bool) -> Plan:
        return (self._remembered if len(text) <= _WORTH_REMEMBERING else self._compile)(text, deleted)

    def _reader(self, version: str, batch_size: int) -> Reader:
        return Reader(self.connection, self.cursors, Now(self.clock(), self.time_zone), version, batch_size)

    def _count(self, plan: Count, reader: Reader) -> Answer:
        (found,) = reader.execute(plan.sql, plan.values).fetchone()
        return Answer({"totalSize": found, "done": True, "records": []}, 0)

    def _groups(self, plan: Groups, reader: Reader) -> Answer:
        rows = reader.execute(plan.sql, plan.values).fetchall()
        if len(rows) > MOST_ROWS:
            advice = "use LIMIT to restrict the results to a single batch"
            raise OrgError(400, "EXCEEDED_ID_LIMIT", f"Aggregate query does not support queryMore(), {advice}")
        records = [
            {"attributes": {"type": "AggregateResult"}, **dict(zip(plan.keys, row, strict=True))} for row in rows
        ]
        for record in records:
            record.update((key, record[key] == 1) for key in plan.booleans)
        return Answer({"totalSize": len(records), "done": True, "records": records}, len(records))

    def _rows(self, plan: Rows, reader: Reader) -> Answer:
        limit = -1 if plan.limit is None else plan.limit
        if plan.offset is not None:  # a statement with OFFSET has one page and no cursor
            limit = min(MOST_ROWS, limit) if limit >= 0 else MOST_ROWS
        elif not plan.children:
            return self._plain(plan, reader, limit)
        return _page(reader, self.cursors.cursor(plan, reader.ids(plan, limit), reader.batch_size), 0)

    def _plain(self, plan: Rows, reader: Reader, limit: int) -> Answer:
        """The usual case: rows without children, in one statement when they fit on one page."""
        size = reader.batch_size
        records = reader.first(plan, size + 1 if limit < 0 else min(limit, size + 1))
        if len(records) <= size:
            return Answer({"totalSize": len(records), "done": True, "records": records}, len(records))
        records.pop()
        cursor = self.cursors.cursor(plan, reader.ids(plan, limit), size)
        return Answer(_body(reader, cursor, records, size), size)


def _page(reader: Reader, cursor: Cursor, start: int) -> Answer:
    records, end, rows = reader.page(cursor, start)
    return Answer(_body(reader, cursor, records, end), rows)


def _body(reader: Reader, cursor: Cursor, records: list[Record], end: int) -> dict[str, Any]:
    body: dict[str, Any] = {"totalSize": len(cursor), "done": end >= len(cursor)}
    if not body["done"]:
        body["nextRecordsUrl"] = reader.address(cursor, end)
    body["records"] = records
    return body


def _leads_with_index(plan: Plan) -> bool:
    return '"Id" = ?' in plan.where or '"Id" IN (' in plan.where


def _fold(text: str | None) -> str | None:
    return text.lower() if isinstance(text, str) else None
