"""Which jobs the org has to be told of, and when: in Redis, so that a death loses none.

Every change of a job's status notes the job, in the script that makes the change (``owe_mirror`` in
``lua/jobs/queue.lua``). Progress is noted by ``lua/mirror/due.lua``. A note ends when the org has been told of the
state that the note was made for.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quotejob.settings import Settings
from quotejob.store import keys, scripts, usage
from quotejob.store.client import RedisClient

BETWEEN = 5.0  # seconds between two requests to an org at least
LEASE = 22.0  # seconds that one process may take; then somebody else does it
LONGEST_PAUSE = 20.0  # seconds after faults: an org that answers again is told of everything within half a minute
CALLS_BETWEEN = 200  # org calls of a job between two reports of its progress: half a percent
LONGEST_SILENCE = 120.0  # seconds after which progress is reported however few calls the job makes
LATE = 64.0  # seconds in which a request that was begun may still arrive: the lease, its time, and 30 s in the org
OFF_FOR = 900  # seconds until an org without the objects is asked again
RESERVE = 20  # no mirror when less than one in so many of the org's daily calls is left
ORGS_AT_ONCE = 50  # for each sweep


@dataclass(frozen=True, slots=True)
class Owed:
    """The jobs that one org has to be told of: id -> the number of the note."""

    org_id: str
    notes: Mapping[str, int]


class MirrorNotes:
    """The notes of all orgs. Every method may raise StoreUnavailable."""

    def __init__(self, client: RedisClient, settings: Settings) -> None:
        self._redis = client
        self._on, self._kept = settings.mirror, settings.keep_calls

    def due(self) -> list[str]:
        """Note progress, and return the orgs that should be told something now. Each is returned to one caller."""
        if not self._on:
            return []
        found = scripts.run(
            self._redis,
            "mirror/due",
            most=ORGS_AT_ONCE,
            lease=int(LEASE * 1000),
            between=int(BETWEEN * 1000),
            calls=CALLS_BETWEEN,
            silence=int(LONGEST_SILENCE * 1000),
        )
        return [org_id.decode() for org_id in found]

    def of_org(self, org_id: str, most: int) -> Owed:
        """Return the oldest notes of an org."""
        found: list[Any] = self._redis.zrange(keys.jobs_of(org_id, "mirror"), 0, most - 1, withscores=True)
        return Owed(org_id, {job_id.decode(): int(number) for job_id, number in found})

    def begin(self, org_id: str) -> str:
        """Note that a request is on its way to the org. Call it before the jobs are read. Return its id."""
        request = str(uuid.uuid4())
        scripts.run(self._redis, "mirror/begin", org=org_id, request=request, length=int(LATE * 1000))
        return request

    def done(self, owed: Owed, told: Mapping[str, str], request: str = "") -> None:
        """End the notes of jobs that the org was told of, unless they changed meanwhile.

        They stay while another request than the answered one may still arrive.

        ``told`` has the org calls and the items at that time, "calls items", by job. Other notes of jobs that no longer
        exist end too. The sessions of jobs that have ended are forgotten with their notes.
        """
        self._run("mirror/done", owed, told=dict(told), off=0, pause=int(BETWEEN * 1000), request=request)

    def off(self, owed: Owed) -> None:
        """Forget the notes of an org without the objects, and note nothing of it for a while."""
        self._run("mirror/done", owed, told={}, off=OFF_FOR, pause=0, request="")

    def later(self, org_id: str) -> None:
        """Try again after a pause, which grows with each fault in a row."""
        pauses = {"first": int(BETWEEN * 1000), "longest": int(LONGEST_PAUSE * 1000)}
        scripts.run(self._redis, "mirror/later", mirrors=keys.MIRRORS, org=org_id, **pauses)

    def is_low(self, host: str) -> bool:
        """Return whether few of the org's daily calls are left, or only those that are kept for others.

        This is what the org's last answers said, if one came within a day.
        """
        calls = usage.of_host(self._redis, host)
        return calls is not None and calls.left < max(calls.allowed // RESERVE, self._kept.of(calls.allowed))

    def _run(self, script: str, owed: Owed, **arguments: object) -> None:
        notes: Sequence[tuple[str, int]] = list(owed.notes.items())
        arguments |= {"mirrors": keys.MIRRORS, "org": owed.org_id, "notes": notes, "length": int(LATE * 1000)}
        scripts.run(self._redis, script, **arguments)
