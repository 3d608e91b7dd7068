"""The store of jobs in Redis.

Each change that depends on stored data is one Lua script in ``store/lua/jobs/``. A script is atomic, and can be sent
twice without harm, because the client repeats a command whose answer was lost.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import redis

from quotejob import clock
from quotejob.errors import FlexQueueFull, JobConflict, JobNotFound
from quotejob.jobs import idempotency
from quotejob.jobs.conditions import UNCONDITIONAL, Conditions, unknown_jobs, vain, waiting
from quotejob.jobs.job import ENDED, MOVES, RESUMABLE, Job, Status
from quotejob.jobs.retry import Retry
from quotejob.jobs.rows import read_job
from quotejob.salesforce import session as tokens
from quotejob.salesforce.caller import CallerContext
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys, scripts

KEPT = 7 * 24 * 3600  # seconds that an ended job and its results are stored
RUNS = 50  # Completed runs that are stored for each job type of an org, for estimates
RUNS_KEPT = 30 * 24 * 3600  # seconds that these runs are stored after the last one


class JobStore:
    """The store of jobs. Every method may raise StoreUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, settings: Settings, now: Callable[[], datetime] | None = None) -> None:
        self._redis = client
        self._settings = settings
        self._now = now or clock.now
        self._simulated = now is not None

    # -- the caller's side ---------------------------------------------------------------------------------------------

    def submit(
        self,
        context: CallerContext,
        job_type: str,
        *,
        soql_where_clause: str | None = None,
        number_of_opportunities: int | None = None,
        conditions: Conditions = UNCONDITIONAL,
        retry: Retry | None = None,
        idempotency_key: str | None = None,
        job_id: str | None = None,
        guaranteed: bool = False,
        schedule_id: str | None = None,
        authorization: str | None = None,
    ) -> tuple[Job, bool]:
        """Add a job to the flex queue of the caller's org. Return the job and whether it is new.

        The same idempotency key from the same org within 24 hours returns the earlier job. So does the same ``job_id``,
        which a schedule makes from its fire time. A ``guaranteed`` job is accepted even if the queue is full.
        Raises FlexQueueFull, InvalidRequest for a condition on a job that is not in this org, and IdempotencyKeyReused
        if the key came with another request.
        """
        job_id, now, org = job_id or str(uuid.uuid4()), self._now(), context.org_id
        asked = {
            "jobType": job_type,
            "soqlWhereClause": soql_where_clause,
            "numberOfOpportunities": number_of_opportunities,
            **conditions.stored(),
            **(retry.stored() if retry else {}),
        }
        described = asked | {
            "status": Status.HOLDING,
            "orgId": org,
            "createdDate": now.isoformat(),
            "createdById": context.user_id,
            "scheduleId": schedule_id,
            "authorization": authorization,
            "guaranteed": 1 if guaranteed else None,
        }
        answer, *found = self.run(
            "jobs/submit",
            now=now,
            id=job_id,
            org=org,
            created=clock.us(now),
            fields={name: value for name, value in described.items() if value is not None},
            parents=conditions.depends_on,
            passes_full=guaranteed,
            context=tokens.seal(context, self._settings),
            context_kept=tokens.WHILE_HOLDING + conditions.seconds_to_wait(now),
            idempotency=idempotency.key_in_store(org, idempotency_key) if idempotency_key else None,
            idempotency_kept=idempotency.KEPT,
            request=idempotency.fingerprint(asked),
            **self._room(),
        )
        if answer == b"full":
            raise self._full()
        if answer == b"strangers":
            raise unknown_jobs([job_id.decode() for job_id in found])
        [known] = found
        if answer == b"reused":
            raise idempotency.reused(known.decode())
        return self.get(known.decode()), answer == b"new"

    def get(self, job_id: str, org_id: str | None = None) -> Job:
        """Return the job. Raises JobNotFound if it does not exist or, with ``org_id``, if it belongs to another org."""
        with store.translated():
            found = cast(dict[bytes, bytes], self._redis.hgetall(keys.job(job_id)))
        if not found or (org_id is not None and found[b"orgId"].decode() != org_id):
            raise JobNotFound(f"There is no job {job_id} in this org; ended jobs are kept for {KEPT // 86400} days")
        return self._with_waiting([read_job(job_id, found)])[0]

    def get_many(self, job_ids: Sequence[str]) -> list[Job]:
        """Return those of the jobs that exist, in the given order."""
        with store.translated():
            pipe = self._redis.pipeline(transaction=False)
            for job_id in job_ids:
                pipe.hgetall(keys.job(job_id))
            stored = cast(list[dict[bytes, bytes]], pipe.execute())
        return self._with_waiting([read_job(job_id, row) for job_id, row in zip(job_ids, stored, strict=True) if row])

    def abort(self, job_id: str) -> Job:
        """Abort the job. What is already written stays in the org. Raises JobConflict if the job had ended before."""
        reason = "Aborted on request; quotes already written stay in the org, see the job's results"
        if not self.move(job_id, Status.ABORTED, extendedStatus=reason):
            raise JobConflict(f"The job already ended: it is {self.get(job_id).status}")
        return self.get(job_id)

    def resume(self, job_id: str, context: CallerContext) -> Job:
        """Put a Failed or Aborted job back into the flex queue. It continues after what is written, with this context.

        Raises JobConflict if the job has another status, or depends on a job that has ended otherwise; FlexQueueFull if
        the queue is full.
        """
        job = self.get(job_id, context.org_id)
        answer = self.run(
            "jobs/resume",
            id=job_id,
            org=job.org_id,
            parts=[*_kept(job), *keys.spent(job_id, job.waves or 0)],
            context=tokens.seal(context, self._settings),
            context_kept=tokens.WHILE_HOLDING,
            origins=RESUMABLE,
            **self._room(),
        )
        before, *parent = (word.decode() for word in answer)
        if before == "full":
            raise self._full()
        if before == "vain":
            raise vain(*parent)
        if before not in RESUMABLE:
            raise JobConflict(f"Only a Failed or Aborted job can be resumed; this one is {before or 'gone'}")
        return self.get(job_id)

    def ping(self) -> None:
        """Raise StoreUnavailable if Redis does not answer."""
        with store.translated():
            self._redis.ping()

    # -- the workers' side ---------------------------------------------------------------------------------------------

    def promote(self, org_id: str, *, reserved: int = 0, first: str | None = None) -> list[str]:
        """Give the org's free slots to its ready jobs, in order. Return the ids that this call made Queued.

        ``reserved`` slots stay free. Only the job ``first`` may take any free slot; it goes before all others.
        """
        promoted = self.run(
            "jobs/promote",
            org=org_id,
            most_active=self._settings.active_jobs,
            reserved=reserved,
            first=first,
            context_kept=tokens.TIME_TO_LIVE,
        )
        return [job_id.decode() for job_id in promoted]

    def waking(self) -> list[str]:
        """Return the orgs in which the time of a waiting job has come. Call promote() for each of them."""
        found = self.run("jobs/waking")
        return [org_id.decode() for org_id in found]

    def look_again(self, silence: float, most: int) -> list[str]:
        """Check again the Holding jobs and orgs that were not checked for ``silence`` seconds, ``most`` of each.

        A job becomes ready, or is Aborted because a condition can no longer hold. Returns the orgs that have ready
        jobs. Call promote() for each of them.
        """
        found = self.run("jobs/look_again", silence=int(silence * 1000), most=most)
        return [org_id.decode() for org_id in found]

    def move(self, job_id: str, status: Status, **also: Any) -> bool:
        """Move the job to ``status`` if MOVES allows it. Return whether it did. ``also``: more fields to set."""
        job, now = self.get(job_id), self._now()
        if status in ENDED:
            also["completedDate"] = now.isoformat()
        elif status is Status.PREPARING and job.started_date is None:
            also["startedDate"] = now.isoformat()
        elif status is Status.PREPARING:
            also |= {"resumedDate": now.isoformat(), "resumedItems": job.job_items_processed}
        spent, held = keys.spent(job_id, job.waves or 0), [keys.job(job_id, part) for part in keys.HELD]
        completed = status is Status.COMPLETED
        keep, drop = (_kept(job), spent + held) if completed else (_kept(job) + spent, held)
        origins = MOVES[status]
        before = self.run(
            "jobs/move",
            now=now,
            id=job_id,
            org=job.org_id,
            status=status,
            origins=origins,
            fields=also,
            ends=status in ENDED,
            keep=keep,
            drop=drop,
            past_run=_past_run(job, now) if completed else None,
            runs_remembered=RUNS,
            runs_kept=RUNS_KEPT,
        ).decode()
        return before in origins

    def fail(self, job_id: str, reason: str) -> bool:
        """End the job as Failed with this reason. Return whether this call did it."""
        return self.move(job_id, Status.FAILED, extendedStatus=reason[:1000])

    def explain(self, job_id: str, reason: str | None) -> None:
        """Set extendedStatus to what a job that has not ended waits for. None: it continues."""
        with store.translated():
            if reason is None:
                self._redis.hdel(keys.job(job_id), "extendedStatus")
            elif self._redis.exists(keys.job(job_id)):
                self._redis.hset(keys.job(job_id), "extendedStatus", reason[:1000])

    def context(self, job_id: str) -> CallerContext:
        """Return the caller that the job works for. Raises SessionExpired if the session is no longer stored."""
        with store.translated():
            return tokens.unseal(cast(bytes | None, self._redis.get(keys.job(job_id, "context"))), self._settings)

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

    def open(self) -> list[tuple[str, float]]:
        """Return every job that has a slot, with the seconds since its last sign of life, by Redis's clock.

        A sign of life in the future means that the clock was turned back. Then the seconds are the distance to it.
        """
        with store.translated():
            pipe = self._redis.pipeline()
            pipe.time()
            pipe.zrange(keys.OPEN, 0, -1, withscores=True)
            (seconds, micros), found = cast(tuple[tuple[int, int], list[tuple[bytes, float]]], pipe.execute())
        now = seconds * 1000 + micros // 1000
        return [(job_id.decode(), abs(now - score) / 1000) for job_id, score in found]

    def touch(self, job_id: str) -> None:
        """Store a sign of life of a job that has a slot."""
        scripts.run(self._redis, "jobs/touch", open=keys.OPEN, id=job_id)

    def forget(self, job_id: str) -> None:
        """Remove a job that no longer exists from the list of open jobs."""
        with store.translated():
            self._redis.zrem(keys.OPEN, job_id)

    def run(self, script: str, /, *, now: datetime | None = None, **arguments: Any) -> Any:
        """Run a script that needs jobs/queue.lua. The script uses Redis's clock, which all processes share.

        ``now`` is the time that the script writes for people to read. In simulated time the script also works with it.
        """
        now = now or self._now()
        simulated = clock.ms(now) if self._simulated else None
        return scripts.run(self._redis, script, now=simulated, now_iso=now.isoformat(), kept=KEPT, **arguments)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _room(self) -> dict[str, Any]:
        return {
            "most_holding": self._settings.holding_jobs,
            "most_active": self._settings.active_jobs,
            "window": self._settings.reserve_minutes * 60_000,
        }

    def _full(self) -> FlexQueueFull:
        return FlexQueueFull(
            f"This org already has {self._settings.holding_jobs} jobs waiting in its flex queue; "
            "abort one, or try again when some have started"
        )

    def _with_waiting(self, jobs: list[Job]) -> list[Job]:
        """Return the jobs. Holding jobs have what they still wait for."""
        held = [job.job_id for job in jobs if job.status is Status.HOLDING and job.depends_on]
        with store.translated():
            pipe = self._redis.pipeline(transaction=False)
            for job_id in held:
                pipe.smembers(keys.job(job_id, "waits"))
            waits = dict(zip(held, cast(list[set[bytes]], pipe.execute()), strict=True))
            parents = [parent.decode() for parent in set().union(*waits.values())]
            for parent in parents:
                pipe.hget(keys.job(parent), "status")
            statuses = dict(zip(parents, cast(list[bytes | None], pipe.execute()), strict=True))
        now = self._now()

        def with_waiting(job: Job) -> Job:
            if job.status is not Status.HOLDING or not (job.depends_on or job.not_before):
                return job
            waited = {parent.decode() for parent in waits.get(job.job_id, ())}
            stands = [(one, (statuses[one] or b"gone").decode()) for one in job.depends_on if one in waited]
            return replace(job, waiting_for=waiting(job, stands, now))

        return [with_waiting(job) for job in jobs]


def _kept(job: Job) -> list[str]:
    return [keys.job(job.job_id, part) for part in keys.KEPT]


def _past_run(job: Job, now: datetime) -> str | None:
    """Return what is stored of a run for estimates: records, milliseconds, schedule. None if the job was resumed."""
    if job.started_date is None or job.resumed_date is not None:
        return None
    return f"{job.total} {clock.ms(now) - clock.ms(job.started_date)} {job.schedule_id or ''}"
