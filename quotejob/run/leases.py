"""Leases: who works on what right now. A unit of work nobody holds any more is found by the sweep and sent again.

A unit is one page, one batch, one wave's packing, or the plan of a job. Whoever works on it holds its lease and renews
it from a thread of its own; whoever dies, or stands still too long, loses it. Losing a lease makes nothing wrong by
itself (first receipts win, and the org's unique keys guard every write): leases keep work from being done twice at
once, and from not being done at all. How they stand in Redis, and what a clock that jumps does to them:
``store/lua/run/lease.lua``.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from typing import cast

import redis
import structlog

from quotejob.errors import JobStopped, LeaseLost, QuotejobError
from quotejob.store import client as store
from quotejob.store import keys, scripts

LENGTH = 9.0  # seconds a lease lasts without being renewed
RENEWED = 3.0  # seconds between two renewals
SENT_FOR = 10.0  # seconds a sent unit is left alone before it may be sent again
SENT = "sent"  # in a holder's place: the unit was sent again, and nobody has it yet
LONGEST_REST = 5.0  # seconds one step waits at a time because the org is to be spared

log = structlog.get_logger()


class Leases:
    """The leases of all jobs."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def claim(self, job_id: str, unit: str, org_id: str) -> Lease:
        """Take the unit's lease. LeaseLost when it is held, or is to wait; JobStopped when the job has ended."""
        holder = uuid.uuid4().hex
        state, deaths = scripts.run(
            self._redis,
            "run/claim",
            **self._keys(job_id),
            open=keys.OPEN,
            id=job_id,
            unit=unit,
            holder=holder,
            length=int(LENGTH * 1000),
        )
        _check(state.decode(), job_id, unit)
        return Lease(self._redis, job_id, unit, org_id, holder, deaths)

    def offer(self, job_id: str, unit: str) -> bool:
        """Whether the unit is nobody's and may be sent again; of several who ask at once, one hears yes."""
        return bool(scripts.run(self._redis, "run/offer", **self._keys(job_id), unit=unit, length=int(SENT_FOR * 1000)))

    def held(self, job_id: str) -> dict[str, str]:
        """Every unit with a lease, run out or not, and who holds it: a step, SENT, or "wait"."""
        with store.translated():
            found = cast(dict[bytes, bytes], self._redis.hgetall(keys.job(job_id, "leases")))
        return {unit.decode(): lease.decode().partition(" ")[0] for unit, lease in found.items()}

    def slow_down(self, org_id: str, seconds: float) -> None:
        """Have every worker of the org rest before its next request; a longer rest already ordered stays."""
        length = max(1, int(seconds * 1000))
        with store.translated():
            self._redis.set(keys.jobs_of(org_id, "slow"), length, px=length, nx=True)

    def _keys(self, job_id: str) -> dict[str, str]:
        return {"job": keys.job(job_id), "leases": keys.job(job_id, "leases"), "deaths": keys.job(job_id, "deaths")}


class Lease:
    """One unit, held by one step of one process."""

    def __init__(self, client: redis.Redis, job_id: str, unit: str, org_id: str, holder: str, deaths: int) -> None:
        self._redis = client
        self.job_id = job_id
        self.unit = unit
        self.deaths = deaths  # how many holders before this one died at it
        self._org_id = org_id
        self._holder = holder

    def go_on(self) -> None:
        """Renew, and rest if the org is to be spared; asked before every request that writes.

        Raises JobStopped when the job has ended, LeaseLost when somebody else has taken over.
        """
        while rest := self._renew():
            time.sleep(min(rest, LONGEST_REST))

    def release(self, *, wait: float = 0) -> None:
        """Give the unit up: it is done, or nobody may take it for ``wait`` seconds."""
        leases, milliseconds = keys.job(self.job_id, "leases"), int(wait * 1000)
        scripts.run(self._redis, "run/release", leases=leases, unit=self.unit, holder=self._holder, wait=milliseconds)

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Renew from a thread while the block runs. While Redis is away nothing is renewed: the lease may be lost."""
        done = threading.Event()

        def renew() -> None:
            while not done.wait(RENEWED):
                with contextlib.suppress(QuotejobError):
                    self._renew()

        thread = threading.Thread(target=renew, name=f"lease {self.unit}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()

    def _renew(self) -> float:
        """Seconds to rest."""
        state, rest = scripts.run(
            self._redis,
            "run/renew",
            job=keys.job(self.job_id),
            leases=keys.job(self.job_id, "leases"),
            open=keys.OPEN,
            slowdown=keys.jobs_of(self._org_id, "slow"),
            id=self.job_id,
            unit=self.unit,
            holder=self._holder,
            length=int(LENGTH * 1000),
        )
        _check(state.decode(), self.job_id, self.unit)
        return float(rest) / 1000


def _check(state: str, job_id: str, unit: str) -> None:
    if state == "ended":
        raise JobStopped(f"Job {job_id} has ended")
    if state != "yours":
        raise LeaseLost(f"Somebody else works on {unit} of job {job_id}, or it is to wait")
