"""The query resource: a statement in, JSON-ready answers out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from localorg.errors import OrgError
from localorg.numbers import double
from localorg.schema.model import Schema
from localorg.soql.columns import columns
from localorg.soql.compiler import compiled
from localorg.soql.cursors import Cursor, Cursors
from localorg.soql.literals import Now, Person, stored
from localorg.soql.locales import formatted
from localorg.soql.plans import MOST_ROWS, Count, Groups, Plan, Record, Rows
from localorg.soql.reader import Reader
from localorg.versions import LATEST

MOST_BATCH, LEAST_BATCH = 2_000, 200
_SETTINGS = 'SELECT "TimeZoneSidKey", "LocaleSidKey" FROM "User" WHERE "Id" = ?'
_REMEMBERED = 256  # compiled statements
_WORTH_REMEMBERING = 16_384  # characters; longer statements are lists of ids that do not come twice


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the query resource, and how many rows it holds: parents and children."""

    body: dict[str, Any]
    rows: int


class Soql:
    """Answers to SOQL from one SQLite connection. Only the thread that owns the connection may use it.

    `clock` tells the time, aware; `user_id` is the user the statements run as, and may be changed between two of them.
    Time zone and locale are those of the user's row; `time_zone` is for a user who has none. Refusals are OrgError.

    `noted` is told of the rows that FOR VIEW and FOR REFERENCE read: ("VIEW" or "REFERENCE", object, ids).
    """

    noted: Callable[[str, str, Sequence[str]], None] | None = None

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
        self._now = Now(clock(), Person(user_id, time_zone))
        connection.create_function("fold", 1, _fold, deterministic=True)
        connection.create_function("formatted", 3, self._formatted)
        connection.create_function("local", 1, self._local)
        self._remembered = lru_cache(_REMEMBERED)(self._compile)

    def query(self, text: str, *, version: str = LATEST, batch_size: int = MOST_BATCH, deleted: bool = False) -> Answer:
        """Return the first page.

        `batch_size` is kept between 200 and 2,000. `deleted` means queryAll: the recycle bin too.
        """
        plan = self._plan(text, deleted=deleted)
        reader = self._reader(version, max(LEAST_BATCH, min(MOST_BATCH, batch_size)))
        if isinstance(plan, Count):
            return self._count(plan, reader)
        if isinstance(plan, Groups):
            return self._groups(plan, reader)
        return self._tracked(plan, self._rows(plan, reader))

    def more(self, locator: str, *, version: str = LATEST) -> Answer:
        """Return the page of a locator (`01g...-2000`). A page can be read again.

        Raise OrgError INVALID_QUERY_LOCATOR.
        """
        cursor, start = self.cursors.find(locator)
        return self._tracked(cursor.plan, _page(self._reader(version, cursor.batch_size), cursor, start))

    def columns(self, text: str) -> dict[str, Any]:
        """Return the answer of `columns=true`: the statement's columns. The statement is checked but not run."""
        return columns(self.schema, text)

    def rows(self, text: str, *, deleted: bool = False) -> Iterator[Record]:
        """Yield every record of a statement, page after page."""
        answer = self.query(text, deleted=deleted).body
        while True:
            yield from answer["records"]
            if answer["done"]:
                return
            answer = self.more(answer["nextRecordsUrl"].rpartition("/")[2]).body

    def explain(self, text: str) -> dict[str, Any]:
        """Return how the statement would run, in the form of the explain resource. It is checked but not run."""
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
        self._now = Now(self.clock(), self._person(), self._fiscal_month())
        return Reader(self.connection, self.cursors, self._now, version, batch_size)

    def _person(self) -> Person:
        found = self.connection.execute(_SETTINGS, (self.user_id,)).fetchone()
        zone, locale = found or (None, None)
        return Person(self.user_id, _zone(zone) or self.time_zone, locale or "en_US")

    def _fiscal_month(self) -> int:
        (month,) = self.connection.execute('SELECT max("FiscalYearStartMonth") FROM "Organization"').fetchone()
        return month if month in range(1, 13) else 1

    def _formatted(self, value: Any, kind: str, scale: int) -> str | None:
        person = self._now.person
        return formatted(value, kind, scale, person.locale, person.zone)

    def _local(self, moment: str | None) -> str | None:
        """Return a stored dateTime as the user's clock shows it, without an offset."""
        if moment is None:
            return None
        utc = datetime.fromisoformat(moment[:19]).replace(tzinfo=UTC)
        return utc.astimezone(self._now.person.zone).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")

    def _tracked(self, plan: Rows, answer: Answer) -> Answer:
        """Note the rows of an answer as viewed or referenced, when the statement says so."""
        if plan.tracking is None:
            return answer
        ids = [record["attributes"]["url"].rpartition("/")[2] for record in answer.body["records"]]
        names = ("LastReferencedDate", "LastViewedDate")[: 2 if plan.tracking == "VIEW" else 1]
        there = [name for name in names if plan.sobject.field(name)]
        if there and ids:
            changes = ", ".join(f'"{name}" = ?' for name in there)
            sql = f'UPDATE "{plan.sobject.name}" SET {changes} WHERE "Id" IN (SELECT value FROM json_each(?))'
            self.connection.execute(sql, (*[stored(self._now.time)] * len(there), json.dumps(ids)))
        if self.noted:
            self.noted(plan.tracking, plan.sobject.name, ids)
        return answer

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
            for key in plan.booleans:
                if record[key] is not None or not plan.subtotals:
                    record[key] = record[key] == 1
            for key in plan.doubles:
                record[key] = double(record[key])
        return Answer({"totalSize": len(records), "done": True, "records": records}, len(records))

    def _rows(self, plan: Rows, reader: Reader) -> Answer:
        limit = -1 if plan.limit is None else plan.limit
        if plan.offset is not None:  # a statement with OFFSET has one page and no cursor
            limit = min(MOST_ROWS, limit) if limit >= 0 else MOST_ROWS
        elif not plan.children:
            return self._plain(plan, reader, limit)
        return _page(reader, self.cursors.cursor(plan, reader.ids(plan, limit), reader.batch_size), 0)

    def _plain(self, plan: Rows, reader: Reader, limit: int) -> Answer:
        """Read rows without children, which is the usual case: one statement when they fit on one page."""
        size = reader.batch_size
        records = reader.first(plan, size + 1 if limit < 0 else min(limit, size + 1))
        if len(records) <= size:
            return Answer({"totalSize": len(records), "done": True, "records": records}, len(records))
        records.pop()
        cursor = self.cursors.cursor(plan, reader.ids(plan, limit), size)
        return Answer(_body(reader, cursor, records, size), size)


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


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
