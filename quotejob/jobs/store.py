"""The store of jobs in Redis.

Each change that depends on stored data is one Lua script in ``store/lua/jobs/``. A script is atomic, and can be sent
twice without harm, because the client repeats a command whose answer was lost.
"""

from __future__ import annotations

from quotejob.jobs.moves import Moves
from quotejob.jobs.submission import Submission
from quotejob.salesforce import session as tokens
from quotejob.salesforce.caller import CallerContext
from quotejob.store import keys, scripts


class JobStore(Submission, Moves):
    """The store of jobs. Every method may raise StoreUnavailable when Redis does not answer.

    It reads jobs, submits and moves them. Its own methods are about the caller's session and the signs of life.
    """

    def ping(self) -> None:
        """Raise StoreUnavailable if Redis does not answer."""
        self._redis.ping()

    def context(self, job_id: str, part: str = "context") -> CallerContext:
        """Return the caller that the job works for, or who has "lent" a session to its clean-up.

        Raises SessionExpired if the session is no longer stored.
        """
        return tokens.unseal(self._redis.value(keys.job(job_id, part)), self._settings)

    def lend(self, job_id: str, context: CallerContext) -> None:
        """Store another session of the same org for an ended job, if its clean-up still needs one."""
        scripts.run(
            self._redis,
            "run/lend",
            clean_ups=keys.CLEAN_UPS,
            id=job_id,
            lent=keys.job(job_id, "lent"),
            context=tokens.seal(context, self._settings),
            context_kept=tokens.TIME_TO_LIVE,
        )

    def renew_context(self, job_id: str, context: CallerContext) -> None:
        """Store a context with a fresh token for the job, unless the job has ended."""
        scripts.run(
            self._redis,
            "jobs/renew_context",
            job=keys.job(job_id),
            context_key=keys.job(job_id, "context"),
            context=tokens.seal(context, self._settings),
            context_kept=tokens.TIME_TO_LIVE,
        )

    def seal_anew(self) -> int:
        """Seal every stored session with the newest key. Return how many were not. Twice at once is harmless."""
        count = 0
        for part in ("context", "lent"):
            for key in self._redis.scan_iter(keys.job("*", part), count=1000):
                old = self._redis.value(key.decode())
                if old is not None and (new := tokens.sealed_anew(old, self._settings)):
                    count += scripts.run(self._redis, "jobs/seal_anew", context=key.decode(), old=old, new=new)
        return count

    def open(self) -> list[tuple[str, float]]:
        """Return every job that has a slot, with the seconds since its last sign of life, by Redis's clock.

        A sign of life in the future means that the clock was turned back. Then the seconds are the distance to it.
        """
        pipe = self._redis.pipeline()
        pipe.time()
        pipe.zrange(keys.OPEN, 0, -1, withscores=True)
        (seconds, micros), found = pipe.execute()
        now = seconds * 1000 + micros // 1000
        return [(job_id.decode(), abs(now - score) / 1000) for job_id, score in found]

    def touch(self, job_id: str) -> None:
        """Store a sign of life of a job that has a slot."""
        scripts.run(self._redis, "jobs/touch", open=keys.OPEN, id=job_id)
