"""The circuit breaker of an org, shared by all workers: an org that does not answer is asked by one step at a time.

Each call that an org does not answer in time holds a place in a worker. After SILENT_CALLS of them in a row nothing is
sent to that org for a pause. Its steps give their places back and are sent again later. Then one step makes one call.
If the org answers, all go on; if not, the next pause is longer.

While an org answers, this costs no request to Redis: the scripts of the lease, which a step runs anyway, read the
silence. The first answer to a step that knows of it ends it.
"""

from __future__ import annotations

from quotejob.errors import OrgSilent
from quotejob.store import keys, scripts
from quotejob.store.client import RedisClient

SILENT_CALLS = 3  # calls without an answer, in a row
FIRST_PAUSE = 5.0  # seconds; doubles with each
LONGEST_PAUSE = 60.0  # seconds
PROBE_MARGIN = 5.0  # seconds that the one allowed call may take beyond its timeout
LONGEST_SILENCE = 605.0  # seconds: the longest call that may be allowed; what is longer is a clock that was turned back
KEPT_FOR = 600  # seconds after the last call that was not answered


class Silence:
    """The silence of one org, as one step sees it. Every method may raise StoreUnavailable."""

    def __init__(self, client: RedisClient, org_id: str, timeout: float) -> None:
        self._redis = client
        self._org_id = org_id
        self._timeout = timeout  # seconds, of a call
        self.known = False  # there were calls that the org did not answer
        self.probing = False  # this step makes the one call that is allowed

    def ask(self) -> None:
        """Ask whether a call may be made. Raises OrgSilent if not."""
        length = int((self._timeout + PROBE_MARGIN) * 1000)
        silence = keys.jobs_of(self._org_id, "silence")
        rest, probing = scripts.run(self._redis, "run/probe", silence=silence, most=SILENT_CALLS, length=length)
        if rest:
            raise silent(self._org_id, rest / 1000)
        self.probing = bool(probing)

    def not_answered(self) -> None:
        """Note that a call was not answered in time. Raises OrgSilent if nothing should be sent to the org now."""
        rest = scripts.run(
            self._redis,
            "run/silent",
            silence=keys.jobs_of(self._org_id, "silence"),
            most=SILENT_CALLS,
            pause=int(FIRST_PAUSE * 1000),
            longest=int(LONGEST_PAUSE * 1000),
            kept=KEPT_FOR,
            probing=self.probing,
        )
        self.known, self.probing = True, False
        if rest:
            raise silent(self._org_id, rest / 1000)

    def answered(self) -> None:
        """Note that a call was answered, if others were not."""
        if self.known:
            self.known = self.probing = False
            self._redis.delete(*_keys(self._org_id))


def with_silence(client: RedisClient, org_id: str, *kept: str) -> tuple[list[bytes | None], float]:
    """Return plain values and, in the same round trip, the seconds for which nothing should be sent to an org."""
    pipe = client.pipeline(transaction=False)
    for key in kept:
        pipe.get(key)
    pipe.pttl(_keys(org_id)[1])
    *values, rest = pipe.execute()
    return values, rest / 1000 if 0 < rest <= LONGEST_SILENCE * 1000 else 0.0


def silence_of(client: RedisClient, org_id: str) -> float:
    """Return the seconds for which nothing should be sent to an org."""
    rest = client.pttl(_keys(org_id)[1])
    return rest / 1000 if 0 < rest <= LONGEST_SILENCE * 1000 else 0.0


def _keys(org_id: str) -> tuple[str, str]:
    """Return the keys of an org's silence, as lua/run/silence.lua has them."""
    return keys.jobs_of(org_id, "silence"), keys.jobs_of(org_id, "silence:still")


def silent(org_id: str, seconds: float) -> OrgSilent:
    """Return the error that says that nothing should be sent to an org for so many seconds."""
    return OrgSilent(f"Org {org_id} does not answer; it is asked again in {seconds:.0f} s", seconds)
