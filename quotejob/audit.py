"""The audit: who did what to which job or schedule, when, and what was there before.

The stores write it (:func:`note`), so every door is covered: the API and the console. Who acts is known from the moment
when the org has said whose token came (:func:`acts`). What workers and clocks do by themselves is not in the audit. A
submission is not in it either: each job says who created it.

Each org has a Redis stream. It keeps the newest 10,000 entries, for 90 days.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from quotejob import clock
from quotejob.errors import InvalidRequest
from quotejob.store import keys
from quotejob.store.client import RedisClient

MOST = 10_000  # entries of an org
KEPT_FOR = timedelta(days=90)
_CHUNK = 500  # entries read at a time

_actor: ContextVar[tuple[str, str] | None] = ContextVar("actor", default=None)


@dataclass(frozen=True, slots=True)
class Before:
    """The value that a field had before. "": it had none."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that somebody did."""

    at: datetime
    by_id: str
    by_name: str
    action: str  # the name of the API's operation
    job_id: str | None
    schedule_id: str | None
    name: str | None  # of the job or schedule, when it was done
    before: tuple[Before, ...]


def acts(user_id: str, name: str | None) -> None:
    """Say who acts from now on in this thread or task."""
    _actor.set((user_id, name or ""))


def actor() -> str | None:
    """Return the id of the user who acts; None: no person does."""
    acting = _actor.get()
    return acting and acting[0]


def note(
    client: RedisClient,
    org_id: str,
    action: str,
    *,
    job_id: str | None = None,
    schedule_id: str | None = None,
    name: str | None = None,
    before: Mapping[str, Any] | None = None,
) -> None:
    """Write down what was just done, if a person did it. Raises StoreUnavailable.

    ``before``: the fields that changed, by the names of the API, and their values before.
    """
    actor = _actor.get()
    if actor is None:
        return
    fields = {
        "byId": actor[0],
        "byName": actor[1],
        "action": action,
        "jobId": job_id,
        "scheduleId": schedule_id,
        "name": name,
        "before": json.dumps({field: _text(value) for field, value in before.items()}) if before else None,
    }
    key, kept = keys.jobs_of(org_id, "audit"), KEPT_FOR
    pipe = client.pipeline()
    pipe.xadd(key, {field: value for field, value in fields.items() if value is not None}, maxlen=MOST)
    pipe.xtrim(key, minid=str(clock.ms(clock.now() - kept)))
    pipe.expire(key, kept)
    pipe.execute()


def entries(
    client: RedisClient, org_id: str, *, concerns: str | None = None, limit: int = 50, cursor: str | None = None
) -> tuple[list[Entry], str | None]:
    """Return the newest entries of an org, at most ``limit``, and the cursor of older ones, or None.

    ``concerns`` is the id of a job or schedule: only its entries. Raises InvalidRequest for a cursor that is none, and
    StoreUnavailable.
    """
    found: list[tuple[str, Entry]] = []
    for place, entry in _newest_first(client, org_id, cursor):
        if concerns is None or concerns in (entry.job_id, entry.schedule_id):
            found.append((place, entry))
            if len(found) > limit:
                return [each for _, each in found[:limit]], found[limit - 1][0]
    return [entry for _, entry in found], None


def _newest_first(client: RedisClient, org_id: str, cursor: str | None) -> Iterator[tuple[str, Entry]]:
    newest = "+" if cursor is None else f"({_checked(cursor)}"
    while True:
        found = cast(
            list[tuple[bytes, dict[bytes, bytes]]],
            client.xrevrange(keys.jobs_of(org_id, "audit"), newest, "-", count=_CHUNK),
        )
        for place, fields in found:
            yield place.decode(), _entry(place.decode(), fields)
        if len(found) < _CHUNK:
            return
        newest = f"({found[-1][0].decode()}"


def _checked(cursor: str) -> str:
    """Return the cursor. Raises InvalidRequest if it is not the id of an entry of a stream."""
    millis, _, number = cursor.partition("-")
    if not all(part.isascii() and part.isdigit() and len(part) < 20 for part in (millis, number)):
        raise InvalidRequest.field("cursor", "does not come from this list; leave it out to begin at the newest entry")
    return cursor


def _entry(place: str, fields: Mapping[bytes, bytes]) -> Entry:
    said = {name.decode(): value.decode() for name, value in fields.items()}
    before = json.loads(said.get("before", "{}"))
    return Entry(
        at=datetime.fromtimestamp(int(place.partition("-")[0]) / 1000, UTC),
        by_id=said.get("byId", ""),
        by_name=said.get("byName", ""),
        action=said.get("action", ""),
        job_id=said.get("jobId"),
        schedule_id=said.get("scheduleId"),
        name=said.get("name"),
        before=tuple(Before(field, value) for field, value in before.items()),
    )


def _text(value: Any) -> str:
    """Return a value as the API writes it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
