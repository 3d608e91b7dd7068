"""What the clock does with schedules: it fires those that are due and submits their jobs.

One Lua script (``store/lua/schedules/fire.lua``) decides a fire time: whether it runs, and when the next one is. It
puts what fired on a list. The jobs are then submitted from that list, as often as it takes. The id of a job is made of
the schedule and the fire time, so a tick that runs twice makes the same job. No fire time makes two jobs, and none that
fired is lost.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from quotejob import audit, clock, formats
from quotejob.errors import FlexQueueFull, QuotejobError, ScheduleConflict, StoreUnavailable, TooManyJobs
from quotejob.jobs.options import Options
from quotejob.jobs.store import JobStore
from quotejob.jobtypes import registry
from quotejob.salesforce.caller import CallerContext
from quotejob.schedules import rows
from quotejob.schedules.schedule import Misfire, Schedule, State
from quotejob.schedules.store import MAX_REASON_LENGTH, ScheduleStore
from quotejob.store import keys, scripts
from quotejob.store.client import RedisClient

MISFIRE_AFTER = timedelta(seconds=60)  # a fire time that is later than this is missed; its misfire policy applies
MAX_FIRES_TO_SUBMIT = 10  # fire times of one schedule whose jobs may wait to be submitted
DUE_PAGE_SIZE = 200  # schedules that are read at once
_WAITS = "Its job waits: "  # an extendedStatus that is over when the job is submitted
_UNEXPECTED = "there was an error in this app, which the log of its worker has; it tries again"
MAX_ROUNDS_PER_TICK = 100  # the next tick takes what is still due after these

log = structlog.get_logger()


class Firing:
    """Fires schedules and submits their jobs.

    In: the time. Out: the orgs that have something to dispatch. ``now`` is the clock that fire times go by. Every
    method may raise StoreUnavailable when Redis does not answer.
    """

    def __init__(
        self, client: RedisClient, schedules: ScheduleStore, jobs: JobStore, now: Callable[[], datetime]
    ) -> None:
        self._redis = client
        self._schedules = schedules
        self._jobs = jobs
        self._now = now

    def seconds_to_fire_times(self, within: float) -> list[float]:
        """Return how many seconds away the next fire times are, up to ``within`` seconds, each time once."""
        now = clock.ms(self._now())
        until = now + int(within * 1000)
        found = self._redis.scored(keys.DUE, f"({now}", until, DUE_PAGE_SIZE)
        return [(score - now) / 1000 for score in sorted({score for _, score in found})]

    def tick(self, now: datetime | None = None) -> list[str]:
        """Fire due schedules and submit their jobs. Returns the ids of the orgs to dispatch. Safe to run twice.

        An org is to be dispatched when it has a new job, or when a guaranteed schedule skipped its fire time and so
        leaves a reserved slot.
        """
        now = now or self._now()
        orgs: dict[str, None] = {}
        for _ in range(MAX_ROUNDS_PER_TICK):
            due = self._due(now)
            for schedule in due:
                if self.fire(schedule, now) == "skipped" and schedule.guaranteed:
                    orgs[schedule.org_id] = None
            orgs.update(dict.fromkeys(self._submit_fired()))
            if not due:
                break
        return list(orgs)

    def run_now(self, schedule_id: str, org_id: str) -> str:
        """Submit the schedule's job at once and return its id. Works in every state; the next fire time stays.

        Raises ScheduleNotFound, FlexQueueFull, TooManyJobs, and ScheduleConflict when this process does not know the
        job type, and when the job before has not ended and ``overlap`` is skip.
        """
        schedule, now, job_id = self._schedules.get(schedule_id, org_id), self._now(), str(uuid.uuid4())
        schedule.check()
        if not registry.is_known(schedule.job_type):
            raise ScheduleConflict(f"It cannot run: {_unknown(schedule.job_type)}")
        if self._decide(schedule, job_id, now) == "busy":
            raise ScheduleConflict(
                f"Its job {schedule.last_job_id} has not ended: wait for it, abort it, or use overlap queue"
            )
        try:
            self._submit(replace(schedule, guaranteed=False), job_id)
        except StoreUnavailable:
            raise  # the job may be submitted; if it is not, the next tick does it
        except Exception:
            self._settle(schedule.schedule_id, job_id)
            raise
        audit.note(self._redis, org_id, "runScheduleNow", schedule_id=schedule_id, job_id=job_id, name=schedule.name)
        return job_id

    def fire(self, schedule: Schedule, now: datetime) -> str:
        """Decide the fire time that is due. Its job is not submitted yet.

        Returns "fired", "skipped", or "not_due": it was decided before, or the schedule is not in a state to fire.
        """
        due = schedule.next_fire_time
        if due is None or due > now or schedule.state is not State.WAITING:
            scripts.run(self._redis, "schedules/settle", **rows.script_keys(schedule), id=schedule.schedule_id)
            return "not_due"
        missed = now - due > MISFIRE_AFTER
        skip_reason = ""
        try:
            if missed and schedule.misfire is Misfire.SKIP:
                following = schedule.fires_after(now - MISFIRE_AFTER)
                skip_reason = f"Skipped because nothing ran at {due:%Y-%m-%d %H:%M:%S} UTC nor until a minute later"
            else:
                following = schedule.fires_after(max(due, now) if missed else due)
        except QuotejobError as unknown:  # a time zone that this machine does not know
            self._schedules.stop(schedule.schedule_id, unknown.message)
            return "not_due"
        return self._decide(schedule, schedule.job_id(due), due, following, skip_reason, planned=True)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _due(self, now: datetime) -> list[Schedule]:
        """Return the schedules that are due. Those that only a newer version understands wait for that version."""
        low: float | str = "-inf"
        while found := self._redis.scored(keys.DUE, low, clock.ms(now), DUE_PAGE_SIZE):
            due = rows.get_many(self._redis, [schedule_id for schedule_id, _ in found])
            if mine := [schedule for schedule in due if schedule.format <= formats.FORMAT]:
                return mine
            low = f"({found[-1][1]:.0f}"  # nothing of this page can be fired here
        return []

    def _decide(
        self,
        schedule: Schedule,
        job_id: str,
        moment: datetime,
        following: datetime | None = None,
        skip_reason: str = "",
        *,
        planned: bool = False,
    ) -> str:
        answer: bytes = scripts.run(
            self._redis,
            "schedules/fire",
            **rows.script_keys(schedule),
            fired=keys.FIRED,
            first=keys.jobs_of(schedule.org_id, "first"),
            job_prefix=keys.job(""),
            id=schedule.schedule_id,
            planned=clock.ms(moment) if planned else None,
            following=clock.ms(following) if following else None,
            job_id=job_id,
            moment=clock.ms(moment),
            most_fired=MAX_FIRES_TO_SUBMIT,
            reason=skip_reason or None,
        )
        return answer.decode()

    def _submit_fired(self) -> list[str]:
        """Submit the jobs of what fired and return their orgs.

        A job waits while its org takes no more jobs, or if this process does not know its type: another version may.
        It also waits after an error, and the jobs of other schedules do not wait for it.
        """
        fired = [member.split(" ") for member in self._redis.ranked(keys.FIRED)]
        known = {
            schedule.schedule_id: schedule
            for schedule in rows.get_many(self._redis, list({schedule_id for schedule_id, _ in fired}))
            if schedule.format <= formats.FORMAT
        }
        orgs: dict[str, None] = {}
        refused: dict[str, str] = {}
        waiting: dict[str, str] = {}
        for schedule_id, job_id in fired:
            schedule = known.get(schedule_id)
            if schedule is None:
                if not self._redis.exists(rows.key(schedule_id)):  # else a version that can read it submits the job
                    self._settle(schedule_id, job_id)
            elif reason := self._try(schedule, job_id, refused):
                waiting[schedule_id] = _WAITS + reason
            else:
                orgs[schedule.org_id] = None
        for schedule_id, reason in waiting.items():
            self._explain(schedule_id, reason)
        return list(orgs)

    def _try(self, schedule: Schedule, job_id: str, refused: dict[str, str]) -> str:
        """Submit a job that has fired. Return why it waits; nothing if it does not.

        ``refused``: why an org takes no more jobs in this tick. It grows.
        """
        org_id = schedule.org_id
        if not registry.is_known(schedule.job_type):
            return _unknown(schedule.job_type)
        if org_id in refused and not schedule.guaranteed:  # a guaranteed one needs no room
            return refused[org_id]
        try:
            self._submit(schedule, job_id)
        except StoreUnavailable:
            raise
        except (FlexQueueFull, TooManyJobs) as refusal:
            return refused.setdefault(org_id, refusal.message)
        except Exception as error:  # it is this schedule's alone: the others go on
            reason = error.message if isinstance(error, QuotejobError) else _UNEXPECTED
            if schedule.extended_status != _WAITS + reason:  # once, not in every tick
                log.exception("The job of a schedule cannot be submitted", schedule_id=schedule.schedule_id)
            return reason
        return ""

    def _submit(self, schedule: Schedule, job_id: str) -> None:
        """Submit the schedule's job. Twice makes one job, because its id is given."""
        nobody = CallerContext(
            request_id=f"schedule {schedule.schedule_id}", org_id=schedule.org_id, org_domain_url="", api_version="",
            namespace="", access_token="", user_id=schedule.created_by_id, username="",
            user_name=schedule.created_by_name,
        )  # fmt: skip
        self._jobs.submit(
            nobody,
            schedule.job_type,
            name=schedule.name,
            soql_where_clause=schedule.soql_where_clause,
            number_of_opportunities=schedule.number_of_opportunities,
            parameters=schedule.parameters,
            options=Options(commit_by=schedule.commit_by),
            job_id=job_id,
            guaranteed=schedule.guaranteed,
            schedule_id=schedule.schedule_id,
            authorization=schedule.authorization,
        )
        self._settle(schedule.schedule_id, job_id)
        if (schedule.extended_status or "").startswith(_WAITS):
            self._redis.hdel(rows.key(schedule.schedule_id), "extendedStatus")

    def _settle(self, schedule_id: str, job_id: str) -> None:
        """Remove a job from the list of what fired and is not submitted yet."""
        pipe = self._redis.pipeline()
        pipe.zrem(keys.FIRED, f"{schedule_id} {job_id}")
        pipe.srem(rows.key(schedule_id, "fired"), job_id)
        pipe.execute()

    def _explain(self, schedule_id: str, reason: str) -> None:
        if self._redis.exists(rows.key(schedule_id)):
            self._redis.hset(rows.key(schedule_id), "extendedStatus", reason[:MAX_REASON_LENGTH])


def _unknown(job_type: str) -> str:
    return (
        f"this app does not know the job type {job_type} now. Add its module to QUOTEJOB_JOBS, or install its package, "
        "and restart the processes; or change the schedule's job type, or delete the schedule"
    )
