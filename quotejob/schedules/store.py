"""Schedules: what is to be submitted when. The truth of a schedule, its next fire time with it, is in Redis.

One Lua step (``store/lua/schedules/fire.lua``) decides a fire time: whether it runs, and when the next one is. What
has fired is then submitted, from a list, as often as it takes: the job's id is made of the schedule and the fire
time, so a tick that runs twice, at once or again after a crash, makes the same job. Nothing fires twice for one time
and nothing that has fired is lost.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import redis

from quotejob import clock
from quotejob.errors import (
    FlexQueueFull,
    InvalidRequest,
    QuotejobError,
    ScheduleConflict,
    ScheduleNotFound,
    TooManySchedules,
)
from quotejob.jobs.job import ENDED, Status
from quotejob.jobs.store import JobStore
from quotejob.salesforce.caller import CallerContext
from quotejob.schedules import guarantee
from quotejob.schedules.cron import FIRST_YEAR, LAST_YEAR
from quotejob.schedules.schedule import Misfire, Overlap, Schedule, State
from quotejob.settings import Settings
from quotejob.store import client as store
from quotejob.store import keys, rows, scripts

MOST = 100  # schedules of one org, as on the platform
MISFIRE = timedelta(seconds=60)  # so late a fire time is missed, and the misfire policy says what becomes of it
MOST_FIRED = 10  # fire times of one schedule that wait for room in the flex queue
AT_ONCE = 200  # schedules looked at in one go
MOST_ROUNDS = 100  # of one tick; what is due then is the next tick's
LONGEST_NAME = 80  # characters


class ScheduleStore:
    """The store of schedules. Every method may raise StoreUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, settings: Settings, now: Callable[[], datetime] | None = None) -> None:
        self._redis = client
        self._settings = settings
        self._clock = now or self._redis_time
        self._jobs = JobStore(client, settings, now)

    # -- the caller's side ---------------------------------------------------------------------------------------------

    def create(self, context: CallerContext, name: str, cron_expression: str, **what: Any) -> Schedule:
        """Keep a schedule for the caller's org. ``what``: further fields of Schedule.

        Raises InvalidRequest when it would never fire or a field is wrong, ScheduleConflict when the name is taken,
        TooManySchedules.
        """
        now = self.now()
        given = {"time_zone": "UTC", **{field: value for field, value in what.items() if value is not None}}
        schedule = Schedule(
            schedule_id=str(uuid.uuid4()), org_id=context.org_id, name=name, cron_expression=cron_expression,
            created_date=now, created_by_id=context.user_id, **given,
        )  # fmt: skip
        schedule = replace(schedule, cron_expression=schedule.cron.expression)
        for field, moment in (("startTime", schedule.start_time), ("endTime", schedule.end_time)):
            if moment is not None and moment.utcoffset() is None:
                raise InvalidRequest.field(field, "should have a time zone, as 2026-01-31T22:00:00+01:00")
            if moment is not None and not FIRST_YEAR < moment.year < LAST_YEAR:
                raise InvalidRequest.field(field, f"should be a year between {FIRST_YEAR} and {LAST_YEAR}")
        if schedule.start_time and schedule.end_time and schedule.end_time <= schedule.start_time:
            raise InvalidRequest.field("endTime", "should be later than startTime")
        schedule = replace(schedule, next_fire_time=_first(schedule, now))
        answer = self._create(schedule, now)
        while answer == "stale":
            answer = self._create(schedule, now)
        if answer == "full":
            raise TooManySchedules(f"This org already has {MOST} schedules; delete one first")
        if answer == "name":
            raise ScheduleConflict(
                f"This org already has a schedule named {name}; choose another name, or delete that one"
            )
        return self.get(schedule.schedule_id)

    def get(self, schedule_id: str, org_id: str | None = None) -> Schedule:
        """The schedule as it stands; ScheduleNotFound when there is none, or it is another's than ``org_id``."""
        with store.translated():
            found = cast(dict[bytes, bytes], self._redis.hgetall(_key(schedule_id)))
        if not found or (org_id is not None and found[b"orgId"].decode() != org_id):
            raise ScheduleNotFound(f"There is no schedule {schedule_id} in this org")
        return self._executing([_read(schedule_id, found)])[0]

    def of(self, org_id: str) -> list[Schedule]:
        """The org's schedules, newest first."""
        with store.translated():
            ids = cast(list[bytes], self._redis.zrevrange(keys.jobs_of(org_id, "schedules"), 0, -1))
        return self._executing(self._get_many([schedule_id.decode() for schedule_id in ids]))

    def pause(self, schedule_id: str, org_id: str) -> Schedule:
        """Have it fire no more until it is resumed. ScheduleConflict when it does not wait for a fire time."""
        return self._moved(self.get(schedule_id, org_id), State.PAUSED, (State.WAITING,))

    def resume(self, schedule_id: str, org_id: str) -> Schedule:
        """Let a paused schedule, or one in ERROR, fire again from now on; what passed meanwhile is not made good."""
        schedule = self.get(schedule_id, org_id)
        if schedule.state not in (State.PAUSED, State.ERROR):
            raise ScheduleConflict(
                f"Only a schedule that is PAUSED or in ERROR can be resumed; this one is {schedule.state}"
            )
        following = replace(schedule, next_fire_time=_first(schedule, self.now()))
        return self._moved(following, State.WAITING, (State.PAUSED, State.ERROR))

    def delete(self, schedule_id: str, org_id: str) -> Schedule:
        """Forget the schedule; its jobs stay. Gives it as it was, in state DELETED."""
        schedule = self.get(schedule_id, org_id)
        self._move(schedule, State.DELETED, (State.WAITING, State.PAUSED, State.COMPLETE, State.ERROR))
        return replace(schedule, state=State.DELETED, next_fire_time=None)

    def run_now(self, schedule_id: str, org_id: str) -> str:
        """Submit its job at once, outside the plan, whatever state it is in; the job's id.

        ScheduleConflict when the job before has not ended and overlap is skip; FlexQueueFull.
        """
        schedule, now, job_id = self.get(schedule_id, org_id), self.now(), str(uuid.uuid4())
        if self._decide(schedule, job_id, now) == "busy":
            raise ScheduleConflict(
                f"Its job {schedule.last_job_id} has not ended: wait for it, abort it, or use overlap queue"
            )
        try:
            self._submit(replace(schedule, guaranteed=False), job_id)
        except FlexQueueFull:
            self._settle(schedule.schedule_id, job_id)
            raise
        return job_id

    # -- the clock's side ----------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The time by Redis's clock, the one clock of all processes; or by the one given."""
        return self._clock()

    def coming(self, within: float) -> list[float]:
        """In how many seconds fire times come, each once, of those that come within so many."""
        now = clock.ms(self.now())
        with store.translated():
            found = cast(
                list[tuple[bytes, float]],
                self._redis.zrangebyscore(keys.DUE, f"({now}", now + int(within * 1000), 0, AT_ONCE, withscores=True),
            )
        return [(score - now) / 1000 for score in sorted({score for _, score in found})]

    def claims(self, org_id: str, now: datetime | None = None) -> guarantee.Claims:
        """What the org's guaranteed schedules claim of its slots now."""
        return guarantee.claims(self._redis, self._settings, org_id, now or self.now())

    def promote(self, org_id: str, now: datetime | None = None) -> list[str]:
        """Give the org's free slots to its Holding jobs; the ids that became Queued just now.

        Jobs of guaranteed schedules that have fired go first, and the slots that these schedules claim are left free.
        """
        claims = self.claims(org_id, now)
        promoted = [
            job_id
            for first in claims.first
            for job_id in self._jobs.promote(org_id, reserved=self._settings.active_jobs, first=first)
        ]
        waiting = len(set(claims.first) - set(promoted))
        return promoted + self._jobs.promote(org_id, reserved=claims.reserved + waiting)

    def tick(self, now: datetime | None = None) -> list[str]:
        """Let fire what is due, and submit what has fired; the orgs that have new jobs, or a slot that was kept for one
        that is skipped. Twice at once is harmless.
        """
        now = now or self.now()
        orgs: dict[str, None] = {}
        for _ in range(MOST_ROUNDS):
            due = self._due(now)
            for schedule in due:
                if self._fire(schedule, now) == "skipped" and schedule.guaranteed:
                    orgs[schedule.org_id] = None
            orgs.update(dict.fromkeys(self._submit_fired()))
            if not due:
                break
        return list(orgs)

    def stop(self, schedule_id: str, reason: str) -> None:
        """Take a schedule whose jobs cannot run into ERROR, saying why."""
        try:
            schedule = self.get(schedule_id)
        except ScheduleNotFound:
            return
        self._move(schedule, State.ERROR, (State.WAITING, State.PAUSED, State.COMPLETE), reason)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _redis_time(self) -> datetime:
        with store.translated():
            seconds, micros = self._redis.time()
        return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=micros)

    def _create(self, schedule: Schedule, now: datetime) -> str:
        """What came of it; "stale": look again, the org's guaranteed schedules have changed."""
        revision = self._revision_without_clash(schedule, now)
        answer = scripts.run(
            self._redis,
            "schedules/create",
            **self._keys(schedule),
            id=schedule.schedule_id,
            created=clock.us(now),
            most=MOST,
            name=schedule.name,
            first_fire=clock.ms(_first(schedule, now)),
            guaranteed=schedule.guaranteed,
            revision=revision,
            fields=_stored(schedule),
        )
        return cast(bytes, answer).decode()

    def _revision_without_clash(self, schedule: Schedule, now: datetime) -> str:
        """The revision of the org's guaranteed schedules beside which this one can be kept; else ScheduleConflict."""
        revision = self._revision(schedule.org_id)
        if schedule.guaranteed:
            others = [other for other in self.of(schedule.org_id) if other.next_fire_time is not None]
            if found := guarantee.clash(schedule, others, self._settings, now):
                moment, names = found
                raise ScheduleConflict(
                    f"Its start cannot be guaranteed: within {self._settings.reserve_minutes} minutes from "
                    f"{moment:%Y-%m-%d %H:%M:%S} UTC on, {', '.join(names)} start too, and this org has "
                    f"{self._settings.active_jobs} slots"
                )
        return revision

    def _due(self, now: datetime) -> list[Schedule]:
        with store.translated():
            found = cast(list[bytes], self._redis.zrangebyscore(keys.DUE, "-inf", clock.ms(now), 0, AT_ONCE))
        return self._get_many([schedule_id.decode() for schedule_id in found])

    def _fire(self, schedule: Schedule, now: datetime) -> str:
        """Decide the fire time that has come; what came of it, "" when there is nothing to decide."""
        due = schedule.next_fire_time
        if due is None:
            return ""
        missed = now - due > MISFIRE
        why = ""
        try:
            if missed and schedule.misfire is Misfire.SKIP:
                following = schedule.fires_after(now - MISFIRE)
                why = f"Skipped because nothing ran at {due:%Y-%m-%d %H:%M:%S} UTC nor until a minute later"
            else:
                following = schedule.fires_after(max(due, now) if missed else due)
        except QuotejobError as unknown:  # a time zone this machine does not know
            self.stop(schedule.schedule_id, unknown.message)
            return ""
        return self._decide(schedule, schedule.job_id(due), due, following, why, planned=True)

    def _decide(
        self,
        schedule: Schedule,
        job_id: str,
        moment: datetime,
        following: datetime | None = None,
        why: str = "",
        *,
        planned: bool = False,
    ) -> str:
        answer = scripts.run(
            self._redis,
            "schedules/fire",
            **self._keys(schedule),
            fired=keys.FIRED,
            first=keys.jobs_of(schedule.org_id, "first"),
            job_prefix=keys.job(""),
            id=schedule.schedule_id,
            planned=clock.ms(moment) if planned else None,
            following=clock.ms(following) if following else None,
            job_id=job_id,
            moment=clock.ms(moment),
            most_fired=MOST_FIRED,
            reason=why or None,
        )
        return cast(bytes, answer).decode()

    def _submit_fired(self) -> list[str]:
        """Submit what has fired; what finds no room in its flex queue stays for the next tick."""
        with store.translated():
            fired = [member.decode().split(" ") for member in cast(list[bytes], self._redis.zrange(keys.FIRED, 0, -1))]
        known = {schedule.schedule_id: schedule for schedule in self._get_many(list({each for each, _ in fired}))}
        orgs: dict[str, None] = {}
        full: dict[str, str] = {}  # orgs that have no room, and what they said: their others need not be tried
        waiting: dict[str, str] = {}
        for schedule_id, job_id in fired:
            schedule = known.get(schedule_id)
            if schedule is None:
                self._settle(schedule_id, job_id)
                continue
            if schedule.guaranteed or schedule.org_id not in full:  # a guaranteed one needs no room
                try:
                    self._submit(schedule, job_id)
                    orgs[schedule.org_id] = None
                    continue
                except FlexQueueFull as refusal:
                    full[schedule.org_id] = f"Waits for room in the flex queue: {refusal}"
            waiting[schedule_id] = full[schedule.org_id]
        for schedule_id, reason in waiting.items():
            self._explain(schedule_id, reason)
        return list(orgs)

    def _submit(self, schedule: Schedule, job_id: str) -> None:
        """The schedule's job, through the same door as every other; once, for its id is given."""
        nobody = CallerContext(
            request_id=f"schedule {schedule.schedule_id}", org_id=schedule.org_id, org_domain_url="", api_version="",
            namespace="", access_token="", user_id=schedule.created_by_id, username="",
        )  # fmt: skip
        self._jobs.submit(
            nobody,
            schedule.job_type,
            soql_where_clause=schedule.soql_where_clause,
            number_of_opportunities=schedule.number_of_opportunities,
            job_id=job_id,
            guaranteed=schedule.guaranteed,
            schedule_id=schedule.schedule_id,
            authorization=schedule.authorization,
        )
        self._settle(schedule.schedule_id, job_id)

    def _settle(self, schedule_id: str, job_id: str) -> None:
        with store.translated():
            pipe = self._redis.pipeline()
            pipe.zrem(keys.FIRED, f"{schedule_id} {job_id}")
            pipe.srem(_key(schedule_id, "fired"), job_id)
            pipe.execute()

    def _explain(self, schedule_id: str, reason: str) -> None:
        with store.translated():
            if self._redis.exists(_key(schedule_id)):
                self._redis.hset(_key(schedule_id), "extendedStatus", reason[:1000])

    def _moved(self, schedule: Schedule, state: State, origins: Sequence[State]) -> Schedule:
        before = self._move(schedule, state, origins)
        while before == "stale":
            before = self._move(schedule, state, origins)
        if before not in origins:
            raise ScheduleConflict(f"This schedule is {before or State.DELETED}; it should be {' or '.join(origins)}")
        return self.get(schedule.schedule_id)

    def _move(self, schedule: Schedule, state: State, origins: Sequence[State], reason: str = "") -> str:
        """The state it had before, "" when it was gone; it is moved if that is one of the origins. "stale": again."""
        fires = state is State.WAITING and schedule.next_fire_time is not None
        revision = self._revision_without_clash(schedule, self.now()) if fires else None
        answer = scripts.run(
            self._redis,
            "schedules/move",
            **self._keys(schedule),
            id=schedule.schedule_id,
            state=state,
            next_fire=clock.ms(schedule.next_fire_time) if fires and schedule.next_fire_time else None,
            revision=revision,
            reason=reason[:1000] or None,
            origins=origins,
        )
        return cast(bytes, answer).decode()

    def _keys(self, schedule: Schedule) -> dict[str, str]:
        org_id = schedule.org_id
        return {
            "schedule": _key(schedule.schedule_id),
            "fired_here": _key(schedule.schedule_id, "fired"),
            "due": keys.DUE,
            "schedules": keys.jobs_of(org_id, "schedules"),
            "names": keys.jobs_of(org_id, "schedule-names"),
            "guaranteed_key": keys.jobs_of(org_id, "guaranteed"),
            "revision_key": keys.jobs_of(org_id, "guaranteed-revision"),
        }

    def _revision(self, org_id: str) -> str:
        with store.translated():
            return (cast(bytes | None, self._redis.get(keys.jobs_of(org_id, "guaranteed-revision"))) or b"0").decode()

    def _get_many(self, ids: Sequence[str]) -> list[Schedule]:
        """The schedules that are there; what is due but gone leaves the list."""
        with store.translated():
            pipe = self._redis.pipeline(transaction=False)
            for schedule_id in ids:
                pipe.hgetall(_key(schedule_id))
            stored = cast(list[dict[bytes, bytes]], pipe.execute())
            if gone := [schedule_id for schedule_id, row in zip(ids, stored, strict=True) if not row]:
                self._redis.zrem(keys.DUE, *gone)
        return [_read(schedule_id, row) for schedule_id, row in zip(ids, stored, strict=True) if row]

    def _executing(self, schedules: list[Schedule]) -> list[Schedule]:
        """Waiting schedules whose last job has not ended are EXECUTING."""
        with store.translated():
            pipe = self._redis.pipeline(transaction=False)
            for schedule in schedules:
                pipe.hget(keys.job(schedule.last_job_id or ""), "status")
            statuses = cast(list[bytes | None], pipe.execute())
        return [
            replace(schedule, state=State.EXECUTING)
            if schedule.state is State.WAITING and status is not None and Status(status.decode()) not in ENDED
            else schedule
            for schedule, status in zip(schedules, statuses, strict=True)
        ]


