"""Leases: which step works on which unit now. The sweep finds a unit whose lease has ended, and sends it again.

A unit is one page, one batch, one wave's packing, or the plan of a job. The step that works on it holds its lease and
renews it from a separate thread. A step that dies or stops for too long loses the lease. A lost lease does no damage:
the first receipt wins, and the org's unique keys protect every write. Leases prevent that two steps do the same work at
once, and that work is never done. ``store/lua/run/lease.lua`` says how leases are stored, how deaths are counted, and
what happens when the clock jumps.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence

import structlog

from quotejob.errors import JobStopped, LeaseLost, OrgUnreachable, QuotejobError
from quotejob.run.bulk_speed import BulkSpeed
from quotejob.run.processes import this_process
from quotejob.run.receipt import MAX_DEATHS
from quotejob.run.silence import Silence, silent
from quotejob.store import keys, scripts
from quotejob.store.client import RedisClient

LEASE_LENGTH = 9.0  # seconds until a lease ends if it is not renewed
RENEWAL_INTERVAL = 3.0  # seconds between two renewals
RESEND_AFTER = 10.0  # seconds after which a sent unit may be sent again
SENT_AGAIN = "sent"  # instead of a holder: the unit was sent again, and no step has it yet
LONGEST_WORK = 300.0  # seconds that a step may take; a slow job type has its own
LONGEST_REST = 5.0  # seconds that one step sleeps at a time during the org's slowdown
CLEAR_DEATH = 7  # how much a death counts if only this process died; otherwise it counts as 1
SUSPECTED_AT = 2 * CLEAR_DEATH  # deaths in company; then the unit works alone in its process
GIVEN_UP_AT = MAX_DEATHS * CLEAR_DEATH  # deaths alone; then the unit is given up
SHORTEST_ALONE = 5.0  # seconds that others in its process wait for a suspected unit; twice as long after each death
LONGEST_ALONE = 60.0  # seconds that they wait at most

log = structlog.get_logger()


class Leases:
    """The leases of all jobs."""

    def __init__(self, client: RedisClient) -> None:
        self._redis = client

    def claim(self, job_id: str, unit: str, org_id: str, *, after_end: bool = False) -> Lease:
        """Take the unit's lease. Raises LeaseLost if it is held or must wait, JobStopped if the job has ended.

        With ``after_end`` the job must have ended: the caller removes what the step left in the org. Then JobStopped
        means that the job was resumed.
        """
        holder = f"{this_process()}/{uuid.uuid4().hex}"
        state, alone, company, unanswered = scripts.run(
            self._redis,
            "run/claim",
            **self._keys(job_id),
            open=keys.OPEN,
            silence=keys.jobs_of(org_id, "silence"),
            id=job_id,
            unit=unit,
            holder=holder,
            length=int(LEASE_LENGTH * 1000),
            after_end=after_end,
        )
        _check(state.decode(), job_id, unit)
        lease = Lease(self._redis, job_id, unit, org_id, holder, (alone, company), after_end=after_end)
        lease.unanswered = unanswered
        return lease

    def offer(self, job_id: str, unit: str) -> bool:
        """Return whether nobody holds the unit and it may be sent again. Of several calls at once, one gets True."""
        length = int(RESEND_AFTER * 1000)
        return bool(scripts.run(self._redis, "run/offer", **self._keys(job_id), id=job_id, unit=unit, length=length))

    def held(self, job_id: str) -> dict[str, str]:
        """Return every unit with a lease, ended or not, and its holder: a step, SENT_AGAIN, or "wait"."""
        return self.held_of([job_id])[0]

    def held_of(self, job_ids: Sequence[str]) -> list[dict[str, str]]:
        """Return the same for each of several jobs, in one round trip."""
        found = self._redis.hashes(keys.job(job_id, "leases") for job_id in job_ids)
        return [{unit.decode(): lease.decode().partition(" ")[0] for unit, lease in leases.items()} for leases in found]

    def slow_down(self, org_id: str, seconds: float) -> None:
        """Make every step for the org sleep before its next request. A longer slowdown that is already set stays."""
        length = max(1, int(seconds * 1000))
        self._redis.set(keys.jobs_of(org_id, "slow"), length, px=length, nx=True)

    def silence(self, org_id: str, timeout: float) -> Silence:
        """Return the silence of an org, whose calls have so many seconds."""
        return Silence(self._redis, org_id, timeout)

    def bulk_speed(self, org_id: str, object_name: str) -> BulkSpeed:
        """Return how fast an org works on Bulk jobs with rows of an object."""
        return BulkSpeed(self._redis, org_id, object_name)

    def _keys(self, job_id: str) -> dict[str, str]:
        return {"job": keys.job(job_id), "leases": keys.job(job_id, "leases"), "deaths": keys.job(job_id, "deaths")}


class Lease:
    """The lease on one unit, held by one step of one process."""

    def __init__(
        self,
        client: RedisClient,
        job_id: str,
        unit: str,
        org_id: str,
        holder: str,
        deaths: tuple[int, int],
        *,
        after_end: bool = False,
    ) -> None:
        self._redis = client
        self.job_id = job_id
        self.unit = unit
        self.died_alone, self.died_in_company = deaths  # how much the deaths of earlier holders count
        self.unanswered = 0  # calls that the org had not answered when the lease was taken
        self.silence: Silence | None = None  # of the org, once this step may send something to it
        self._org_id = org_id
        self._holder = holder
        self._after_end = after_end
        self._until = float("inf")  # by time.monotonic(): when the step must have ended

    @property
    def fence(self) -> dict[str, str]:
        """What the scripts that store a step's work compare with the lease in Redis: see fence.lua."""
        return {"leases": keys.job(self.job_id, "leases"), "unit": self.unit, "holder": self._holder}

    @property
    def is_suspected(self) -> bool:
        """Whether this unit may be what ended the processes. It must work alone, so that the next death is clear."""
        return self.died_in_company >= SUSPECTED_AT

    @property
    def longest_alone(self) -> float:
        """Seconds that others in its process wait for this suspected unit. It may not hold up other orgs for long.

        A unit that needs longer to end its process gets the time after some more deaths.
        """
        more = max(0, self.died_alone + self.died_in_company - SUSPECTED_AT) // CLEAR_DEATH
        return min(SHORTEST_ALONE * 2.0 ** min(more, 10), LONGEST_ALONE)

    @property
    def is_given_up(self) -> bool:
        """Whether this unit, and nothing else, has ended its process too often."""
        return self.died_alone >= GIVEN_UP_AT

    def go_on(self) -> None:
        """Renew the lease, and sleep if the org needs a slowdown. Call it before every request that writes.

        Raises JobStopped if the job has ended, LeaseLost if another step has taken the unit, OrgUnreachable if the step
        takes too long, OrgSilent if the org does not answer and another step asks it.
        """
        if time.monotonic() > self._until:
            raise OrgUnreachable("The org has answered so slowly that this step gives up for now", code="TOO_SLOW")
        while True:
            rest, still = self._renew()
            if still and not (self.silence and self.silence.probing):
                raise silent(self._org_id, still)
            if not rest:
                return
            time.sleep(min(rest, LONGEST_REST))

    def release(self, *, wait: float = 0) -> None:
        """Give the lease back: the unit is done or, with ``wait``, nobody may take it for so many seconds."""
        scripts.run(
            self._redis,
            "run/release",
            leases=keys.job(self.job_id, "leases"),
            id=self.job_id,
            unit=self.unit,
            holder=self._holder,
            wait=int(wait * 1000),
        )

    @contextlib.contextmanager
    def kept(self, longest: float = LONGEST_WORK, also: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Renew the lease from a thread while the block runs, for ``longest`` seconds. ``also`` is called each time.

        The lease may be lost while Redis is away. It ends for a step that hangs, so that another one does its work.
        """
        done = threading.Event()
        self._until = time.monotonic() + longest

        def renew() -> None:
            while not done.wait(RENEWAL_INTERVAL) and time.monotonic() < self._until:
                with contextlib.suppress(QuotejobError):
                    self._renew()
                    also()

        thread = threading.Thread(target=renew, name=f"lease {self.unit}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()

    def _renew(self) -> tuple[float, float]:
        """Renew the lease. Return the seconds to sleep, and those for which nothing should be sent to the org."""
        state, rest, still = scripts.run(
            self._redis,
            "run/renew",
            job=keys.job(self.job_id),
            leases=keys.job(self.job_id, "leases"),
            open=keys.OPEN,
            silence=keys.jobs_of(self._org_id, "silence"),
            slowdown=keys.jobs_of(self._org_id, "slow"),
            id=self.job_id,
            unit=self.unit,
            holder=self._holder,
            length=int(LEASE_LENGTH * 1000),
            after_end=self._after_end,
        )
        _check(state.decode(), self.job_id, self.unit)
        return rest / 1000, still / 1000


def _check(state: str, job_id: str, unit: str) -> None:
    if state == "ended":
        raise JobStopped(f"Job {job_id} has ended, or was resumed while it was cleaned up")
    if state != "yours":
        raise LeaseLost(f"Somebody else works on {unit} of job {job_id}, or it is to wait")
