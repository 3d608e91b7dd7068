"""The gate: how many steps may ask an org at a time, over all workers.

At most QUOTEJOB_ORG_REQUESTS steps of an org are under way, each with one request at a time. While the org has trouble
they are fewer: the limit shrinks when it refuses or does not answer, and grows again with each step that goes well. And
no org gets the last threads of the workers, so that one that hangs does not hold up the others.

:mod:`tasks.broker` asks the gate for every message whose step asks an org. A message that may not go yet waits in its
org's room, and not in the queue of the workers. ``store/lua/gate/gate.lua`` has the rules.
"""

from __future__ import annotations

from typing import Any

from quotejob.settings import Settings
from quotejob.store import keys, scripts
from quotejob.store.client import RedisClient

HOLDS = 9.0  # seconds that a step or a worker counts without a renewal
SHRINK_PAUSE = 2.0  # seconds between two times that the limit of an org shrinks

PROMPT = 0.04  # seconds that a small request to an org on the same machine takes at most; over a network it takes more
PROMPT_KEPT = 600  # seconds


class Gate:
    """The gate of all orgs. Every method may raise StoreUnavailable if Redis does not answer."""

    def __init__(self, client: RedisClient, settings: Settings) -> None:
        self._redis = client
        self._most = settings.org_requests

    def enter(self, org_id: str, task_id: str, priority: int, queue: str, message: str) -> bool:
        """Put a message into the list of its queue, or into the org's room. Return whether it is in its queue."""
        named = {"org": org_id, "id": task_id, "priority": priority, "list": queue, "message": message}
        return bool(self._run("gate/enter", **named))

    def stay(self, org_id: str, task_id: str) -> None:
        """Say that a step is under way: at its beginning, and every few seconds."""
        self._run("gate/stay", key=keys.INSIDE, name=task_id, what=org_id)

    def leave(self, org_id: str, task_id: str, *, well: bool) -> None:
        """Say that a step has ended, and let in what may go now. ``well``: the org had no trouble with it."""
        self._run("gate/leave", org=org_id, id=task_id, well=well)

    def look(self) -> None:
        """Let in what may go now, because steps or workers that have died no longer count."""
        self._run("gate/leave")

    def places(self, org_id: str, own: int = 0) -> int:
        """Return how many steps of an org may go at a time for one of its jobs, beside those of its other jobs.

        ``own``: how many of those under way may be the job's. If it has the org's only slot, all are.
        """
        return int(self._run("gate/places", org=org_id, own=own))

    def places_when_idle(self, org_id: str) -> int:
        """Return how many steps of an org may go at a time while it has no others."""
        return int(self._run("gate/places", org=org_id, idle=True))

    def is_prompt(self, org_id: str, seconds: float) -> bool:
        """Return whether the org answers at once, so that more requests make nothing quicker for it.

        ``seconds``: how long a small request took just now. What was found first holds for some minutes.
        """
        key = keys.jobs_of(org_id, "prompt")
        self._redis.set(key, int(seconds < PROMPT), ex=PROMPT_KEPT, nx=True)
        return bool(self._redis.get(key) == b"1")

    def shrink(self, org_id: str) -> None:
        """Let fewer steps of an org be under way, because it has trouble."""
        self._run("gate/shrink", org=org_id, pause=int(SHRINK_PAUSE * 1000))

    def announce(self, worker: str, threads: int) -> None:
        """Say that a worker runs so many steps at a time: at its start, and every few seconds."""
        self._run("gate/stay", key=keys.THREADS, name=worker, what=str(threads))

    def withdraw(self, worker: str) -> None:
        """Say that a worker takes no more steps."""
        self._redis.hdel(keys.THREADS, worker)

    def _run(self, script: str, **arguments: Any) -> Any:
        gate = {"inside": keys.INSIDE, "threads": keys.THREADS, "waiting": keys.WAITING}
        return scripts.run(self._redis, script, **gate, length=int(HOLDS * 1000), most=self._most, **arguments)


def in_rooms(client: RedisClient) -> list[bytes]:
    """Return the messages in the rooms of all orgs."""
    rooms = [keys.jobs_of(org_id, "room") for org_id in client.ranked(keys.WAITING)]
    entries = [entry for room in rooms for entry in client.ranked(room)]
    return [entry.split("\n", 2)[2].encode() for entry in entries]
