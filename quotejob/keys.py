"""How things are called and put down in Redis: key names, Lua scripts, compressed values, the clock."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import redis
import zstandard

from quotejob import store

# These, and the names of job() and jobs_of(), stand in scripts/queue.lua as well.
OPEN = "quotejob:open"  # every job that has a slot, by its last sign of life (ms)
HOLDING = "quotejob:holding"  # every Holding job, by when it was last looked at (ms)
QUEUES = "quotejob:queues"  # orgs with Holding jobs, by when their queue was last looked at (ms)
ALARMS = "quotejob:alarms"  # orgs by the time (ms) at which one of their jobs may go
DUE = "quotejob:schedules:due"  # schedules by their next fire time (ms)
FIRED = "quotejob:schedules:fired"  # "schedule job" by fire time (ms): decided, and not yet submitted

# What a job keeps beside its hash, by how long: KEPT stays with an ended job, for its results; SPENT too, for resume,
# unless the job is Completed; HELD goes with any end.
KEPT = ("results",)
SPENT = ("pages", "quotes", "left", "errors", "batches", "marks", "waits")
HELD = ("context", "leases", "deaths", "faults")
STAGES = ("priced", "written", "parts")  # SPENT as well; one of each for every wave


def job(job_id: str, part: str = "") -> str:
    """The key of a job's hash, or of a part kept beside it."""
    return f"quotejob:job:{job_id}:{part}" if part else f"quotejob:job:{job_id}"


def jobs_of(org_id: str, part: str) -> str:
    """The key of something that an org's jobs share."""
    return f"quotejob:org:{org_id}:{part}"


def stage(job_id: str, name: str, wave: int) -> str:
    """The key of the receipts of one stage of one wave."""
    return job(job_id, f"{name}:{wave}")


def spent(job_id: str, waves: int) -> list[str]:
    """Every key that is of no more use once the job is Completed."""
    return [job(job_id, part) for part in SPENT] + [stage(job_id, name, w) for w in range(waves) for name in STAGES]


def script(client: redis.Redis, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
    """Run scripts/``name``.lua, after the one it "needs".

    Each one may be sent twice: the client repeats a command whose answer was lost.
    """
    with store.translated():
        return client.register_script(_lua(name))(keys=keys, args=args)


def squeeze(document: Any) -> bytes:
    """JSON, compressed."""
    return zstandard.compress(orjson.dumps(document))


def unsqueeze(stored: bytes) -> Any:
    """What squeeze took."""
    return orjson.loads(zstandard.decompress(stored))


def is_id(text: str) -> bool:
    """Whether this is a job's or schedule's id, in the one way these are written; not whether there is such a one."""
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None


def read(kind: type, readers: Mapping[str, Callable[[str], Any]], stored: Mapping[str, str]) -> dict[str, Any]:
    """What a hash has of the fields of a dataclass; what a newer version left there beside them is passed over.

    Names in Redis are those of the API, in Python those of Python. A value without a reader is a text.
    """
    known = _names(kind)
    return {snake(name): readers.get(name, str)(raw) for name, raw in stored.items() if snake(name) in known}


@cache
def snake(name: str) -> str:
    """``createdById`` as ``created_by_id``."""
    return re.sub("[A-Z]", lambda found: "_" + found[0].lower(), name)


def moment(ms: float | str) -> datetime:
    """What ms() took, aware, UTC."""
    return datetime.fromtimestamp(float(ms) / 1000, UTC)


def now() -> datetime:
    """The time, aware, UTC."""
    return datetime.now(UTC)


def ms(moment: datetime | None = None) -> int:
    """Milliseconds since 1970 of the moment, or of now."""
    return int((moment or now()).timestamp() * 1000)


def us(moment: datetime) -> int:
    """Microseconds since 1970."""
    return int(moment.timestamp() * 1_000_000)


@cache
def _names(kind: type) -> frozenset[str]:
    return frozenset(field.name for field in dataclasses.fields(kind))


@cache
def _lua(name: str) -> str:
    text = (Path(__file__).parent / "scripts" / f"{name}.lua").read_text()
    needed = re.match(r"-- needs (\w+)\n", text)
    return f"{_lua(needed[1])}\n{text}" if needed else text
