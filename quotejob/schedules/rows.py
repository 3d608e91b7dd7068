"""A schedule as a hash in Redis: its keys, how it is written and how it is read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from quotejob import clock, formats
from quotejob.schedules.schedule import Schedule
from quotejob.store import keys, rows
from quotejob.store.client import RedisClient

_TIMES = ("created_date", "start_time", "end_time", "next_fire_time", "previous_fire_time")
_READERS: dict[str, rows.Reader] = {**dict.fromkeys(_TIMES, clock.moment), "parameters": orjson.loads}


def key(schedule_id: str, part: str = "") -> str:
    """Return the key of a schedule's hash, or of a part that is kept beside it."""
    return f"quotejob:schedule:{schedule_id}:{part}" if part else f"quotejob:schedule:{schedule_id}"


def script_keys(schedule: Schedule) -> dict[str, str]:
    """Return the keys that all scripts in store/lua/schedules need, by the names they have there."""
    org_id = schedule.org_id
    return {
        "schedule": key(schedule.schedule_id),
        "fired_here": key(schedule.schedule_id, "fired"),
        "due": keys.DUE,
        "schedules": keys.jobs_of(org_id, "schedules"),
        "names": keys.jobs_of(org_id, "schedule-names"),
        "guaranteed_key": keys.jobs_of(org_id, "guaranteed"),
        "revision_key": keys.jobs_of(org_id, "guaranteed-revision"),
        "version_key": keys.version(org_id),
    }


def to_row(schedule: Schedule) -> dict[str, Any]:
    """Return the fields of the schedule's hash. Times are in milliseconds; what is None or empty is left out."""
    row: dict[str, Any] = {}
    for name in Schedule.__dataclass_fields__:
        value = getattr(schedule, name)
        if name not in ("schedule_id", "format") and value is not None and value != ():
            if isinstance(value, datetime):
                value = clock.ms(value)
            elif isinstance(value, tuple):
                value = orjson.dumps(value).decode()
            row[camel(name)] = int(value) if isinstance(value, bool) else value
    return row | formats.stored(row)


def camel(field: str) -> str:
    """Return the name that a field of Schedule has in the hash."""
    first, *others = field.split("_")
    return first + "".join(other.title() for other in others)


def from_row(schedule_id: str, row: rows.Row) -> Schedule:
    """Return the schedule that a hash holds. Raises ValueError."""
    return rows.read(Schedule, row, _READERS, schedule_id=schedule_id)


def get_many(client: RedisClient, schedule_ids: Sequence[str]) -> list[Schedule]:
    """Return those of the schedules that exist and that this version can read, in the given order.

    Those that do not exist are removed from the list of due ones. The state EXECUTING is not told apart from WAITING
    here. Raises StoreUnavailable.
    """
    stored = client.hashes(key(schedule_id) for schedule_id in schedule_ids)
    found = dict(zip(schedule_ids, stored, strict=True))
    if gone := [schedule_id for schedule_id, row in found.items() if not row]:
        client.zrem(keys.DUE, *gone)
    return list(rows.readable(from_row, found.items()))
