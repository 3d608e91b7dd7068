"""The rows changed in a span of time, and the rows that a user worked with last.

REST API guide: "sObject Get Updated", "sObject Get Deleted", "Recently Viewed Items".

Rows that skip the recycle bin, or were removed from it, are not listed here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from localorg.data.values import stamp
from localorg.dates import when
from localorg.errors import OrgError
from localorg.http.registry import RESOURCES, Call, Reply, Way
from localorg.numbers import whole
from localorg.rest.sobjects import the_object
from localorg.schema.model import SObject

DAYS_KEPT = 30
_MOST_RECENT = 200


@RESOURCES.add("GET", "/sobjects/{}/updated", Way.READ)
def updated(call: Call, name: str) -> Reply:
    """Return the ids of the rows created or changed from start (included) to end (excluded)."""
    sobject = _replicated(the_object(call, name))
    start, end = _span(call)
    alive = ' AND "IsDeleted" = 0' if sobject.field("IsDeleted") else ""
    statement = f'SELECT "Id" FROM "{sobject.name}" WHERE "SystemModstamp" >= ? AND "SystemModstamp" < ?{alive}'
    rows = call.org.connection.execute(f'{statement} ORDER BY "Id"', (start, end)).fetchall()
    return Reply(200, {"ids": [row[0] for row in rows], "latestDateCovered": _covered(call, end)})


@RESOURCES.add("GET", "/sobjects/{}/deleted", Way.READ)
def deleted(call: Call, name: str) -> Reply:
    """Return the rows put into the recycle bin from start (included) to end (excluded), with the time."""
    sobject = _replicated(the_object(call, name))
    start, end = _span(call)
    rows: list[Any] = []
    if sobject.field("IsDeleted"):
        statement = f"""SELECT "Id", "SystemModstamp" FROM "{sobject.name}"
                        WHERE "IsDeleted" = 1 AND "SystemModstamp" >= ? AND "SystemModstamp" < ? ORDER BY "Id" """
        rows = call.org.connection.execute(statement, (start, end)).fetchall()
    earliest = stamp(call.org.clock() - timedelta(days=DAYS_KEPT))
    body = {"deletedRecords": [{"deletedDate": when, "id": record_id} for record_id, when in rows]}
    return Reply(200, {**body, "earliestDateAvailable": earliest, "latestDateCovered": _covered(call, end)})


def _replicated(sobject: SObject) -> SObject:
    if sobject.field("SystemModstamp") is None:
        raise OrgError(400, "INVALID_TYPE_FOR_OPERATION", f"entity type is not replicateable: {sobject.name}")
    return sobject


def _covered(call: Call, end: str) -> str:
    return min(end, stamp(call.org.clock()))


def _span(call: Call) -> tuple[str, str]:
    """Return start and end in the form of the columns; they are cut to whole minutes, as on the platform."""
    start, end = (_moment(call, name) for name in ("start", "end"))
    if start >= end:
        raise _bad_date("endDate before startDate or too close to it")
    if end < call.org.clock() - timedelta(days=DAYS_KEPT) or start < call.org.clock() - timedelta(days=DAYS_KEPT):
        raise _bad_date(f"startDate before the last {DAYS_KEPT} days")
    return stamp(start), stamp(end)


def _moment(call: Call, name: str) -> datetime:
    # A plus sign that the client did not encode arrives as a space.
    text = call.query.get(name, "").strip().replace(" ", "+")
    if not text:
        raise OrgError(400, "MISSING_ARGUMENT", f"{name} is a required parameter")
    try:
        moment = when(text)
        return (
            (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(second=0, microsecond=0)
        )
    except (ValueError, OverflowError):
        raise _bad_date(f"{name} is no ISO 8601 date and time: {text}") from None


def _bad_date(message: str) -> OrgError:
    return OrgError(400, "INVALID_REPLICATION_DATE", f"invalid replication date: {message}")


@RESOURCES.add("GET", "/recent", Way.READ)
def recent(call: Call) -> Reply:
    """Return the rows the user worked with last, at most ?limit= of them (maximum and default: 200)."""
    asked = whole(call.query.get("limit", ""))
    limit = _MOST_RECENT if asked is None else min(asked, _MOST_RECENT)
    shown: list[dict[str, Any]] = []
    for name, record_id in call.org.recent.rows(call.user):
        if len(shown) >= limit:
            break
        fields = [each for each in ("Id", "Name") if the_object(call, name).field(each)]
        try:
            shown.append(call.org.records.get(name, record_id, fields, version=call.version))
        except OrgError:  # the row no longer exists
            continue
    call.work.rows_read += len(shown)
    return Reply(200, shown)
