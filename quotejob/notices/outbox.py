"""The outbox: which notices have to be sent, in Redis, so that a death loses none.

The script that ends a job puts its notices here in the same step (``owe_notices`` in ``lua/jobs/queue.lua``). A sweep
takes those that are due, each for LEASE seconds. A notice is tried for 24 hours, with pauses that grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from quotejob.store import keys, scripts
from quotejob.store.client import RedisClient

LEASE = 30.0  # seconds that one process may take for one try; longer than a request
KEPT_FOR = 24 * 3600  # seconds that a notice is tried
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3600.0  # seconds between two tries
AT_ONCE = 100  # notices that one sweep takes
CALLBACK = "callback"  # the receiver of a notice that goes to the caller's org


class State(StrEnum):
    """What a process may do with a notice that it has taken."""

    SEND = "send"
    STALE = "stale"  # somebody else has taken it meanwhile, or it is settled


@dataclass(frozen=True, slots=True)
class Notice:
    """One end of one job, for one receiver: the callback, or a webhook by its name."""

    receiver: str
    job_id: str
    end: int  # the number of this end: a job that was resumed ends again

    @classmethod
    def read(cls, text: str) -> Notice:
        """Return the notice that is written as "receiver job end"."""
        receiver, job_id, end = text.split(" ")
        return cls(receiver, job_id, int(end))

    def __str__(self) -> str:
        return f"{self.receiver} {self.job_id} {self.end}"

    @property
    def id(self) -> str:
        """The same for every try, so that a receiver can leave out what it has had."""
        return f"{self.job_id}.{self.end}"


class Outbox:
    """The notices of all jobs. Every method may raise StoreUnavailable."""

    def __init__(self, client: RedisClient) -> None:
        self._redis = client

    def due(self) -> list[tuple[str, int]]:
        """Return the notices to send now, each with the number of this try. Of several callers one gets a notice.

        A callback whose process died while it was sent is not returned, and not tried again: it may have arrived.
        """
        found = scripts.run(
            self._redis,
            "notices/due",
            notices=keys.NOTICES,
            most=AT_ONCE,
            longest=int(LONGEST_PAUSE * 1000),
            lease=int(LEASE * 1000),
            kept=KEPT_FOR * 1000,
            once=CALLBACK,
        )
        return [(text.decode(), number) for text, number in found]

    def begin(self, notice: Notice, number: int) -> State:
        """Note that the notice is being sent now. Send it only if the answer is SEND."""
        begun = scripts.run(self._redis, "notices/begin", notice=str(notice), number=number)
        return State.SEND if begun else State.STALE

    def done(self, notice: Notice) -> None:
        """Forget a notice that is settled: it arrived, or can never arrive."""
        pipe = self._redis.pipeline()
        pipe.zrem(keys.NOTICES, str(notice))
        pipe.delete(keys.notice(str(notice)))
        pipe.execute()

    def later(self, notice: Notice, number: int) -> None:
        """Try a notice again after a pause, twice as long after each try."""
        scripts.run(
            self._redis,
            "notices/later",
            notices=keys.NOTICES,
            notice=str(notice),
            number=number,
            first=int(FIRST_PAUSE * 1000),
            longest=int(LONGEST_PAUSE * 1000),
        )

    def waiting(self) -> int:
        """Return how many notices wait."""
        return self._redis.zcard(keys.NOTICES)