def _first(schedule: Schedule, now: datetime) -> datetime:
    """Its first fire time from now on; InvalidRequest when there is none."""
    found = schedule.fires_after(now)
    if found is None:
        raise InvalidRequest.field("cronExpression", "never comes between now, startTime and endTime")
    return found


def _key(schedule_id: str, part: str = "") -> str:
    return f"quotejob:schedule:{schedule_id}:{part}" if part else f"quotejob:schedule:{schedule_id}"


_READERS: dict[str, Any] = {
    "state": State,
    "misfire": Misfire,
    "overlap": Overlap,
    "guaranteed": lambda raw: raw == "1",
    **dict.fromkeys(("createdDate", "startTime", "endTime", "nextFireTime", "previousFireTime"), clock.moment),
    **dict.fromkeys(("numberOfOpportunities", "timesTriggered", "timesSkipped"), int),
}


def _stored(schedule: Schedule) -> dict[str, Any]:
    """Return the schedule's hash: field -> value; moments in ms, what is None left out."""
    found: dict[str, Any] = {}
    for name in Schedule.__dataclass_fields__:
        value = getattr(schedule, name)
        if name != "schedule_id" and value is not None:
            if isinstance(value, datetime):
                value = clock.ms(value)
            first, *others = name.split("_")
            found[first + "".join(other.title() for other in others)] = int(value) if isinstance(value, bool) else value
    return found


def _read(schedule_id: str, stored: dict[bytes, bytes]) -> Schedule:
    """A Schedule from its hash."""
    decoded = {name.decode(): value.decode() for name, value in stored.items()}
    return Schedule(schedule_id, **rows.read(Schedule, _READERS, decoded))
