"""What the metrics are made of, in two round trips: the state of jobs and workers, counters, the memory of Redis."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from quotejob.store import keys, scripts, usage
from quotejob.store.client import RedisClient
from quotejob.store.usage import ApiCalls
from quotejob.tally import Counts

WORKER_ALIVE = 15.0  # seconds after its last sign of life for which a worker counts as alive
JOB_SILENT = 60.0  # seconds without a sign of life after which a job with a slot counts as silent


class State(msgspec.Struct, frozen=True):
    """The state now. Times and lengths of time are in milliseconds."""

    now: int
    jobs: dict[str, int]  # "status type" -> jobs that have not ended
    units_unheld: int
    jobs_silent: int
    queue_orgs: int
    queue_longest: int
    queue_oldest: float
    schedules: int
    schedules_late: float
    fired: int
    clean_ups: int
    workers: int
    ticked: int


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that the metrics are made of."""

    state: State
    counters: dict[str, float]
    api_calls: list[ApiCalls] = field(default_factory=list)
    memory: dict[str, int] = field(default_factory=dict)  # of Redis, as INFO names it


def read(client: RedisClient) -> Reading:
    """Return a new reading. Raises StoreUnavailable."""
    said = scripts.run(
        client, "metrics/read", open=keys.OPEN, holding=keys.HOLDING, types=keys.HOLDING_TYPES, queues=keys.QUEUES,
        due=keys.DUE, fired=keys.FIRED, workers=keys.WORKERS, ticked=keys.TICKED, clean_ups=keys.CLEAN_UPS,
        alive=int(WORKER_ALIVE * 1000), silent=int(JOB_SILENT * 1000),
    )  # fmt: skip
    # Lua writes an empty table as a list.
    state = msgspec.convert(
        {name: {} if value == [] or value == {} else value for name, value in msgspec.json.decode(said).items()},
        State,
        strict=False,
    )
    pipe = client.pipeline(transaction=False)
    pipe.hgetall(keys.METRICS)
    pipe.hgetall(keys.API_CALLS)
    pipe.info("memory")
    pipe.info("stats")
    counters, api_calls, memory, stats = pipe.execute()
    return Reading(
        state,
        {name.decode(): float(value) for name, value in counters.items()},
        [
            found
            for host, text in api_calls.items()
            if (found := usage.of_text(host.decode(), text, state.now)) is not None
        ],
        {name: int({**memory, **stats}.get(name, 0)) for name in ("used_memory", "maxmemory", "evicted_keys")},
    )


def store(client: RedisClient, counts: Counts) -> None:
    """Add what a process has counted. Raises StoreUnavailable, and then nothing is added."""
    pipe = client.pipeline()
    for name, number in counts.counts.items():
        pipe.hincrby(keys.METRICS, name, number)
    for name, seconds in counts.seconds.items():
        pipe.hincrbyfloat(keys.METRICS, name, seconds)
    for host, value in counts.notes.items():
        pipe.hset(keys.API_CALLS, host, value)
    pipe.execute()


def note_alive(client: RedisClient, worker: str) -> None:
    """Store a sign of life of a worker. Raises StoreUnavailable."""
    scripts.run(client, "metrics/alive", workers=keys.WORKERS, worker=worker)
