"""How a job comes into the flex queue: it is submitted, or resumed after an end that was not wished.

Each is one Lua script in ``store/lua/jobs/``: all of it happens or nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import orjson

from quotejob import audit, clock, formats, rights, tracing
from quotejob.errors import FlexQueueFull, JobConflict, TooManyJobs
from quotejob.jobs import idempotency
from quotejob.jobs.conditions import UNCONDITIONAL, Conditions, unknown_jobs, vain
from quotejob.jobs.job import RESUMABLE, Job, Status
from quotejob.jobs.options import PLAIN, Options, already_run
from quotejob.jobs.reading import JobReader
from quotejob.jobs.retry import Retry
from quotejob.salesforce import session as tokens
from quotejob.salesforce.caller import CallerContext
from quotejob.store import keys
from quotejob.store.intake import Intake

FORGOTTEN_AT_ONCE = 10  # ended jobs that a submission deletes at most when their org has too many


class Submission(JobReader):
    """Puts jobs into the flex queue of their org."""

    @cached_property
    def _intake(self) -> Intake:
        return Intake(self._redis, self._settings)

    def submit(
        self,
        context: CallerContext,
        job_type: str,
        *,
        name: str | None = None,
        soql_where_clause: str | None = None,
        number_of_opportunities: int | None = None,
        parameters: Sequence[tuple[str, str]] = (),
        conditions: Conditions = UNCONDITIONAL,
        retry: Retry | None = None,
        options: Options = PLAIN,
        idempotency_key: str | None = None,
        job_id: str | None = None,
        guaranteed: bool = False,
        schedule_id: str | None = None,
        authorization: str | None = None,
    ) -> tuple[Job, bool]:
        """Add a job to the flex queue of the caller's org. Return the job and whether it is new.

        The same idempotency key from the same org within 24 hours returns the earlier job. So does the same ``job_id``,
        which a schedule makes from its fire time. A ``guaranteed`` job is accepted even if the queue is full.
        Raises FlexQueueFull, TooManyJobs, StoreUnavailable if Redis has no room for new jobs, and JobConflict if
        another job runs the same dry run. Raises InvalidRequest for a condition on a job that is not in this org, and
        IdempotencyKeyReused if the key came with another request.
        """
        self._intake.check()
        job_id, now, org = job_id or str(uuid.uuid4()), self._now(), context.org_id
        asked = {
            "jobType": job_type,
            "name": name,
            "soqlWhereClause": soql_where_clause,
            "numberOfOpportunities": number_of_opportunities,
            "parameters": orjson.dumps(parameters).decode() if parameters else None,
            **conditions.stored(),
            **(retry.stored() if retry else {}),
            **options.stored(),
        }
        described = asked | {
            "status": Status.HOLDING,
            "orgId": org,
            "createdDate": now.isoformat(),
            "createdById": context.user_id,
            "createdByName": context.user_name,
            "scheduleId": schedule_id,
            "authorization": authorization,
            "guaranteed": 1 if guaranteed else None,
        }
        about = {
            "quotejob.job_id": job_id,
            "quotejob.org_id": org,
            "quotejob.job_type": job_type,
        }
        with tracing.span("submit", "producer", about=about):
            described["trace"] = tracing.place()
            fields = {name: value for name, value in described.items() if value is not None}
            answer, *found = self.run(
                "jobs/submit",
                now=now,
                id=job_id,
                org=org,
                created=clock.us(now),
                fields=fields | formats.stored(fields),
                parents=conditions.depends_on,
                passes_full=guaranteed,
                context=tokens.seal(context, self._settings),
                context_kept=tokens.WHILE_HOLDING + conditions.seconds_to_wait(now),
                idempotency=idempotency.key_in_store(org, idempotency_key) if idempotency_key else None,
                idempotency_kept=idempotency.KEPT_FOR,
                request=idempotency.fingerprint(asked),
                hourly=self._settings.hourly_jobs,
                **self._room(),
            )
        if answer == b"full":
            raise self._full()
        if answer == b"often":
            raise TooManyJobs(self._settings.hourly_jobs, int(found[0]))
        if answer == b"ran":
            raise already_run(found[0].decode())
        if answer == b"strangers":
            raise unknown_jobs([job_id.decode() for job_id in found])
        if answer == b"reused":
            raise idempotency.reused(found[0].decode())
        known, listed, row, position = found
        job, new = self.of_row(known.decode(), row, position), answer == b"new"
        if new and listed > self._settings.kept_jobs:
            self._forget_oldest(org)
        if new:
            self.log_move(job, Status.HOLDING)
        return job, new

    def resume(self, job_id: str, context: CallerContext) -> Job:
        """Put a Failed or Aborted job back into the flex queue. It continues after what is written, with this context.

        Raises JobConflict if the job has another status, or depends on a job that has ended otherwise; FlexQueueFull if
        the queue is full; NewerVersion if only a newer version understands it; NotAManager.
        """
        self._intake.check()
        job = self.get_mine(job_id, context.org_id)
        rights.check(self._settings, job.created_by_id)
        answer = self.run(
            "jobs/resume",
            id=job_id,
            org=job.org_id,
            parts=keys.kept_after_end(job_id) + keys.needed_for_resume(job_id, job.waves or job.waves_begun),
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
        self.log_move(job, Status.HOLDING, before, calls=job.api_calls)
        audit.note(self._redis, job.org_id, "resumeJob", job_id=job_id, name=job.name, before={"status": before})
        return self.get(job_id)

    def _forget_oldest(self, org_id: str) -> None:
        """Delete some of the oldest ended jobs with their results: the org has more than QUOTEJOB_KEPT_JOBS.

        The list has jobs whose time is over, too: they leave it.
        """
        listed = keys.jobs_of(org_id, "jobs")
        oldest = [job_id for job_id, _ in self._redis.scored(listed, "-inf", "+inf", FORGOTTEN_AT_ONCE)]
        found = self._redis.field_of_each([keys.job(job_id) for job_id in oldest], "status")
        expired = [job_id for job_id, status in zip(oldest, found, strict=True) if status is None]
        ended = [job for job in self.get_many(oldest) if job.ended]
        ended = [job for job in ended if self._redis.zscore(keys.CLEAN_UPS, job.job_id) is None]
        pipe = self._redis.pipeline()
        for job in ended:
            parts = keys.kept_after_end(job.job_id) + keys.needed_for_resume(job.job_id, job.waves or job.waves_begun)
            pipe.unlink(keys.job(job.job_id), keys.job(job.job_id, "context"), *parts)
        for job_id in expired + [job.job_id for job in ended]:
            pipe.zrem(listed, job_id)
        pipe.execute()

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
